#include "api/history.h"

#include "api/service.h"
#include "api/stats.h"

#include "common/clock.h"
#include "scheduler/scheduler.h"
#include "scheduler/tally_shared.h"
#include "storage/history_store.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECT_BYTES (2 * POOL_NAME_BYTES)

struct history {
    struct service *service;
    struct history_store *store;
    struct event *tick;
    struct stats_wait wait;
    int64_t told_ms; /* wall clock */
    int64_t at_s;    /* where what is told now belongs: the middle of the time since then */
};

/* What is told of one subject at once. */
struct telling {
    struct history_sample samples[HISTORY_MAX_SAMPLES];
    size_t count;
};

/* Of all pools together. */
struct whole {
    int64_t counts[COUNT_MAX], waits[WAIT_BUCKETS];
    int64_t depth[CLASS_COUNT], in_flight;
    bool sampled;
};

static void tell(struct telling *t, const char *prefix, const char *name, int64_t amount)
{
    struct history_sample *s = &t->samples[t->count];
    if (t->count >= HISTORY_MAX_SAMPLES)
        return;
    *s = (struct history_sample){.amount = amount};
    (void)snprintf(s->name, sizeof(s->name), "%s%s", prefix, name);
    t->count++;
}

static void tell_peak(struct telling *t, const char *name, int64_t amount)
{
    tell(t, "m:", name, amount);
    t->samples[t->count - 1].is_peak = true;
}

static void tell_counts(struct telling *t, const int64_t counts[COUNT_MAX],
                        const int64_t waits[WAIT_BUCKETS])
{
    tell(t, "", "up", 1);
    for (int i = 0; i < COUNT_MAX; i++) {
        if (counts[i] != 0)
            tell(t, "", pool_counter_name((enum pool_counter)i), counts[i]);
    }
    for (size_t i = 0; i < WAIT_BUCKETS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%zu", i);
        if (waits[i] != 0)
            tell(t, "w:", name, waits[i]);
    }
}

static void tell_gauge(struct telling *t, const char *name, int64_t amount)
{
    if (amount > 0)
        tell(t, "g:", name, amount);
    if (amount > 0)
        tell_peak(t, name, amount);
}

/* A level may be a debt, below zero; here it is nothing that is left. */
static void tell_levels(struct telling *t, const struct stats_pool *p)
{
    for (size_t i = 0; i < p->limit_count; i++) {
        const struct stats_limit *l = &p->limits[i];
        char name[STATS_LIMIT_NAME_BYTES + 8];
        (void)snprintf(name, sizeof(name), "level.%s", l->name);
        if (l->remaining > 0)
            tell(t, "g:", name, l->remaining);
        (void)snprintf(name, sizeof(name), "limit.%s", l->name);
        tell(t, "g:", name, l->rate);
    }
}

static void tell_depths(struct telling *t, const int64_t depth[CLASS_COUNT])
{
    int64_t all = 0;
    for (size_t c = 0; c < CLASS_COUNT; c++) {
        char name[HISTORY_NAME_BYTES];
        (void)snprintf(name, sizeof(name), "queue_depth.%s", pool_class_name((enum pool_class)c));
        tell_gauge(t, name, depth[c]);
        all += depth[c];
    }
    tell_gauge(t, "queue_depth", all);
}

static void tell_gauges(struct telling *t, const struct stats_pool *p)
{
    tell(t, "", "n", 1);
    tell_depths(t, p->depth);
    tell_gauge(t, "in_flight", p->in_flight);
    tell_levels(t, p);
}

/* ---- pools */

/* What was counted since the last time; from now on it is told. */
static void take(struct pool_stats *stats, int64_t counts[COUNT_MAX], int64_t waits[WAIT_BUCKETS])
{
    for (int i = 0; i < COUNT_MAX; i++)
        counts[i] = stats->count[i] - stats->rolled[i];
    for (size_t i = 0; i < WAIT_BUCKETS; i++)
        waits[i] = stats->waits[i] - stats->waits_rolled[i];
    memcpy(stats->rolled, stats->count, sizeof(stats->rolled));
    memcpy(stats->waits_rolled, stats->waits, sizeof(stats->waits_rolled));
}

static bool is_none(const int64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (numbers[i] != 0)
            return false;
    }
    return true;
}

static const char *subject_name(const struct pool_view *v, char room[SUBJECT_BYTES])
{
    if (!v->transient)
        return pool_agent_pool(v->agent)->id;
    (void)snprintf(room, SUBJECT_BYTES, "%s:callers:%s", v->provider, v->group);
    return strlen(room) < POOL_NAME_BYTES ? room : pool_agent_pool(v->agent)->id;
}

/* seen: as a look at it has just told; NULL or unknown: its counters alone. */
static void tell_pool(struct history *h, struct pool_view *v, const struct stats_pool *seen,
                      struct whole *whole)
{
    struct telling t = {.count = 0};
    int64_t counts[COUNT_MAX], waits[WAIT_BUCKETS];
    char room[SUBJECT_BYTES];
    take(pool_agent_stats(v->agent), counts, waits);
    if (seen && seen->known) {
        for (size_t c = 0; c < CLASS_COUNT; c++)
            whole->depth[c] += seen->depth[c];
        whole->in_flight += seen->in_flight;
        whole->sampled = true;
    }
    for (int i = 0; i < COUNT_MAX; i++)
        whole->counts[i] += counts[i];
    for (size_t i = 0; i < WAIT_BUCKETS; i++)
        whole->waits[i] += waits[i];
    if (v->transient && is_none(counts, COUNT_MAX))
        return;
    tell_counts(&t, counts, waits);
    if (seen && seen->known && !v->transient)
        tell_gauges(&t, seen);
    struct history_subject subject = {HISTORY_POOL, subject_name(v, room)};
    history_store_add(h->store, &subject, h->at_s, t.samples, t.count);
}

static void tell_whole(struct history *h, const struct whole *whole)
{
    struct telling t = {.count = 0};
    struct history_subject subject = {HISTORY_ALL, ""};
    tell_counts(&t, whole->counts, whole->waits);
    if (whole->sampled) {
        tell(&t, "", "n", 1);
        tell_depths(&t, whole->depth);
        tell_gauge(&t, "in_flight", whole->in_flight);
    }
    history_store_add(h->store, &subject, h->at_s, t.samples, t.count);
}

/* ---- tenants */

/* One that does nothing is told of once a minute, so that its points are zeros and no gaps. */
static void tell_tenant(struct history *h, struct tally_row *row)
{
    struct telling t = {.count = 0};
    struct history_subject subject = {HISTORY_TENANT, row->name};
    int64_t minute = h->at_s / HISTORY_MINUTE_S;
    char field[TALLY_FIELD_BYTES];
    tell(&t, "", "up", 1);
    for (size_t i = 0; i < TALLY_UPSTREAM; i++) {
        int64_t amount = row->number[i] - row->rolled[i];
        if (amount != 0)
            tell(&t, "", tally_field(i, field), amount);
    }
    if (t.count == 1 && minute == row->rolled_minute)
        return;
    memcpy(row->rolled, row->number, sizeof(row->rolled));
    row->rolled_minute = minute;
    history_store_add(h->store, &subject, h->at_s, t.samples, t.count);
}

static void tell_tenants(struct history *h)
{
    const struct tally *tally = scheduler_options(service_scheduler(h->service))->tally;
    struct tally_row *row = NULL;
    size_t at = 0;
    while ((row = tally_next(tally, TALLY_TENANT, &at)))
        tell_tenant(h, row);
}

/* ---- when */

static int by_id(const void *id, const void *pool)
{
    return strcmp(id, ((const struct stats_pool *)pool)->id);
}

/* A view is in the order of the ids. */
static const struct stats_pool *seen_of(const struct stats_view *view, const struct pool_view *v)
{
    const char *id = pool_agent_pool(v->agent)->id;
    return view ? bsearch(id, view->pools, view->pool_count, sizeof(*view->pools), by_id) : NULL;
}

/* Wall clocks are set now and then: never before the last time, nor far back. */
static void note_time(struct history *h)
{
    int64_t now_ms = clock_wall_ms(), gone_ms = now_ms - h->told_ms;
    int64_t every_ms = service_config(h->service)->stats.history_every_ms;
    if (gone_ms > every_ms)
        gone_ms = every_ms;
    h->at_s = (now_ms - (gone_ms > 0 ? gone_ms / 2 : 0)) / 1000;
    h->told_ms = now_ms;
}

static void tell_all(struct history *h, const struct stats_view *view)
{
    struct scheduler *sched = service_scheduler(h->service);
    struct whole whole = {.sampled = false};
    struct pool_view *v = NULL;
    size_t at = 0;
    if (!scheduler_is_connected(sched))
        return;
    note_time(h);
    while ((v = scheduler_next_pool(sched, &at)))
        tell_pool(h, v, seen_of(view, v), &whole);
    tell_whole(h, &whole);
    tell_tenants(h);
    /* The sums since ever, which have no points. */
    tally_shared_send(scheduler_options(sched)->tally, service_tallies(h->service));
}

static void on_view(void *arg, struct stats_view *view)
{
    tell_all(arg, view);
}

/* On the clock, so that what is told seldom belongs to two minutes. */
static void arm(struct history *h)
{
    int64_t every_ms = service_config(h->service)->stats.history_every_ms;
    int64_t left_ms = every_ms - clock_wall_ms() % every_ms;
    struct timeval tv = {.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000};
    evtimer_add(h->tick, &tv);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct history *h = arg;
    (void)fd;
    (void)what;
    arm(h);
    stats_forget(&h->wait);
    stats_ask(service_stats(h->service), &h->wait);
}

struct history *history_new(struct service *service, struct history_store *store)
{
    struct history *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    *h = (struct history){.service = service, .store = store, .told_ms = clock_wall_ms()};
    h->wait.fn = on_view;
    h->wait.arg = h;
    list_init(&h->wait.link);
    h->tick = evtimer_new(service_base(service), on_tick, h);
    if (!h->tick) {
        free(h);
        return NULL;
    }
    arm(h);
    return h;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    tell_all(h, NULL);
    stats_forget(&h->wait);
    event_free(h->tick);
    free(h);
}
