/*
 * budget: the limits of a pool, and of its tenants in it, as a configuration says them.
 *
 * A tenant's max_share of a limit and its own limit of that name are one bucket, the smaller one. A
 * limit that only tenants have makes an open dimension (limiter/dim.h), since a ticket's cost is
 * told once, in the order of the pool's dimensions.
 *
 *   ownership  the tenants are allocated and belong to the caller; limits.tenants points to them.
 *   threads    none.
 */
#ifndef SCHEDULER_BUDGET_H
#define SCHEDULER_BUDGET_H

#include "common/config.h"
#include "limiter/profile.h"

struct budget {
    struct pool_limits limits;
    struct pool_tenant *tenants; /* to free() */
};

/* -ENOMEM. */
int budget_make(const struct config *c, const struct profile *profile,
                const struct config_limits *limits, struct budget *ret) MUST_CHECK;

#endif
