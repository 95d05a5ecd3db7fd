/*
 * hold: the place that a head keeps while it does not fit, and who may pass it.
 *
 * The section HOLD of limiter/pool.h for one dimension at a time.
 *
 *   units      used is token x tick, as levels are
 *   ownership  the caller owns the struct; ticket is only compared, never followed.
 *   threads    none.
 */
#ifndef LIMITER_HOLD_H
#define LIMITER_HOLD_H

#include "common/limits.h"
#include "limiter/dim.h"

#include <stddef.h>
#include <stdint.h>

struct hold {
    const void *ticket; /* NULL: nobody is held */
    int64_t since_ms;
    int64_t permille;            /* beta */
    int64_t used[POOL_MAX_DIMS]; /* by passing, of the allowance */
    int64_t left[POOL_MAX_DIMS]; /* tokens that left a window since it began; the gate counts */
};

/* What passing may take of a bucket within so many ticks (>= 0) of a hold. */
int64_t hold_allowance(const struct dim *d, int64_t permille, int64_t ticks);
/* The least ticks after which the allowance reaches units (> 0); DIM_NEVER. */
int64_t hold_ticks(const struct dim *d, int64_t permille, int64_t units);

/* Ms until a cost may pass a held head's cost in dimension d, the i-th, which was refilled to
 * now_ms: 0 now, DIM_NEVER not within this hold. */
int64_t hold_wait_ms(const struct hold *h, const struct dim *d, size_t i, int64_t head_cost,
                     int64_t cost, int64_t now_ms);
/* Books a cost that passes now. Before dim_take(). */
void hold_pass(struct hold *h, const struct dim *d, size_t i, int64_t head_cost, int64_t cost);

#endif
