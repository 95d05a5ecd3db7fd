#include "tests/simulation/world.h"

#include "common/config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_LOOK_US 100000
#define DRAIN_MOST_US 40000000

struct instance *world_instance(struct world *w, int number)
{
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        struct instance *i = LIST_ITEM(at, struct instance, link);
        if (i->process.number == number)
            return i;
    }
    return NULL;
}

bool instance_serves(const struct instance *i)
{
    return i->scheduler && !i->draining;
}

static bool is_central(const struct instance *i)
{
    size_t at = 0;
    struct pool_view *v = scheduler_next_pool(i->scheduler, &at);
    for (; v; v = scheduler_next_pool(i->scheduler, &at)) {
        if (!pool_agent_is_central(v->agent))
            return false;
    }
    return true;
}

bool instance_hears(const struct instance *i)
{
    return i->scheduler && !i->process.paused && i->redis.commands.up &&
           !i->redis.commands.silent && is_central(i);
}

/* ---- as api/service.c */

static void on_state(void *arg, bool up)
{
    struct instance *i = arg;
    if (!up && i->scheduler && is_central(i)) {
        i->http.cut_off_us = loop_now_us();
        memset(i->http.local_sent, 0, sizeof(i->http.local_sent));
    }
    if (i->scheduler)
        scheduler_connected(i->scheduler, up);
}

static void on_channel(void *arg, bool up)
{
    struct instance *i = arg;
    if (!up || !i->scheduler)
        return;
    scheduler_channel_back(i->scheduler);
    jobs_channel_back(i->jobs);
}

static void on_message(void *arg, const char *payload)
{
    struct instance *i = arg;
    if (i->scheduler)
        scheduler_message(i->scheduler, payload);
}

static struct config *make_config(const struct world *w)
{
    char text[2048];
    struct config *c = NULL;
    struct error e = {.text = ""};
    const struct settings *s = &w->settings;
    int n = snprintf(text, sizeof(text),
                     "redis: {on_outage: %s, max_instances: %d}\n"
                     "queue: {max_depth: %" PRId64 "}\njobs: {max_running: %" PRId64 "}\n"
                     "providers:\n  - {name: p, format: openai, base_url: \"http://127.0.0.1/v1\", "
                     "api_key: k, profile: generic,\n     max_attempts: 4, models: [",
                     s->on_outage, WORLD_MAX_INSTANCES, s->max_depth, s->max_running);
    for (int64_t m = 0; m < s->model_count; m++) {
        const struct limits_of_model *l = &s->models[m];
        n += snprintf(text + n, sizeof(text) - (size_t)n,
                      "%s{name: m%" PRId64 ", rpm: %" PRId64 ", tpm: %" PRId64
                      ", default_output_tokens: 64",
                      m > 0 ? ", " : "", m, l->rpm, l->tpm);
        if (l->parallel > 0)
            n += snprintf(text + n, sizeof(text) - (size_t)n, ", max_parallel_requests: %" PRId64,
                          l->parallel);
        n += snprintf(text + n, sizeof(text) - (size_t)n, "}");
    }
    n += snprintf(text + n, sizeof(text) - (size_t)n, "]}\n");
    if (config_parse("simulation", text, (size_t)n, &c, &e) < 0) {
        (void)fprintf(stderr, "%s\n%s\n", e.text, text);
        abort();
    }
    return c;
}

struct instance *instance_start(struct world *w)
{
    struct instance *i = calloc(1, sizeof(*i));
    struct link_hooks hooks = {on_state, on_channel, on_message, i};
    assert(i);
    i->world = w;
    list_init(&i->link);
    list_add_last(&w->instances, &i->link);
    process_init(&i->process, (int)w->made_instances++);
    link_init(&i->redis, &i->process, &w->server);
    i->redis.hooks = hooks;
    i->redis.server_down = &w->server_down;
    i->redis.latency_us = 120000;
    i->redis.channel_stalls = !w->strict && w->loop.seed % 2 == 0;
    i->store.link = i->job_store.link = &i->redis;
    sim_http_init(&i->http, &i->process, &w->provider);
    i->http.cut_off_us = loop_now_us();
    i->http.share_of = strcmp(w->settings.on_outage, "local") == 0 ? WORLD_MAX_INSTANCES : 0;
    struct scheduler_options options = {.base = &i->process,
                                        .store = &i->store,
                                        .jobs = &i->job_store,
                                        .http = &i->http,
                                        .instance = "i",
                                        .seed = w->loop.seed * 64 + (uint64_t)i->process.number};
    i->scheduler = scheduler_new(&options, make_config(w));
    assert(i->scheduler);
    i->jobs = jobs_new(i->scheduler);
    assert(i->jobs);
    link_open(&i->redis);
    trace("starts", "", i->process.number, 0);
    return i;
}

void instance_reload(struct instance *i)
{
    if (i->scheduler)
        scheduler_reload(i->scheduler, make_config(i->world));
}

/* In the order of service_free(). */
static void end(struct instance *i, bool sent_arrives)
{
    jobs_stop(i->jobs);
    scheduler_stop(i->scheduler);
    link_close(&i->redis, sent_arrives);
    scheduler_connected(i->scheduler, false);
    jobs_free(i->jobs);
    sim_http_release(&i->http);
    scheduler_free(i->scheduler);
    i->scheduler = NULL;
    i->jobs = NULL;
    i->process.dead = true;
    process_wake(&i->process); /* what was held back only frees itself now */
}

/* Nothing leaves it any more: what the code says while its memory is given back is not heard. */
void instance_kill(struct instance *i)
{
    if (!i->scheduler)
        return;
    trace("killed", "", i->process.number, 0);
    i->redis.commands.silent = true;
    clients_leave_behind(i);
    end(i, false);
}

void instance_stop(struct instance *i)
{
    if (!i->scheduler)
        return;
    trace("stops", "", i->process.number, 0);
    clients_leave_behind(i);
    end(i, true);
}

static void on_drain_look(void *arg)
{
    struct instance *i = arg;
    if (!i->scheduler)
        return;
    bool done = scheduler_active(i->scheduler) == 0 && scheduler_unsettled(i->scheduler) == 0;
    if (done || loop_now_us() > i->drain_until_us)
        instance_stop(i);
    else
        loop_later(&i->process, DRAIN_LOOK_US, on_drain_look, i);
}

void instance_drain(struct instance *i)
{
    trace("drains", "", i->process.number, 0);
    i->draining = true;
    i->drain_until_us = loop_now_us() + DRAIN_MOST_US;
    scheduler_drain(i->scheduler);
    on_drain_look(i);
}

bool instance_is_idle(const struct instance *i)
{
    size_t at = 0;
    if (!i->scheduler)
        return true;
    struct pool_view *v = scheduler_next_pool(i->scheduler, &at);
    for (; v; v = scheduler_next_pool(i->scheduler, &at)) {
        if (pool_agent_held(v->agent) > 0 || pool_agent_unsettled(v->agent) > 0)
            return false;
    }
    return scheduler_active(i->scheduler) == 0 && jobs_running(i->jobs) == 0;
}

void instance_free(struct instance *i)
{
    instance_stop(i);
    list_remove(&i->link);
    free(i);
}
