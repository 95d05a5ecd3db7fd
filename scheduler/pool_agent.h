/*
 * pool_agent: what this instance does for one pool.
 *
 * It keeps the tickets that this instance holds alive (heartbeat), looks again when the queue
 * said so (one exact timer, no polling), gives ended leases back (reap), and sees to it that
 * every settle takes effect, also over a Redis that is away for a while.
 *
 * Grants that come with any reply go to on_grant. After Redis was away nothing is reaped for
 * POOL_AGENT_GRACE_MS: instances first renew the leases of what they still run, so that a restart
 * of Redis does not run everything twice. Who finds a Redis that has been there all the while, as
 * an instance that starts anew, need not wait (pool_agent_reap_in).
 *
 * While Redis is away, and when the outage mode says so, calls that are submitted anew are granted
 * here (scheduler/pool_local.h). Tickets that Redis holds already stay there. When it is back,
 * what was granted is charged to it first; until that was answered the agent still counts as cut
 * off, so that nothing is granted twice from the same budget. Then on_again is told.
 *
 *   units      ms
 *   ownership  opaque; a struct holding is the caller's (embedded in what runs).
 *   threads    one event loop.
 */
#ifndef SCHEDULER_POOL_AGENT_H
#define SCHEDULER_POOL_AGENT_H

#include "common/list.h"
#include "scheduler/pool_stats.h"
#include "storage/pool_store.h"

/* From when Redis is back: twice the longest pause between two attempts to connect. */
#define POOL_AGENT_GRACE_MS 10000

struct event_base;
struct outage;
struct pool_local;
struct pool_agent;

/* A ticket that this instance runs. */
struct holding {
    char id[TICKET_ID_BYTES];
    int64_t fence; /* 0: not granted */
    bool local;    /* granted here, without Redis: it has no lease there */
    struct list link;
};

struct pool_agent_hooks {
    /* A ticket of this instance was granted (or granted again, with a higher fence). */
    void (*on_grant)(void *arg, struct pool_agent *agent, const struct store_grant *grant);
    /* The lease under this fence was lost: somebody else may run the ticket now. It may come late:
     * the ticket may have ended, or been granted here anew, under a higher fence. */
    void (*on_lost)(void *arg, struct pool_agent *agent, const struct store_lease *lease);
    /* Redis is back and knows what was granted without it, or may have dropped what waited: calls
     * of this pool that wait submit their tickets again. id: only this call, whose repeat is due or
     * did not arrive. NULL: all. */
    void (*on_again)(void *arg, struct pool_agent *agent, const char *id);
    /* Jobs that can be taken now; 0 while draining. With calls that wait here (expected) one
     * grant is asked for all the same, which may be a job's. */
    int (*room)(void *arg);
    void *arg;
    /* Redis lost the pool's data, and so the tickets that waited in it. May be NULL. */
    void (*on_data_lost)(void *arg, struct pool_agent *agent);
};

struct pool_agent *pool_agent_new(struct event_base *base, struct pool_store *store,
                                  const struct store_pool *pool,
                                  const struct pool_agent_hooks *hooks);
/* Stops its timers and tells Redis its counts; what it holds is left to its leases. Settles that
 * are not on their way are dropped, and their fn is told REDIS_DOWN; others are still answered. */
void pool_agent_stop(struct pool_agent *a); /* idempotent */
void pool_agent_free(struct pool_agent *a); /* after a stop, which it makes good for */

struct store_pool *pool_agent_pool(struct pool_agent *a);
struct pool_stats *pool_agent_stats(struct pool_agent *a);
/* Levels as the last reply told them (order of limits.dims), for x-ratelimit headers. */
const struct store_level *pool_agent_levels(const struct pool_agent *a, size_t *ret_count);
int64_t pool_agent_queued(const struct pool_agent *a); /* tickets in the pool, as last told */
/* Output of an answer, as all instances learned it and last told; 0: ask what was seen here. */
int64_t pool_agent_foreseen_output(const struct pool_agent *a);
/* ms until a ticket of this cost may start, as far as this instance knows: 0 also when it knows
 * nothing. cost: in the order of limits.dims. Cheap, and only for choosing between pools. */
int64_t pool_agent_start_in(const struct pool_agent *a, const int64_t cost[POOL_MAX_DIMS]);
size_t pool_agent_load(const struct pool_agent *a); /* of ours: running, waiting, on the way */
/* What only the caller has heard: the wait of a new ticket, and a pause of the whole pool. */
void pool_agent_note_eta(struct pool_agent *a, int64_t eta_ms);
void pool_agent_note_pause(struct pool_agent *a, int64_t ms);
bool pool_agent_is_idle(const struct pool_agent *a); /* nothing of ours is in it or on its way */
size_t pool_agent_held(const struct pool_agent *a);

/* Redis came up or went away. */
void pool_agent_connected(struct pool_agent *a, bool up);
/* From when on ended leases are given back, from now, instead of the grace. */
void pool_agent_reap_in(struct pool_agent *a, int64_t ms);
/* What to do while Redis is away; kept. Without it calls are refused then. */
void pool_agent_use_outage(struct pool_agent *a, const struct outage *outage);
/* Redis decides: it is there, and was told what was granted without it. */
bool pool_agent_is_central(const struct pool_agent *a);
/* It does not, and calls are granted here. */
bool pool_agent_is_cut_off(const struct pool_agent *a);
/* The ticket waits or runs here, without Redis. */
bool pool_agent_is_local(const struct pool_agent *a, const char *id);
/* NULL: it never granted by itself. */
const struct pool_local *pool_agent_local(const struct pool_agent *a);
/* New limits: told to Redis at once. */
void pool_agent_configure(struct pool_agent *a, const struct pool_limits *limits);

/* fn is answered exactly once; the grants in the turn were handed to on_grant before, but for
 * the ticket's own (SUBMIT_GRANTED), which is fn's to take. */
void pool_agent_submit(struct pool_agent *a, const struct store_ticket *t, pool_store_fn fn,
                       void *arg);
/* Waiting jobs go along with one that runs here: granted as any, to on_grant, before fn is told. */
void pool_agent_ride(struct pool_agent *a, const struct store_ride *r, pool_store_fn fn, void *arg);
/* From a grant on: the lease is renewed until pool_agent_release(). */
void pool_agent_hold(struct pool_agent *a, struct holding *h);
void pool_agent_release(struct pool_agent *a, struct holding *h);
/* A call of this instance waits in the queue or for the end of its backoff: the instance tells
 * that it lives, or the ticket would be taken for a dead one's. */
void pool_agent_expect(struct pool_agent *a);
void pool_agent_unexpect(struct pool_agent *a);
/* Repeated until Redis has answered (or the agent is freed). fn may be NULL; it is told the
 * final answer. The outcome and its fields are copied. When the end of a call comes too late, under
 * a lease that was lost, its ticket is taken out all the same: nobody else will run it. */
void pool_agent_settle(struct pool_agent *a, const struct store_outcome *o, pool_store_fn fn,
                       void *arg);
/* What a ticket that runs here has produced so far, in the order of limits.dims: dimensions that
 * charge output as it is produced are charged what is above its cost. Not repeated: the next total
 * includes it, and the settle makes it whole. One that was granted here,
 * without Redis, is charged to the local pool. */
void pool_agent_accrue(struct pool_agent *a, const struct holding *h,
                       const int64_t produced[POOL_MAX_DIMS]);
/* Takes a waiting ticket out; repeated like a settle. fn may be NULL. */
void pool_agent_cancel(struct pool_agent *a, const char *id, pool_store_fn fn, void *arg);
/* Takes out a ticket of a call, whose submit may or may not have arrived: one that was granted
 * meanwhile is given back. Repeated like a settle. */
void pool_agent_abandon(struct pool_agent *a, const char *id);
/* How long a job that is handed back stays away from the queue. A settle is also a look at the
 * queue: where it may grant something here, the job would come back at once, and so for ever. */
int64_t pool_agent_hand_back_ms(const struct pool_agent *a);
/* Looks at the queue now. */
void pool_agent_wake(struct pool_agent *a);
size_t pool_agent_unsettled(const struct pool_agent *a);

#endif
