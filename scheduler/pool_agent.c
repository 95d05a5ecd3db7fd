#include "scheduler/pool_agent.h"

#include "common/clock.h"
#include "common/log.h"
#include "storage/redis_reply.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_BUSY_MS  1000
#define TICK_IDLE_MS  5000
#define FLUSH_MS      2000
#define RETRY_MS      1000  /* a settle that Redis refused (busy, full, loading) */
#define MOST_REFUSALS 5     /* of one settle, by an error of no known kind: it will not pass */
#define REAP_GRACE_MS 10000 /* after a reconnect: twice the longest reconnect backoff */

struct pool_agent {
    struct pool_store *store;
    struct store_pool pool;
    struct pool_agent_hooks hooks;
    struct pool_stats stats;
    struct event *look;  /* the queue's own timer */
    struct event *tick;  /* heartbeat, reap, flush */
    struct event *retry; /* settles that wait for another try */
    struct list held;
    size_t held_count, waiting;
    struct list unsettled;
    size_t unsettled_count;
    struct store_level levels[POOL_MAX_DIMS];
    size_t level_count;
    int64_t queued, data_losses;
    bool looking, up, stopped, freed;
    int64_t up_since_ms, beat_ms, flush_ms;
    size_t inflight; /* store calls that will still call back */
};

/* A settle or cancel, kept until Redis has answered it. One block with copies of all texts. */
struct closing {
    struct list link;
    struct pool_agent *agent;
    struct store_outcome outcome; /* fence 0: a cancel */
    char dims[POOL_MAX_DIMS][8];  /* what outcome.actual stands in the order of */
    size_t dim_count;
    int refusals; /* by Redis itself, with an error that may be for good */
    struct store_field fields[STORE_MAX_FIELDS];
    char id[TICKET_ID_BYTES];
    char pause_dim[8];
    pool_store_fn fn;
    void *arg;
    bool sent;
};

static void arm(struct event *timer, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(timer, &tv);
}

static void agent_destroy(struct pool_agent *a)
{
    event_free(a->look);
    event_free(a->tick);
    event_free(a->retry);
    free(a);
}

/* Every store call passes through begin and end, so that a freed agent outlives its answers. */
static void begin(struct pool_agent *a)
{
    a->inflight++;
}

static bool end(struct pool_agent *a)
{
    a->inflight--;
    if (a->freed && a->inflight == 0)
        agent_destroy(a);
    else if (!a->freed)
        return true;
    return false;
}

static void notice_loss(struct pool_agent *a)
{
    if (a->data_losses == a->pool.data_losses)
        return;
    a->data_losses = a->pool.data_losses;
    if (a->hooks.on_data_lost)
        a->hooks.on_data_lost(a->hooks.arg, a);
}

static void take_turn(struct pool_agent *a, const struct store_turn *turn)
{
    if (turn->status != REDIS_OK)
        return;
    memcpy(a->levels, turn->levels, sizeof(a->levels));
    a->level_count = turn->level_count;
    a->queued = turn->queued;
    if (turn->wait_ms >= 0 && !a->stopped)
        arm(a->look, turn->wait_ms);
    else if (turn->wait_ms != POOL_WAIT_KEEP)
        event_del(a->look);
    notice_loss(a);
    /* Last: a hook may submit or settle, and so come back here. */
    for (size_t i = 0; i < turn->grant_count; i++)
        a->hooks.on_grant(a->hooks.arg, a, &turn->grants[i]);
}

/* Calls that wait here are granted whatever else runs: only this instance can take them. */
static int room(const struct pool_agent *a)
{
    int most = a->hooks.room(a->hooks.arg);
    return most > 0 || a->waiting == 0 ? most : 1;
}

/* The queue may hold tickets of ours that no reply has told of: one in its backoff is not in it. */
static bool is_busy(const struct pool_agent *a)
{
    return a->held_count > 0 || a->waiting > 0 || a->queued > 0 || a->unsettled_count > 0;
}

static void on_looked(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_agent *a = arg;
    (void)pool;
    a->looking = false;
    if (end(a))
        take_turn(a, turn);
}

void pool_agent_wake(struct pool_agent *a)
{
    int most = room(a);
    if (a->looking || !a->up || most == 0)
        return;
    a->looking = true;
    begin(a);
    pool_store_dispatch(a->store, &a->pool, most, on_looked, a);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    pool_agent_wake(arg);
}

static void on_beat(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_agent *a = arg;
    (void)pool;
    if (!end(a) || turn->status != REDIS_OK)
        return;
    notice_loss(a);
    size_t n = reply_count(turn->items);
    for (size_t i = 1; i + 1 < n; i += 2) {
        struct store_lease lease = {.id = reply_text(reply_at(turn->items, i), NULL),
                                    .fence = reply_int(reply_at(turn->items, i + 1), 0)};
        if (lease.id)
            a->hooks.on_lost(a->hooks.arg, a, &lease);
    }
}

static void beat(struct pool_agent *a)
{
    struct store_lease leases[STORE_MAX_LEASES];
    struct list *at = a->held.next;
    do {
        size_t n = 0;
        for (; at != &a->held && n < STORE_MAX_LEASES; at = at->next) {
            const struct holding *h = LIST_ITEM(at, struct holding, link);
            leases[n++] = (struct store_lease){h->id, h->fence};
        }
        begin(a);
        pool_store_heartbeat(a->store, &a->pool, leases, n, on_beat, a);
    } while (at != &a->held);
}

static void on_reaped(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_agent *a = arg;
    (void)pool;
    if (!end(a))
        return;
    int64_t n = turn->status == REDIS_OK ? reply_int(reply_at(turn->items, 1), 0) : 0;
    if (n > 0) {
        char count[LOG_NUMBER_BYTES];
        log_write(LOG_WARN, "leases ended, tickets taken back", "pool", a->pool.id, "tickets",
                  log_number(count, n), NULL);
    }
    take_turn(a, turn);
}

static void flush(struct pool_agent *a)
{
    struct store_count counts[COUNT_MAX + WAIT_BUCKETS];
    static const char *const no_name = "";
    char names[WAIT_BUCKETS][8];
    size_t n = 0;
    for (size_t i = 0; i < COUNT_MAX; i++) {
        if (a->stats.unsent[i] != 0)
            counts[n++] =
                (struct store_count){pool_counter_name((enum pool_counter)i), a->stats.unsent[i]};
    }
    for (size_t i = 0; i < WAIT_BUCKETS; i++) {
        if (a->stats.waits_unsent[i] == 0)
            continue;
        int len = snprintf(names[i], sizeof(names[i]), "w:%zu", i);
        counts[n++] = (struct store_count){len > 0 ? names[i] : no_name, a->stats.waits_unsent[i]};
    }
    pool_store_count(a->store, &a->pool, counts, n);
    memset(a->stats.unsent, 0, sizeof(a->stats.unsent));
    memset(a->stats.waits_unsent, 0, sizeof(a->stats.waits_unsent));
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct pool_agent *a = arg;
    (void)fd;
    (void)what;
    int64_t now_ms = clock_mono_ms();
    bool busy = is_busy(a);
    arm(a->tick, busy ? TICK_BUSY_MS : TICK_IDLE_MS);
    if (!a->up)
        return;
    if (busy && now_ms - a->beat_ms >= a->pool.limits.lease_ms / 3) {
        a->beat_ms = now_ms;
        beat(a);
    }
    if (now_ms - a->flush_ms >= FLUSH_MS) {
        a->flush_ms = now_ms;
        flush(a);
    }
    if (now_ms - a->up_since_ms >= REAP_GRACE_MS) {
        begin(a);
        pool_store_reap(a->store, &a->pool, room(a), on_reaped, a);
    }
}

static void closing_free(struct closing *c)
{
    list_remove(&c->link);
    c->agent->unsettled_count--;
    free(c);
}

static void send_closing(struct closing *c);

/* The end of a closing, with what Redis answered or why it will not any more. */
static void closing_end(struct closing *c, const struct store_turn *turn)
{
    struct pool_agent *a = c->agent;
    pool_store_fn fn = c->fn;
    void *arg = c->arg;
    closing_free(c);
    if (fn)
        fn(arg, &a->pool, turn);
}

static void on_closed(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct closing *c = arg;
    struct pool_agent *a = c->agent;
    (void)pool;
    c->sent = false;
    if (turn->status == REDIS_ERROR && ++c->refusals == MOST_REFUSALS)
        log_write(LOG_ERROR, "redis does not take a settle; its lease will end", "ticket", c->id,
                  "pool", a->pool.id, NULL);
    if (turn->status == REDIS_OK || a->stopped || c->refusals == MOST_REFUSALS) {
        closing_end(c, turn);
        if (end(a))
            take_turn(a, turn);
        return;
    }
    if (end(a) && a->up)
        arm(a->retry, RETRY_MS);
}

/* The limits may have changed since: the actuals follow the names of their dimensions. */
static struct store_outcome outcome_now(const struct closing *c)
{
    const struct pool_limits *now = &c->agent->pool.limits;
    struct store_outcome o = c->outcome;
    for (size_t i = 0; i < now->dim_count; i++) {
        o.actual[i] = -1;
        for (size_t k = 0; k < c->dim_count; k++) {
            if (strcmp(c->dims[k], now->dims[i].name) == 0)
                o.actual[i] = c->outcome.actual[k];
        }
    }
    return o;
}

static void send_closing(struct closing *c)
{
    struct pool_agent *a = c->agent;
    struct store_outcome o = outcome_now(c);
    c->sent = true;
    begin(a);
    if (o.fence == 0)
        pool_store_cancel(a->store, &a->pool, c->id, room(a), on_closed, c);
    else
        pool_store_settle(a->store, &a->pool, &o, room(a), on_closed, c);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct pool_agent *a = arg;
    (void)fd;
    (void)what;
    for (struct list *at = a->unsettled.next, *next; at != &a->unsettled && a->up; at = next) {
        struct closing *c = LIST_ITEM(at, struct closing, link);
        next = at->next;
        if (!c->sent)
            send_closing(c);
    }
}

/* A copy of o with all it points to, in one block. */
static struct closing *closing_new(struct pool_agent *a, const struct store_outcome *o)
{
    size_t bytes = 0;
    for (size_t i = 0; i < o->field_count; i++)
        bytes += o->fields[i].len;
    struct closing *c = calloc(1, sizeof(*c) + bytes);
    if (!c)
        return NULL;
    c->agent = a;
    c->outcome = *o;
    c->dim_count = a->pool.limits.dim_count;
    for (size_t i = 0; i < c->dim_count; i++)
        memcpy(c->dims[i], a->pool.limits.dims[i].name, sizeof(c->dims[i]));
    (void)snprintf(c->id, sizeof(c->id), "%s", o->id);
    c->outcome.id = c->id;
    if (o->pause_dim) {
        (void)snprintf(c->pause_dim, sizeof(c->pause_dim), "%s", o->pause_dim);
        c->outcome.pause_dim = c->pause_dim;
    }
    char *at = (char *)(c + 1);
    for (size_t i = 0; i < o->field_count; i++) {
        memcpy(at, o->fields[i].value, o->fields[i].len);
        c->fields[i] = (struct store_field){o->fields[i].name, at, o->fields[i].len};
        at += o->fields[i].len;
    }
    c->outcome.fields = c->fields;
    list_add_last(&a->unsettled, &c->link);
    a->unsettled_count++;
    return c;
}

/* Those that nobody will send any more. */
static void drop_closings(struct pool_agent *a)
{
    const struct store_turn down = {
        .status = REDIS_DOWN, .result = "", .detail = "", .binding = ""};
    for (struct list *at = a->unsettled.next, *next; at != &a->unsettled; at = next) {
        struct closing *c = LIST_ITEM(at, struct closing, link);
        next = at->next;
        if (!c->sent)
            closing_end(c, &down);
    }
}

void pool_agent_settle(struct pool_agent *a, const struct store_outcome *o, pool_store_fn fn,
                       void *arg)
{
    struct closing *c = closing_new(a, o);
    if (!c) {
        /* The lease ends by itself and the ticket is taken back; nothing better without memory. */
        struct store_turn turn = {.status = REDIS_BUSY_LOCAL, .result = "", .detail = ""};
        log_write(LOG_ERROR, "no memory to settle a ticket", "ticket", o->id, NULL);
        if (fn)
            fn(arg, &a->pool, &turn);
        return;
    }
    c->fn = fn;
    c->arg = arg;
    if (a->up)
        send_closing(c);
    else if (a->stopped)
        drop_closings(a);
}

void pool_agent_cancel(struct pool_agent *a, const char *id, pool_store_fn fn, void *arg)
{
    struct store_outcome o = {.id = id};
    pool_agent_settle(a, &o, fn, arg);
}

struct submission {
    struct pool_agent *agent;
    pool_store_fn fn;
    void *arg;
};

static void on_submitted(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct submission *s = arg;
    struct pool_agent *a = s->agent;
    (void)pool;
    s->fn(s->arg, &a->pool, turn);
    free(s);
    if (end(a))
        take_turn(a, turn);
}

void pool_agent_submit(struct pool_agent *a, const struct store_ticket *t, pool_store_fn fn,
                       void *arg)
{
    struct submission *s = malloc(sizeof(*s));
    if (!s) {
        struct store_turn turn = {.status = REDIS_BUSY_LOCAL, .result = "", .detail = ""};
        fn(arg, &a->pool, &turn);
        return;
    }
    *s = (struct submission){a, fn, arg};
    begin(a);
    pool_store_submit(a->store, &a->pool, t, room(a), on_submitted, s);
}

void pool_agent_hold(struct pool_agent *a, struct holding *h)
{
    list_add_last(&a->held, &h->link);
    a->held_count++;
}

void pool_agent_release(struct pool_agent *a, struct holding *h)
{
    list_remove(&h->link);
    a->held_count--;
}

void pool_agent_expect(struct pool_agent *a)
{
    a->waiting++;
}

void pool_agent_unexpect(struct pool_agent *a)
{
    assert(a->waiting > 0);
    a->waiting--;
}

static void on_configured(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_agent *a = arg;
    (void)pool;
    if (!end(a))
        return;
    if (turn->status != REDIS_OK)
        log_write(LOG_WARN, "limits were not told to redis", "pool", a->pool.id, "reason",
                  redis_status_name(turn->status), NULL);
    else
        pool_agent_wake(a);
}

void pool_agent_configure(struct pool_agent *a, const struct pool_limits *limits)
{
    a->pool.limits = *limits;
    if (!a->up)
        return;
    begin(a);
    pool_store_configure(a->store, &a->pool, on_configured, a);
}

void pool_agent_connected(struct pool_agent *a, bool up)
{
    a->up = up;
    if (!up)
        return;
    a->up_since_ms = clock_mono_ms();
    a->beat_ms = a->up_since_ms;
    if (is_busy(a))
        beat(a);
    on_retry(-1, 0, a);
    begin(a);
    pool_store_configure(a->store, &a->pool, on_configured, a);
}

struct pool_agent *pool_agent_new(struct event_base *base, struct pool_store *store,
                                  const struct store_pool *pool,
                                  const struct pool_agent_hooks *hooks)
{
    struct pool_agent *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->store = store;
    a->pool = *pool;
    a->hooks = *hooks;
    list_init(&a->held);
    list_init(&a->unsettled);
    a->look = evtimer_new(base, on_look, a);
    a->tick = evtimer_new(base, on_tick, a);
    a->retry = evtimer_new(base, on_retry, a);
    if (!a->look || !a->tick || !a->retry) {
        if (a->look)
            event_free(a->look);
        if (a->tick)
            event_free(a->tick);
        if (a->retry)
            event_free(a->retry);
        free(a);
        return NULL;
    }
    arm(a->tick, TICK_BUSY_MS);
    return a;
}

void pool_agent_stop(struct pool_agent *a)
{
    if (a->stopped)
        return;
    a->stopped = true;
    event_del(a->look);
    event_del(a->tick);
    event_del(a->retry);
    if (a->up)
        flush(a);
    drop_closings(a);
}

void pool_agent_free(struct pool_agent *a)
{
    if (!a)
        return;
    pool_agent_stop(a);
    a->freed = true;
    if (a->inflight == 0)
        agent_destroy(a);
}

struct store_pool *pool_agent_pool(struct pool_agent *a)
{
    return &a->pool;
}

struct pool_stats *pool_agent_stats(struct pool_agent *a)
{
    return &a->stats;
}

const struct store_level *pool_agent_levels(const struct pool_agent *a, size_t *ret_count)
{
    *ret_count = a->level_count;
    return a->levels;
}

int64_t pool_agent_queued(const struct pool_agent *a)
{
    return a->queued;
}

size_t pool_agent_held(const struct pool_agent *a)
{
    return a->held_count;
}

bool pool_agent_is_idle(const struct pool_agent *a)
{
    return a->held_count == 0 && a->waiting == 0 && a->unsettled_count == 0 && a->inflight == 0;
}

size_t pool_agent_unsettled(const struct pool_agent *a)
{
    return a->unsettled_count;
}
