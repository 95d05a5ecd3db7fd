#include "limiter/book.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_time(const struct tree_node *a, const struct tree_node *b)
{
    const struct record *x = TREE_ITEM(a, const struct record, timed);
    const struct record *y = TREE_ITEM(b, const struct record, timed);
    int order = (x->until_ms > y->until_ms) - (x->until_ms < y->until_ms);
    return order ? order : strcmp(x->id, y->id);
}

void book_init(struct book *b, uint64_t seed)
{
    *b = (struct book){0};
    fair_init(&b->fair, seed);
    tree_init(&b->delayed, by_time);
    tree_init(&b->leases, by_time);
    list_init(&b->ended);
    map_init(&b->by_id, seed);
}

void book_release(struct book *b)
{
    size_t at = 0;
    for (struct record *r; (r = map_next(&b->by_id, &at));) {
        if (r->state == TICKET_QUEUED)
            fair_leave(&b->fair, &r->fair);
        fair_close(&b->fair, r->fair.flow);
        free(r);
    }
    map_release(&b->by_id);
    fair_release(&b->fair);
}

int book_add(struct book *b, const struct ticket *t, struct record **ret)
{
    struct record *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    (void)snprintf(r->id, sizeof(r->id), "%s", t->id);
    r->deadline_ms = t->deadline_ms;
    r->lease_ms = t->lease_ms;
    list_init(&r->ended);
    r->fair = (struct fair_entry){
        .id = r->id, .order_us = t->order_us, .weight = t->weight, .cost = t->fair_cost};

    int rc = fair_open(&b->fair, t->class, t->tenant, &r->fair.flow);
    if (rc == 0)
        rc = map_put(&b->by_id, r->id, r);
    if (rc < 0) {
        fair_close(&b->fair, r->fair.flow);
        free(r);
        return rc;
    }
    *ret = r;
    return 0;
}

struct record *book_find(const struct book *b, const char *id)
{
    return map_get(&b->by_id, id);
}

static void forget_oldest(struct book *b)
{
    struct record *oldest = LIST_ITEM(b->ended.next, struct record, ended);
    list_remove(&oldest->ended);
    b->ended_count--;
    (void)map_remove(&b->by_id, oldest->id);
    free(oldest);
}

/* A queued ticket that is granted is taken out by its charge instead. */
static void leave(struct book *b, struct record *r, enum ticket_state next)
{
    switch (r->state) {
    case TICKET_QUEUED:
        if (next == TICKET_RUNNING)
            fair_charge(&b->fair, &r->fair);
        else
            fair_leave(&b->fair, &r->fair);
        break;
    case TICKET_DELAYED:
        tree_remove(&b->delayed, &r->timed);
        break;
    case TICKET_RUNNING:
        tree_remove(&b->leases, &r->timed);
        break;
    default:
        break;
    }
}

static void enter(struct book *b, struct record *r)
{
    switch (r->state) {
    case TICKET_QUEUED:
        fair_enqueue(&b->fair, &r->fair);
        return;
    case TICKET_DELAYED:
        tree_add(&b->delayed, &r->timed);
        return;
    case TICKET_RUNNING:
        tree_add(&b->leases, &r->timed);
        return;
    default:
        break;
    }
    fair_close(&b->fair, r->fair.flow);
    r->fair.flow = NULL;
    if (b->ended_count == POOL_MAX_ENDED)
        forget_oldest(b);
    list_add_last(&b->ended, &r->ended);
    b->ended_count++;
}

void book_move(struct book *b, struct record *r, enum ticket_state state, int64_t until_ms)
{
    assert(ticket_state_may_follow(r->state, state));
    leave(b, r, state);
    r->state = state;
    r->until_ms = until_ms;
    enter(b, r);
}

void book_extend(struct book *b, struct record *r, int64_t until_ms)
{
    assert(r->state == TICKET_RUNNING);
    tree_remove(&b->leases, &r->timed);
    r->until_ms = until_ms;
    tree_add(&b->leases, &r->timed);
}

static struct record *first_timed(const struct tree *t)
{
    struct tree_node *node = tree_first(t);
    return node ? TREE_ITEM(node, struct record, timed) : NULL;
}

struct record *book_first_delayed(const struct book *b)
{
    return first_timed(&b->delayed);
}

struct record *book_first_lease(const struct book *b)
{
    return first_timed(&b->leases);
}

struct record *book_queued(const struct fair_flow *flow)
{
    struct fair_entry *e = fair_flow_head(flow);
    return e ? TREE_ITEM(e, struct record, fair) : NULL;
}

const char *book_check(const struct book *b)
{
    size_t count[TICKET_STATE_COUNT] = {0}, ended = 0, at = 0;
    for (const struct record *r; (r = map_next(&b->by_id, &at));) {
        count[r->state]++;
        ended += ticket_state_is_final(r->state);
        if (ticket_state_is_final(r->state) != (r->fair.flow == NULL))
            return "a ticket refers to its flow until it has ended";
    }
    if (count[TICKET_NONE] > 0)
        return "every ticket was moved somewhere";
    if (count[TICKET_QUEUED] != b->fair.depth || count[TICKET_DELAYED] != b->delayed.count ||
        count[TICKET_RUNNING] != b->leases.count || ended != b->ended_count)
        return "every ticket is in exactly one place";
    return fair_check(&b->fair);
}
