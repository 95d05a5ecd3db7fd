#include "scheduler/permit_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "storage/redis_reply.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS      2000 /* a grant whose news was lost is found by looking */
#define NUMBER_BYTES 24

/* One that is waited for. Calls of the store in flight keep it in memory. */
struct permit {
    struct permits *all;
    struct call *call; /* never started: it has read, routed and priced the request */
    char id[TICKET_ID_BYTES];
    struct event *timer;
    int64_t asked_us, wait_ms, ttl_ms;
    bool starting;  /* inside permit_ask() */
    bool in_flight; /* a call of the store is unanswered */
    bool granted, left, expected;
    struct call_failure failure; /* with starting: to be told from the loop */
    permit_fn fn;
    void *arg;
};

static struct pool_agent *agent_of(const struct permit *p)
{
    return call_pool(p->call)->agent;
}

static int64_t waited_ms(const struct permit *p)
{
    return (clock_mono_us() - p->asked_us) / 1000;
}

static void arm(struct permit *p, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(p->timer, &tv);
}

static void look_later(struct permit *p)
{
    int64_t left_ms = p->wait_ms - waited_ms(p);
    arm(p, left_ms > LOOK_MS ? LOOK_MS : left_ms > 0 ? left_ms : 0);
}

static void permit_free(struct permit *p)
{
    if (p->expected)
        pool_agent_unexpect(agent_of(p));
    (void)map_remove(&p->all->waiting, p->id);
    if (p->timer)
        event_free(p->timer);
    if (p->call)
        call_discard(p->call);
    free(p);
}

static void log_granted(const struct permit *p, const struct permit_record *r, int64_t reserved)
{
    char wait[LOG_NUMBER_BYTES], input[LOG_NUMBER_BYTES], tokens[LOG_NUMBER_BYTES];
    log_write(LOG_INFO, "permit granted", "permit", p->id, "tenant", r->tenant, "model", r->model,
              "pool", r->pool, "decision", r->wait_ms > 0 ? "delayed" : "admitted", "queue_ms",
              log_number(wait, r->wait_ms), "tokens_estimated",
              log_number(input, call_input_estimate(p->call)), "tokens_reserved",
              log_number(tokens, reserved), NULL);
}

static void log_refused(const struct permit *p, const struct call_failure *f)
{
    char code[LOG_NUMBER_BYTES], wait[LOG_NUMBER_BYTES];
    log_write(LOG_INFO, f->message, "permit", p->id, "model", call_model(p->call), "pool",
              pool_agent_pool(agent_of(p))->id, "status", log_number(code, f->status), "code",
              f->code, "queue_ms", log_number(wait, waited_ms(p)), NULL);
}

/* With nobody to have it the ticket goes: out of the queue, or back unsent. */
static void give_up(struct permit *p, const struct call_failure *f)
{
    permit_fn fn = p->fn;
    void *arg = p->arg;
    bool left = p->left;
    log_refused(p, f);
    permit_free(p);
    if (!left)
        fn(arg, NULL, f);
}

static void fail(struct permit *p, const struct call_failure *f)
{
    if (p->starting) {
        p->failure = *f;
        arm(p, 0);
        return;
    }
    give_up(p, f);
}

static void fail_storage(struct permit *p, enum redis_status status)
{
    struct call_failure f;
    permit_storage_failed(&f, status);
    if (status == REDIS_LOST || p->granted)
        pool_agent_abandon(agent_of(p), p->id);
    fail(p, &f);
}

/* ---- granted */

static void on_claimed(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct permit *p = arg;
    struct permit_read read;
    (void)pool;
    p->in_flight = false;
    if (p->left) {
        pool_agent_abandon(agent_of(p), p->id);
        permit_free(p);
        return;
    }
    if (turn->status != REDIS_OK) {
        fail_storage(p, turn->status);
        return;
    }
    if (!permit_read(turn, call_pool(p->call), p->id, NULL, &read)) {
        fail_storage(p, REDIS_LOST); /* its data went in this moment */
        return;
    }
    struct pool_stats *stats = pool_agent_stats(agent_of(p));
    struct store_ticket t;
    call_ticket(p->call, &t);
    pool_stats_add(stats, COUNT_permits_granted, 1);
    pool_stats_add(stats, read.record.wait_ms > 0 ? COUNT_delayed : COUNT_admitted, 1);
    pool_stats_add(stats, COUNT_tokens_reserved, t.fair_cost);
    pool_stats_wait(stats, read.record.wait_ms);
    call_count_permit(p->call, read.record.wait_ms);
    log_granted(p, &read.record, t.fair_cost);
    p->fn(p->arg, &read.record, NULL);
    permit_free(p);
}

static void granted(struct permit *p)
{
    if (p->granted)
        return;
    p->granted = true;
    event_del(p->timer);
    if (p->in_flight)
        return; /* a look is under way: its answer goes on from here */
    p->in_flight = true;
    permit_look(p->all, call_pool(p->call), p->id, 0, on_claimed, p);
}

static void on_grant(void *arg, const struct store_grant *grant)
{
    struct permits *all = arg;
    struct permit *p = map_get(&all->waiting, grant->id);
    if (p)
        granted(p);
}

/* ---- submit and wait */

static void refuse(struct permit *p, const struct store_turn *turn)
{
    struct call_failure f;
    const struct store_pool *pool = pool_agent_pool(agent_of(p));
    pool_stats_add(pool_agent_stats(agent_of(p)), COUNT_refused, 1);
    if (turn->submit == SUBMIT_FULL) {
        call_failure_set(&f, 503, "queue_full",
                         "The queue of %s is full: %" PRId64
                         " tickets wait in it (queue.max_depth). Try again later.",
                         pool->id, turn->queued);
        f.retry_after_ms = 5000;
    } else if (turn->submit == SUBMIT_CIRCUIT) {
        call_failure_circuit(&f, pool->id, turn);
    } else {
        struct store_ticket t;
        call_ticket(p->call, &t);
        if (turn->submit == SUBMIT_TENANT_FULL)
            call_failure_tenant_full(&f, t.tenant, pool->id, turn);
        else
            call_failure_too_large(&f, t.tenant, pool, t.cost, turn);
    }
    fail(p, &f);
}

static void time_out(struct permit *p, int64_t eta_ms, const char *binding)
{
    struct call_failure f;
    bool own;
    const char *pool = pool_agent_pool(agent_of(p))->id;
    const char *limit = pool_store_limit_name(binding, &own);
    const char *whose = own ? "the tenant's own limit, tenants[] or max_share"
                            : "the provider's limit, as configured";
    pool_agent_abandon(agent_of(p), p->id);
    pool_stats_add(pool_agent_stats(agent_of(p)), COUNT_expired, 1);
    call_failure_set(&f, 429, "permit_timeout",
                     "No permit within %" PRId64 " ms (wait_ms): it waits for %s of %s (%s), "
                     "for about %" PRId64 " ms more. Its place "
                     "in the queue was given up.",
                     p->wait_ms, *limit ? limit : "its turn in the queue", pool, whose, eta_ms);
    f.retry_after_ms = eta_ms > 1 ? eta_ms : 1;
    fail(p, &f);
}

static void submit(struct permit *p);

/* Redis lost the ticket, or took this instance for dead: a new one, at the end. */
static void submit_anew(struct permit *p)
{
    struct call_failure f;
    (void)map_remove(&p->all->waiting, p->id);
    key_new_permit_id(pool_agent_pool(agent_of(p))->hash, p->id);
    if (map_put(&p->all->waiting, p->id, p) == 0) {
        submit(p);
        return;
    }
    (void)call_fail_memory(&f);
    fail(p, &f);
}

static void on_looked(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct permit *p = arg;
    const char *binding = reply_text(reply_at(turn->items, 3), NULL);
    bool over = waited_ms(p) >= p->wait_ms;
    (void)pool;
    p->in_flight = false;
    if (p->left) {
        pool_agent_abandon(agent_of(p), p->id);
        permit_free(p);
    } else if (turn->status != REDIS_OK && (over || p->granted)) {
        pool_agent_abandon(agent_of(p), p->id);
        fail_storage(p, turn->status);
    } else if (turn->status != REDIS_OK) {
        look_later(p);
    } else if (p->granted || strcmp(turn->result, "running") == 0) {
        p->granted = false;
        granted(p);
    } else if (over) {
        time_out(p, reply_int(reply_at(turn->items, 1), 0), binding ? binding : "");
    } else if (strcmp(turn->result, "queued") == 0) {
        look_later(p);
    } else {
        submit_anew(p);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct permit *p = arg;
    (void)fd;
    (void)what;
    if (p->failure.status != 0) {
        struct call_failure f = p->failure;
        give_up(p, &f);
        return;
    }
    struct store_look look = {.id = p->id};
    p->in_flight = true;
    pool_store_peek(scheduler_options(p->all->scheduler)->store, pool_agent_pool(agent_of(p)),
                    &look, on_looked, p);
}

static void on_submitted(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct permit *p = arg;
    (void)pool;
    p->in_flight = false;
    if (p->left) {
        if (turn->status == REDIS_OK || turn->status == REDIS_LOST)
            pool_agent_abandon(agent_of(p), p->id);
        permit_free(p);
    } else if (turn->status != REDIS_OK) {
        fail_storage(p, turn->status);
    } else if (turn->submit == SUBMIT_GRANTED || p->granted) {
        p->granted = false; /* the channel may have been faster */
        granted(p);
    } else if (turn->submit == SUBMIT_QUEUED) {
        /* Its own turn may have come with this very answer: the grant is told behind it. */
        look_later(p);
    } else if (turn->submit == SUBMIT_KNOWN) {
        arm(p, 0);
    } else {
        refuse(p, turn);
    }
}

static void submit(struct permit *p)
{
    struct store_ticket t;
    struct store_field fields[7];
    const struct profile_estimate *e = call_estimate(p->call);
    const char *path = wire_path(call_endpoint(p->call)), *model = call_model(p->call);
    char estimate[NUMBER_BYTES * 4], ttl[NUMBER_BYTES], asked[NUMBER_BYTES];

    call_ticket(p->call, &t);
    (void)snprintf(estimate, sizeof(estimate), "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64,
                   e->input, e->output, e->max_output, call_input_bytes(p->call));
    (void)snprintf(ttl, sizeof(ttl), "%" PRId64, p->ttl_ms);
    (void)snprintf(asked, sizeof(asked), "%" PRId64, clock_wall_ms());
    fields[0] = (struct store_field){"ten", t.tenant, strlen(t.tenant)};
    fields[1] = (struct store_field){"mdl", model, strlen(model)};
    fields[2] = (struct store_field){"pe", path, strlen(path)};
    fields[3] = (struct store_field){"est", estimate, strlen(estimate)};
    fields[4] = (struct store_field){"tl", ttl, strlen(ttl)};
    fields[5] = (struct store_field){"cr", asked, strlen(asked)};
    fields[6] = (struct store_field){"ky", call_key(p->call), strlen(call_key(p->call))};
    t.id = p->id;
    t.lease_ms = p->ttl_ms;
    t.fields = fields;
    t.field_count = sizeof(fields) / sizeof(fields[0]);
    p->in_flight = true;
    pool_agent_submit(agent_of(p), &t, on_submitted, p);
}

/* ---- for the owner */

static const struct call_sink no_sink; /* of a call that is never started */

static int permit_index(struct permit *p)
{
    key_new_permit_id(pool_agent_pool(agent_of(p))->hash, p->id);
    p->timer = evtimer_new(scheduler_options(p->all->scheduler)->base, on_timer, p);
    return p->timer ? map_put(&p->all->waiting, p->id, p) : -ENOMEM;
}

struct permit *permit_ask(struct permits *all, const struct permit_ask *ask, permit_fn fn,
                          void *arg, struct call_failure *failure)
{
    struct call_spec spec = ask->call;
    struct permit *p = calloc(1, sizeof(*p));
    spec.for_permit = true;
    spec.max_wait_ms = ask->wait_ms;
    if (!p) {
        free(spec.body);
        (void)call_fail_memory(failure);
        return NULL;
    }
    *p = (struct permit){.all = all, .wait_ms = ask->wait_ms, .fn = fn, .arg = arg};
    p->asked_us = clock_mono_us();
    p->call = call_new(all->scheduler, &spec, &no_sink, NULL, failure);
    if (!p->call) {
        free(p);
        return NULL;
    }
    p->ttl_ms = ask->ttl_ms;
    if (p->ttl_ms == 0)
        p->ttl_ms = PERMIT_TTL_MS + pool_agent_pool(agent_of(p))->limits.lease_ms;
    if (permit_index(p) < 0) {
        (void)call_fail_memory(failure);
        permit_free(p);
        return NULL;
    }
    p->expected = true;
    pool_agent_expect(agent_of(p));
    p->starting = true;
    submit(p);
    p->starting = false;
    return p;
}

void permit_leave(struct permit *p)
{
    p->left = true;
    (void)map_remove(&p->all->waiting, p->id);
    if (p->in_flight)
        return; /* its answer takes the ticket out */
    if (p->failure.status == 0)
        pool_agent_abandon(agent_of(p), p->id);
    permit_free(p);
}

struct permits *permits_new(struct scheduler *s)
{
    struct permits *all = calloc(1, sizeof(*all));
    if (!all)
        return NULL;
    all->scheduler = s;
    map_init(&all->waiting, rand_next(scheduler_rand(s)));
    scheduler_on_permit(s, on_grant, all);
    return all;
}

void permits_free(struct permits *all)
{
    if (!all)
        return;
    scheduler_on_permit(all->scheduler, NULL, NULL);
    map_release(&all->waiting);
    free(all);
}
