/*
 * pool_watch: what an instance asks Redis beside the scripts.
 *
 *   - which pools others have set aside, every now and then
 *   - when it has just started: how long Redis has been up. Longer than the grace of a restart
 *     (POOL_AGENT_GRACE_MS): everybody who lives has renewed its leases, and what a dead instance
 *     left is taken over at once. It may be what this very instance ran before it was killed.
 *
 *   ownership  embedded in the scheduler.
 *   threads    one event loop.
 */
#ifndef SCHEDULER_POOL_WATCH_H
#define SCHEDULER_POOL_WATCH_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;
struct pool_agent;
struct scheduler;

struct pool_watch {
    struct scheduler *scheduler;
    struct event *look;
    int64_t reap_from_ms;
};

int pool_watch_init(struct pool_watch *w, struct scheduler *s, struct event_base *base) MUST_CHECK;
void pool_watch_stop(struct pool_watch *w);
void pool_watch_release(struct pool_watch *w); /* also after an init that failed */
/* Before the agents are told. first: since this instance has started. */
void pool_watch_connected(struct pool_watch *w, bool first);
/* Of a pool that is made while Redis is up. */
void pool_watch_add(const struct pool_watch *w, struct pool_agent *agent);

#endif
