/*
 * route_stats: the queue, buckets, waits and counts of every pool, over all instances.
 *
 * Counters and the histogram of waits are summed in Redis, levels and depths come from one
 * read-only script per pool; nothing here is a guess of this instance alone.
 */
#include "api/answer.h"
#include "api/route.h"

#include "common/clock.h"
#include "scheduler/job.h"
#include "storage/instance.h"
#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEEK_WORDS 4 /* "pool", running, eta, binding; then depth and oldest of each class */

struct gathering {
    struct service *service;
    struct exchange *exchange;
    bool gone;
    enum redis_status status; /* of the first pool that could not be looked at */
    size_t open;
    json_t *pools, *instances;
    int64_t totals[COUNT_MAX];
};

struct pool_gathering {
    struct gathering *all;
    struct pool_view *view;
    json_t *pool; /* borrowed: stands in all->pools */
    int64_t counts[COUNT_MAX];
    int64_t waits[WAIT_BUCKETS];
};

static void on_gone(void *arg)
{
    struct gathering *g = arg;
    g->gone = true;
}

static json_t *counters(const int64_t counts[COUNT_MAX], bool tokens)
{
    json_t *object = json_object();
    for (int i = 0; object && i < COUNT_MAX; i++) {
        const char *name = pool_counter_name((enum pool_counter)i);
        bool is_tokens = strncmp(name, "tokens_", 7) == 0;
        if (is_tokens == tokens &&
            json_object_set_new(object, tokens ? name + 7 : name, json_integer(counts[i])) < 0)
            break;
    }
    return object;
}

/* Of this instance: the others are not asked. */
static json_t *outage_of(struct scheduler *s)
{
    struct scheduler_outage o;
    scheduler_outage(s, &o);
    return json_pack("{s:s, s:I, s:I, s:I}", "mode", o.mode, "waiting_here", (json_int_t)o.waiting,
                     "running_here", (json_int_t)o.running, "uncharged_pools",
                     (json_int_t)o.uncharged);
}

/* Zeroes in the place of what is not known would look like an idle service. */
static void answer_outage(struct gathering *g)
{
    struct call_failure f;
    struct scheduler_outage o;
    scheduler_outage(service_scheduler(g->service), &o);
    call_failure_set(&f, 503, "storage_unavailable",
                     "Sluice cannot reach its store now (redis: %s), where the numbers are kept; "
                     "calls meanwhile: %s (redis.on_outage).",
                     redis_status_name(g->status), o.mode);
    f.retry_after_ms = 1000;
    answer_failure(g->exchange, WIRE_OPENAI, &f);
}

static void finish(struct gathering *g)
{
    if (--g->open > 0)
        return;
    if (g->gone || g->status != REDIS_OK) {
        json_decref(g->pools);
        json_decref(g->instances);
        if (!g->gone)
            answer_outage(g);
    } else {
        json_t *totals = counters(g->totals, false);
        json_t *tokens = counters(g->totals, true);
        answer_json(
            g->exchange, 200,
            json_pack("{s:s, s:I, s:o, s:o, s:o, s:[], s:{s:o, s:o, s:I, s:I}}", "object", "stats",
                      "created_at", (json_int_t)(clock_wall_ms() / 1000), "instances", g->instances,
                      "outage", outage_of(service_scheduler(g->service)), "pools", g->pools,
                      "tenants", "totals", "counts", totals, "tokens", tokens, "jobs_running_here",
                      (json_int_t)jobs_running(service_jobs(g->service)), "requests_open_here",
                      (json_int_t)service_open_exchanges(g->service)));
    }
    free(g);
}

static void set(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value); /* without memory the key is missing */
}

static json_t *limits_of(const struct pool_limits *limits, const struct store_turn *turn)
{
    json_t *all = json_object();
    for (size_t i = 0; all && i < limits->dim_count; i++) {
        const struct dim_limit *d = &limits->dims[i];
        bool known = turn->status == REDIS_OK && i < turn->level_count;
        set(all, d->name,
            json_pack("{s:I, s:n, s:I, s:o, s:o}", "configured", (json_int_t)d->rate, "learned",
                      "capacity", (json_int_t)d->capacity, "remaining",
                      known ? json_integer(turn->levels[i].remaining) : json_null(), "resets_ms",
                      known ? json_integer(turn->levels[i].full_in_ms) : json_null()));
    }
    if (all && limits->max_parallel > 0)
        set(all, "max_parallel_requests",
            json_pack("{s:I, s:n, s:I, s:I}", "configured", (json_int_t)limits->max_parallel,
                      "learned", "capacity", (json_int_t)limits->max_parallel, "remaining",
                      (json_int_t)(limits->max_parallel - reply_int(reply_at(turn->items, 1), 0))));
    return all;
}

static json_t *queue_of(const struct store_turn *turn)
{
    json_t *queue = json_object();
    for (int c = 0; queue && c < CLASS_COUNT; c++) {
        size_t at = PEEK_WORDS + 2 * (size_t)c;
        set(queue, pool_class_name((enum pool_class)c),
            json_pack("{s:I, s:I}", "depth", (json_int_t)reply_int(reply_at(turn->items, at), 0),
                      "oldest_ms", (json_int_t)reply_int(reply_at(turn->items, at + 1), 0)));
    }
    return queue;
}

static void on_peeked(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_gathering *p = arg;
    const char *binding = reply_text(reply_at(turn->items, 3), NULL);
    if (turn->status != REDIS_OK && p->all->status == REDIS_OK)
        p->all->status = turn->status;
    set(p->pool, "limits", limits_of(&pool->limits, turn));
    set(p->pool, "queue", queue_of(turn));
    set(p->pool, "in_flight", json_integer(reply_int(reply_at(turn->items, 1), 0)));
    set(p->pool, "eta_ms", json_integer(reply_int(reply_at(turn->items, 2), 0)));
    set(p->pool, "binding_limit", binding && *binding ? json_string(binding) : json_null());
    set(p->pool, "paused_ms", json_integer(0));
    set(p->pool, "circuit", json_string("closed"));
    p->view->users--;
    finish(p->all);
    free(p);
}

static void on_count(void *arg, const char *name, int64_t value)
{
    struct pool_gathering *p = arg;
    if (name) {
        if (strncmp(name, "w:", 2) == 0) {
            size_t bucket = (size_t)strtoul(name + 2, NULL, 10);
            if (bucket < WAIT_BUCKETS)
                p->waits[bucket] = value;
        }
        for (int i = 0; i < COUNT_MAX; i++) {
            if (strcmp(name, pool_counter_name((enum pool_counter)i)) == 0)
                p->counts[i] = value;
        }
        return;
    }
    const struct pool_stats *own = pool_agent_stats(p->view->agent);
    for (int i = 0; i < COUNT_MAX; i++) {
        p->counts[i] += own->unsent[i]; /* what Redis will be told within two seconds */
        p->all->totals[i] += p->counts[i];
    }
    for (size_t i = 0; i < WAIT_BUCKETS; i++)
        p->waits[i] += own->waits_unsent[i];
    set(p->pool, "wait_ms",
        json_pack("{s:I, s:I, s:I}", "p50", (json_int_t)wait_percentile(p->waits, 500), "p95",
                  (json_int_t)wait_percentile(p->waits, 950), "p99",
                  (json_int_t)wait_percentile(p->waits, 990)));
    set(p->pool, "counts", counters(p->counts, false));
    set(p->pool, "tokens", counters(p->counts, true));
    struct store_look look = {.id = NULL};
    pool_store_peek(service_store(p->all->service), pool_agent_pool(p->view->agent), &look,
                    on_peeked, p);
}

/* Names of the rows that lead to the pool. */
static json_t *models_of(const struct config *c, const struct pool_view *v)
{
    json_t *names = json_array();
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        for (size_t k = 0; k < p->model_count && strcmp(p->name, v->provider) == 0; k++) {
            if (strcmp(p->models[k].pool, v->group) == 0)
                (void)json_array_append_new(names, json_string(p->models[k].name));
        }
    }
    return names;
}

static void gather_pool(struct gathering *g, struct pool_view *v)
{
    struct pool_gathering *p = calloc(1, sizeof(*p));
    json_t *pool = json_pack("{s:s, s:s, s:o}", "pool", pool_agent_pool(v->agent)->id, "provider",
                             v->provider, "models", models_of(service_config(g->service), v));
    if (!p || !pool || json_array_append_new(g->pools, pool) < 0) {
        free(p);
        return;
    }
    p->all = g;
    p->view = v;
    v->users++; /* until Redis has answered */
    p->pool = pool;
    g->open++;
    pool_store_counts(service_store(g->service), pool_agent_pool(v->agent), on_count, p);
}

static void on_instance(void *arg, const char *id, int64_t age_ms, const char *note)
{
    struct gathering *g = arg;
    if (!id) {
        finish(g);
        return;
    }
    json_t *told = note ? json_loads(note, 0, NULL) : NULL;
    json_t *one =
        json_pack("{s:s, s:I, s:b, s:b}", "id", id, "heartbeat_age_ms", (json_int_t)age_ms, "alive",
                  note != NULL, "this", strcmp(id, service_instance(g->service)) == 0);
    if (told && one)
        (void)json_object_update(one, told);
    /* It wrote its uptime with its last heartbeat. */
    const json_t *uptime = json_object_get(told, "uptime_ms");
    if (one && json_is_integer(uptime))
        set(one, "uptime_ms", json_integer(json_integer_value(uptime) + age_ms));
    json_decref(told);
    (void)json_array_append_new(g->instances, one);
}

void route_stats(const struct route_request *r)
{
    struct gathering *g = calloc(1, sizeof(*g));
    struct scheduler *s = service_scheduler(r->service);
    size_t at = 0;
    if (g) {
        g->pools = json_array();
        g->instances = json_array();
    }
    if (!g || !g->pools || !g->instances) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        free(g);
        return;
    }
    g->service = r->service;
    g->exchange = r->exchange;
    g->status = REDIS_OK;
    g->open = 1; /* the instances */
    exchange_on_gone(r->exchange, on_gone, g);
    for (struct pool_view *v = scheduler_next_pool(s, &at); v; v = scheduler_next_pool(s, &at))
        gather_pool(g, v);
    instance_list(service_presence(r->service), on_instance, g);
}
