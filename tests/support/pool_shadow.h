/*
 * pool_shadow: what a pool must have done, kept apart from it and as plainly as possible.
 *
 * An exact ledger of levels and a table of tickets with their states. The shadow does not know the
 * fair order; it takes from the pool which tickets were granted, and asserts that they could be,
 * and that everything else follows. A sliding window is every single charge in a list, added up
 * anew at each look. Invariants by number: I1 window, I2 no overdraft, I3 all or nothing, I4 settle
 * once, I5 no drift, I6 one place, I7 fence, I8 slots. Assertions are cmocka's.
 */
#ifndef TESTS_SUPPORT_POOL_SHADOW_H
#define TESTS_SUPPORT_POOL_SHADOW_H

#include "tests/support/pool_ops.h"
#include "tests/support/shadow_dim.h"

struct shadow_ticket {
    enum ticket_state state;
    int64_t cost[OPS_NAMES];
    int64_t fence, losses, until_ms, deadline_ms, granted_ms;
    bool cancelled, counted;
};

struct pool_shadow {
    struct pool_limits limits;
    struct shadow_dim dims[OPS_NAMES];
    struct shadow_ticket tickets[OPS_MAX_TICKETS];
    struct pool_tenant tenants[OPS_TENANTS];
    size_t tenant_count;
    struct shadow_dim own[OPS_TENANTS][OPS_NAMES]; /* buckets */
    int64_t running[OPS_TENANTS];                  /* granted while the tenant had limits */
    struct shadow_record logs[OPS_NAMES][SHADOW_MAX_RECORDS];
    int64_t seq, latest_ms;
    size_t grants, settles, reaped, expired; /* to show that a run did something */
};

void pool_shadow_start(struct pool_shadow *s, const struct pool_ops *ops);
/* After op was run on p with result r, and before it was noted. */
void pool_shadow_follow(struct pool_shadow *s, struct pool_ops *ops, const struct pool *p,
                        const struct pool_op *op, const struct pool_result *r);
/* Compares levels, counts and, when all says so, every ticket's state. */
void pool_shadow_compare(const struct pool_shadow *s, const struct pool_ops *ops,
                         const struct pool *p, int64_t now_ms, bool all);

#endif
