/*
 * share: what one of N instances may grant of a pool by itself, while nobody can be asked.
 *
 * All N together stay at half of each limit. The other half is what the pool granted just before,
 * and what still runs.
 *
 *   rate      whole rate / 2N. The period is stretched rather than the rate rounded, so that a
 *             small limit keeps its exact share; only a limit near 2^52 units is rounded, down.
 *   capacity  what the share earns in SHARE_BURST_MS. A cost above it raises it, or one large
 *             request would never run: to one period of the share at most, whole capacity / 2N,
 *             so that N bursts at one moment are half of what the provider's own bucket holds. One
 *             token at least.
 *   slots     max_parallel / 2N, at least 1.
 *   tenants   their rates and slots / 2N, at least 1; what one may have at once stays, so that a
 * cost is too large here when it is everywhere.
 *
 *   window    a sliding window stays one, with capacity / 2N: nothing is granted in the first
 *             period, in which the pool's own grants leave the provider's window, and half of the
 *             limit in any later one. The provider counts strictly, so a share that begins at once
 *             would be refused.
 *
 * Its pool starts empty, so what is granted in t ms is never above rate * t.
 *
 *   units      as limiter/dim.h
 *   ownership  the caller's struct; tenants are allocated, so share_release() it.
 *   threads    none. No clock.
 */
#ifndef LIMITER_SHARE_H
#define LIMITER_SHARE_H

#include "limiter/pool.h"

#define SHARE_MAX_INSTANCES 1000
#define SHARE_BURST_MS      10000

struct share {
    struct pool_limits limits;
    int64_t most[POOL_MAX_DIMS]; /* to how many tokens the capacity may be raised */
    struct pool_tenant *tenants; /* of the limits */
};

/* instances: 1 .. SHARE_MAX_INSTANCES. -ERANGE: a limit has no whole token for each instance, so
 * it cannot be shared; s is unset then. */
int share_init(struct share *s, const struct pool_limits *whole, int64_t instances) MUST_CHECK;

void share_release(struct share *s); /* also one that is zeroed */
/* The limits of a pool that grants all. */
struct pool_limits share_none(const struct pool_limits *whole);

enum share_fit { SHARE_FITS, SHARE_RAISED, SHARE_TOO_LARGE };

/* Whether a cost can ever fit; raises capacities for it where it may. With SHARE_RAISED the limits
 * are new. SHARE_TOO_LARGE changes nothing. */
enum share_fit share_raise(struct share *s, const int64_t *cost);

#endif
