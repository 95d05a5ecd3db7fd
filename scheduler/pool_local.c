#include "scheduler/pool_local_internal.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER_MS     INT64_MAX
#define ORDER_MAX_US ((INT64_C(1) << 53) - 1)

/* A submit, or an answer (result), that is told from the loop. */
struct arrival {
    struct list link;
    char id[TICKET_ID_BYTES], tenant[TENANT_NAME_BYTES];
    struct store_ticket ticket;
    const char *result; /* NULL: a submit */
    pool_store_fn fn;
    void *arg;
};

/* ---- the timer */

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static void arm(struct pool_local *l)
{
    int64_t now_ms = clock_mono_ms(), next_ms = NEVER_MS;
    if (!l->held && !list_is_empty(&l->arrivals))
        next_ms = now_ms;
    if (!l->held && l->pool)
        next_ms = sooner(next_ms, l->look_ms);
    for (struct list *at = l->entries.next; at != &l->entries && l->parked > 0; at = at->next) {
        const struct entry *e = LIST_ITEM(at, struct entry, link);
        if (e->place == PARKED)
            next_ms = sooner(next_ms, e->due_ms);
    }
    if (next_ms == NEVER_MS) {
        event_del(l->timer);
        return;
    }
    int64_t ms = next_ms > now_ms ? next_ms - now_ms : 0;
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(l->timer, &tv);
}

/* A settle never grants from inside: its caller may be a grant, and so on without end. */
static void look_soon(struct pool_local *l)
{
    l->look_ms = 0;
    arm(l);
}

/* ---- entries */

static struct entry *entry_new(struct pool_local *l, const struct store_ticket *t)
{
    struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    (void)snprintf(e->id, sizeof(e->id), "%s", t->id);
    if (map_put(&l->by_id, e->id, e) < 0) {
        free(e);
        return NULL;
    }
    spent_read_cost(&l->spent, &l->options.pool->limits, t->cost, &e->cost);
    e->pooled = true;
    list_add_last(&l->entries, &e->link);
    return e;
}

static void entry_free(struct pool_local *l, struct entry *e)
{
    l->parked -= e->place == PARKED;
    list_remove(&e->link);
    (void)map_remove(&l->by_id, e->id);
    free(e);
}

static void entry_granted(struct pool_local *l, struct entry *e, int64_t fence)
{
    e->place = RUNNING;
    e->fence = fence;
    l->grants++;
    spent_grant(&l->spent, &e->cost);
    pool_stats_add(l->options.stats, COUNT_local_grants, 1);
}

/* ---- submits */

static const struct dim_limit *too_large(const struct pool_limits *whole, const int64_t *cost)
{
    for (size_t i = 0; i < whole->dim_count; i++) {
        if (cost[i] > whole->dims[i].capacity)
            return &whole->dims[i];
    }
    return NULL;
}

/* Whether the cost can ever fit the share, which grows for it. */
static bool fits_share(struct pool_local *l, const int64_t *cost, int64_t now_ms)
{
    if (!l->shared)
        return true;
    enum share_fit fit = share_raise(&l->share, cost);
    return fit == SHARE_FITS ||
           (fit == SHARE_RAISED && pool_configure(l->pool, &l->share.limits, now_ms) == 0);
}

static int put(struct pool_local *l, const struct store_ticket *t, int64_t now_ms,
               struct pool_turn *turn)
{
    int64_t order_us = now_ms * 1000 + t->aging_ms * 1000;
    struct ticket ticket = {
        .id = t->id,
        .class = t->class,
        .tenant = t->tenant,
        .weight = t->weight,
        .fair_cost = t->fair_cost < FAIR_MAX_TOKENS ? t->fair_cost : FAIR_MAX_TOKENS,
        .order_us = order_us < ORDER_MAX_US ? order_us : ORDER_MAX_US,
        .deadline_ms = t->deadline_in_ms > 0 ? now_ms + t->deadline_in_ms : 0,
    };
    memcpy(ticket.cost, t->cost, sizeof(ticket.cost));
    /* No grants but its own: others are told by the look that follows. */
    return pool_submit(l->pool, &ticket, 0, now_ms, turn);
}

/* A tenant's own limit, as the scripts would name it; the pool's were looked at before. */
static void explain(const struct pool_local *l, const struct store_ticket *t,
                    const struct pool_turn *turn, struct store_turn *ret)
{
    const struct quota *q = pool_quota(l->pool, t->tenant);
    const struct dim_limit *d = q && turn->binding >= 0 ? &q->dims[turn->binding].limit : NULL;
    ret->detail = d ? pool_store_own_name(d->name) : "All";
    ret->detail_number = d ? d->capacity : q ? q->max_depth : 0;
}

static enum redis_status judged(struct pool_local *l, const struct store_ticket *t,
                                struct store_turn *ret)
{
    int64_t now_ms = clock_mono_ms();
    struct pool_turn turn;
    struct entry *e = entry_new(l, t);
    int rc = e ? put(l, t, now_ms, &turn) : -ENOMEM;
    if (rc == SUBMIT_GRANTED) {
        entry_granted(l, e, turn.grants[0].fence);
        ret->fence = turn.grants[0].fence;
        ret->seq = turn.grants[0].seq;
    } else if (rc == SUBMIT_QUEUED) {
        l->look_ms = 0;
    } else if (e) {
        entry_free(l, e);
    }
    if (rc == SUBMIT_TOO_LARGE || rc == SUBMIT_TENANT_FULL)
        explain(l, t, &turn, ret);
    ret->submit = rc >= 0 ? (enum submit_result)rc : SUBMIT_FULL;
    if (rc == SUBMIT_KNOWN)
        ret->detail = ticket_state_name(pool_ticket_state(l->pool, t->id));
    for (int c = 0; c < CLASS_COUNT; c++)
        ret->queued += pool_depth(l->pool, (enum pool_class)c);
    return rc < 0 ? REDIS_BUSY_LOCAL : REDIS_OK;
}

static void admit(struct pool_local *l, const struct store_ticket *t, struct store_turn *ret)
{
    const struct dim_limit *d = too_large(&l->options.pool->limits, t->cost);
    const struct entry *known = map_get(&l->by_id, t->id);
    if (!l->pool) {
        ret->status = REDIS_DOWN;
    } else if (d) {
        ret->submit = SUBMIT_TOO_LARGE;
        ret->detail = d->name;
        ret->detail_number = d->capacity;
    } else if (known) {
        ret->submit = SUBMIT_KNOWN;
        ret->detail = known->place == RUNNING ? "running" : "queued";
        ret->fence = known->fence;
    } else {
        ret->status = fits_share(l, t->cost, clock_mono_ms()) ? judged(l, t, ret) : REDIS_DOWN;
    }
}

static void arrival_end(struct pool_local *l, struct arrival *a, bool stopped)
{
    struct store_turn turn = {.result = a->result ? a->result : "",
                              .detail = "",
                              .binding = "",
                              .wait_ms = POOL_WAIT_KEEP};
    pool_store_fn fn = a->fn;
    void *arg = a->arg;
    if (stopped)
        turn.status = REDIS_DOWN;
    else if (!a->result)
        admit(l, &a->ticket, &turn);
    list_remove(&a->link);
    free(a);
    fn(arg, l->options.pool, &turn);
}

/* Only those of now: a submit that is repeated at once must not hold the loop. */
static void take_arrivals(struct pool_local *l, bool stopped)
{
    struct list now;
    list_init(&now);
    while (!list_is_empty(&l->arrivals)) {
        struct list *first = l->arrivals.next;
        list_remove(first);
        list_add_last(&now, first);
    }
    while (!list_is_empty(&now))
        arrival_end(l, LIST_ITEM(now.next, struct arrival, link), stopped);
}

static struct arrival *arrival_new(struct pool_local *l, pool_store_fn fn, void *arg)
{
    struct arrival *a = calloc(1, sizeof(*a));
    if (!a) {
        struct store_turn turn = {
            .status = REDIS_BUSY_LOCAL, .result = "", .detail = "", .binding = ""};
        fn(arg, l->options.pool, &turn);
        return NULL;
    }
    a->fn = fn;
    a->arg = arg;
    list_add_last(&l->arrivals, &a->link);
    return a;
}

void pool_local_submit(struct pool_local *l, const struct store_ticket *t, pool_store_fn fn,
                       void *arg)
{
    struct arrival *a = arrival_new(l, fn, arg);
    if (!a)
        return;
    a->ticket = *t;
    (void)snprintf(a->id, sizeof(a->id), "%s", t->id);
    (void)snprintf(a->tenant, sizeof(a->tenant), "%s", t->tenant);
    a->ticket.id = a->id;
    a->ticket.tenant = a->tenant;
    arm(l);
}

static void tell(struct pool_local *l, const char *result, pool_store_fn fn, void *arg)
{
    struct arrival *a = fn ? arrival_new(l, fn, arg) : NULL;
    if (a)
        a->result = result;
    arm(l);
}

/* ---- grants */

static void look(struct pool_local *l, int64_t now_ms)
{
    struct pool_turn turn;
    pool_dispatch(l->pool, DISPATCH_MAX_GRANTS, now_ms, &turn);
    l->look_ms = turn.wait_ms >= 0 ? now_ms + turn.wait_ms : NEVER_MS;
    for (size_t i = 0; i < turn.grant_count; i++) {
        struct entry *e = map_get(&l->by_id, turn.grants[i].id);
        if (!e || !e->pooled)
            continue; /* one that occupies a slot */
        struct store_grant grant = {.fence = turn.grants[i].fence, .seq = turn.grants[i].seq};
        memcpy(grant.id, e->id, sizeof(grant.id));
        entry_granted(l, e, grant.fence);
        l->options.hooks.on_grant(l->options.hooks.arg, &grant);
    }
}

/* True when one was due; it may have changed the list. */
static bool wake_one(struct pool_local *l, int64_t now_ms)
{
    for (struct list *at = l->entries.next; at != &l->entries && l->parked > 0; at = at->next) {
        struct entry *e = LIST_ITEM(at, struct entry, link);
        if (e->place != PARKED || e->due_ms > now_ms)
            continue;
        char id[TICKET_ID_BYTES];
        memcpy(id, e->id, sizeof(id));
        entry_free(l, e);
        l->options.hooks.on_due(l->options.hooks.arg, id);
        return true;
    }
    return false;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct pool_local *l = arg;
    int64_t now_ms = clock_mono_ms();
    (void)fd;
    (void)what;
    while (wake_one(l, now_ms))
        ;
    if (!l->held)
        take_arrivals(l, false);
    if (!l->held && l->pool && l->look_ms <= now_ms)
        look(l, now_ms);
    arm(l);
}

/* ---- settle, cancel */

static void pause_dims(struct pool_local *l, const struct store_outcome *o, int64_t now_ms)
{
    const struct pool_limits *limits = &l->options.pool->limits;
    int64_t until_ms = now_ms + o->pause_ms;
    for (size_t i = 0; i < limits->dim_count && o->pause_dim; i++) {
        if (strcmp(o->pause_dim, "*") != 0 && strcmp(o->pause_dim, limits->dims[i].name) != 0)
            continue;
        size_t number = spent_number(&l->spent, limits->dims[i].name);
        if (number < POOL_MAX_DIMS && l->paused_until_ms[number] < until_ms)
            l->paused_until_ms[number] = until_ms;
        if (l->pool && l->shared)
            pool_pause(l->pool, (int)i, until_ms);
    }
}

static void settle_pooled(struct pool_local *l, const struct store_outcome *o, int64_t now_ms)
{
    struct pool_turn turn;
    struct pool_outcome outcome = {
        .id = o->id,
        .fence = o->fence,
        .state = o->state,
        .delay_ms = o->delay_ms,
        .unsent = o->unsent,
        .fair_actual = o->fair_actual,
    };
    memcpy(outcome.actual, o->actual, sizeof(outcome.actual));
    (void)pool_settle(l->pool, &outcome, 0, now_ms, &turn);
}

static void settle_spent(struct pool_local *l, struct entry *e, const struct store_outcome *o)
{
    struct spent_cost charged = e->cost;
    for (size_t i = 0; i < POOL_MAX_DIMS; i++)
        charged.tokens[i] += e->accrued.tokens[i];
    spent_settle(&l->spent, &l->options.pool->limits, &charged, o->actual, o->unsent);
    e->accrued = (struct spent_cost){.tokens = {0}};
}

void pool_local_settle(struct pool_local *l, const struct store_outcome *o, pool_store_fn fn,
                       void *arg)
{
    struct entry *e = map_get(&l->by_id, o->id);
    int64_t now_ms = clock_mono_ms();
    if (!e || e->place != RUNNING || e->fence != o->fence) {
        tell(l, "stale", fn, arg);
        return;
    }
    settle_spent(l, e, o);
    pause_dims(l, o, now_ms);
    if (e->pooled)
        settle_pooled(l, o, now_ms);
    if (o->state != TICKET_QUEUED) {
        entry_free(l, e);
    } else if (e->pooled) {
        e->place = WAITING;
    } else {
        e->place = PARKED;
        e->due_ms = now_ms + o->delay_ms;
        l->parked++;
    }
    tell(l, "settled", fn, arg);
    look_soon(l);
}

void pool_local_cancel(struct pool_local *l, const char *id, pool_store_fn fn, void *arg)
{
    struct entry *e = map_get(&l->by_id, id);
    const char *was = !e ? "none" : e->place == RUNNING ? "running" : "queued";
    if (e && e->place != RUNNING) {
        if (e->pooled)
            (void)pool_cancel(l->pool, id, clock_mono_ms());
        entry_free(l, e);
    }
    tell(l, was, fn, arg);
    look_soon(l);
}

bool pool_local_has(const struct pool_local *l, const char *id)
{
    return map_get(&l->by_id, id) != NULL;
}

/* ---- slots that others use */

void pool_local_occupy(struct pool_local *l, const char *id)
{
    const struct entry *e = map_get(&l->by_id, id);
    struct ticket t = {.id = id, .class = CLASS_INTERACTIVE, .tenant = "", .weight = 1};
    struct pool_turn turn;
    if ((e && e->pooled) || !l->shared || l->share.limits.max_parallel == 0)
        return;
    t.fair_cost = 1;
    /* Without memory a slot is used twice; nothing worse. */
    (void)(pool_submit(l->pool, &t, 0, clock_mono_ms(), &turn) < 0);
    look_soon(l);
}

void pool_local_vacate(struct pool_local *l, const char *id)
{
    const struct entry *e = map_get(&l->by_id, id);
    if (!l->pool || (e && e->pooled))
        return;
    struct store_outcome o = {.id = id, .fence = 1, .state = TICKET_DONE, .unsent = true};
    enum ticket_state state = pool_ticket_state(l->pool, id);
    if (state == TICKET_RUNNING)
        settle_pooled(l, &o, clock_mono_ms());
    else if (state == TICKET_QUEUED)
        (void)pool_cancel(l->pool, id, clock_mono_ms());
    look_soon(l);
}

/* ---- in and out */

int pool_local_enter(struct pool_local *l, int64_t instances)
{
    const struct pool_limits *whole = &l->options.pool->limits;
    struct pool_limits none = share_none(whole);
    assert(!l->pool);
    l->shared = instances > 0;
    share_release(&l->share);
    int rc = l->shared ? share_init(&l->share, whole, instances) : 0;
    if (rc < 0)
        return rc;
    l->pool = pool_new(l->shared ? &l->share.limits : &none, false, clock_mono_ms());
    if (!l->pool)
        return -ENOMEM;
    l->grants = 0;
    l->look_ms = NEVER_MS;
    return 0;
}

bool pool_local_is_entered(const struct pool_local *l)
{
    return l->pool != NULL;
}

void pool_local_configure(struct pool_local *l, int64_t instances)
{
    struct share fresh;
    if (!l->pool || !l->shared || instances < 1)
        return;
    /* A limit that cannot be shared leaves the old share in force until Redis is back. */
    if (share_init(&fresh, &l->options.pool->limits, instances) < 0)
        return;
    if (pool_configure(l->pool, &fresh.limits, clock_mono_ms()) < 0) {
        share_release(&fresh);
        return;
    }
    share_release(&l->share);
    l->share = fresh;
    look_soon(l);
}

void pool_local_hold(struct pool_local *l, bool on)
{
    l->held = on;
    if (!on)
        look_soon(l);
}

void pool_local_leave(struct pool_local *l)
{
    pool_free(l->pool);
    l->pool = NULL;
    for (struct list *at = l->entries.next, *next; at != &l->entries; at = next) {
        struct entry *e = LIST_ITEM(at, struct entry, link);
        next = at->next;
        e->pooled = false;
        if (e->place == WAITING)
            entry_free(l, e);
    }
    arm(l);
}

/* ---- charges */

bool pool_local_next_charge(struct pool_local *l, struct store_charge *ret)
{
    const struct pool_limits *limits = &l->options.pool->limits;
    int64_t now_ms = clock_mono_ms();
    if (!l->charging && spent_is_zero(&l->spent))
        return false;
    if (!l->charging) {
        l->batch = l->spent;
        spent_clear(&l->spent);
        l->charge_number++;
        l->charging = true;
    }
    *ret = (struct store_charge){.number = l->charge_number};
    spent_tell(&l->batch, limits, ret->tokens);
    for (size_t i = 0; i < limits->dim_count; i++) {
        size_t number = spent_number(&l->spent, limits->dims[i].name);
        int64_t until_ms = number < POOL_MAX_DIMS ? l->paused_until_ms[number] : 0;
        ret->pause_ms[i] = until_ms > now_ms ? until_ms - now_ms : 0;
    }
    return true;
}

void pool_local_charged(struct pool_local *l)
{
    l->charging = false;
}

bool pool_local_is_charged(const struct pool_local *l)
{
    return !l->charging && spent_is_zero(&l->spent);
}

void pool_local_count(const struct pool_local *l, struct pool_local_counts *ret)
{
    *ret = (struct pool_local_counts){.grants = l->grants};
    for (struct list *at = l->entries.next; at != &l->entries; at = at->next) {
        if (LIST_ITEM(at, struct entry, link)->place == RUNNING)
            ret->running++;
        else
            ret->waiting++;
    }
}

/* ---- the whole */

struct pool_local *pool_local_new(const struct pool_local_options *options)
{
    struct pool_local *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->options = *options;
    l->timer = evtimer_new(options->base, on_timer, l);
    if (!l->timer) {
        free(l);
        return NULL;
    }
    /* Ids are made here at random: no seed is needed against a client that chooses them. */
    map_init(&l->by_id, 0);
    list_init(&l->entries);
    list_init(&l->arrivals);
    return l;
}

void pool_local_stop(struct pool_local *l)
{
    event_del(l->timer);
    while (!list_is_empty(&l->arrivals))
        take_arrivals(l, true);
    event_del(l->timer);
}

void pool_local_free(struct pool_local *l)
{
    if (!l)
        return;
    pool_local_stop(l);
    while (!list_is_empty(&l->entries))
        entry_free(l, LIST_ITEM(l->entries.next, struct entry, link));
    map_release(&l->by_id);
    pool_free(l->pool);
    share_release(&l->share);
    event_free(l->timer);
    free(l);
}
