#include "api/stats.h"

#include "api/service.h"

#include "common/clock.h"
#include "scheduler/scheduler.h"
#include "scheduler/tally_shared.h"
#include "storage/instance.h"
#include "storage/redis_reply.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "pool", running, eta, binding; then depth and oldest of each class; then the pause; then what was
 * learned: circuit, ms, reason, slots, and three numbers for each dimension. */
#define PEEK_WORDS    4
#define PEEK_LEARNED  (PEEK_WORDS + 2 * CLASS_COUNT + 1)
#define LEARNED_WORDS 4

struct stats {
    struct service *service;
    struct event *begin;
    struct list asks, watches; /* of struct stats_wait */
    struct gathering *running; /* NULL: none */
    int64_t began_ms;
};

struct gathering {
    struct stats *owner; /* NULL: it ended meanwhile */
    struct list served;  /* asks that came before this began */
    struct stats_view view;
    size_t open; /* answers that are still to come, and one while it begins */
    int64_t started_us;
};

struct pool_gathering {
    struct gathering *all;
    struct pool_view *pool; /* counted as a user; gone with the scheduler, that is with owner */
    struct stats_pool *out;
    struct pool_limits limits; /* at the time of the look: a reload may change them meanwhile */
};

static void on_begin(evutil_socket_t fd, short what, void *arg);

/* ---- who waits */

struct stats *stats_new(struct service *service)
{
    struct stats *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->service = service;
    list_init(&s->asks);
    list_init(&s->watches);
    s->begin = evtimer_new(service_base(service), on_begin, s);
    if (!s->begin) {
        free(s);
        return NULL;
    }
    return s;
}

static void forget_all(struct list *waits)
{
    while (!list_is_empty(waits))
        list_remove(waits->next);
}

void stats_free(struct stats *s)
{
    if (!s)
        return;
    forget_all(&s->asks);
    forget_all(&s->watches);
    if (s->running) {
        forget_all(&s->running->served);
        s->running->owner = NULL;
    }
    event_free(s->begin);
    free(s);
}

static void begin_soon(struct stats *s)
{
    if (!s->running)
        event_active(s->begin, EV_TIMEOUT, 0);
}

void stats_ask(struct stats *s, struct stats_wait *w)
{
    list_add_last(&s->asks, &w->link);
    begin_soon(s);
}

void stats_watch(struct stats *s, struct stats_wait *w)
{
    list_add_last(&s->watches, &w->link);
    begin_soon(s);
}

void stats_forget(struct stats_wait *w)
{
    list_remove(&w->link);
}

static void move_all(struct list *from, struct list *to)
{
    while (!list_is_empty(from)) {
        struct list *link = from->next;
        list_remove(link);
        list_add_last(to, link);
    }
}

/* Each may forget itself or others, ask again or watch. */
static void serve(struct gathering *g, struct stats_view *view)
{
    struct list watches;
    while (!list_is_empty(&g->served)) {
        struct stats_wait *w = LIST_ITEM(g->served.next, struct stats_wait, link);
        list_remove(&w->link);
        w->fn(w->arg, view);
    }
    list_init(&watches);
    move_all(&g->owner->watches, &watches);
    while (!list_is_empty(&watches)) {
        struct stats_wait *w = LIST_ITEM(watches.next, struct stats_wait, link);
        list_remove(&w->link);
        list_add_last(&g->owner->watches, &w->link);
        w->fn(w->arg, view);
    }
}

static void arm_next(struct stats *s)
{
    int64_t wait_ms = s->began_ms + STATS_EVERY_MS - clock_mono_ms();
    if (!list_is_empty(&s->asks)) {
        begin_soon(s);
    } else if (!list_is_empty(&s->watches)) {
        struct timeval tv = {.tv_usec = (wait_ms > 1 ? wait_ms : 1) * 1000};
        if (tv.tv_usec >= 1000000)
            tv = (struct timeval){.tv_sec = 1};
        evtimer_add(s->begin, &tv);
    }
}

static void gathering_free(struct gathering *g)
{
    json_decref(g->view.instances);
    free(g->view.pools);
    free(g->view.text);
    free(g->view.own_text);
    for (int k = 0; k < TALLY_KINDS; k++)
        free(g->view.names[k].rows);
    free(g);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct stats_pool *)a)->id, ((const struct stats_pool *)b)->id);
}

static void finish(struct gathering *g)
{
    if (--g->open > 0)
        return;
    struct stats *s = g->owner;
    if (s) {
        /* The scheduler's map has no order; readers want the same one each time. */
        qsort(g->view.pools, g->view.pool_count, sizeof(*g->view.pools), by_id);
        for (int k = 0; k < TALLY_KINDS; k++)
            stats_names_sort(&g->view.names[k]);
        serve(g, &g->view);
        s->running = NULL;
        arm_next(s);
    }
    gathering_free(g);
}

/* ---- one pool: its counters, then one look */

static void note_answer(struct gathering *g)
{
    if (g->view.redis_us < 0)
        g->view.redis_us = clock_mono_us() - g->started_us;
}

static void add_limit(struct stats_pool *out, const struct stats_limit *limit)
{
    out->limits[out->limit_count++] = *limit;
}

/* What was learned of dimension i. */
static void set_learned(struct stats_limit *l, const struct redisReply *learned, size_t i)
{
    const size_t at = LEARNED_WORDS + 3 * i;
    int64_t told = reply_int(reply_at(learned, at), 0);
    l->learned = told > 0 ? told : -1;
    l->rate = reply_int(reply_at(learned, at + 1), l->configured);
    l->capacity = reply_int(reply_at(learned, at + 2), l->capacity);
}

static void set_circuit(struct stats_pool *out, const struct redisReply *learned)
{
    const char *state = reply_text(reply_at(learned, 0), NULL);
    const char *reason = reply_text(reply_at(learned, 2), NULL);
    (void)snprintf(out->circuit, sizeof(out->circuit), "%s", state ? state : "closed");
    (void)snprintf(out->circuit_reason, sizeof(out->circuit_reason), "%s", reason ? reason : "");
    out->circuit_ms = reply_int(reply_at(learned, 1), 0);
}

static void set_limits(struct stats_pool *out, const struct pool_limits *limits,
                       const struct store_turn *turn)
{
    const struct redisReply *learned = out->known ? reply_at(turn->items, PEEK_LEARNED) : NULL;
    set_circuit(out, learned);
    for (size_t i = 0; i < limits->dim_count; i++) {
        const struct dim_limit *d = &limits->dims[i];
        if (d->open)
            continue;
        struct stats_limit l = {.configured = d->rate, .capacity = d->capacity};
        set_learned(&l, learned, i);
        (void)snprintf(l.name, sizeof(l.name), "%s", d->name);
        if (i < turn->level_count) {
            l.remaining = turn->levels[i].remaining;
            l.full_in_ms = turn->levels[i].full_in_ms;
        }
        add_limit(out, &l);
    }
    if (limits->max_parallel > 0) {
        int64_t slots = reply_int(reply_at(learned, 3), limits->max_parallel);
        struct stats_limit l = {.name = "max_parallel_requests",
                                .configured = limits->max_parallel,
                                .learned = slots < limits->max_parallel ? slots : -1,
                                .rate = slots,
                                .capacity = slots,
                                .remaining = slots - out->in_flight,
                                .full_in_ms = -1};
        add_limit(out, &l);
    }
}

static void pool_gathered(struct pool_gathering *p)
{
    if (p->all->owner)
        p->pool->users--;
    finish(p->all);
    free(p);
}

static void on_peeked(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_gathering *p = arg;
    struct stats_pool *out = p->out;
    (void)pool;
    if (turn->status == REDIS_OK) {
        const char *binding = reply_text(reply_at(turn->items, 3), NULL);
        note_answer(p->all);
        out->known = turn->level_count == p->limits.dim_count;
        out->in_flight = reply_int(reply_at(turn->items, 1), 0);
        out->eta_ms = reply_int(reply_at(turn->items, 2), 0);
        (void)snprintf(out->binding, sizeof(out->binding), "%s", binding ? binding : "");
        for (size_t c = 0; c < CLASS_COUNT; c++) {
            out->depth[c] = reply_int(reply_at(turn->items, PEEK_WORDS + 2 * c), 0);
            out->oldest_ms[c] = reply_int(reply_at(turn->items, PEEK_WORDS + 2 * c + 1), 0);
        }
        out->paused_ms = reply_int(reply_at(turn->items, PEEK_WORDS + 2 * CLASS_COUNT), 0);
        stats_names_add_queue(&p->all->view.names[TALLY_TENANT],
                              reply_at(turn->items, PEEK_LEARNED + 1));
    }
    set_limits(out, &p->limits, turn);
    pool_gathered(p);
}

static void set_count(struct stats_counters *out, const char *name, int64_t value)
{
    if (strncmp(name, "w:", 2) == 0) {
        size_t bucket = (size_t)strtoul(name + 2, NULL, 10);
        if (bucket < WAIT_BUCKETS)
            out->waits[bucket] = value;
        return;
    }
    size_t detail = detail_number(name);
    if (detail < DETAILS) {
        out->details[detail] = value;
        return;
    }
    for (int i = 0; i < COUNT_MAX; i++) {
        if (strcmp(name, pool_counter_name((enum pool_counter)i)) == 0)
            out->counts[i] = value;
    }
}

static void on_count(void *arg, const char *name, int64_t value)
{
    struct pool_gathering *p = arg;
    if (name) {
        note_answer(p->all);
        set_count(&p->out->stored, name, value);
        return;
    }
    if (!p->all->owner) {
        pool_gathered(p);
        return;
    }
    static const char *const fields[] = {STORE_PEEK_TENANTS};
    struct store_look look = {.fields = fields, .field_count = 1};
    struct store_pool *pool = pool_agent_pool(p->pool->agent);
    p->limits = pool->limits;
    pool_store_peek(service_store(p->all->owner->service), pool, &look, on_peeked, p);
}

/* What Redis was not told is noted before it is asked: commands keep their order on the
 * connection, so a flush that follows is in neither number twice. */
static void note_unsent(struct stats_counters *out, const struct pool_stats *own)
{
    memcpy(out->counts, own->unsent, sizeof(out->counts));
    memcpy(out->waits, own->waits_unsent, sizeof(out->waits));
    memcpy(out->details, own->details.unsent, sizeof(out->details));
}

static bool gather_pool(struct gathering *g, struct pool_view *v, struct stats_pool *out)
{
    const struct store_pool *pool = pool_agent_pool(v->agent);
    struct pool_gathering *p = calloc(1, sizeof(*p));
    if (!p)
        return false;
    (void)snprintf(out->id, sizeof(out->id), "%s", pool->id);
    (void)snprintf(out->group, sizeof(out->group), "%s", v->group);
    (void)snprintf(out->provider, sizeof(out->provider), "%s", v->provider);
    out->of_callers = v->transient;
    (void)snprintf(out->account, sizeof(out->account), "%s", v->account);
    if (pool_is_set_aside(v, clock_mono_ms())) {
        (void)snprintf(out->aside, sizeof(out->aside), "%s", v->aside.reason);
        out->aside_ms = v->aside.until_ms - clock_mono_ms();
    }
    note_unsent(&out->unsent, pool_agent_stats(v->agent));
    *p = (struct pool_gathering){.all = g, .pool = v, .out = out};
    v->users++; /* until Redis has answered */
    g->open++;
    pool_store_counts(service_store(g->owner->service), pool, on_count, p);
    return true;
}

/* ---- who else is alive */

static json_t *instance_json(const struct gathering *g, const char *id, int64_t age_ms,
                             const char *note)
{
    json_t *told = note ? json_loads(note, 0, NULL) : NULL;
    json_t *one =
        json_pack("{s:s, s:I, s:b, s:b}", "id", id, "heartbeat_age_ms", (json_int_t)age_ms, "alive",
                  note != NULL, "this", strcmp(id, service_instance(g->owner->service)) == 0);
    if (told && one)
        (void)json_object_update(one, told);
    /* It wrote its uptime with its last heartbeat. */
    const json_t *uptime = json_object_get(told, "uptime_ms");
    if (one && json_is_integer(uptime))
        (void)json_object_set_new(one, "uptime_ms",
                                  json_integer(json_integer_value(uptime) + age_ms));
    json_decref(told);
    return one;
}

static void on_instance(void *arg, const char *id, int64_t age_ms, const char *note)
{
    struct gathering *g = arg;
    if (!id) {
        finish(g);
        return;
    }
    note_answer(g);
    if (!g->owner)
        return;
    g->view.alive += note != NULL;
    (void)json_array_append_new(g->view.instances, instance_json(g, id, age_ms, note));
}

/* ---- by name */

struct name_gathering {
    struct gathering *all;
    enum tally_kind kind;
};

static void on_number(void *arg, const char *name, size_t number, int64_t stored, int64_t own)
{
    struct name_gathering *n = arg;
    if (!name) {
        finish(n->all);
        free(n);
        return;
    }
    struct stats_name *row = stats_names_of(&n->all->view.names[n->kind], n->kind, name);
    if (!row)
        return;
    row->number[number] += stored + own;
    row->stored[number] += stored;
}

static void gather_names(struct gathering *g, enum tally_kind kind)
{
    struct name_gathering *n = malloc(sizeof(*n));
    if (!n)
        return;
    *n = (struct name_gathering){g, kind};
    g->open++;
    const struct tally *tally = scheduler_options(service_scheduler(g->owner->service))->tally;
    tally_shared_read(tally, service_tallies(g->owner->service), kind, on_number, n);
}

/* ---- the whole */

static size_t count_pools(const struct scheduler *sched)
{
    size_t at = 0, n = 0;
    while (scheduler_next_pool(sched, &at))
        n++;
    return n;
}

static struct gathering *gathering_new(struct stats *s, size_t pools)
{
    struct gathering *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->owner = s;
    list_init(&g->served);
    g->open = 1;
    g->started_us = clock_mono_us();
    g->view.at_ms = clock_wall_ms();
    g->view.redis_us = -1;
    g->view.redis_up = scheduler_is_connected(service_scheduler(s->service));
    g->view.instances = json_array();
    g->view.pools = calloc(pools + 1, sizeof(*g->view.pools));
    if (!g->view.instances || !g->view.pools) {
        gathering_free(g);
        return NULL;
    }
    return g;
}

static void no_memory(struct stats *s)
{
    struct gathering none = {.owner = s};
    list_init(&none.served);
    move_all(&s->asks, &none.served);
    serve(&none, NULL);
    arm_next(s);
}

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
    struct stats *s = arg;
    struct scheduler *sched = service_scheduler(s->service);
    size_t at = 0;
    (void)fd;
    (void)what;
    if (s->running || (list_is_empty(&s->asks) && list_is_empty(&s->watches)))
        return;
    evtimer_del(s->begin);
    s->began_ms = clock_mono_ms();
    struct gathering *g = gathering_new(s, count_pools(sched));
    if (!g) {
        no_memory(s);
        return;
    }
    s->running = g;
    move_all(&s->asks, &g->served);
    for (struct pool_view *v = scheduler_next_pool(sched, &at); v;
         v = scheduler_next_pool(sched, &at)) {
        struct stats_pool *out = &g->view.pools[g->view.pool_count];
        g->view.pool_count += gather_pool(g, v, out);
    }
    for (int k = 0; k < TALLY_KINDS; k++)
        gather_names(g, (enum tally_kind)k);
    g->open++;
    instance_list(service_presence(s->service), on_instance, g);
    finish(g);
}
