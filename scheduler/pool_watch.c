#include "scheduler/pool_watch.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/scheduler.h"
#include "storage/redis_check.h"

#include <errno.h>
#include <event2/event.h>

#define LOOK_S        2
#define REAP_LEAST_MS 2000 /* whoever lives has had a tick to say so */

static void on_aside(void *arg, const char *hash, const char *reason, int64_t left_ms)
{
    struct pool_view *v = scheduler_pool_by_hash(arg, hash);
    if (v)
        pool_aside_hear(v, reason, left_ms);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct pool_watch *w = arg;
    struct timeval tv = {.tv_sec = LOOK_S};
    struct scheduler *s = w->scheduler;
    size_t at = 0;
    (void)fd;
    (void)what;
    evtimer_add(w->look, &tv);
    if (!scheduler_is_connected(s))
        return;
    for (struct pool_view *v; (v = scheduler_next_pool(s, &at));) {
        if (v->has_others)
            aside_store_look(scheduler_options(s)->store, pool_agent_pool(v->agent), on_aside, s);
    }
}

int pool_watch_init(struct pool_watch *w, struct scheduler *s, struct event_base *base)
{
    *w = (struct pool_watch){.scheduler = s, .look = evtimer_new(base, on_look, w)};
    struct timeval tv = {.tv_sec = LOOK_S};
    return w->look ? evtimer_add(w->look, &tv) : -ENOMEM;
}

void pool_watch_stop(struct pool_watch *w)
{
    event_del(w->look);
}

void pool_watch_release(struct pool_watch *w)
{
    if (w->look)
        event_free(w->look);
    w->look = NULL;
}

static void on_facts(void *arg, enum redis_status status, const struct redis_facts *facts)
{
    struct pool_watch *w = arg;
    size_t at = 0;
    if (status != REDIS_OK || facts->loading || !scheduler_is_connected(w->scheduler))
        return;
    int64_t ms = POOL_AGENT_GRACE_MS - facts->uptime_s * 1000;
    ms = ms > REAP_LEAST_MS ? ms : REAP_LEAST_MS;
    w->reap_from_ms = clock_mono_ms() + ms;
    for (struct pool_view *v; (v = scheduler_next_pool(w->scheduler, &at));)
        pool_agent_reap_in(v->agent, ms);
}

void pool_watch_connected(struct pool_watch *w, bool first)
{
    int timeout_ms = 0;
    struct redis_link *link = pool_store_link(scheduler_options(w->scheduler)->store, &timeout_ms);
    w->reap_from_ms = clock_mono_ms() + POOL_AGENT_GRACE_MS;
    if (first && redis_check(link, timeout_ms, on_facts, w) < 0)
        log_write(LOG_WARN, "no memory to ask how long redis has been up", NULL);
}

void pool_watch_add(const struct pool_watch *w, struct pool_agent *agent)
{
    pool_agent_reap_in(agent, w->reap_from_ms - clock_mono_ms());
}
