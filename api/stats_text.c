/* What the API says of a view: the object of GET /v1/stats. */
#include "api/stats.h"

#include "api/joint_json.h"

#include "api/service.h"

#include "common/config.h"
#include "scheduler/job.h"
#include "scheduler/webhook.h"

#include <stdlib.h>
#include <string.h>

static void set(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value); /* without memory the key is missing */
}

/* A number that Redis tells; null while it does not. */
static json_t *told(const struct stats_pool *p, int64_t value)
{
    return p->known ? json_integer(value) : json_null();
}

enum part { REQUESTS, TOKENS };

static json_t *counters(const int64_t counts[COUNT_MAX], enum part part)
{
    json_t *object = json_object();
    for (int i = 0; object && i < COUNT_MAX; i++) {
        const char *name = pool_counter_name((enum pool_counter)i);
        bool is_tokens = strncmp(name, "tokens_", 7) == 0;
        if (i == COUNT_waited_ms || is_tokens != (part == TOKENS))
            continue; /* the sum of the waits stands beside their percentiles */
        set(object, is_tokens ? name + 7 : name, json_integer(counts[i]));
    }
    return object;
}

static json_t *limits_of(const struct stats_pool *p)
{
    json_t *all = json_object();
    for (size_t i = 0; all && i < p->limit_count; i++) {
        const struct stats_limit *l = &p->limits[i];
        json_t *one =
            json_pack("{s:I, s:o, s:I, s:o}", "configured", (json_int_t)l->configured, "learned",
                      l->learned > 0 ? json_integer(l->learned) : json_null(), "capacity",
                      (json_int_t)l->capacity, "remaining", told(p, l->remaining));
        if (one && l->full_in_ms >= 0)
            set(one, "resets_ms", told(p, l->full_in_ms));
        set(all, l->name, one);
    }
    return all;
}

static json_t *queue_of(const struct stats_pool *p)
{
    json_t *queue = json_object();
    for (int c = 0; queue && c < CLASS_COUNT; c++)
        set(queue, pool_class_name((enum pool_class)c),
            json_pack("{s:o, s:o}", "depth", told(p, p->depth[c]), "oldest_ms",
                      told(p, p->oldest_ms[c])));
    return queue;
}

/* Percentiles of all time, and the histogram, from two of which a reader makes those of the
 * time between. */
static json_t *waits_of(const struct stats_counters *sum)
{
    json_t *buckets = json_array();
    for (size_t i = 0; buckets && i < WAIT_BUCKETS; i++) {
        if (sum->waits[i] > 0)
            (void)json_array_append_new(
                buckets,
                json_pack("[I, I]", (json_int_t)wait_bucket_top_ms(i), (json_int_t)sum->waits[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "p50",
                     (json_int_t)wait_percentile(sum->waits, 500), "p95",
                     (json_int_t)wait_percentile(sum->waits, 950), "p99",
                     (json_int_t)wait_percentile(sum->waits, 990), "total",
                     (json_int_t)sum->counts[COUNT_waited_ms], "buckets", buckets);
}

/* Names of the rows that lead to the pool. */
static json_t *models_of(const struct config *c, const struct stats_pool *pool)
{
    json_t *names = json_array();
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        for (size_t k = 0; k < p->model_count && strcmp(p->name, pool->provider) == 0; k++) {
            if (strcmp(p->models[k].pool, pool->group) == 0)
                (void)json_array_append_new(names, json_string(p->models[k].name));
        }
    }
    return names;
}

static json_t *pool_json(const struct config *c, const struct stats_pool *p,
                         int64_t totals[COUNT_MAX])
{
    struct stats_counters sum = p->stored;
    for (size_t i = 0; i < WAIT_BUCKETS; i++)
        sum.waits[i] += p->unsent.waits[i];
    for (size_t i = 0; i < COUNT_MAX; i++) {
        sum.counts[i] += p->unsent.counts[i];
        totals[i] += sum.counts[i];
    }
    json_t *pool = json_pack("{s:s, s:s, s:o, s:b, s:o, s:o}", "pool", p->id, "provider",
                             p->provider, "models", models_of(c, p), "known", p->known, "limits",
                             limits_of(p), "queue", queue_of(p));
    if (!pool)
        return NULL;
    set(pool, "in_flight", told(p, p->in_flight));
    set(pool, "eta_ms", told(p, p->eta_ms));
    set(pool, "binding_limit", *p->binding ? json_string(p->binding) : json_null());
    set(pool, "wait_ms", waits_of(&sum));
    set(pool, "counts", counters(sum.counts, REQUESTS));
    set(pool, "tokens", counters(sum.counts, TOKENS));
    set(pool, "paused_ms", told(p, p->paused_ms));
    set(pool, "circuit", json_string(p->circuit));
    if (strcmp(p->circuit, "closed") != 0) {
        set(pool, "circuit_ms", json_integer(p->circuit_ms));
        set(pool, "circuit_reason", json_string(p->circuit_reason));
    }
    set(pool, "set_aside",
        *p->aside ? json_pack("{s:s, s:I}", "reason", p->aside, "ms", (json_int_t)p->aside_ms)
                  : json_null());
    return pool;
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

static json_t *webhooks_of(struct service *service)
{
    const struct webhooks *w = service_webhooks(service);
    static const struct webhook_totals none = {.waiting = 0};
    const struct webhook_totals *told = webhooks_totals(w), *t = told ? told : &none;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "waiting", (json_int_t)t->waiting,
                     "in_flight_here", (json_int_t)webhooks_in_flight(w), "delivered",
                     (json_int_t)t->delivered, "attempts_failed", (json_int_t)t->attempts_failed,
                     "failed", (json_int_t)t->failed, "dropped", (json_int_t)t->dropped);
}

static json_t *stats_json(struct service *service, const struct stats_view *view,
                          const char *tenant)
{
    int64_t totals[COUNT_MAX] = {0};
    json_t *pools = json_array();
    for (size_t i = 0; pools && i < view->pool_count; i++)
        (void)json_array_append_new(pools,
                                    pool_json(service_config(service), &view->pools[i], totals));
    return json_pack(
        "{s:s, s:I, s:{s:b, s:o}, s:O, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:I, s:I}, s:o}",
        "object", "stats", "created_at", (json_int_t)(view->at_ms / 1000), "redis", "up",
        view->redis_up, "latency_us",
        view->redis_us >= 0 ? json_integer(view->redis_us) : json_null(), "instances",
        view->instances, "outage", outage_of(service_scheduler(service)), "webhooks",
        webhooks_of(service), "pools", pools, "tenants",
        stats_tenants(service_config(service), view, tenant), "models", stats_models(view), "joint",
        joint_json(service_joint_board(service)), "totals", "counts", counters(totals, REQUESTS),
        "tokens", counters(totals, TOKENS), "jobs_running_here",
        (json_int_t)jobs_running(service_jobs(service)), "requests_open_here",
        (json_int_t)service_open_exchanges(service), "cache", stats_of_answers(service));
}

const char *stats_text(struct service *service, struct stats_view *view, const char *tenant)
{
    char **text = tenant ? &view->own_text : &view->text;
    if (tenant) {
        free(*text);
        *text = NULL;
    }
    if (!*text) {
        json_t *object = stats_json(service, view, tenant);
        *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
        json_decref(object);
    }
    return *text;
}
