/*
 * pool: a set of limits that a provider evaluates together, and the queue before them.
 *
 * This is the reference for what the Redis scripts (storage/lua) do, in C and in memory:
 * the same operations, the same integer arithmetic, the same order. A property test runs
 * both against each other; an instance that has lost Redis runs on this one.
 *
 * ARITHMETIC. Each dimension d is a token bucket. Amounts inside are token x tick, so that
 * refill is exact: a rate of R tokens per period of P ticks adds R units a tick, and a
 * token is P units. A tick is U ms (1, or 1000 for daily limits, so that C*P stays below
 * 2^53: Lua's numbers are doubles).
 *
 *   refill(now)  n = floor((now - T) / U); n <= 0: nothing (a clock that steps back earns
 *                nothing and T stays); else L = min(C*P, L + R*n) compared before adding,
 *                and T += n*U
 *   need(c)      min(c*P + M, C*P)     M is headroom: units kept unspent so that jitter on
 *                the way to the provider cannot overdraw the provider's own bucket; a cost
 *                near the capacity needs a full bucket instead
 *   fits(c)      c == 0, or (now >= W and L >= need(c))       W: paused until, 0 never
 *   wait(c)      ms until fits(c) if nothing else happens: the larger of W - now and
 *                T + ceil((need - L) / R) * U - now; at least 1 when it does not fit now
 *   never        c > C: an error at submit, never a wait
 *
 * A grant charges every dimension by its cost or none (I3), so L >= 0 after a grant (I2).
 * Settling corrects once (I4): delta = cost - actual per dimension. delta > 0 comes back
 * (at most to the capacity) when the dimension's rule is REFUND or ACCRUE, or when the
 * request was never sent; KEEP gives nothing. delta < 0 is taken whatever the rule, and the
 * level may go below 0: debt. An unknown actual (-1) changes nothing.
 *
 * SLOTS. max_parallel is counted by leases: a granted ticket holds a slot until it is
 * settled or its lease ends. The slot then comes back; the tokens stay charged.
 *
 * ORDER. A flow is a (class, tenant) pair. Start-time fair queueing (Goyal et al. 1996) on
 * two levels: classes weighted 16:4:1, then tenants inside a class by their weight; inside a
 * flow by order key (deadline or arrival + aging, microseconds), then by ticket id. Ties
 * of start tags: the lower class, the tenant's name in byte order.
 *   enqueue    a flow that was empty starts at S = max(v of its class, its F), a class that
 *              was empty at S = max(pool's v, its F); F of what is unknown is 0
 *   head       the class of least S, in it the flow of least S, in it the first ticket
 *   grant of a queued ticket with fair cost f (>= 1):
 *              class v := max(v, least S of the class's flows), pool v := max(v, least S
 *              of the classes), both before the tags move; then F = S + ceil(f*1000/weight)
 *              for the flow and for its class; S := F while it stays backlogged
 *   settle     with fair actual a, when the ticket was charged fairly: F, and S while
 *              backlogged, += ceil((a - f)*1000/weight), for the flow and its class
 *   When the last queued ticket leaves, all flow F are forgotten (busy period ends).
 *   A ticket granted by submit with nothing queued is not charged fairly.
 *
 * HOLD. The head that does not fit holds its place: hold = {ticket, since, used[d] = 0}.
 * It is renewed when the head is another ticket. Past it, in the order of tags (classes by
 * S, flows by S, first ticket of each flow, BYPASS_MAX_SCAN candidates, the head's own flow
 * left out) a candidate may pass when it fits and, for each d with cost c > 0, either
 *   L - c*P >= need_head(d)                       it takes what the head does not need, or
 *   used[d] + c*P <= allowance(n)                 n = floor((now - since) / U)
 * where allowance(n) = floor(beta * R * min(n, P) / 1000), beta in permille: its share of what
 * was refilled since the hold began, of one period at most;
 * (need_head(d) is 0 when the head costs nothing in d); the second kind adds c*P to used[d]. So the
 * head waits at most need / ((1 - beta) R) (I9). A candidate's own wait is the largest, over its
 * dimensions, of its fit and of the sooner of the two rules (never, when neither can come within
 * this hold). Full slots stop all.
 *
 *   units      ms of one clock that the caller passes in (in Redis: TIME)
 *   ownership  opaque; ids and names are copied.
 *   threads    none. No I/O, no clock.
 *   errors     -ENOMEM leaves the pool unchanged.
 *   invariants I1-I12 of the design notes: window, no overdraft at grant, all or nothing,
 *              settle once, no drift, one place, fence, slots, no passing, tight wait,
 *              fairness, liveness. pool_check() asserts those that are visible in one state.
 */
#ifndef LIMITER_POOL_H
#define LIMITER_POOL_H

#include "common/error.h"
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pool_class { CLASS_INTERACTIVE, CLASS_NORMAL, CLASS_BATCH, CLASS_COUNT };
extern const int pool_class_weight[CLASS_COUNT]; /* 16, 4, 1 */
const char *pool_class_name(enum pool_class c);  /* "interactive", "normal", "batch" */

enum dim_rule { DIM_REFUND, DIM_KEEP, DIM_ACCRUE };

struct dim_limit {
    char name[8];     /* "rpm", "tpm", "itpm", "otpm", "rpd", "tpd" */
    int64_t rate;     /* R: tokens per period, > 0 */
    int64_t period;   /* P: ticks */
    int64_t tick_ms;  /* U */
    int64_t capacity; /* C: tokens, > 0; C*P < 2^53 */
    int64_t headroom; /* M: units, 0 <= M < C*P */
    enum dim_rule rule;
};

struct pool_limits {
    struct dim_limit dims[POOL_MAX_DIMS];
    size_t dim_count;
    int64_t max_parallel;    /* 0: no limit */
    int64_t bypass_permille; /* beta, 0..1000 */
    int64_t max_depth;       /* queued tickets */
    int64_t lease_ms;
    int64_t max_losses; /* leases a ticket may lose before it is given up (dead) */
};

enum ticket_state {
    TICKET_NONE, /* never seen, or forgotten */
    TICKET_QUEUED,
    TICKET_DELAYED, /* waits for a backoff to end, then queued at its old place */
    TICKET_RUNNING,
    TICKET_DONE,
    TICKET_FAILED,
    TICKET_CANCELLED,
    TICKET_EXPIRED, /* its deadline passed in the queue */
    TICKET_DEAD,    /* lost its lease too often */
};

struct ticket {
    const char *id;
    enum pool_class class;
    const char *tenant;
    int64_t weight; /* of the tenant, > 0 */
    int64_t cost[POOL_MAX_DIMS];
    int64_t fair_cost;   /* tokens, >= 1 */
    int64_t order_us;    /* order key */
    int64_t deadline_ms; /* absolute; 0: none. A queued ticket at or past it is dropped when it
                            becomes head or candidate */
};

struct pool_grant {
    char id[TICKET_ID_BYTES];
    int64_t fence; /* 1 for the first grant of a ticket, +1 for each further */
    int64_t seq;   /* of the pool, +1 for each grant */
};

/* What an operation ended with: the grants it made and when to look again. */
struct pool_turn {
    struct pool_grant grants[DISPATCH_MAX_GRANTS];
    size_t grant_count;
    int64_t wait_ms; /* until the next dispatch can grant: > 0; -1: nothing queued or delayed;
                        -2: all slots are taken (a settle or the earliest lease end wakes) */
    int binding;     /* dimension the head waits for; -1 none, POOL_MAX_DIMS the slots */
};

enum submit_result { SUBMIT_GRANTED, SUBMIT_QUEUED, SUBMIT_TOO_LARGE, SUBMIT_FULL, SUBMIT_KNOWN };

struct pool;

struct pool *pool_new(const struct pool_limits *limits, bool start_full, int64_t now_ms);
void pool_free(struct pool *p);

/* New limits: levels are kept and cut to the new capacity, never scaled up; a dimension that
 * is new starts full. Queued costs follow their dimension's name. */
int pool_configure(struct pool *p, const struct pool_limits *limits, int64_t now_ms) MUST_CHECK;

/* SUBMIT_GRANTED: turn.grants[0] is this ticket's. SUBMIT_TOO_LARGE: turn.binding says of
 * which dimension. SUBMIT_KNOWN: the id stands already, nothing was changed. Otherwise the
 * queue is dispatched up to max_grants times. Negative errno: -ENOMEM. */
int pool_submit(struct pool *p, const struct ticket *t, size_t max_grants, int64_t now_ms,
                struct pool_turn *ret) MUST_CHECK;
void pool_dispatch(struct pool *p, size_t max_grants, int64_t now_ms, struct pool_turn *ret);

struct pool_outcome {
    enum ticket_state state; /* DONE, FAILED, CANCELLED; QUEUED: repeat it, at its old place */
    int64_t delay_ms;        /* with QUEUED: not before this much later; 0 at once */
    bool unsent;             /* the provider never saw it: everything comes back */
    int64_t actual[POOL_MAX_DIMS]; /* -1: unknown */
    int64_t fair_actual;           /* -1: unknown */
};
/* True when it took effect; false for a stale fence or a ticket that does not run (then only
 * the dispatch is done). */
bool pool_settle(struct pool *p, const char *id, int64_t fence, const struct pool_outcome *outcome,
                 size_t max_grants, int64_t now_ms, struct pool_turn *ret);
/* Takes a queued or delayed ticket out. The state it was in; RUNNING is left alone. */
enum ticket_state pool_cancel(struct pool *p, const char *id, int64_t now_ms);
/* True when the lease was extended to now + lease_ms. */
bool pool_heartbeat(struct pool *p, const char *id, int64_t fence, int64_t now_ms);
/* Ended leases: the slot comes back, the ticket is queued at its old place, or DEAD when it
 * lost max_losses leases. The number of tickets. */
size_t pool_reap(struct pool *p, int64_t now_ms);

/* ---- looking */
enum ticket_state pool_ticket_state(const struct pool *p, const char *id);
int64_t pool_level(struct pool *p, size_t dim, int64_t now_ms); /* units, refilled to now */
int64_t pool_running(const struct pool *p);
int64_t pool_depth(const struct pool *p, enum pool_class c);
/* Pauses a dimension (all when dim < 0) until the given time, never shortening a pause. */
void pool_pause(struct pool *p, int dim, int64_t until_ms);
/* Asserts what must hold in every state; for tests. */
void pool_check(struct pool *p);

#endif
