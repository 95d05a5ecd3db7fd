/*
 * pool_local: grants of one pool that this instance makes by itself while Redis is away.
 *
 * Between enter and leave, tickets are granted by a pool in memory (limiter/pool.h) under this
 * instance's share (limiter/share.h), or under no limit at all. It starts empty at each enter. All
 * that is granted is added up (limiter/spent.h) until it was charged to the pool in Redis.
 *
 *            enter                    hold on            leave
 *   outside -------> granting -----------------> held ---------> outside
 *                       ^ <--------- hold off -----+
 *
 * Outside, tickets that were granted here still run here: has() is true for them, and their settles
 * come here and correct what is to be charged. A ticket that waits when the pool is left is
 * forgotten: its call submits it again, to Redis. One that is to be repeated after its pool was
 * left is told to on_due when its delay is over.
 *
 *   units      ms of clock_mono_ms()
 *   ownership  opaque; the store_pool, the stats and the loop are kept. Tickets and outcomes are
 *              copied.
 *   threads    one event loop. Everything is told from the loop, not from inside these functions.
 *   errors     a ticket that cannot be judged here (not entered, larger than the share may be, no
 *              memory) is answered as by a Redis that is away: REDIS_DOWN, REDIS_BUSY_LOCAL.
 *   limits     SHARE_MAX_DEPTH tickets wait.
 */
#ifndef SCHEDULER_POOL_LOCAL_H
#define SCHEDULER_POOL_LOCAL_H

#include "scheduler/pool_stats.h"
#include "storage/pool_store.h"

struct event_base;
struct pool_local;

struct pool_local_hooks {
    void (*on_grant)(void *arg, const struct store_grant *grant); /* of a ticket that waited */
    void (*on_due)(void *arg, const char *id); /* a repeat that nobody else knows: submit it */
    void *arg;
};

struct pool_local_options {
    struct event_base *base;
    struct store_pool *pool;
    struct pool_stats *stats; /* counts the grants */
    struct pool_local_hooks hooks;
};

struct pool_local *pool_local_new(const struct pool_local_options *options); /* NULL: no memory */
/* Submits without an answer are answered REDIS_DOWN at once; nothing is told after it. */
void pool_local_stop(struct pool_local *l);
void pool_local_free(struct pool_local *l); /* after a stop; accepts NULL */

/* instances: share with so many; 0: without limits. -ERANGE: a limit is too small to be shared.
 * -ENOMEM. */
int pool_local_enter(struct pool_local *l, int64_t instances) MUST_CHECK;
bool pool_local_is_entered(const struct pool_local *l);
/* The limits in the store_pool have changed. */
void pool_local_configure(struct pool_local *l, int64_t instances);
/* Held, nothing is granted and submits wait: it is about to be left. Also when not entered. */
void pool_local_hold(struct pool_local *l, bool on);
void pool_local_leave(struct pool_local *l);

/* A ticket that was granted elsewhere runs on this instance: it uses a slot of the share.
 * Idempotent, and nothing for tickets of its own. Between enter and leave only. */
void pool_local_occupy(struct pool_local *l, const char *id);
void pool_local_vacate(struct pool_local *l, const char *id);

/* As pool_agent_submit(), _settle() and _cancel(). Settle and cancel only for what has() knows. */
void pool_local_submit(struct pool_local *l, const struct store_ticket *t, pool_store_fn fn,
                       void *arg);
/* As pool_agent_accrue(). */
void pool_local_accrue(struct pool_local *l, const char *id, int64_t fence,
                       const int64_t produced[POOL_MAX_DIMS]);
bool pool_local_has(const struct pool_local *l, const char *id);
void pool_local_settle(struct pool_local *l, const struct store_outcome *o, pool_store_fn fn,
                       void *arg);
void pool_local_cancel(struct pool_local *l, const char *id, pool_store_fn fn, void *arg);

/* What is to be charged: the same charge again until pool_local_charged(). False: nothing is. */
bool pool_local_next_charge(struct pool_local *l, struct store_charge *ret);
void pool_local_charged(struct pool_local *l);
bool pool_local_is_charged(const struct pool_local *l); /* nothing is left to be charged */

struct pool_local_counts {
    int64_t waiting, running;
    int64_t grants; /* since enter */
};
void pool_local_count(const struct pool_local *l, struct pool_local_counts *ret);

#endif
