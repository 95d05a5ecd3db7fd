#include "scheduler/pool_agent_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "storage/redis_reply.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_BUSY_MS 1000
#define TICK_IDLE_MS 2500 /* with the lease, the longest that a dead instance is not noticed */
#define FLUSH_MS     2000
#define HAND_BACK_MS 1000

void pool_agent_arm(struct event *timer, int64_t ms)
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
void pool_agent_begin(struct pool_agent *a)
{
    a->inflight++;
}

bool pool_agent_end(struct pool_agent *a)
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

void pool_agent_take_turn(struct pool_agent *a, const struct store_turn *turn)
{
    if (turn->status != REDIS_OK)
        return;
    memcpy(a->levels, turn->levels, sizeof(a->levels));
    a->level_count = turn->level_count;
    a->queued = turn->queued;
    a->foreseen_output = turn->foreseen_output;
    a->turn_ms = clock_mono_ms();
    if (turn->wait_ms >= 0 && !a->stopped)
        pool_agent_arm(a->look, turn->wait_ms);
    else if (turn->wait_ms != POOL_WAIT_KEEP)
        event_del(a->look);
    notice_loss(a);
    /* Last: a hook may submit or settle, and so come back here. */
    for (size_t i = 0; i < turn->grant_count; i++)
        a->hooks.on_grant(a->hooks.arg, a, &turn->grants[i]);
}

/* Calls that wait here are granted whatever else runs: only this instance can take them. */
int pool_agent_room(const struct pool_agent *a)
{
    int most = a->hooks.room(a->hooks.arg);
    return most > 0 || a->waiting == 0 ? most : 1;
}

int64_t pool_agent_hand_back_ms(const struct pool_agent *a)
{
    return pool_agent_room(a) > 0 ? HAND_BACK_MS : 0;
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
    if (pool_agent_end(a))
        pool_agent_take_turn(a, turn);
}

void pool_agent_wake(struct pool_agent *a)
{
    int most = pool_agent_room(a);
    if (a->looking || !a->up || most == 0)
        return;
    a->looking = true;
    pool_agent_begin(a);
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
    if (!pool_agent_end(a))
        return;
    if (turn->status != REDIS_OK) {
        a->beat_ms = 0; /* a Redis that was loading is told as soon as it can hear */
        return;
    }
    notice_loss(a);
    size_t n = reply_count(turn->items);
    for (size_t i = 1; i + 1 < n; i += 2) {
        struct store_lease lease = {.id = reply_text(reply_at(turn->items, i), NULL),
                                    .fence = reply_int(reply_at(turn->items, i + 1), 0)};
        if (lease.id)
            a->hooks.on_lost(a->hooks.arg, a, &lease);
    }
    /* Taken for dead, or forgotten with the pool's data: what waited here may be gone. */
    if (strcmp(turn->result, "new") == 0 && a->waiting > 0 && a->up)
        a->hooks.on_again(a->hooks.arg, a, NULL);
}

static void beat(struct pool_agent *a)
{
    struct store_lease leases[STORE_MAX_LEASES];
    struct list *at = a->held.next;
    do {
        size_t n = 0;
        for (; at != &a->held && n < STORE_MAX_LEASES; at = at->next) {
            const struct holding *h = LIST_ITEM(at, struct holding, link);
            if (!h->local)
                leases[n++] = (struct store_lease){h->id, h->fence};
        }
        pool_agent_begin(a);
        pool_store_heartbeat(a->store, &a->pool, leases, n, on_beat, a);
    } while (at != &a->held);
}

static void on_reaped(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_agent *a = arg;
    (void)pool;
    if (!pool_agent_end(a))
        return;
    int64_t n = turn->status == REDIS_OK ? reply_int(reply_at(turn->items, 1), 0) : 0;
    for (size_t i = 2; i < (size_t)n + 2; i++) {
        const char *id = reply_text(reply_at(turn->items, i), NULL);
        pool_stats_add(&a->stats, COUNT_permits_expired, id && key_is_permit(id));
    }
    if (n > 0) {
        char count[LOG_NUMBER_BYTES];
        log_write(LOG_WARN, "leases ended, tickets taken back", "pool", a->pool.id, "tickets",
                  log_number(count, n), NULL);
    }
    pool_agent_take_turn(a, turn);
}

static void flush(struct pool_agent *a)
{
    struct store_count counts[COUNT_MAX + WAIT_BUCKETS + DETAILS];
    static const char *const no_name = "";
    char names[WAIT_BUCKETS][8], fields[DETAILS][DETAIL_FIELD_BYTES];
    struct pool_details *details = &a->stats.details;
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
    for (size_t i = 0; i < DETAILS; i++) {
        if (details->unsent[i] != 0)
            counts[n++] = (struct store_count){detail_field(i, fields[i]), details->unsent[i]};
    }
    pool_store_count(a->store, &a->pool, counts, n);
    memset(details->unsent, 0, sizeof(details->unsent));
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
    pool_agent_arm(a->tick, busy ? TICK_BUSY_MS : TICK_IDLE_MS);
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
    if (now_ms >= a->reap_from_ms) {
        pool_agent_begin(a);
        pool_store_reap(a->store, &a->pool, pool_agent_room(a), on_reaped, a);
    }
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct pool_agent *a = arg;
    (void)fd;
    (void)what;
    if (a->linked && !a->up)
        pool_agent_recover(a);
    else if (a->up)
        (void)pool_agent_charge(a);
    pool_agent_send_closings(a);
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
    if (pool_agent_end(a))
        pool_agent_take_turn(a, turn);
}

void pool_agent_submit(struct pool_agent *a, const struct store_ticket *t, pool_store_fn fn,
                       void *arg)
{
    struct submission *s;
    /* A permit must stand where every instance can find it. */
    if (!t->is_job && t->lease_ms == 0 && pool_agent_enter_local(a)) {
        pool_local_submit(a->local, t, fn, arg);
        return;
    }
    s = malloc(sizeof(*s));
    if (!s) {
        struct store_turn turn = {.status = REDIS_BUSY_LOCAL, .result = "", .detail = ""};
        fn(arg, &a->pool, &turn);
        return;
    }
    *s = (struct submission){a, fn, arg};
    pool_agent_begin(a);
    pool_store_submit(a->store, &a->pool, t, pool_agent_room(a), on_submitted, s);
}

static void on_ridden(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct submission *s = arg;
    (void)pool;
    if (pool_agent_end(s->agent))
        pool_agent_take_turn(s->agent, turn);
    s->fn(s->arg, NULL, turn);
    free(s);
}

void pool_agent_ride(struct pool_agent *a, const struct store_ride *r, pool_store_fn fn, void *arg)
{
    struct submission *s = a->up ? malloc(sizeof(*s)) : NULL;
    if (!s) {
        struct store_turn turn = {.status = REDIS_BUSY_LOCAL, .result = "", .detail = ""};
        fn(arg, NULL, &turn);
        return;
    }
    *s = (struct submission){a, fn, arg};
    pool_agent_begin(a);
    pool_store_ride(a->store, &a->pool, r, on_ridden, s);
}

void pool_agent_hold(struct pool_agent *a, struct holding *h)
{
    h->local = pool_agent_is_local(a, h->id);
    list_add_last(&a->held, &h->link);
    a->held_count++;
    if (a->local && pool_local_is_entered(a->local))
        pool_local_occupy(a->local, h->id);
}

void pool_agent_release(struct pool_agent *a, struct holding *h)
{
    list_remove(&h->link);
    a->held_count--;
    if (a->local)
        pool_local_vacate(a->local, h->id);
}

static void on_accrued(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_agent *a = arg;
    (void)pool;
    if (pool_agent_end(a))
        pool_agent_take_turn(a, turn);
}

void pool_agent_accrue(struct pool_agent *a, const struct holding *h,
                       const int64_t produced[POOL_MAX_DIMS])
{
    const struct store_lease lease = {.id = h->id, .fence = h->fence};
    if (pool_agent_is_local(a, h->id)) {
        pool_local_accrue(a->local, h->id, h->fence, produced);
        if (a->up)
            (void)pool_agent_charge(a);
        return;
    }
    if (!a->up)
        return;
    pool_agent_begin(a);
    pool_store_accrue(a->store, &a->pool, &lease, produced, on_accrued, a);
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
    if (!pool_agent_end(a))
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
    pool_agent_configure_local(a);
    if (!a->up)
        return;
    pool_agent_begin(a);
    pool_store_configure(a->store, &a->pool, on_configured, a);
}

void pool_agent_reap_in(struct pool_agent *a, int64_t ms)
{
    a->reap_from_ms = clock_mono_ms() + ms;
}

/* Redis decides again. */
void pool_agent_go_central(struct pool_agent *a)
{
    a->up = true;
    if (a->local)
        pool_agent_leave_local(a);
    a->beat_ms = clock_mono_ms();
    a->reap_from_ms = a->beat_ms + POOL_AGENT_GRACE_MS;
    if (is_busy(a))
        beat(a);
    pool_agent_send_closings(a);
    pool_agent_begin(a);
    pool_store_configure(a->store, &a->pool, on_configured, a);
    if (a->local)
        a->hooks.on_again(a->hooks.arg, a, NULL);
}

struct pool_agent *pool_agent_new(struct event_base *base, struct pool_store *store,
                                  const struct store_pool *pool,
                                  const struct pool_agent_hooks *hooks)
{
    struct pool_agent *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->base = base;
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
    pool_agent_arm(a->tick, TICK_BUSY_MS);
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
    if (a->local)
        pool_local_stop(a->local);
    if (a->up)
        flush(a);
    pool_agent_drop_closings(a);
}

void pool_agent_free(struct pool_agent *a)
{
    if (!a)
        return;
    pool_agent_stop(a);
    pool_local_free(a->local);
    a->local = NULL;
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

int64_t pool_agent_foreseen_output(const struct pool_agent *a)
{
    return a->foreseen_output;
}

size_t pool_agent_held(const struct pool_agent *a)
{
    return a->held_count;
}

bool pool_agent_is_idle(const struct pool_agent *a)
{
    return a->held_count == 0 && a->waiting == 0 && pool_agent_unsettled(a) == 0 &&
           a->inflight == 0;
}

size_t pool_agent_unsettled(const struct pool_agent *a)
{
    return a->unsettled_count + (a->local && !pool_local_is_charged(a->local));
}
