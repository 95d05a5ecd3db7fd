#include "scheduler/pool_rates.h"

#define MAX_LOSSES 5

static int64_t set_or_none(int64_t rate)
{
    return rate > 0 ? rate : 0;
}

void pool_rates(const struct config *c, const struct profile *profile,
                const struct config_limits *l, struct pool_limits *ret)
{
    struct profile_rates rates = {
        .rpm = set_or_none(l->rpm),
        .tpm = set_or_none(l->tpm),
        .itpm = set_or_none(l->itpm),
        .otpm = set_or_none(l->otpm),
        .rpd = set_or_none(l->rpd),
        .tpd = set_or_none(l->tpd),
        .max_parallel = set_or_none(l->max_parallel_requests),
    };
    struct profile_queue queue = {
        .bypass_permille = c->queue.bypass_permille,
        .max_depth = c->queue.max_depth,
        .lease_ms = c->queue.lease_ms,
        .max_losses = MAX_LOSSES,
        .headroom_ms = c->queue.headroom_ms,
    };
    profile_limits(profile, &rates, &queue, ret);
}
