#include "scheduler/webhook_retry.h"

static const int64_t factors[] = {1, 60, 360, 1440, 3600, 7200, 10080, 14400, 17280};
_Static_assert(sizeof(factors) / sizeof(factors[0]) == WEBHOOK_TRIES - 1,
               "a delay stands between two attempts");

int64_t webhook_retry_ms(int64_t tries, int64_t first_ms, int64_t asked_ms, struct rand *r)
{
    if (tries < 1 || tries >= WEBHOOK_TRIES)
        return -1;
    int64_t base_ms = factors[tries - 1] * first_ms;
    int64_t delay_ms = base_ms * 4 / 5 + rand_below(r, base_ms * 2 / 5 + 1);
    if (asked_ms > WEBHOOK_LAST_MS)
        asked_ms = WEBHOOK_LAST_MS;
    return delay_ms > asked_ms ? delay_ms : asked_ms;
}
