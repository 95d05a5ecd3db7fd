#include "tests/simulation/world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US    INT64_C(1000000)
#define REST_MOST_US (1500 * SECOND_US) /* after the last fault everything ends within this */
#define REFILL_US    (70 * SECOND_US)   /* a minute's limit is full again */
#define LATE_LOOK_US 400000             /* strict: to and fro, and the timer */

static void publish(void *arg, int owner, const char *payload)
{
    struct instance *i = world_instance(arg, owner);
    if (i && i->scheduler)
        link_publish(&i->redis, payload);
}

static void configured(void *arg, const char *pool, const struct pool_limits *limits)
{
    struct world *w = arg;
    provider_limit(&w->provider, pool, limits);
}

static void on_arrival(void *arg)
{
    struct world *w = arg;
    if (!w->arrivals)
        return;
    client_arrive(w);
    if (chance_permille(30)) { /* a burst */
        for (int64_t n = chance_between(2, 30); n > 0; n--)
            client_arrive(w);
    }
    loop_later(NULL, chance_between(0, 2 * w->gap_us), on_arrival, w);
}

/* I12: when a turn is due, somebody takes it. Without faults that is at once. */
static void check_turns(const struct world *w)
{
    for (size_t i = 0; i < w->server.pool_count; i++) {
        const struct server_pool *p = &w->server.pools[i];
        if (p->pool && p->due_us < loop_now_us() - LATE_LOOK_US)
            broken("I12: a turn of %s was due %.3f s ago and nobody takes it", p->id,
                   (double)(loop_now_us() - p->due_us) / 1e6);
    }
}

static void on_second(void *arg)
{
    struct world *w = arg;
    if (w->over)
        return;
    server_check(&w->server);
    clients_check(w);
    if (w->loop.happened % 4 == 0)
        clients_check_records(w);
    if (w->keeps_leases && w->server.reaped_in_use > 0 && w->server.losses == 0)
        broken("I7: a lease ended, and its instance lived");
    if (w->strict)
        check_turns(w);
    loop_later(NULL, SECOND_US / 5, on_second, w);
}

static void draw_settings(struct world *w)
{
    static const char *const modes[] = {"local", "local", "closed", "open"};
    struct settings *s = &w->settings;
    s->model_count = chance_between(1, WORLD_MODELS);
    s->on_outage = modes[chance_below(4)];
    s->max_running = !w->strict && chance_permille(300) ? chance_between(1, 10) : 256;
    s->max_depth = chance_permille(200) ? chance_between(5, 100) : 100000;
    int64_t rpm = 0;
    for (int64_t m = 0; m < s->model_count; m++) {
        struct limits_of_model *l = &s->models[m];
        l->rpm = chance_between(200, 1200);
        l->tpm = l->rpm * chance_between(60, 600);
        l->parallel = chance_permille(600) ? chance_between(1, 40) : 0;
        rpm += l->rpm;
    }
    w->gap_us = 60 * SECOND_US * 100 / (rpm * chance_between(30, 130));
    w->provider.fail_permille = chance_permille(250) ? 0 : chance_between(1, 200);
    w->provider.windows = chance_permille(350);
}

static void begin(struct world *w, uint64_t seed, FILE *trace_to)
{
    *w = (struct world){.arrivals = true};
    loop_start(&w->loop, seed);
    w->loop.trace = trace_to;
    list_init(&w->instances);
    list_init(&w->clients);
    list_init(&w->past);
    server_init(&w->server, false);
    w->server.publish = publish;
    w->server.configured = configured;
    w->server.arg = w;
    provider_init(&w->provider, &w->server);
    w->strict = w->provider.strict = chance_below(8) == 0;
    draw_settings(w);
    faults_begin(w);
    w->instance_count = chance_between(1, WORLD_MAX_INSTANCES);
    for (int64_t n = 0; n < w->instance_count; n++)
        (void)instance_start(w);
    loop_later(NULL, SECOND_US, on_arrival, w);
    loop_later(NULL, SECOND_US, on_second, w);
}

/* ---- the end */

static bool is_at_rest(struct world *w)
{
    clients_check(w);
    if (!list_is_empty(&w->clients) || w->provider.running > 0)
        return false;
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        if (!instance_is_idle(LIST_ITEM(at, struct instance, link)))
            return false;
    }
    for (size_t i = 0; i < w->server.pool_count; i++) {
        struct server_pool *p = &w->server.pools[i];
        if (p->pool && !list_is_empty(&p->open))
            return false;
    }
    return true;
}

static void tell_unrest(struct world *w)
{
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        const struct instance *i = LIST_ITEM(at, struct instance, link);
        if (!instance_is_idle(i))
            trace("busy", "", i->process.number, (int64_t)scheduler_unsettled(i->scheduler));
    }
    for (size_t i = 0; i < w->server.pool_count; i++) {
        struct server_pool *p = &w->server.pools[i];
        for (struct list *at = p->open.next; p->pool && at != &p->open; at = at->next) {
            const struct record *r = LIST_ITEM(at, struct record, link);
            trace("open", r->id, r->state, r->owner);
            broken("I12: %s %s, of instance %d, is %s long after the last fault",
                   r->is_job ? "job" : "call", r->id, r->owner,
                   ticket_state_name(pool_ticket_state(p->pool, r->id)));
        }
    }
    broken("I12: not at rest long after the last fault: %zu transfers, clients%s open",
           w->provider.running, list_is_empty(&w->clients) ? " not" : "");
}

static void come_to_rest(struct world *w)
{
    int64_t until_us = loop_now_us() + REST_MOST_US;
    int64_t look_us = 0;
    while (!w->loop.broken[0] && loop_now_us() < until_us && loop_step(&w->loop)) {
        if (loop_now_us() < look_us)
            continue;
        look_us = loop_now_us() + SECOND_US / 2;
        if (is_at_rest(w))
            return;
    }
    if (!w->loop.broken[0])
        tell_unrest(w);
}

/* Nothing is held, leased or owed any more. */
static void check_rest(struct world *w)
{
    int64_t now_ms = server_now_ms(&w->server);
    server_check(&w->server);
    for (size_t i = 0; i < w->server.pool_count; i++) {
        struct server_pool *p = &w->server.pools[i];
        for (size_t d = 0; p->pool && d < p->limits.dim_count; d++) {
            const struct dim_limit *l = &p->limits.dims[d];
            int64_t level = pool_level(p->pool, d, now_ms);
            if (level != l->capacity * l->period)
                broken("I5: %s of %s is %" PRId64 " units short at rest", l->name, p->id,
                       l->capacity * l->period - level);
        }
        if (p->pool && (pool_running(p->pool) > 0 || pool_delayed(p->pool) > 0))
            broken("I8: %s has leases at rest", p->id);
    }
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        const struct instance *i = LIST_ITEM(at, struct instance, link);
        size_t n = 0;
        if (!i->scheduler)
            continue;
        for (struct pool_view *v = scheduler_next_pool(i->scheduler, &n); v;
             v = scheduler_next_pool(i->scheduler, &n)) {
            if (!pool_agent_is_idle(v->agent))
                broken("instance %d still expects something of %s at rest", i->process.number,
                       pool_agent_pool(v->agent)->id);
        }
    }
}

/* What was granted without Redis was told to it, once: of requests, each that was sent. */
static void check_charges(struct world *w)
{
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        const struct instance *i = LIST_ITEM(at, struct instance, link);
        for (size_t k = 0; k < w->provider.ledger_count && w->server.losses == 0; k++) {
            int64_t sent = i->http.local_total[k], told = 0;
            for (size_t p = 0; p < w->server.pool_count; p++) {
                if (strcmp(w->server.pools[p].id, w->provider.ledgers[k].pool) == 0)
                    told = w->server.pools[p].charged_tokens[i->process.number];
            }
            if (i->scheduler ? told != sent : told > sent)
                broken("I14: instance %d sent %" PRId64
                       " requests without Redis, and told of %" PRId64,
                       i->process.number, sent, told);
        }
    }
}

/* Each job that was accepted has ended, unless Redis was allowed to lose it. */
static void check_jobs(struct world *w)
{
    for (size_t i = 0; i < w->accepted_count; i++) {
        const struct accepted *a = &w->accepted[i];
        const struct record *r = server_find(&w->server, a->id);
        if (!r && !a->excused)
            broken("I6: job %s was accepted and is lost", a->id);
        if (r && !ticket_state_is_final(r->state))
            broken("I12: job %s is %s at rest", a->id, ticket_state_name(r->state));
    }
}

static bool agents_are_idle(const struct world *w)
{
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        const struct instance *i = LIST_ITEM(at, struct instance, link);
        if (i->scheduler && link_pending(&i->redis) > 0)
            return false;
    }
    return true;
}

static void refill(struct world *w)
{
    int64_t until_us = loop_now_us() + REFILL_US;
    while (!w->loop.broken[0] && loop_now_us() < until_us && loop_step(&w->loop))
        ;
    until_us = loop_now_us() + 10 * SECOND_US;
    while (!agents_are_idle(w) && loop_now_us() < until_us && loop_step(&w->loop))
        ;
}

/* What is still on its way frees itself as it happens. */
static void take_down(struct world *w)
{
    w->over = true;
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next)
        instance_stop(LIST_ITEM(at, struct instance, link));
    while (loop_step(&w->loop))
        ;
    while (!list_is_empty(&w->instances))
        instance_free(LIST_ITEM(w->instances.next, struct instance, link));
    clients_release(w);
}

void world_run(uint64_t seed, uint64_t events, FILE *trace_to, struct world_result *ret)
{
    struct world *w = malloc(sizeof(*w));
    assert(w);
    begin(w, seed, trace_to);
    while (!w->loop.broken[0] && w->loop.happened < events && loop_step(&w->loop))
        ;
    w->arrivals = false;
    faults_end(w);
    trace("rest", "", 0, 0);
    if (!w->loop.broken[0])
        come_to_rest(w);
    if (!w->loop.broken[0])
        refill(w);
    if (!w->loop.broken[0]) {
        check_rest(w);
        check_jobs(w);
        check_charges(w);
    }
    take_down(w);
    server_release(&w->server);
    provider_release(&w->provider);
    *ret = (struct world_result){.hash = w->loop.hash,
                                 .events = w->loop.happened,
                                 .grants = w->server.grants,
                                 .requests = w->provider.requests,
                                 .judged = w->provider.judged,
                                 .late = w->provider.late,
                                 .local = w->provider.local,
                                 .jobs = w->accepted_count,
                                 .answers = w->answers,
                                 .failures = w->failures,
                                 .faults = w->fault_count};
    memcpy(ret->broken, w->loop.broken, sizeof(ret->broken));
    loop_stop(&w->loop);
    free(w);
}
