#include "scheduler/budget.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Leases that a ticket may lose before it is given up. */
#define MAX_LOSSES 5

static int64_t set_or_none(int64_t rate)
{
    return rate > 0 ? rate : 0;
}

static struct profile_rates rates_of(const struct config_limits *l)
{
    return (struct profile_rates){
        .rpm = set_or_none(l->rpm),
        .tpm = set_or_none(l->tpm),
        .itpm = set_or_none(l->itpm),
        .otpm = set_or_none(l->otpm),
        .rpd = set_or_none(l->rpd),
        .tpd = set_or_none(l->tpd),
        .max_parallel = set_or_none(l->max_parallel_requests),
        .algorithm = l->algorithm == CONFIG_SLIDING_WINDOW ? DIM_WINDOW : DIM_BUCKET,
    };
}

static struct dim_limit *find(struct pool_limits *l, const char *name)
{
    for (size_t i = 0; i < l->dim_count; i++) {
        if (strcmp(l->dims[i].name, name) == 0)
            return &l->dims[i];
    }
    return NULL;
}

/* Dimensions that only a tenant limits. */
static void open_dims(const struct profile *profile, const struct profile_queue *queue,
                      const struct config_tenant *t, struct pool_limits *ret)
{
    struct pool_limits own;
    struct profile_rates rates = rates_of(&t->limits);
    profile_limits(profile, &rates, queue, &own);
    for (size_t i = 0; i < own.dim_count && ret->dim_count < POOL_MAX_DIMS; i++) {
        if (find(ret, own.dims[i].name))
            continue;
        struct dim_limit *d = &ret->dims[ret->dim_count++];
        *d = own.dims[i];
        d->rate = d->capacity = CONFIG_MAX_LIMIT;
        d->headroom = 0;
        d->algorithm = DIM_BUCKET;
        d->open = true;
    }
}

/* A part of a limit, at least one. */
static int64_t part_of(double share, int64_t limit)
{
    int64_t part = (int64_t)(share * (double)limit);
    return part > 0 ? part : 1;
}

static bool make_tenant(const struct profile *profile, const struct profile_queue *queue,
                        const struct config_tenant *t, const struct pool_limits *pool,
                        struct pool_tenant *ret)
{
    struct pool_limits own;
    struct profile_rates rates = rates_of(&t->limits);
    bool limited = false;
    profile_limits(profile, &rates, queue, &own);
    *ret = (struct pool_tenant){.max_parallel = own.max_parallel,
                                .max_depth = set_or_none(t->max_queue)};
    (void)snprintf(ret->name, sizeof(ret->name), "%s", t->name);
    for (size_t i = 0; i < pool->dim_count; i++) {
        const struct dim_limit *stated = find(&own, pool->dims[i].name);
        int64_t most = stated ? stated->rate : 0;
        int64_t share = t->max_share > 0 && t->max_share < 1 && !pool->dims[i].open
                            ? part_of(t->max_share, pool->dims[i].rate)
                            : 0;
        if (share > 0 && (most == 0 || share < most))
            most = share;
        ret->rate[i] = ret->capacity[i] = most;
        limited |= most > 0;
    }
    if (t->max_share > 0 && t->max_share < 1 && pool->max_parallel > 0) {
        int64_t slots = part_of(t->max_share, pool->max_parallel);
        if (ret->max_parallel == 0 || slots < ret->max_parallel)
            ret->max_parallel = slots;
    }
    return limited || ret->max_parallel > 0 || ret->max_depth > 0;
}

int budget_make(const struct config *c, const struct profile *profile,
                const struct config_limits *limits, struct budget *ret)
{
    struct profile_rates rates = rates_of(limits);
    struct profile_queue queue = {
        .bypass_permille = c->queue.bypass_permille,
        .batch_permille = c->queue.batch_permille,
        .max_depth = c->queue.max_depth,
        .lease_ms = c->queue.lease_ms,
        .max_losses = MAX_LOSSES,
        .headroom_ms = c->queue.headroom_ms,
    };
    size_t count = 0;
    ret->tenants = calloc(c->tenant_count + 1, sizeof(*ret->tenants));
    if (!ret->tenants)
        return -ENOMEM;
    profile_limits(profile, &rates, &queue, &ret->limits);
    for (size_t i = 0; i < c->tenant_count; i++)
        open_dims(profile, &queue, &c->tenants[i], &ret->limits);
    for (size_t i = 0; i < c->tenant_count; i++)
        count += make_tenant(profile, &queue, &c->tenants[i], &ret->limits, &ret->tenants[count]);
    ret->limits.tenants = ret->tenants;
    ret->limits.tenant_count = count;
    return 0;
}
