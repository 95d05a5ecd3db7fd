#include "limiter/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void quotas_init(struct quotas *q, uint64_t seed)
{
    *q = (struct quotas){.limited = 0};
    map_init(&q->by_tenant, seed);
}

void quotas_release(struct quotas *q)
{
    size_t at = 0;
    for (struct quota *one; (one = map_next(&q->by_tenant, &at));)
        free(one);
    map_release(&q->by_tenant);
}

struct dim_limit quota_limit(const struct pool_tenant *t, const struct dim_limit *dim, size_t i)
{
    struct dim_limit l = *dim;
    l.rate = t->rate[i];
    l.capacity = t->capacity[i];
    l.headroom = 0;
    l.algorithm = DIM_BUCKET;
    return l;
}

struct quota *quotas_known(const struct quotas *q, const char *tenant)
{
    return map_get(&q->by_tenant, tenant);
}

struct quota *quota_of(const struct quotas *q, const char *tenant)
{
    struct quota *one = q->limited > 0 ? quotas_known(q, tenant) : NULL;
    return one && one->limited ? one : NULL;
}

static int make(struct quotas *q, const char *tenant)
{
    if (quotas_known(q, tenant))
        return 0;
    struct quota *one = calloc(1, sizeof(*one));
    if (!one)
        return -ENOMEM;
    memcpy(one->tenant, tenant, strlen(tenant) + 1);
    int rc = map_put(&q->by_tenant, one->tenant, one);
    if (rc < 0)
        free(one);
    return rc;
}

static const struct dim *dim_named(const struct quota *q, const char *name)
{
    for (size_t i = 0; i < q->count; i++) {
        if (q->has[i] && strcmp(q->dims[i].limit.name, name) == 0)
            return &q->dims[i];
    }
    return NULL;
}

/* Buckets only: nothing here can fail. */
static void set_limits(struct quota *q, const struct pool_tenant *t, const struct dim_limit *dims,
                       size_t count, int64_t now_ms)
{
    struct quota next = *q;
    next.limited = true;
    next.count = count;
    next.max_parallel = t->max_parallel;
    next.max_depth = t->max_depth;
    for (size_t i = 0; i < count; i++) {
        struct dim_limit limit = quota_limit(t, &dims[i], i);
        const struct dim *old = q->limited ? dim_named(q, dims[i].name) : NULL;
        next.has[i] = t->rate[i] > 0;
        if (next.has[i] && old) {
            next.dims[i] = *old;
            (void)(dim_relimit(&next.dims[i], &limit, now_ms) < 0);
        } else if (next.has[i]) {
            (void)(dim_init(&next.dims[i], &limit, true, now_ms) < 0);
        }
    }
    *q = next;
}

int quotas_reserve(struct quotas *q, const struct pool_tenant *tenants, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc = make(q, tenants[i].name);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void quotas_configure(struct quotas *q, const struct pool_tenant *tenants, size_t count,
                      const struct dim_limit *dims, size_t dim_count, int64_t now_ms)
{
    size_t at = 0;
    for (struct quota *one; (one = map_next(&q->by_tenant, &at));) {
        const struct pool_tenant *t = NULL;
        for (size_t i = 0; i < count && !t; i++)
            t = strcmp(tenants[i].name, one->tenant) == 0 ? &tenants[i] : NULL;
        if (t)
            set_limits(one, t, dims, dim_count, now_ms);
        else
            one->limited = false;
    }
    q->limited = count;
}

void quota_refill(struct quota *q, int64_t now_ms)
{
    for (size_t i = 0; i < q->count; i++) {
        if (q->has[i])
            dim_refill(&q->dims[i], now_ms);
    }
}

int quota_too_large(const struct quota *q, const int64_t *cost)
{
    for (size_t i = 0; i < q->count; i++) {
        if (q->has[i] && cost[i] > q->dims[i].limit.capacity)
            return (int)i;
    }
    return -1;
}

int64_t quota_wait_ms(const struct quota *q, const int64_t *cost, int64_t now_ms)
{
    int64_t longest_ms = 0;
    if (q->max_parallel > 0 && q->running >= q->max_parallel)
        return QUOTA_NEVER;
    for (size_t i = 0; i < q->count; i++) {
        const struct dim *d = &q->dims[i];
        if (!q->has[i])
            continue;
        int64_t capacity = d->limit.capacity;
        int64_t wait_ms = dim_wait_ms(d, cost[i] < capacity ? cost[i] : capacity, now_ms);
        if (wait_ms > longest_ms)
            longest_ms = wait_ms;
    }
    return longest_ms;
}

void quota_charge(struct quota *q, const int64_t *cost)
{
    for (size_t i = 0; i < q->count; i++) {
        if (q->has[i])
            q->dims[i].level -= cost[i] * q->dims[i].limit.period;
    }
}

void quota_accrue(struct quota *q, const int64_t *more, int64_t now_ms)
{
    for (size_t i = 0; i < q->count; i++) {
        if (q->has[i])
            dim_accrue(&q->dims[i], more[i], now_ms);
    }
}

void quota_settle(struct quota *q, const int64_t *cost, const int64_t *actual, bool unsent)
{
    for (size_t i = 0; i < q->count; i++) {
        struct dim_charge charge = {.cost = cost[i]};
        int64_t used = unsent ? 0 : actual[i];
        if (q->has[i] && used >= 0)
            dim_settle(&q->dims[i], &charge, used, unsent, 0);
    }
}
