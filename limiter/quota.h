/*
 * quota: what a tenant may have of a pool: its own limits, beside those of the pool.
 *
 * A dimension of a tenant is a bucket in the unit (period, tick) and with the rule of the pool's
 * dimension of that name, without headroom, whatever the pool's algorithm: the provider does not
 * know tenants, so nothing is refused for a burst. A ticket that costs more than a bucket holds (it
 * was lowered meanwhile) runs when it is full, and leaves a debt.
 *
 *   ownership  opaque but for the fields below; a quota lives as long as its quotas.
 *   threads    none.
 *   errors     only quotas_reserve() allocates.
 */
#ifndef LIMITER_QUOTA_H
#define LIMITER_QUOTA_H

#include "common/limits.h"
#include "common/map.h"
#include "limiter/dim.h"

#define QUOTA_NEVER DIM_NEVER /* not before a ticket of the tenant ends */

/* Of one tenant, in the order of the pool's dimensions. */
struct pool_tenant {
    char name[TENANT_NAME_BYTES];
    int64_t rate[POOL_MAX_DIMS];     /* per period of the dimension; 0: no limit of its own */
    int64_t capacity[POOL_MAX_DIMS]; /* > 0 where there is a rate */
    int64_t max_parallel;            /* running tickets; 0: no limit */
    int64_t max_depth;               /* queued tickets; 0: no limit */
};

struct quota {
    char tenant[TENANT_NAME_BYTES];
    bool limited; /* false: its limits were taken away */
    struct dim dims[POOL_MAX_DIMS];
    bool has[POOL_MAX_DIMS];
    size_t count;
    int64_t max_parallel, max_depth;
    int64_t running; /* tickets that were granted while it was limited */
};

struct quotas {
    struct map by_tenant;
    size_t limited;
};

void quotas_init(struct quotas *q, uint64_t seed);
void quotas_release(struct quotas *q);
/* Room for these tenants, so that the next cannot fail. -ENOMEM. */
int quotas_reserve(struct quotas *q, const struct pool_tenant *tenants, size_t count) MUST_CHECK;
/* Levels are kept as dim_relimit() does; a new one starts full. Who is not among them has no
 * limits. */
void quotas_configure(struct quotas *q, const struct pool_tenant *tenants, size_t count,
                      const struct dim_limit *dims, size_t dim_count, int64_t now_ms);
/* NULL: the tenant has no limits. */
struct quota *quota_of(const struct quotas *q, const char *tenant);

/* Also one whose limits were taken away. NULL: never had any. */
struct quota *quotas_known(const struct quotas *q, const char *tenant);

/* Costs are in the order of the pool's dimensions. */
void quota_refill(struct quota *q, int64_t now_ms);
/* The first dimension that holds less than the cost; -1 none. */
int quota_too_large(const struct quota *q, const int64_t *cost);
/* Ms until it fits: 0 now, QUOTA_NEVER while all slots are taken. Refilled before. */
int64_t quota_wait_ms(const struct quota *q, const int64_t *cost, int64_t now_ms);
void quota_charge(struct quota *q, const int64_t *cost);
void quota_accrue(struct quota *q, const int64_t *more, int64_t now_ms); /* refilled before */
/* actual: -1 unknown. unsent: all comes back. Refilled before. */
void quota_settle(struct quota *q, const int64_t *cost, const int64_t *actual, bool unsent);

/* The limit that a tenant's bucket has, of the pool's; for checks. */
struct dim_limit quota_limit(const struct pool_tenant *t, const struct dim_limit *dim, size_t i);

#endif
