/*
 * gate: the dimensions of a pool taken together, and the hold before them.
 *
 * A cost vector here is by number: the gate numbers each dimension name that it ever saw, so that
 * a ticket's costs keep their meaning when the limits change.
 *
 *   ownership  the caller owns the struct, zeroed before the first configure; gate_release() it. A
 *              struct copy may be refilled and looked at, nothing else.
 *   threads    none.
 */
#ifndef LIMITER_GATE_H
#define LIMITER_GATE_H

#include "limiter/dim.h"
#include "limiter/hold.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate {
    struct dim dims[POOL_MAX_DIMS]; /* in the order of the limits */
    size_t count;
    size_t number[POOL_MAX_DIMS];              /* of each dim */
    char names[POOL_MAX_DIMS][DIM_NAME_BYTES]; /* by number */
    size_t name_count;
    struct hold hold;
};

/* Valid limits of different names. The first configure of a zeroed gate makes every dimension;
 * start_full speaks of the ones that are new. Ends the hold. -EINVAL: too many names; -ENOMEM;
 * nothing was changed. */
int gate_configure(struct gate *g, const struct dim_limit *limits, size_t count, bool start_full,
                   int64_t now_ms) MUST_CHECK;
void gate_release(struct gate *g);

void gate_refill(struct gate *g, int64_t now_ms); /* before the functions below */

/* From the order of the limits to numbers. */
void gate_number_costs(const struct gate *g, const int64_t *cost, int64_t *ret_cost);
/* The first dimension whose capacity is below the cost; -1 none. */
int gate_too_large(const struct gate *g, const int64_t *cost);
/* Cuts a cost to capacities that were lowered since it was accepted. */
void gate_cut(const struct gate *g, int64_t *cost);

/* Ms until cost fits, 0 now, and the dimension of the longest wait, -1 none. */
int64_t gate_wait_ms(const struct gate *g, const int64_t *cost, int64_t now_ms, int *ret_binding);
void gate_charge(struct gate *g, const int64_t *cost, int64_t now_ms); /* one that fits */
struct gate_settlement {
    const int64_t *cost;
    int64_t at_ms;          /* when it was charged */
    const int64_t *actual;  /* in the order of the limits; -1 unknown */
    bool unsent;            /* all actuals are 0, and all comes back */
    const int64_t *accrued; /* charged beyond the cost since, numbered as it */
};
void gate_settle(struct gate *g, const struct gate_settlement *s, int64_t now_ms);
/* Charges what is above cost and accrued, of ACCRUE dimensions, with the ticket not at its end:
 * so much, in the order of the limits. */
void gate_accrue(struct gate *g, const struct gate_settlement *s, int64_t now_ms,
                 int64_t *ret_more);

/* The head, with this ticket, does not fit: it is held from now on, or is already. */
void gate_hold(struct gate *g, const void *ticket, int64_t permille, int64_t now_ms);
void gate_unhold(struct gate *g, const void *ticket); /* ends its hold, if it is that ticket's */
/* Ms until cost may pass the held head, whose cost is given: 0 now, DIM_NEVER. */
int64_t gate_pass_wait_ms(const struct gate *g, const int64_t *head_cost, const int64_t *cost,
                          int64_t now_ms);
/* And charges. */
void gate_pass(struct gate *g, const int64_t *head_cost, const int64_t *cost, int64_t now_ms);

#endif
