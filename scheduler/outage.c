#include "scheduler/outage.h"

bool outage_grants(const struct outage *o, int64_t now_ms)
{
    return o->mode != CONFIG_CLOSED &&
           (o->ever_up || now_ms - o->started_ms >= OUTAGE_START_GRACE_MS);
}
