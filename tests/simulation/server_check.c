#include "tests/simulation/server.h"

#include "tests/simulation/loop.h"

#include <inttypes.h>
#include <string.h>

static int64_t net(const struct sim_window *w)
{
    return w->charged - w->limit.rate * w->earned_ticks;
}

static void add(struct sim_window *w, int64_t units)
{
    int64_t full = w->limit.capacity * w->limit.period;
    w->level = w->level + units < full ? w->level + units : full;
}

/* A clock that steps back earns nothing. */
static void earn(struct sim_window *w, int64_t now_ms)
{
    int64_t ticks = (now_ms - w->earned_until_ms) / w->limit.tick_ms;
    if (ticks <= 0)
        return;
    w->earned_ticks += ticks;
    w->earned_until_ms += ticks * w->limit.tick_ms;
    add(w, ticks * w->limit.rate);
}

void watch_refill(struct server_pool *p, int64_t now_ms)
{
    for (size_t i = 0; i < p->limits.dim_count; i++)
        earn(&p->windows[i], now_ms);
}

/* Other limits begin another window; the level stays, cut to the new capacity. */
void watch_configure(struct server_pool *p, bool fresh, bool full, int64_t now_ms)
{
    for (size_t i = 0; i < p->limits.dim_count; i++) {
        struct sim_window *w = &p->windows[i];
        const struct dim_limit *d = &p->limits.dims[i];
        int64_t level = full ? d->capacity * d->period : 0;
        if (!fresh) {
            earn(w, now_ms);
            level = w->level;
        }
        if (fresh || w->limit.rate != d->rate || w->limit.capacity != d->capacity)
            *w = (struct sim_window){.limit = *d,
                                     .earned_until_ms = fresh ? now_ms : w->earned_until_ms};
        w->level = level;
        add(w, 0);
    }
}

/*
 * I1: for every window that ends at a grant, what was charged in it less what came back is at most
 * C*P + R * its ticks. With x = charged - R * ticks: x now less the least x before is at most C*P,
 * and x is least right before an event. What came back is counted whole, also where the level was
 * cut to the capacity, which only makes the bound wider.
 */
void watch_charge(struct server_pool *p, const int64_t *tokens, bool is_grant, int64_t now_ms)
{
    for (size_t i = 0; i < p->limits.dim_count; i++) {
        struct sim_window *w = &p->windows[i];
        earn(w, now_ms);
        if (net(w) < w->least)
            w->least = net(w);
        w->charged += tokens[i] * w->limit.period;
        add(w, -tokens[i] * w->limit.period);
        if (is_grant && tokens[i] > 0 && net(w) - w->least > w->limit.capacity * w->limit.period)
            broken("I1: %s of %s granted %" PRId64 " units more than a window may hold",
                   w->limit.name, p->id, net(w) - w->least - w->limit.capacity * w->limit.period);
    }
}

void watch_grant(struct server_pool *p, const struct record *r, int64_t fence, int64_t seq)
{
    if (r->state != TICKET_QUEUED)
        broken("I6: %s was granted while it is %s", r->id, ticket_state_name(r->state));
    if (fence != r->fence + 1)
        broken("I7: %s got fence %" PRId64 " after %" PRId64, r->id, fence, r->fence);
    if (seq != ++p->seq)
        broken("I7: grant %" PRId64 " of %s has number %" PRId64, p->seq, p->id, seq);
}

/* Right after a turn, before its grants are noted. */
void watch_levels(struct server_pool *p, const struct pool_turn *turn, int64_t now_ms)
{
    if (turn->grant_count == 0)
        return;
    if (p->limits.max_parallel > 0 && pool_running(p->pool) > p->limits.max_parallel)
        broken("I8: %" PRId64 " run in %s, %" PRId64 " may", pool_running(p->pool), p->id,
               p->limits.max_parallel);
    for (size_t g = 0; g < turn->grant_count; g++) {
        const struct record *r = map_get(&p->records, turn->grants[g].id);
        for (size_t i = 0; r && i < p->limits.dim_count; i++) {
            if (r->cost[i] > 0 && pool_level(p->pool, i, now_ms) < 0)
                broken("I2: a grant of %s left %s in debt", p->id, p->limits.dims[i].name);
        }
    }
}

/* Everything comes back of what the provider never saw, and only then. */
void watch_sent(const struct record *r, const struct store_outcome *o)
{
    if (r->arrived_fence == r->fence && o->unsent)
        broken("I4: %s reached the provider and is settled as unsent", r->id);
    if (r->arrived_fence == 0 && !o->unsent)
        broken("I4: %s never reached the provider and is settled as sent", r->id);
}

void watch_state(struct record *r, enum ticket_state next)
{
    struct server_pool *p = r->pool;
    if (ticket_state_is_final(r->state))
        broken("I6: %s ended as %s and becomes %s", r->id, ticket_state_name(r->state),
               ticket_state_name(next));
    r->changed_us = loop_now_us();
    r->state = next == TICKET_DELAYED ? TICKET_QUEUED : next;
    if (!ticket_state_is_final(next))
        return;
    list_remove(&r->link);
    list_add_last(&p->ended, &r->link);
    p->open_jobs -= r->is_job;
    trace("ended", r->id, next, r->fence);
}

/* The counts of the pool against the records, and each ticket in the place that was told. */
static void check_pool(struct server_pool *p)
{
    int64_t running = 0, waiting = 0, depth = pool_delayed(p->pool);
    const char *wrong = pool_check(p->pool);
    if (wrong)
        broken("%s does not hold: %s", p->id, wrong);
    for (struct list *at = p->open.next, *next; at != &p->open; at = next) {
        struct record *r = LIST_ITEM(at, struct record, link);
        enum ticket_state state = pool_ticket_state(p->pool, r->id);
        next = at->next;
        if (state == TICKET_EXPIRED && r->state == TICKET_QUEUED) {
            watch_state(r, TICKET_EXPIRED); /* as it came up: nobody is told */
            continue;
        }
        running += state == TICKET_RUNNING;
        waiting += state == TICKET_QUEUED || state == TICKET_DELAYED;
        if ((state == TICKET_RUNNING) != (r->state == TICKET_RUNNING) ||
            ticket_state_is_final(state))
            broken("I6: %s is %s, and was told to be %s", r->id, ticket_state_name(state),
                   ticket_state_name(r->state));
    }
    for (size_t i = 0; i < p->limits.dim_count; i++) {
        int64_t at_ms = p->windows[i].earned_until_ms, level = pool_level(p->pool, i, at_ms);
        if (level != p->windows[i].level)
            broken("I5: %s of %s is %" PRId64 " units off", p->limits.dims[i].name, p->id,
                   level - p->windows[i].level);
    }
    for (int c = 0; c < CLASS_COUNT; c++)
        depth += pool_depth(p->pool, (enum pool_class)c);
    if (running != pool_running(p->pool) || waiting != depth)
        broken("I6: %s has %" PRId64 " running and %" PRId64 " waiting, its records say %" PRId64
               " and %" PRId64,
               p->id, pool_running(p->pool), depth, running, waiting);
}

void server_check(struct server *s)
{
    for (size_t i = 0; i < s->pool_count; i++) {
        if (s->pools[i].pool)
            check_pool(&s->pools[i]);
    }
}
