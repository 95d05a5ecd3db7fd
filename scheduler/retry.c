#include "scheduler/retry.h"

#include <stdio.h>
#include <string.h>

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MOST_MS  30000
#define PAUSE_LEAST_MS   1000
#define PAUSE_MOST_MS    60000
#define RAMP_PAUSE_MS    15000
#define JITTER_PERCENT   10

static int64_t doubled(int64_t first, int64_t most, int64_t times)
{
    int64_t value = first;
    for (int64_t i = 0; i < times && value < most; i++)
        value *= 2;
    return value < most ? value : most;
}

static int64_t with_jitter(int64_t ms, struct rand *r)
{
    return ms + rand_below(r, ms * JITTER_PERCENT / 100 + 1);
}

/* A refusal for the rate: the pause is the provider's own wait, else it grows by itself. */
static struct retry_plan pause_for(const struct retry_case *c, struct rand *r)
{
    struct retry_plan plan = {.again = false};
    bool ramp = c->answer.failure == WIRE_RAMP;
    int64_t ms = c->answer.retry_after_ms;

    if (ms < 0)
        ms = ramp ? RAMP_PAUSE_MS : doubled(PAUSE_LEAST_MS, PAUSE_MOST_MS, c->refusals - 1);
    plan.pause_ms = with_jitter(ms > 0 ? ms : 1, r);
    plan.again = plan.pause_ms < c->wait_left_ms;
    bool named = !ramp && c->answer.dimension[0] != '\0';
    (void)snprintf(plan.pause_dim, sizeof(plan.pause_dim), "%s", named ? c->answer.dimension : "*");
    return plan;
}

struct retry_plan retry_decide(const struct retry_case *c, struct rand *r)
{
    struct retry_plan plan = {.unsent = c->result == HTTP_NOT_SENT};
    bool fault = c->result == HTTP_NOT_SENT || c->result == HTTP_BROKEN ||
                 c->result == HTTP_FIRST_BYTE || c->result == HTTP_IDLE;
    bool done = c->result == HTTP_DONE;

    if (c->output_given)
        return plan;
    if (done && c->answer.may_retry &&
        (c->answer.failure == WIRE_RATE || c->answer.failure == WIRE_RAMP))
        return pause_for(c, r);

    plan.again = (fault || (done && c->answer.may_retry)) && c->attempts < c->max_attempts;
    if (!plan.again)
        return plan;
    int64_t most = doubled(BACKOFF_FIRST_MS, BACKOFF_MOST_MS, c->attempts - 1);
    plan.delay_ms = 1 + rand_below(r, most);
    if (done && c->answer.retry_after_ms > plan.delay_ms)
        plan.delay_ms = with_jitter(c->answer.retry_after_ms, r);
    plan.again = plan.counts = plan.delay_ms < c->wait_left_ms;
    return plan;
}
