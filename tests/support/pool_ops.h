/*
 * pool_ops: random operations on a pool, as data, so that several implementations can run them.
 *
 * The generator knows the tickets it made and asks the pool in memory for their states; a seed says
 * everything about a run. Time is a fake clock that stands, runs, jumps and steps back.
 */
#ifndef TESTS_SUPPORT_POOL_OPS_H
#define TESTS_SUPPORT_POOL_OPS_H

#include "common/rand.h"
#include "limiter/pool.h"

#define OPS_MAX_TICKETS 4096
#define OPS_NAMES       4 /* dimension names that occur */
#define OPS_TENANTS     5

extern const char *const pool_ops_name[OPS_NAMES];
extern const char *const pool_ops_tenant[OPS_TENANTS];

enum pool_op_kind {
    OP_SUBMIT,
    OP_DISPATCH,
    OP_SETTLE,
    OP_CANCEL,
    OP_HEARTBEAT,
    OP_REAP,
    OP_CONFIGURE,
    OP_ACCRUE, /* only where ops->accrues: in the place of a dispatch */
    OP_COUNT,
};

struct pool_op {
    enum pool_op_kind kind;
    int64_t now_ms;
    size_t most;          /* grants */
    struct ticket ticket; /* submit */
    int64_t aging_ms;     /* of which its order key was made */
    const char *id;       /* settle, cancel, heartbeat, accrue */
    int64_t fence;
    struct pool_outcome outcome; /* its id and fence are those above */
    int pause_dim;               /* settle: -1 all, -2 no pause */
    int64_t pause_ms;
    int64_t produced[POOL_MAX_DIMS]; /* accrue */
    const char *news;                /* settle: instead of the pause; NULL none */
    struct pool_limits limits;       /* configure */
};

struct pool_result {
    enum submit_result submit;
    bool took;             /* settle, heartbeat, accrue */
    enum ticket_state was; /* cancel */
    size_t reaped;
    struct pool_turn turn;
};

/* A ticket that was made. Costs, order key and deadline are those of each submit. */
struct ops_ticket {
    struct ticket asked;
    char id[TICKET_ID_BYTES];
    int64_t named_cost[OPS_NAMES]; /* what it costs where there is such a dimension */
    int64_t fence;                 /* of the last grant */
};

struct pool_ops {
    struct rand rand;
    int64_t now_ms, latest_ms;
    struct pool_limits limits;
    bool may_raise;               /* configure may raise a capacity again */
    int64_t least_cap[OPS_NAMES]; /* of all limits so far; 0 not seen */
    int window_percent;           /* dimensions that are sliding windows */
    int quota_percent;            /* tenants that have limits of their own */
    struct pool_tenant tenants[OPS_TENANTS];
    bool accrues;     /* the caller's: kept by a start */
    bool flood;       /* many more submits than settlements */
    int late_percent; /* submits that have a deadline */
    int64_t last_wait_ms;
    struct ops_ticket tickets[OPS_MAX_TICKETS];
    size_t count;
    size_t live[OPS_MAX_TICKETS]; /* those that had not ended when last looked at */
    size_t live_count;
};

/* Makes the first limits too: make the pool with ops->limits at ops->now_ms, full. */
void pool_ops_start(struct pool_ops *ops, uint64_t seed, bool may_raise);
void pool_ops_next(struct pool_ops *ops, const struct pool *p, struct pool_op *ret);
/* A dispatch at a given time, which becomes the clock's. */
void pool_ops_dispatch_at(struct pool_ops *ops, int64_t now_ms, struct pool_op *ret);
/* Tells the generator what came of an operation. */
void pool_ops_note(struct pool_ops *ops, const struct pool_op *op, const struct pool_result *r);
struct ops_ticket *pool_ops_find(struct pool_ops *ops, const char *id); /* NULL: never made */
size_t pool_ops_tenant_number(const char *tenant);                      /* in pool_ops_tenant */
size_t pool_ops_number(const char *name); /* of a dimension name in pool_ops_name */

/* Runs one on the pool in memory. Cancel (of a queued ticket) and reap dispatch after it, as the
 * scripts do. */
void pool_op_run(struct pool *p, const struct pool_op *op, struct pool_result *ret);

/* One line, for the message of a failed comparison. */
void pool_op_print(const struct pool_op *op, char *text, size_t size);

#endif
