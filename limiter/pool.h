/*
 * pool: a set of limits that a provider evaluates together, and the queue before them.
 *
 * This is the reference for what the Redis scripts (storage/lua) do, in C and in memory:
 * the same operations, the same integer arithmetic, the same order. A property test runs
 * both against each other; an instance that has lost Redis runs on this one.
 *
 * ARITHMETIC. Each dimension d is a token bucket (or a WINDOW, below). Amounts inside are token x
 * tick, so that refill is exact: a rate of R tokens per period of P ticks adds R units a tick, and
 * a token is P units. A tick is U ms (1, or 1000 for daily limits, so that C*P and R*P stay at or
 * below 2^52, and sums of two below 2^53: Lua's numbers are doubles).
 *
 *   refill(now)  n = floor((now - T) / U); n <= 0: nothing (a clock that steps back earns
 *                nothing and T stays); else L = min(C*P, L + R*n) compared before adding,
 *                and T += n*U
 *   need(c)      0 for c == 0, else min(c*P + M, C*P)     M is headroom: units kept unspent
 *                so that jitter on the way to the provider cannot overdraw the provider's own
 *                bucket; a cost near the capacity needs a full bucket instead
 *   fits(c)      c == 0, or (now >= W and L >= need(c))       W: paused until, 0 never
 *   wait(c)      ms until fits(c) if nothing else happens: the larger of W - now and
 *                T + ceil((need - L) / R) * U - now; at least 1 when it does not fit now
 *   never        c > C: an error at submit, never a wait. A capacity that is lowered later
 *                cuts the cost of a ticket to C, for good, when it comes up as head or candidate
 *
 * WINDOW. With DIM_WINDOW a dimension is the exact log of what was charged in the last
 * P' = (P + ceil(M / R)) * U ms instead, as in limiter/window.h: for a provider that counts a
 * sliding window, against which a full bucket would grant up to 2C within one P. Headroom is time
 * here: a request reaches the provider later than it was granted, by a time that differs from one
 * to the next, so an entry stays that much longer than the provider's. R plays no other part.
 *
 *   L            (C - sum of the entries) * P; an entry leaves when now >= its time + P', and
 *                stays gone when the clock steps back
 *   need(c)      c * P
 *   wait(c)      until the entry has left with which L reaches need(c)
 *   grant        an entry (now, c)
 *   settle       what comes back is taken from the entry of the grant while the log has it
 *                (limiter/window.h says why that never admits too much). What was used beyond
 *                the cost is an entry at the time of the settlement, not of the grant: the
 *                provider counted it somewhere between, so that an entry at the grant's time would
 *                leave before the provider's. For the same reason all that an ACCRUE dimension
 *                used moves to the settlement's time: output counts as it is produced. Only
 *                what was charged while it was produced (pool_accrue()) stays at its own time
 *   hold         its share is of what left the window since the hold began, X: allowance is
 *                floor(beta * min(X, C) / 1000) tokens, where a bucket says beta * R * n. So the
 *                head waits at most until (need - L) / (1 - beta) have left
 *
 * Daily dimensions of such a pool are windows too: a log is bounded, so that more than
 * WINDOW_MAX_ENTRIES charges of a day are told apart to three minutes.
 *
 * Submit that grants or queues, dispatch, settle, cancel and reap refill all dimensions first
 * and keep that, also when nothing is granted; a refused submit and a heartbeat do not.
 * (It can be told apart only when the clock steps back.)
 *
 * A grant charges every dimension by its cost or none (I3), so L >= 0 after a grant (I2).
 * Settling corrects once (I4): delta = cost - actual per dimension. delta > 0 comes back
 * (at most to the capacity) when the dimension's rule is REFUND or ACCRUE, or when the
 * request was never sent; KEEP gives nothing. delta < 0 is taken whatever the rule, and the
 * level may go below 0: debt, to -2^52 at most. An unknown actual (-1) changes nothing. For a
 * request that was never sent all actuals count as 0.
 *
 * SLOTS. max_parallel is counted by leases: a granted ticket holds a slot until it is
 * settled or its ended lease is reaped. The slot then comes back; the tokens stay charged. A
 * permit is a ticket with a lease of its own length that is never queued again.
 *
 * Of these slots the class batch may hold the part batch_permille at once, at least one, so that
 * what is left is free when something more urgent comes. With as many of its tickets running the
 * class is BARRED: it leaves the order with all its flows, deadlines included, until one of them
 * ends. When it comes back its S is at least the pool's v: what it missed meanwhile is no credit.
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
 *              for the flow and for its class; S := F while it stays backlogged. The weight of
 *              a flow is that of the ticket at hand
 *   settle     with fair actual a, when the ticket was charged fairly in the busy period that
 *              still goes on: F, and S while backlogged, += ceil((a - f)*1000/weight), for the
 *              flow and its class, before the ticket is queued again
 *   A ticket that leaves the queue ungranted moves no tag.
 *   A busy period begins with a queued ticket and ends when the last one leaves the queue
 *   (delayed ones do not count): then every tag, F, S and v, is 0 again.
 *   A ticket granted by submit with nothing queued is not charged fairly.
 *
 * HOLD. The head that does not fit holds its place: hold = {ticket, since, used[d] = 0}.
 * It is renewed when the ticket that does not fit is another one than the hold's; it ends when
 * its ticket leaves the queue and with every configure. Past the head, in the order of tags
 * (classes by S, flows by S, at most BYPASS_MAX_SCAN flows, the head's own left out, of each the
 * first ticket) the first candidate passes that fits and, for each d with cost c > 0, has either
 *   L - c*P >= need_head(d)                       it takes what the head does not need, or
 *   used[d] + c*P <= allowance(n)                 n = floor((now - since) / U)
 * where allowance(n) = floor(beta * R * min(n, P) / 1000), beta in permille: its share of what
 * was refilled since the hold began, of one period at most. A pass adds c*P to used[d] for each d
 * in which only the second holds. So the head waits at most need / ((1 - beta) R) (I9). A
 * candidate's own wait is the largest, over its dimensions, of its fit and of the sooner of the
 * two rules (never, when neither can come within this hold). Full slots stop all.
 *
 * TENANTS. A tenant may have limits of its own in the pool (limiter/quota.h): buckets, slots,
 * queued tickets. A ticket is granted when it fits both, and charged to both, or neither; settling
 * corrects both. A flow whose first ticket does not fit its tenant's own limits is PARKED when it
 * comes up: it leaves the order, so that others pass without a bypass, until the time at which it
 * fits (or its deadline, if that is sooner; without end while the tenant's slots are taken). It is
 * due at once when a ticket of its tenant ends, its first ticket changes, or the pool is
 * configured. A flow that comes back starts as one that was empty: S = max(v of its class, its F),
 * and so does its class; parking moves no tag and saves up no credit. Parked tickets are queued.
 *
 * TURN. What a dispatch does, alone or at the end of submit (queued) and settle:
 *   1  at most DISPATCH_MAX_DUE delayed tickets, the first due first, are put back at their place,
 *      then at most as many parked flows that are due
 *   2  again and again, until it stops:
 *      nothing queued        stop with wait -1
 *      max_grants reached    stop with wait 0
 *      all slots taken       stop with wait -2
 *      the batch class's slots taken, or not any more: it is barred, or comes back
 *      the head, or a candidate as it comes up, is past its deadline (0 < deadline <= now): it
 *      is EXPIRED, the next ticket of its flow comes up; its flow is parked; after
 *      DISPATCH_MAX_DROPS of both the turn stops, with wait 0 (-1 when nothing is queued)
 *      the head fits, or a candidate passes: grant. Else stop; wait is the least of the head's
 *      wait, the candidates' waits, and what is left to the deadlines of these tickets
 *   3  the wait -1 becomes, and a wait > 0 is no longer than, max(1, due - now) of the first
 *      delayed ticket and of the first parked flow; -1 with queued tickets left becomes -2
 * So with a wait > 0, and if nothing else happens, dispatch does nothing before it and grants,
 * drops or puts back something then, a parked flow too (I10).
 *
 *   units      ms of one clock that the caller passes in (in Redis: TIME)
 *   ownership  opaque; ids and names are copied.
 *   threads    none. No I/O, no clock.
 *   errors     -ENOMEM and -EINVAL leave the pool unchanged. Only what may return them
 *              allocates.
 *   memory     of ended tickets the last POOL_MAX_ENDED are known; older ones are forgotten.
 *   invariants I1-I12 of the design notes: window, no overdraft at grant, all or nothing,
 *              settle once, no drift, one place, fence, slots, no passing, tight wait,
 *              fairness, liveness. pool_check() finds those that are visible in one state.
 */
#ifndef LIMITER_POOL_H
#define LIMITER_POOL_H

#include "common/error.h"
#include "common/limits.h"
#include "limiter/dim.h"
#include "limiter/pool_class.h"
#include "limiter/quota.h"
#include "limiter/ticket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool_limits {
    struct dim_limit dims[POOL_MAX_DIMS];
    size_t dim_count;
    int64_t max_parallel;              /* 0: no limit */
    int64_t batch_permille;            /* of max_parallel, for the class batch; 0, 1000: all */
    int64_t bypass_permille;           /* beta, 0..1000 */
    int64_t max_depth;                 /* queued tickets; one that comes back is never refused */
    int64_t lease_ms;                  /* > 0 */
    int64_t max_losses;                /* leases a ticket may lose before it is given up (dead) */
    const struct pool_tenant *tenants; /* borrowed; copied where they are kept */
    size_t tenant_count;
};

/* 0, or -EINVAL with the reason: a dimension is wrong or stands twice, a number is out of range. */
int pool_limits_check(const struct pool_limits *limits, struct error *e) MUST_CHECK;

/* The limits as one tenant has them: capacities no larger than its own. For what a request of it
 * may cost at most; the tenants are left out. */
void pool_limits_of_tenant(const struct pool_limits *limits, const char *tenant,
                           struct pool_limits *ret);

struct pool_grant {
    char id[TICKET_ID_BYTES];
    int64_t fence; /* 1 for the first grant of a ticket, +1 for each further */
    int64_t seq;   /* of the pool, +1 for each grant */
};

#define POOL_WAIT_NONE (-1) /* nothing is queued or delayed */
#define POOL_WAIT_SLOTS                                                                            \
    (-2) /* slots are taken, all or a tenant's: a settle or a lease's end wakes */
#define POOL_WAIT_KEEP (-3) /* no turn was taken: what was told before still stands */

/* What an operation ended with: the grants it made and when to look again. */
struct pool_turn {
    struct pool_grant grants[DISPATCH_MAX_GRANTS];
    size_t grant_count;
    int64_t wait_ms; /* until the next dispatch can do something; 0: at once, this one stopped
                        early; or one of POOL_WAIT_* */
    int binding;     /* dimension the head waits for; -1 none, POOL_MAX_DIMS the slots */
    bool own;        /* of SUBMIT_TOO_LARGE: the tenant's limit, not the pool's */
};

enum submit_result {
    SUBMIT_GRANTED,
    SUBMIT_QUEUED,
    SUBMIT_TOO_LARGE,
    SUBMIT_FULL,
    SUBMIT_KNOWN,
    SUBMIT_TENANT_FULL,
    SUBMIT_CIRCUIT, /* the provider wants money first; only of the pools in Redis */
};

struct pool;

/* NULL when memory is short or the limits do not pass pool_limits_check(). */
struct pool *pool_new(const struct pool_limits *limits, bool start_full, int64_t now_ms);
void pool_free(struct pool *p);

/* New limits. A dimension of the same name keeps its level, cut to the new capacity, never
 * scaled up (it restarts at 0 when P or U differ, as its unit is another), and its pause; one that
 * was not there before starts full. A window keeps its log; a bucket that becomes one is charged
 * now with all that it lacks, and a window that becomes a bucket has what it had left. Costs of
 * tickets follow their dimension's name, also through a time without it. -EINVAL:
 * pool_limits_check(), or more than POOL_MAX_DIMS different names in the life of the pool; -ENOMEM.
 */
int pool_configure(struct pool *p, const struct pool_limits *limits, int64_t now_ms) MUST_CHECK;

/*
 * In this order:
 *   SUBMIT_KNOWN      the id stands already
 *   SUBMIT_TOO_LARGE  turn.binding says the first dimension whose capacity is below the cost: of
 * the pool, then (turn.own) of the tenant SUBMIT_GRANTED    nothing is queued, a slot is free, it
 * fits (also its tenant's limits) and is not past its deadline: it runs, whatever max_grants;
 * turn.grants[0] is its grant SUBMIT_FULL       max_depth tickets are queued SUBMIT_TENANT_FULL  as
 * many of the tenant as it may queue SUBMIT_QUEUED     and a turn is taken, whose grants may
 * include this ticket's Only the last takes a turn; for the others wait_ms is POOL_WAIT_KEEP, and
 * all but GRANTED change nothing. max_grants is cut to DISPATCH_MAX_GRANTS here and below. Negative
 * errno: -ENOMEM, -EINVAL (the ticket is not as limiter/ticket.h says).
 */
int pool_submit(struct pool *p, const struct ticket *t, size_t max_grants, int64_t now_ms,
                struct pool_turn *ret) MUST_CHECK;
void pool_dispatch(struct pool *p, size_t max_grants, int64_t now_ms, struct pool_turn *ret);

struct pool_outcome {
    const char *id;
    int64_t fence;           /* of the grant that ends */
    enum ticket_state state; /* DONE, FAILED, CANCELLED; QUEUED: repeat it, at its old place */
    int64_t delay_ms;        /* with QUEUED: not before this much later; 0 at once */
    bool unsent;             /* the provider never saw it: everything comes back */
    int64_t actual[POOL_MAX_DIMS]; /* -1: unknown */
    int64_t fair_actual;           /* -1: unknown; counts as FAIR_MAX_TOKENS at most */
};
/* True when it took effect; false for a stale fence or a ticket that does not run (then only
 * the turn is taken). */
bool pool_settle(struct pool *p, const struct pool_outcome *outcome, size_t max_grants,
                 int64_t now_ms, struct pool_turn *ret);
/* What a ticket that runs has produced so far, in the order of the limits, its earlier calls
 * included: of ACCRUE dimensions what is above its cost is charged now, as debt when the level does
 * not hold it, and the settlement corrects against both. Its tenant's own limits too. True when the
 * ticket runs under this fence. Takes no turn: it grants nothing. */
bool pool_accrue(struct pool *p, const char *id, int64_t fence, const int64_t *produced,
                 int64_t now_ms);
/* Takes a queued or delayed ticket out; one that runs is marked, so that it will end CANCELLED
 * where it would be repeated. The state it was in. Takes no turn: dispatch after it. */
enum ticket_state pool_cancel(struct pool *p, const char *id, int64_t now_ms);
/* True when the lease was extended to now + lease_ms (a permit's: its own). */
bool pool_heartbeat(struct pool *p, const char *id, int64_t fence, int64_t now_ms);
/* Ended leases, the earliest first, REAP_MAX_LEASES at most: the slot comes back, the ticket is
 * queued at its old place, or DEAD when it lost max_losses leases (1 is the least), or
 * CANCELLED when it was marked, EXPIRED when it is a permit. The number of tickets. Takes no turn:
 * dispatch after it. */
size_t pool_reap(struct pool *p, int64_t now_ms);
/* Books what was granted elsewhere, in the order of the limits: as debt when the level does not
 * hold it; negative tokens come back. Takes no turn: dispatch after it. */
void pool_charge(struct pool *p, const int64_t *tokens, int64_t now_ms);
/* Pauses a dimension (all when dim < 0) until the given time, never shortening a pause. */
void pool_pause(struct pool *p, int dim, int64_t until_ms);

/* ---- looking */
enum ticket_state pool_ticket_state(const struct pool *p, const char *id);
int64_t pool_level(const struct pool *p, size_t dim, int64_t now_ms); /* units, as if refilled */
/* The log of a dimension, as last refilled; NULL: it is a bucket. Valid until the next change. */
const struct window *pool_window(const struct pool *p, size_t dim);
int64_t pool_running(const struct pool *p);
int64_t pool_depth(const struct pool *p, enum pool_class c); /* queued */
int64_t pool_delayed(const struct pool *p);
/* When the first parked flow comes back by itself; INT64_MAX: none does. */
int64_t pool_parked_until(const struct pool *p);
/* A tenant's own limits as last refilled; NULL: it has none. Valid until the next change. */
const struct quota *pool_quota(const struct pool *p, const char *tenant);
/* The head of the queue, late or not; NULL when nothing is queued. Valid until the next change. */
const char *pool_head(const struct pool *p);
/* What does not hold of that which must hold in every state; NULL when all does. For tests. */
const char *pool_check(const struct pool *p);

#endif
