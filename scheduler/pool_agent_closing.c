#include "scheduler/pool_agent_internal.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A settle or cancel, kept until Redis has answered it. One block with copies of all texts. */
struct closing {
    struct list link;
    struct pool_agent *agent;
    struct store_outcome outcome; /* fence 0: a cancel */
    char dims[POOL_MAX_DIMS][8];  /* what outcome.actual stands in the order of */
    size_t dim_count;
    bool abandoned; /* a cancel: what runs by now is settled, as nobody runs it */
    int refusals;   /* by Redis itself, with an error that may be for good */
    struct store_field fields[STORE_MAX_FIELDS];
    char id[TICKET_ID_BYTES];
    char pause_dim[8];
    char news[STORE_NEWS_BYTES];
    pool_store_fn fn;
    void *arg;
    bool sent;
};

static void closing_free(struct closing *c)
{
    list_remove(&c->link);
    c->agent->unsettled_count--;
    free(c);
}

static void send_closing(struct closing *c);

/* Turns the late end of a call, whose ticket was queued or granted again, into its cancel. */
static bool must_take_out(struct closing *c, const struct store_turn *turn)
{
    bool stale = turn->status == REDIS_OK && strcmp(turn->result, "stale") == 0;
    if (!stale || !c->outcome.is_call || c->outcome.state == TICKET_QUEUED || c->agent->stopped)
        return false;
    c->abandoned = true;
    c->outcome.is_call = false;
    c->outcome.fence = 0;
    return true;
}

/* The lease was lost before the repeat was told: where the ticket stands now is to be asked. */
static bool missed_repeat(const struct closing *c, const struct store_turn *turn)
{
    return turn->status == REDIS_OK && c->outcome.fence > 0 && c->outcome.state == TICKET_QUEUED &&
           strcmp(turn->result, "stale") == 0;
}

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

/* Turns the cancel of an abandoned ticket into the settle of its grant. */
static bool must_give_back(struct closing *c, const struct store_turn *turn)
{
    bool runs = turn->status == REDIS_OK && strcmp(turn->result, "running") == 0;
    if (!c->abandoned || !runs || turn->fence < 1 || c->agent->stopped)
        return false;
    c->abandoned = false;
    c->outcome.fence = turn->fence;
    c->outcome.state = TICKET_CANCELLED;
    c->outcome.unsent = true;
    c->outcome.fair_actual = -1;
    return true;
}

static void on_closed(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct closing *c = arg;
    struct pool_agent *a = c->agent;
    (void)pool;
    c->sent = false;
    if (must_give_back(c, turn) || must_take_out(c, turn)) {
        (void)pool_agent_end(a);
        send_closing(c);
        pool_agent_take_turn(a, turn); /* the answer of a late settle may bring grants of others */
        return;
    }
    if (turn->moves && *turn->moves)
        log_write(LOG_INFO, "limits followed the provider", "pool", a->pool.id, "ticket", c->id,
                  "hint", turn->moves, NULL);
    if (turn->status == REDIS_ERROR && ++c->refusals == AGENT_MOST_REFUSALS)
        log_write(LOG_ERROR, "redis does not take a settle; its lease will end", "ticket", c->id,
                  "pool", a->pool.id, NULL);
    if (turn->status == REDIS_OK || a->stopped || c->refusals == AGENT_MOST_REFUSALS) {
        char id[TICKET_ID_BYTES];
        bool missed = missed_repeat(c, turn);
        memcpy(id, c->id, sizeof(id));
        closing_end(c, turn);
        if (!pool_agent_end(a))
            return;
        pool_agent_take_turn(a, turn);
        if (missed && !a->stopped)
            a->hooks.on_again(a->hooks.arg, a, id);
        return;
    }
    if (pool_agent_end(a) && a->up)
        pool_agent_arm(a->retry, AGENT_RETRY_MS);
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
    pool_agent_begin(a);
    if (o.fence == 0)
        pool_store_cancel(a->store, &a->pool, c->id, pool_agent_room(a), on_closed, c);
    else
        pool_store_settle(a->store, &a->pool, &o, pool_agent_room(a), on_closed, c);
}

void pool_agent_send_closings(struct pool_agent *a)
{
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
    if (o->news) {
        (void)snprintf(c->news, sizeof(c->news), "%s", o->news);
        c->outcome.news = c->news;
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

void pool_agent_drop_closings(struct pool_agent *a)
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
    struct closing *c;
    if (pool_agent_is_local(a, o->id)) {
        pool_agent_settle_local(a, o, fn, arg);
        return;
    }
    c = closing_new(a, o);
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
        pool_agent_drop_closings(a);
}

void pool_agent_cancel(struct pool_agent *a, const char *id, pool_store_fn fn, void *arg)
{
    struct store_outcome o = {.id = id};
    pool_agent_settle(a, &o, fn, arg);
}

void pool_agent_abandon(struct pool_agent *a, const char *id)
{
    struct store_outcome o = {.id = id};
    if (pool_agent_is_local(a, id)) {
        pool_agent_settle_local(a, &o, NULL, NULL);
        return;
    }
    struct closing *c = closing_new(a, &o);
    if (!c)
        return; /* its lease ends by itself */
    c->abandoned = true;
    if (a->up)
        send_closing(c);
    else if (a->stopped)
        pool_agent_drop_closings(a);
}
