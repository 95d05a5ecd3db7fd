/*
 * route_metrics: the numbers of api/stats.h for Prometheus.
 *
 * Counters and levels are those of Redis, over all instances: with several processes on one port
 * it does not matter which one answers, and no counter ever steps back. Of several instances one
 * is scraped, or `max by` takes the same number once. process_* and sluice_event_loop_* are of
 * the process that answers.
 *
 * Label values are bounded by the configuration: pools whose account is a caller's own key are
 * added up as account="callers", since there may be thousands of them.
 */
#include "api/answer.h"
#include "api/loop_lag.h"
#include "api/metrics_page.h"
#include "api/route.h"

#include "common/buf.h"
#include "common/limits.h"
#include "common/map.h"
#include "common/metrics.h"
#include "common/process_facts.h"
#include "scheduler/job.h"
#include "scheduler/webhook.h"
#include "storage/pool_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- folding */

static struct stats_limit *limit_of(struct stats_pool *p, const char *name)
{
    for (size_t i = 0; i < p->limit_count; i++) {
        if (strcmp(p->limits[i].name, name) == 0)
            return &p->limits[i];
    }
    return NULL;
}

static void add_pool(struct stats_pool *sum, const struct stats_pool *p)
{
    for (size_t i = 0; i < p->limit_count; i++) {
        struct stats_limit *l = limit_of(sum, p->limits[i].name);
        if (!l)
            continue;
        l->configured += p->limits[i].configured;
        l->capacity += p->limits[i].capacity;
        l->rate += p->limits[i].rate;
        l->remaining += p->limits[i].remaining;
    }
    for (size_t c = 0; c < CLASS_COUNT; c++) {
        sum->depth[c] += p->depth[c];
        if (p->oldest_ms[c] > sum->oldest_ms[c])
            sum->oldest_ms[c] = p->oldest_ms[c];
    }
    sum->in_flight += p->in_flight;
    if (p->eta_ms > sum->eta_ms)
        sum->eta_ms = p->eta_ms;
    if (p->paused_ms > sum->paused_ms)
        sum->paused_ms = p->paused_ms;
    for (size_t i = 0; i < COUNT_MAX; i++)
        sum->stored.counts[i] += p->stored.counts[i];
    for (size_t i = 0; i < WAIT_BUCKETS; i++)
        sum->stored.waits[i] += p->stored.waits[i];
    for (size_t i = 0; i < DETAILS; i++)
        sum->stored.details[i] += p->stored.details[i];
}

static const char *account_of(const struct stats_pool *p)
{
    return p->of_callers ? "callers" : p->account;
}

/* Pools that Redis told of; -ENOMEM. folded has room for all. */
static int fold(const struct stats_view *view, struct folded *folded, size_t *ret_count)
{
    struct map by_key;
    size_t n = 0;
    int rc = 0;
    map_init(&by_key, 0); /* names come from the configuration: nobody makes them collide */
    for (size_t i = 0; i < view->pool_count && rc == 0; i++) {
        const struct stats_pool *p = &view->pools[i];
        struct folded *next = &folded[n];
        if (!p->known)
            continue;
        (void)snprintf(next->key, sizeof(next->key), "%s\n%s\n%s", p->provider, account_of(p),
                       p->group);
        struct folded *known = map_get(&by_key, next->key);
        if (known) {
            add_pool(&known->pool, p);
            continue;
        }
        next->pool = *p;
        rc = map_put(&by_key, next->key, next);
        n++;
    }
    map_release(&by_key);
    *ret_count = n;
    return rc;
}

/* ---- families */

void metrics_label_pool(const struct stats_pool *p, struct metrics_label *labels)
{
    labels[0] = (struct metrics_label){"provider", p->provider};
    labels[1] = (struct metrics_label){"account", account_of(p)};
    labels[2] = (struct metrics_label){"pool", p->group};
}

/* A number of each pool. */
static void gauge(const struct metrics_page *page, const char *name, const char *help,
                  double (*value)(const struct stats_pool *p))
{
    metrics_family(page->out, name, METRICS_GAUGE, help);
    for (size_t i = 0; i < page->count; i++) {
        struct metrics_label labels[METRICS_POOL_LABELS + 1] = {{NULL, NULL}};
        metrics_label_pool(&page->pools[i].pool, labels);
        metrics_real(page->out, name, labels, value(&page->pools[i].pool));
    }
}

static double set_aside(const struct stats_pool *p)
{
    return (double)p->aside_ms / 1000;
}

static double in_flight(const struct stats_pool *p)
{
    return (double)p->in_flight;
}

static double eta(const struct stats_pool *p)
{
    return (double)p->eta_ms / 1000;
}

static double paused(const struct stats_pool *p)
{
    return (double)p->paused_ms / 1000;
}

static double circuit(const struct stats_pool *p)
{
    return strcmp(p->circuit, "open") == 0 ? 1 : strcmp(p->circuit, "half_open") == 0 ? 0.5 : 0;
}

/* A number of each class of each pool. */
static void by_class(const struct metrics_page *page, const char *name, const char *help,
                     double (*value)(const struct stats_pool *p, size_t class))
{
    metrics_family(page->out, name, METRICS_GAUGE, help);
    for (size_t i = 0; i < page->count; i++) {
        struct metrics_label labels[METRICS_POOL_LABELS + 2] = {{NULL, NULL}};
        metrics_label_pool(&page->pools[i].pool, labels);
        for (size_t c = 0; c < CLASS_COUNT; c++) {
            labels[METRICS_POOL_LABELS] =
                (struct metrics_label){"class", pool_class_name((enum pool_class)c)};
            metrics_real(page->out, name, labels, value(&page->pools[i].pool, c));
        }
    }
}

static double depth(const struct stats_pool *p, size_t class)
{
    return (double)p->depth[class];
}

static double oldest(const struct stats_pool *p, size_t class)
{
    return (double)p->oldest_ms[class] / 1000;
}

/* A number of each limit of each pool. */
static void by_limit(const struct metrics_page *page, const char *name, const char *help,
                     int64_t (*value)(const struct stats_limit *l))
{
    metrics_family(page->out, name, METRICS_GAUGE, help);
    for (size_t i = 0; i < page->count; i++) {
        const struct stats_pool *p = &page->pools[i].pool;
        struct metrics_label labels[METRICS_POOL_LABELS + 2] = {{NULL, NULL}};
        metrics_label_pool(p, labels);
        for (size_t k = 0; k < p->limit_count; k++) {
            labels[METRICS_POOL_LABELS] = (struct metrics_label){"limit", p->limits[k].name};
            metrics_int(page->out, name, labels, value(&p->limits[k]));
        }
    }
}

static int64_t configured(const struct stats_limit *l)
{
    return l->configured;
}

static int64_t rate(const struct stats_limit *l)
{
    return l->rate;
}

static int64_t capacity(const struct stats_limit *l)
{
    return l->capacity;
}

static int64_t remaining(const struct stats_limit *l)
{
    return l->remaining;
}

/* Counters of each pool, told apart by a label (name NULL: a single one without). */
struct counter_row {
    enum pool_counter counter;
    const char *value;
};

struct counter_family {
    const char *name, *help, *label;
    const struct counter_row *rows;
    size_t row_count;
};

static void counter(const struct metrics_page *page, const struct counter_family *f)
{
    metrics_family(page->out, f->name, METRICS_COUNTER, f->help);
    for (size_t i = 0; i < page->count; i++) {
        const struct stats_pool *p = &page->pools[i].pool;
        struct metrics_label labels[METRICS_POOL_LABELS + 2] = {{NULL, NULL}};
        metrics_label_pool(p, labels);
        for (size_t k = 0; k < f->row_count; k++) {
            labels[METRICS_POOL_LABELS] = (struct metrics_label){f->label, f->rows[k].value};
            metrics_int(page->out, f->name, labels, p->stored.counts[f->rows[k].counter]);
        }
    }
}

static const struct counter_row decisions[] = {
    {COUNT_admitted, "admitted"}, {COUNT_delayed, "delayed"}, {COUNT_shrunk, "shrunk"},
    {COUNT_batched, "batched"},   {COUNT_cached, "cached"},   {COUNT_shared, "shared"},
    {COUNT_refused, "refused"},
};
static const struct counter_row outcomes[] = {
    {COUNT_succeeded, "succeeded"},
    {COUNT_failed, "failed"},
    {COUNT_cancelled, "cancelled"},
    {COUNT_expired, "expired"},
};
static const struct counter_row tokens[] = {
    {COUNT_tokens_reserved, "reserved"}, {COUNT_tokens_input, "input"},
    {COUNT_tokens_output, "output"},     {COUNT_tokens_trimmed, "trimmed"},
    {COUNT_tokens_cached, "cached"},     {COUNT_tokens_saved, "saved"},
};
static const struct counter_row troubles[] = {
    {COUNT_provider_429, "429"},
    {COUNT_provider_5xx, "5xx"},
    {COUNT_provider_errors, "connection"},
};
static const struct counter_row permits[] = {
    {COUNT_permits_granted, "granted"},
    {COUNT_permits_settled, "settled"},
    {COUNT_permits_released, "released"},
    {COUNT_permits_expired, "expired"},
};
static const struct counter_row retries[] = {{COUNT_retries, NULL}};
static const struct counter_row losses[] = {{COUNT_leases_lost, NULL}};
static const struct counter_row batches[] = {{COUNT_batches, NULL}};
static const struct counter_row joint[] = {
    {COUNT_joint_requests, "requests"},
    {COUNT_joint_items, "items"},
    {COUNT_joint_alone, "alone"},
};
static const struct counter_row spared[] = {{COUNT_inputs_deduplicated, NULL}};
static const struct counter_row dropped[] = {{COUNT_tool_calls_dropped, NULL}};

#define ROWS(rows) rows, sizeof(rows) / sizeof((rows)[0])

static const struct counter_family families[] = {
    {"sluice_tool_calls_dropped_total", "Tool calls taken out of answers by a cap.", NULL,
     ROWS(dropped)},
    {"sluice_batches_total", "Requests that were sent in place of several.", NULL, ROWS(batches)},
    {"sluice_joint_total",
     "Joint chat requests, what they carried, and what of it was sent again alone.", "what",
     ROWS(joint)},
    {"sluice_inputs_deduplicated_total", "Inputs of embeddings that an equal one was sent for.",
     NULL, ROWS(spared)},
    {"sluice_decisions_total", "How requests were let through, or not.", "decision",
     ROWS(decisions)},
    {"sluice_requests_total", "Requests that ended, by how.", "outcome", ROWS(outcomes)},
    {"sluice_permits_total", "Permits of workers that call the provider themselves, by event.",
     "event", ROWS(permits)},
    {"sluice_tokens_total",
     "Tokens: reserved before a call; input, output and cached (a part of input) as the provider "
     "counted them; trimmed here; saved by that, in calls that succeeded.",
     "kind", ROWS(tokens)},
    {"sluice_provider_errors_total", "Answers of the provider that refuse, and calls without one.",
     "kind", ROWS(troubles)},
    {"sluice_retries_total", "Calls that were sent again.", NULL, ROWS(retries)},
    {"sluice_leases_lost_total", "Running requests whose instance was silent for too long.", NULL,
     ROWS(losses)},
};

static void pools(const struct metrics_page *page)
{
    by_class(page, "sluice_queue_depth", "Requests that wait.", depth);
    by_class(page, "sluice_queue_oldest_seconds", "Age of the request that waits longest.", oldest);
    gauge(page, "sluice_in_flight", "Requests that the provider works on.", in_flight);
    gauge(page, "sluice_eta_seconds", "Until a new normal request would start.", eta);
    gauge(page, "sluice_pause_seconds", "Until the provider is asked again after a refusal.",
          paused);
    gauge(page, "sluice_circuit_open",
          "1 while the provider has no money for us, 0.5 while one request tries.", circuit);
    gauge(page, "sluice_set_aside_seconds", "Until a key that the provider refuses is tried again.",
          set_aside);
    by_limit(page, "sluice_limit", "The limit, per its own period (rpm: a minute).", configured);
    by_limit(page, "sluice_limit_now", "What holds now, told by the provider or learned.", rate);
    by_limit(page, "sluice_bucket_capacity", "The most that can be there at once.", capacity);
    by_limit(page, "sluice_bucket_remaining", "What is there now; below zero is a debt.",
             remaining);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        counter(page, &families[i]);
    metrics_details(page);
}

/* ---- this process */

static void one(struct buf *out, const char *name, enum metrics_type type, const char *help,
                double value)
{
    metrics_family(out, name, type, help);
    metrics_real(out, name, NULL, value);
}

static void loop(struct buf *out, const struct loop_lag_counts *lag)
{
    static const char name[] = "sluice_event_loop_lag_seconds";
    struct metrics_bucket buckets[LOOP_LAG_BOUNDS];
    struct metrics_histogram h = {.buckets = buckets,
                                  .bucket_count = LOOP_LAG_BOUNDS,
                                  .above = lag->counts[LOOP_LAG_BOUNDS],
                                  .sum = (double)lag->sum_us / 1e6};
    for (size_t i = 0; i < LOOP_LAG_BOUNDS; i++)
        buckets[i] = (struct metrics_bucket){(double)loop_lag_bounds_us[i] / 1e6, lag->counts[i]};
    metrics_family(out, name, METRICS_HISTOGRAM, "How late a timer of one second fired.");
    metrics_histogram(out, name, NULL, &h);
}

static void latency(struct buf *out, const struct redis_latency *l)
{
    static const char name[] = "sluice_redis_command_seconds";
    struct metrics_bucket buckets[REDIS_LATENCY_BOUNDS];
    struct metrics_histogram h = {.buckets = buckets,
                                  .bucket_count = REDIS_LATENCY_BOUNDS,
                                  .above = l->counts[REDIS_LATENCY_BOUNDS],
                                  .sum = (double)l->sum_us / 1e6};
    for (size_t i = 0; i < REDIS_LATENCY_BOUNDS; i++)
        buckets[i] =
            (struct metrics_bucket){(double)redis_latency_bounds_us[i] / 1e6, l->counts[i]};
    metrics_family(out, name, METRICS_HISTOGRAM,
                   "Commands about queue and budget, from sending to their answer.");
    metrics_histogram(out, name, NULL, &h);
}

static void process(struct buf *out, int64_t started_ms)
{
    struct process_facts f;
    process_facts_read(&f);
    const struct {
        const char *name, *help;
        enum metrics_type type;
        int64_t value;
        double unit;
    } rows[] = {
        {"process_cpu_seconds_total", "User and system time.", METRICS_COUNTER, f.cpu_us, 1e6},
        {"process_resident_memory_bytes", "Memory in RAM.", METRICS_GAUGE, f.resident_bytes, 1},
        {"process_virtual_memory_bytes", "Address space.", METRICS_GAUGE, f.virtual_bytes, 1},
        {"process_open_fds", "Open file descriptors.", METRICS_GAUGE, f.open_fds, 1},
        {"process_max_fds", "Most file descriptors.", METRICS_GAUGE, f.max_fds, 1},
        {"process_start_time_seconds", "Unix time of the start.", METRICS_GAUGE, started_ms, 1e3},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].value >= 0)
            one(out, rows[i].name, rows[i].type, rows[i].help,
                (double)rows[i].value / rows[i].unit);
    }
}

static void webhooks(struct buf *out, const struct webhook_totals *t)
{
    static const char name[] = "sluice_webhook_deliveries_total";
    const struct {
        const char *status;
        int64_t count;
    } rows[] = {{"delivered", t->delivered}, {"failed", t->failed}, {"dropped", t->dropped}};
    metrics_family(out, name, METRICS_COUNTER, "Webhook events at their end.");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct metrics_label labels[] = {{"status", rows[i].status}, {NULL, NULL}};
        metrics_int(out, name, labels, rows[i].count);
    }
    one(out, "sluice_webhook_failed_attempts_total", METRICS_COUNTER,
        "Attempts to deliver a webhook event that failed.", (double)t->attempts_failed);
    one(out, "sluice_webhook_deliveries_waiting", METRICS_GAUGE,
        "Webhook events that are not delivered yet.", (double)t->waiting);
}

static void whole(struct buf *out, struct service *s, const struct stats_view *view)
{
    const struct metrics_label version[] = {{"version", SLUICE_VERSION}, {NULL, NULL}};
    const char *why = "";
    metrics_family(out, "sluice_build_info", METRICS_GAUGE, "Always 1; the version is the label.");
    metrics_int(out, "sluice_build_info", version, 1);
    one(out, "sluice_ready", METRICS_GAUGE, "Whether /readyz says 200.",
        service_is_ready(s, &why) ? 1 : 0);
    one(out, "sluice_redis_up", METRICS_GAUGE, "Whether Redis is connected.", view->redis_up);
    if (view->redis_us >= 0)
        one(out, "sluice_redis_roundtrip_seconds", METRICS_GAUGE,
            "Time of one command to Redis, measured for this answer.",
            (double)view->redis_us / 1e6);
    one(out, "sluice_instances", METRICS_GAUGE, "Instances that sent a heartbeat in time.",
        (double)view->alive);
    one(out, "sluice_open_requests", METRICS_GAUGE, "HTTP requests being answered here.",
        (double)service_open_exchanges(s));
    one(out, "sluice_jobs_running", METRICS_GAUGE, "Durable jobs that run here.",
        (double)jobs_running(service_jobs(s)));
    const struct webhook_totals *events = webhooks_totals(service_webhooks(s));
    if (events)
        webhooks(out, events);
    latency(out, pool_store_latency(service_store(s)));
    loop(out, loop_lag_counts(service_loop_lag(s)));
    process(out, service_started_ms(s));
}

/* ---- the route */

struct scrape {
    struct stats_wait wait;
    struct service *service;
    struct exchange *exchange;
    char only[TENANT_NAME_BYTES + 1];
    const char *tenant; /* that alone is told of; NULL: all */
};

static int write_page(const struct scrape *scrape, const struct stats_view *view, struct buf *out)
{
    struct folded *folded = view ? calloc(view->pool_count + 1, sizeof(*folded)) : NULL;
    struct metrics_page page = {.out = out, .pools = folded};
    if (!folded || fold(view, folded, &page.count) < 0) {
        free(folded);
        return -1;
    }
    whole(out, scrape->service, view);
    metrics_names(out, view, scrape->tenant);
    if (page.count > 0)
        pools(&page);
    free(folded);
    return out->failed;
}

static void on_view(void *arg, struct stats_view *view)
{
    struct scrape *s = arg;
    struct buf out;
    buf_init(&out, METRICS_MAX_BYTES);
    if (write_page(s, view, &out) == 0 &&
        exchange_set_header(s->exchange, "Cache-Control", "no-store") == 0)
        exchange_reply(s->exchange, 200, METRICS_TYPE, out.data, out.len);
    else
        answer_error(s->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
    buf_release(&out);
    free(s);
}

static void on_gone(void *arg)
{
    struct scrape *s = arg;
    stats_forget(&s->wait);
    free(s);
}

void route_metrics(const struct route_request *r)
{
    struct scrape *s = calloc(1, sizeof(*s));
    if (!s) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    *s = (struct scrape){
        .wait = {.fn = on_view, .arg = s}, .service = r->service, .exchange = r->exchange};
    if (!auth_sees_all(&r->caller)) {
        (void)snprintf(s->only, sizeof(s->only), "%s", r->caller.tenant);
        s->tenant = s->only;
    }
    exchange_on_gone(r->exchange, on_gone, s);
    stats_ask(service_stats(r->service), &s->wait);
}
