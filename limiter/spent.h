/*
 * spent: what was granted of a pool outside its bucket and is still to be charged to it.
 *
 * One total per dimension, by the dimension's name, so that it keeps its meaning when the limits
 * change meanwhile. A settle corrects it by the rules of limiter/dim.h, and may make it negative
 * once the grant itself was charged: then tokens come back.
 *
 *   units      whole tokens; a total stays inside +-DIM_MAX_UNITS
 *   ownership  the caller's struct, zeroed; nothing to release.
 *   threads    none.
 *   limits     of more than POOL_MAX_DIMS names in its life, the later ones are not counted.
 */
#ifndef LIMITER_SPENT_H
#define LIMITER_SPENT_H

#include "limiter/pool.h"

struct spent {
    char names[POOL_MAX_DIMS][DIM_NAME_BYTES];
    int64_t tokens[POOL_MAX_DIMS];
    size_t count;
};

/* What one ticket was charged, by spent's own numbers of the names. */
struct spent_cost {
    int64_t tokens[POOL_MAX_DIMS];
};

/* POOL_MAX_DIMS when there is no room for another name. */
size_t spent_number(struct spent *s, const char *name);
/* From the order of the limits to numbers. */
void spent_read_cost(struct spent *s, const struct pool_limits *limits, const int64_t *cost,
                     struct spent_cost *ret);
void spent_grant(struct spent *s, const struct spent_cost *cost);
/* Corrects it, once. actual is in the order of the limits of now, -1 unknown; unsent: the provider
 * never saw it, all comes back. */
void spent_settle(struct spent *s, const struct pool_limits *limits, const struct spent_cost *cost,
                  const int64_t *actual, bool unsent);

/* Of ACCRUE dimensions, what was produced above cost and accrued, both of the ticket, is added to
 * accrued and to the totals. produced is in the order of the limits. */
void spent_accrue(struct spent *s, const struct pool_limits *limits, const struct spent_cost *cost,
                  struct spent_cost *accrued, const int64_t *produced);

bool spent_is_zero(const struct spent *s);
/* The totals in the order of the limits; of a dimension without a limit nothing is told. */
void spent_tell(const struct spent *s, const struct pool_limits *limits, int64_t *ret_tokens);
void spent_clear(struct spent *s); /* the totals; names keep their numbers */

#endif
