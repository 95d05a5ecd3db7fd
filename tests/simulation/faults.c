#include "tests/simulation/world.h"

#include <assert.h>
#include <stdlib.h>

#define SECOND_US INT64_C(1000000)

enum fault {
    KILL,
    STOP,
    CUT,
    CUT_CHANNEL,
    RESTART_REDIS,
    FORGET,
    STEP_CLOCK,
    STEP_WALL,
    RELOAD,
    DRAIN,
    FAULT_COUNT,
};

#define KIND ((1u << RESTART_REDIS) | (1u << CUT_CHANNEL) | (1u << STEP_WALL) | (1u << RELOAD))

static const char *const names[] = {"kill",   "stop",  "cut",  "cut_channel", "restart",
                                    "forget", "clock", "wall", "reload",      "drain"};

/* ---- the ends of faults */

struct mend {
    struct world *world;
    int number;
};

static void later(struct world *w, int number, int64_t in_us, happen_fn fn)
{
    struct mend *m = malloc(sizeof(*m));
    assert(m);
    *m = (struct mend){w, number};
    loop_later(NULL, in_us, fn, m);
}

static struct instance *take(void *arg, struct world **ret)
{
    struct mend *m = arg;
    struct instance *i = world_instance(m->world, m->number);
    *ret = m->world;
    free(m);
    return i && i->scheduler ? i : NULL;
}

static void on_replaced(void *arg)
{
    struct world *w;
    (void)take(arg, &w);
    if (w->arrivals)
        (void)instance_start(w);
}

static void wake(struct instance *i)
{
    if (!i->process.paused)
        return;
    trace("wakes", "", i->process.number, 0);
    i->http.woken_us = loop_now_us();
    process_wake(&i->process);
}

static void on_woken(void *arg)
{
    struct world *w;
    struct instance *i = take(arg, &w);
    if (i)
        wake(i);
}

static void on_joined(void *arg)
{
    struct world *w;
    struct instance *i = take(arg, &w);
    if (i)
        i->redis.cut = false;
}

static void on_redis_back(void *arg)
{
    struct world *w;
    (void)take(arg, &w);
    w->server_down = false;
}

static void on_reload(void *arg)
{
    struct world *w;
    struct instance *i = take(arg, &w);
    if (i)
        instance_reload(i);
}

/* ---- faults */

static struct instance *draw_victim(struct world *w)
{
    struct instance *found = NULL;
    int64_t n = 0;
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        struct instance *i = LIST_ITEM(at, struct instance, link);
        if (i->scheduler && !i->process.paused && chance_below(++n) == 0)
            found = i;
    }
    return found;
}

static void stop(struct world *w, struct instance *i)
{
    int64_t for_us = chance_permille(700) ? chance_between(5 * SECOND_US, 30 * SECOND_US)
                                          : chance_between(SECOND_US / 10, 5 * SECOND_US);
    i->paused_us += for_us;
    process_pause(&i->process);
    later(w, i->process.number, for_us, on_woken);
}

static void cut(struct world *w, struct instance *i)
{
    i->redis.cut = true;
    link_break(&i->redis, chance_permille(400));
    later(w, i->process.number, chance_between(10000, 25 * SECOND_US), on_joined);
}

static void restart_redis(struct world *w)
{
    int64_t lost_ms = w->server.keeps && chance_permille(500) ? chance_between(1, 1000) : 0;
    w->server_down = true;
    w->server.starts++;
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        struct instance *i = LIST_ITEM(at, struct instance, link);
        if (!i->scheduler)
            continue;
        link_break(&i->redis, chance_permille(100));
    }
    trace("redis_restarts", "", lost_ms, 0);
    if (lost_ms > 0) {
        for (size_t k = 0; k < w->accepted_count; k++)
            w->accepted[k].excused |= w->accepted[k].at_us > loop_now_us() - lost_ms * 1000;
        server_restart(&w->server, lost_ms);
        provider_excuse(&w->provider, 120 * SECOND_US);
    }
    int64_t most_us = chance_permille(200) ? 25 * SECOND_US : 6 * SECOND_US;
    later(w, 0, chance_between(50000, most_us), on_redis_back);
}

static void forget(struct world *w)
{
    for (size_t k = 0; k < w->accepted_count; k++)
        w->accepted[k].excused = true;
    server_forget(&w->server);
    provider_excuse(&w->provider, 120 * SECOND_US);
}

static void step_clock(struct world *w)
{
    int64_t by_ms = chance_between(-20000, 20000);
    w->server.shift_ms += by_ms;
    trace("clock", "", by_ms, 0);
    if (by_ms > 0) /* earned at once what the provider has not given yet, and leases end early */
        provider_excuse(&w->provider, 120 * SECOND_US);
    if (by_ms > 0)
        w->provider.leapt_us = loop_now_us() + 20 * SECOND_US;
}

static void reload(struct world *w)
{
    for (int64_t m = 0; m < w->settings.model_count; m++) {
        struct limits_of_model *l = &w->settings.models[m];
        l->rpm = chance_between(l->rpm * 6 / 10 + 20, l->rpm * 14 / 10 + 20);
        l->tpm = chance_between(l->tpm * 6 / 10 + 2000, l->tpm * 14 / 10 + 2000);
        if (l->parallel > 0)
            l->parallel = chance_between(1, 30);
    }
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        const struct instance *i = LIST_ITEM(at, struct instance, link);
        if (i->scheduler)
            later(w, i->process.number, chance_between(0, 2 * SECOND_US), on_reload);
    }
}

static void replace_later(struct world *w)
{
    later(w, 0, chance_between(SECOND_US / 2, 10 * SECOND_US), on_replaced);
}

static void on_victim(struct world *w, enum fault f)
{
    struct instance *i = draw_victim(w);
    if (!i)
        return;
    if (f == KILL) {
        instance_kill(i);
        replace_later(w);
    } else if (f == DRAIN && instance_serves(i)) {
        instance_drain(i);
        replace_later(w);
    } else if (f == STOP) {
        stop(w, i);
    } else if (f == CUT) {
        cut(w, i);
    } else if (f == CUT_CHANNEL) {
        link_break_channel(&i->redis, chance_permille(400));
    } else if (f == STEP_WALL) {
        i->process.wall_shift_ms += chance_between(-100000, 100000);
    }
}

static void on_fault(void *arg)
{
    struct world *w = arg;
    if (!w->arrivals)
        return;
    enum fault f = (enum fault)chance_below(FAULT_COUNT);
    loop_later(NULL, chance_between(SECOND_US / 5, 6 * SECOND_US), on_fault, w);
    if (!(w->faults & (1u << f)) || (f == FORGET && !chance_permille(150)))
        return;
    trace("fault", names[f], 0, 0);
    w->fault_count++;
    if (f == RESTART_REDIS)
        restart_redis(w);
    else if (f == FORGET)
        forget(w);
    else if (f == STEP_CLOCK)
        step_clock(w);
    else if (f == RELOAD)
        reload(w);
    else
        on_victim(w, f);
}

void faults_begin(struct world *w)
{
    w->faults = w->strict ? 0 : (uint32_t)chance_between(1, (1 << FAULT_COUNT) - 1);
    if (!w->strict && chance_permille(150))
        w->faults = KIND; /* nobody is silent for longer than the leases' grace */
    w->keeps_leases = (w->faults & ~KIND) == 0;
    w->server.keeps = (w->faults & (1u << RESTART_REDIS)) && chance_permille(400);
    if (!w->strict)
        loop_later(NULL, chance_between(SECOND_US, 8 * SECOND_US), on_fault, w);
}

void faults_end(struct world *w)
{
    bool serves = false;
    w->server_down = false;
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        struct instance *i = LIST_ITEM(at, struct instance, link);
        i->redis.cut = false;
        serves |= instance_serves(i);
        if (i->scheduler)
            wake(i);
    }
    if (!serves)
        (void)instance_start(w); /* or the jobs would wait for ever */
}
