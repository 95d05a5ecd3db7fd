/*
 * pool_agent_internal: the fields of struct pool_agent. Only for scheduler/pool_agent*.c.
 *
 *   pool_agent.c          what it tells Redis and hears from it
 *   pool_agent_closing.c  settles and cancels, until Redis has answered them
 *   pool_agent_start.c    how soon it could start a ticket, as a guess
 *   pool_agent_local.c    the time without Redis: in, out, and the charge between
 */
#ifndef SCHEDULER_POOL_AGENT_INTERNAL_H
#define SCHEDULER_POOL_AGENT_INTERNAL_H

#include "scheduler/outage.h"
#include "scheduler/pool_agent.h"
#include "scheduler/pool_local.h"

#define AGENT_RETRY_MS      1000 /* a settle or a charge that Redis refused (busy, full, loading) */
#define AGENT_MOST_REFUSALS 5    /* of one, by an error of no known kind: it will not pass */

struct event;

struct pool_agent {
    struct event_base *base;
    struct pool_store *store;
    struct store_pool pool;
    struct pool_agent_hooks hooks;
    struct pool_stats stats;
    struct event *look;  /* the queue's own timer */
    struct event *tick;  /* heartbeat, reap, flush */
    struct event *retry; /* settles that wait for another try */
    struct list held;
    size_t held_count, waiting;
    struct list unsettled;
    size_t unsettled_count;
    struct store_level levels[POOL_MAX_DIMS];
    size_t level_count;
    int64_t queued, foreseen_output, data_losses;
    int64_t turn_ms, eta_until_ms, paused_until_ms; /* for pool_agent_start_in() */
    bool looking, up, stopped, freed;
    bool linked; /* connected; up only once it was told what was granted without it */
    const struct outage *outage;
    struct pool_local *local; /* made by the first outage */
    bool charging, unshared;
    int charge_refusals;
    int64_t reap_from_ms, beat_ms, flush_ms;
    size_t inflight; /* store calls that will still call back */
};

/* pool_agent.c */
void pool_agent_arm(struct event *timer, int64_t ms);
/* Every store call passes through begin and end, so that a freed agent outlives its answers. False:
 * it was freed, and is not to be touched any more. */
void pool_agent_begin(struct pool_agent *a);
bool pool_agent_end(struct pool_agent *a);
void pool_agent_take_turn(struct pool_agent *a, const struct store_turn *turn);
int pool_agent_room(const struct pool_agent *a);
void pool_agent_go_central(struct pool_agent *a); /* Redis decides again */

/* pool_agent_closing.c */
void pool_agent_send_closings(struct pool_agent *a); /* those that wait for another try */
void pool_agent_drop_closings(struct pool_agent *a); /* those that nobody will send any more */

/* pool_agent_local.c */
/* Whether the local pool takes submits now; made and entered by the first one of an outage. */
bool pool_agent_enter_local(struct pool_agent *a);
void pool_agent_leave_local(struct pool_agent *a);
void pool_agent_configure_local(struct pool_agent *a);
void pool_agent_settle_local(struct pool_agent *a, const struct store_outcome *o, pool_store_fn fn,
                             void *arg);
/* Tells Redis what was granted here. True: that is still to be answered. */
bool pool_agent_charge(struct pool_agent *a);
/* Charges what is left to be charged, then goes central. */
void pool_agent_recover(struct pool_agent *a);

#endif
