#include "scheduler/call_flight_internal.h"

#include "common/clock.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- beginning */

static void add_reader(struct flight *f, struct reader *r, const char *word)
{
    r->flight = f;
    r->call->shared.word = word;
    list_add_last(&f->readers, &r->link);
    reader_join(r, "shared");
    if (f->sent)
        call_given_sent(r->call);
    if (f->begun)
        reader_make_due(r);
    flight_mind_flow(f);
}

/* One that waits must not wait behind one that is less urgent than itself. */
static bool is_soon_enough(const struct flight *f, const struct call *c)
{
    return !f->leader || f->leader->spec.class <= c->spec.class || f->sent;
}

bool call_flight_join(struct answers *a, struct call *c, const char *key)
{
    struct flight *f = map_get(&a->flights, key);
    if (!f || !is_soon_enough(f, c))
        return false;
    struct reader *r = reader_new(a, c);
    if (!r)
        return false;
    add_reader(f, r, "shared");
    return true;
}

static bool takes(const struct reader *r, const struct answer *found)
{
    int64_t now_ms = clock_wall_ms();
    return answer_wish_takes(&r->call->spec.cache, now_ms - found->head.stored_ms,
                             found->head.until_ms - now_ms);
}

/* Each whom it will do is given what was found. */
static void land(struct flight *f, struct answer *answer)
{
    for (struct list *at = f->readers.next, *next; at != &f->readers; at = next) {
        struct reader *r = LIST_ITEM(at, struct reader, link);
        next = at->next;
        if (!takes(r, answer))
            continue;
        list_remove(&r->link);
        r->flight = NULL;
        f->owner->stats.hits_redis++;
        reader_take(r, answer, "hit-redis");
    }
}

static void miss(struct flight *f)
{
    f->looks = false;
    if (f->patience)
        event_del(f->patience);
    f->owner->stats.misses++;
    flight_promote(f);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    miss(arg);
}

static void on_looked(void *arg, const struct answer_found *in_redis, const char *stamp)
{
    struct flight *f = arg;
    struct answer *found = NULL;
    f->asked = false;
    if (stamp && f->keeps)
        (void)snprintf(f->stamp, sizeof(f->stamp), "%s", stamp);
    if (!f->looks || list_is_empty(&f->readers)) {
        flight_look_after(f);
        return;
    }
    const struct reader *first = LIST_ITEM(f->readers.next, struct reader, link);
    if (in_redis && in_redis->bytes && !f->purged)
        found = answers_read(f->owner, first->call->plan->config, &f->head, in_redis);
    if (found)
        land(f, found);
    answer_drop(found);
    if (!list_is_empty(&f->readers)) {
        miss(f);
        return;
    }
    f->looks = false;
    event_del(f->patience);
    flight_unmap(f);
    flight_look_after(f);
}

static struct flight *flight_new(struct answers *a, struct call *c, const struct flight_plan *plan)
{
    struct flight *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->owner = a;
    f->keeps = plan->may_keep;
    list_init(&f->readers);
    list_init(&f->link);
    buf_init(&f->bytes, UPSTREAM_MAX_BODY_BYTES);
    (void)snprintf(f->head.key, sizeof(f->head.key), "%s", plan->key);
    (void)snprintf(f->head.tenant, sizeof(f->head.tenant), "%s", c->spec.tenant);
    (void)snprintf(f->head.model, sizeof(f->head.model), "%s", c->model);
    list_add_last(&a->all, &f->link);
    struct flight *before = plan->may_share ? map_get(&a->flights, f->head.key) : NULL;
    if (before)
        flight_unmap(before); /* it could not be joined, for it is less urgent */
    f->mapped = plan->may_share && map_put(&a->flights, f->head.key, f) == 0;
    return f;
}

/* It and those who come meanwhile wait for Redis, for a short while. */
static bool look(struct flight *f, struct call *c)
{
    struct timeval patience = {.tv_usec = ANSWER_LOOK_MS * 1000};
    const char *digest = f->head.key;
    struct answer_names names = {
        .tenant = f->head.tenant, .model = f->head.model, .digests = &digest, .count = 1};
    struct reader *r = reader_new(f->owner, c);
    f->patience = evtimer_new(f->owner->base, on_patience, f);
    if (!r || !f->patience) {
        free(r);
        return false;
    }
    add_reader(f, r, "miss");
    f->asked = f->looks = true;
    evtimer_add(f->patience, &patience);
    answer_store_get(f->owner->store, &names, on_looked, f);
    return true;
}

bool call_flight_begin(struct answers *a, struct call *c, const struct flight_plan *plan)
{
    struct flight *f = flight_new(a, c, plan);
    if (!f)
        return false;
    if (plan->may_look && look(f, c))
        return true;
    a->stats.misses++;
    flight_lead(f, c);
    return false;
}

void call_flights_purged(struct answers *a, const char *tenant, const char *model)
{
    for (struct list *at = a->all.next; at != &a->all; at = at->next) {
        struct flight *f = LIST_ITEM(at, struct flight, link);
        if ((*tenant && strcmp(tenant, f->head.tenant) != 0) ||
            (*model && strcmp(model, f->head.model) != 0))
            continue;
        flight_unmap(f);
        f->keeps = false;
        f->purged = true;
    }
}

void call_flights_free(struct answers *a)
{
    while (!list_is_empty(&a->due))
        list_remove(a->due.next);
    while (!list_is_empty(&a->all)) {
        struct flight *f = LIST_ITEM(a->all.next, struct flight, link);
        while (!list_is_empty(&f->readers)) {
            struct reader *r = LIST_ITEM(f->readers.next, struct reader, link);
            list_remove(&r->link);
            list_remove(&r->due);
            free(r);
        }
        flight_free(f);
    }
}
