#include "limiter/fair.h"

#include "common/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fair_flow {
    enum pool_class class;
    char tenant[TENANT_NAME_BYTES];
    struct tree tickets;       /* queued, by order key */
    struct tree_node in_class; /* of backlogged or idle, or in parked */
    bool is_parked;
    int64_t until_ms; /* while parked */
    int64_t start;    /* S, while backlogged */
    int64_t finish;   /* F, of this busy period */
    int64_t period;
    size_t users;
    bool is_idle; /* stands in idle */
};

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* By which a cost moves a tag; b > 0. Rounded up, also below zero, as Lua's math.ceil(). */
static int64_t tag_of(int64_t tokens, int64_t weight)
{
    int64_t scaled = tokens * 1000;
    return scaled / weight + (scaled % weight > 0);
}

static int compare64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static const struct fair_flow *flow_at(const struct tree_node *node)
{
    return TREE_ITEM(node, const struct fair_flow, in_class);
}

static int by_start(const struct tree_node *a, const struct tree_node *b)
{
    int order = compare64(flow_at(a)->start, flow_at(b)->start);
    return order ? order : strcmp(flow_at(a)->tenant, flow_at(b)->tenant);
}

static int by_finish(const struct tree_node *a, const struct tree_node *b)
{
    int order = compare64(flow_at(a)->finish, flow_at(b)->finish);
    return order ? order : strcmp(flow_at(a)->tenant, flow_at(b)->tenant);
}

static int by_until(const struct tree_node *a, const struct tree_node *b)
{
    const struct fair_flow *x = flow_at(a), *y = flow_at(b);
    int order = compare64(x->until_ms, y->until_ms);
    if (order == 0)
        order = compare64(x->class, y->class);
    return order ? order : strcmp(x->tenant, y->tenant);
}

static int by_order_key(const struct tree_node *a, const struct tree_node *b)
{
    const struct fair_entry *x = TREE_ITEM(a, const struct fair_entry, in_flow);
    const struct fair_entry *y = TREE_ITEM(b, const struct fair_entry, in_flow);
    int order = compare64(x->order_us, y->order_us);
    return order ? order : strcmp(x->id, y->id);
}

void fair_init(struct fair *f, uint64_t seed)
{
    *f = (struct fair){.period = 1};
    tree_init(&f->parked, by_until);
    for (size_t c = 0; c < CLASS_COUNT; c++) {
        map_init(&f->classes[c].flows, seed + c);
        tree_init(&f->classes[c].backlogged, by_start);
        tree_init(&f->classes[c].idle, by_finish);
    }
}

static void flow_free(struct fair_class *c, struct fair_flow *flow)
{
    (void)map_remove(&c->flows, flow->tenant);
    free(flow);
}

/* Frees idle flows whose F is at most the given one: unknown, they would start no earlier. */
static void forget_idle(struct fair_class *c, int64_t finish)
{
    for (;;) {
        struct tree_node *node = tree_first(&c->idle);
        if (!node || flow_at(node)->finish > finish)
            return;
        tree_remove(&c->idle, node);
        flow_free(c, TREE_ITEM(node, struct fair_flow, in_class));
    }
}

void fair_release(struct fair *f)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        struct fair_class *c = &f->classes[i];
        forget_idle(c, INT64_MAX);
        assert(c->flows.count == 0);
        map_release(&c->flows);
    }
}

/* F of an earlier busy period is forgotten. */
static void freshen(const struct fair *f, struct fair_flow *flow)
{
    if (flow->period != f->period) {
        flow->period = f->period;
        flow->finish = 0;
    }
}

int fair_open(struct fair *f, enum pool_class c, const char *tenant, struct fair_flow **ret_flow)
{
    struct fair_class *class = &f->classes[c];
    struct fair_flow *flow = map_get(&class->flows, tenant);
    if (!flow) {
        flow = calloc(1, sizeof(*flow));
        if (!flow)
            return -ENOMEM;
        flow->class = c;
        (void)snprintf(flow->tenant, sizeof(flow->tenant), "%s", tenant);
        tree_init(&flow->tickets, by_order_key);
        int rc = map_put(&class->flows, flow->tenant, flow);
        if (rc < 0) {
            free(flow);
            return rc;
        }
    }
    if (flow->is_idle) {
        tree_remove(&class->idle, &flow->in_class);
        flow->is_idle = false;
    }
    flow->users++;
    *ret_flow = flow;
    return 0;
}

void fair_close(struct fair *f, struct fair_flow *flow)
{
    if (!flow || --flow->users > 0)
        return;
    struct fair_class *class = &f->classes[flow->class];
    assert(flow->tickets.count == 0);
    freshen(f, flow);
    if (flow->finish <= class->virtual_time) {
        flow_free(class, flow);
        return;
    }
    flow->is_idle = true;
    tree_add(&class->idle, &flow->in_class);
}

/* Into the order, as one that was empty. */
static void come_in(struct fair *f, struct fair_flow *flow)
{
    struct fair_class *class = &f->classes[flow->class];
    freshen(f, flow);
    flow->start = max64(class->virtual_time, flow->finish);
    if (class->backlogged.count == 0)
        class->start = max64(f->virtual_time, class->finish);
    tree_add(&class->backlogged, &flow->in_class);
}

static void park_until(struct fair *f, struct fair_flow *flow, int64_t until_ms)
{
    if (flow->is_parked)
        tree_remove(&f->parked, &flow->in_class);
    flow->is_parked = true;
    flow->until_ms = until_ms;
    tree_add(&f->parked, &flow->in_class);
}

void fair_park(struct fair *f, struct fair_flow *flow, int64_t until_ms)
{
    tree_remove(&f->classes[flow->class].backlogged, &flow->in_class);
    park_until(f, flow, until_ms);
}

void fair_unpark(struct fair *f, struct fair_flow *flow)
{
    tree_remove(&f->parked, &flow->in_class);
    flow->is_parked = false;
    come_in(f, flow);
}

void fair_hurry(struct fair *f, enum pool_class c, const char *tenant)
{
    struct fair_flow *flow = map_get(&f->classes[c].flows, tenant);
    if (flow && flow->is_parked)
        park_until(f, flow, 0);
}

void fair_hurry_all(struct fair *f)
{
    for (;;) {
        struct tree_node *node = NULL;
        for (node = tree_first(&f->parked); node && flow_at(node)->until_ms == 0;)
            node = tree_next(node);
        if (!node)
            return;
        park_until(f, TREE_ITEM(node, struct fair_flow, in_class), 0);
    }
}

void fair_bar(struct fair *f, enum pool_class c, bool barred)
{
    struct fair_class *class = &f->classes[c];
    /* Served meanwhile were others only: what it missed is no credit. */
    if (class->barred && !barred && class->backlogged.count > 0)
        class->start = max64(class->start, f->virtual_time);
    class->barred = barred;
}

struct fair_flow *fair_first_parked(const struct fair *f)
{
    struct tree_node *node = tree_first(&f->parked);
    return node ? TREE_ITEM(node, struct fair_flow, in_class) : NULL;
}

int64_t fair_parked_until(const struct fair_flow *flow)
{
    return flow->until_ms;
}

size_t fair_tenant_depth(const struct fair *f, const char *tenant)
{
    size_t depth = 0;
    for (size_t c = 0; c < CLASS_COUNT; c++) {
        const struct fair_flow *flow = map_get(&f->classes[c].flows, tenant);
        depth += flow ? flow->tickets.count : 0;
    }
    return depth;
}

void fair_enqueue(struct fair *f, struct fair_entry *e)
{
    struct fair_flow *flow = e->flow;
    if (flow->tickets.count == 0)
        come_in(f, flow);
    tree_add(&flow->tickets, &e->in_flow);
    f->classes[flow->class].depth++;
    f->depth++;
    if (flow->is_parked && fair_flow_head(flow) == e)
        park_until(f, flow, 0);
}

static void end_busy_period(struct fair *f)
{
    f->period++;
    f->virtual_time = 0;
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        struct fair_class *c = &f->classes[i];
        forget_idle(c, INT64_MAX);
        c->start = c->finish = c->virtual_time = 0;
    }
}

/* Takes e out. Its flow's place among the backlogged ones is given up before. */
static void take_out(struct fair *f, struct fair_entry *e)
{
    tree_remove(&e->flow->tickets, &e->in_flow);
    f->classes[e->flow->class].depth--;
    f->depth--;
}

void fair_leave(struct fair *f, struct fair_entry *e)
{
    struct fair_flow *flow = e->flow;
    take_out(f, e);
    if (flow->tickets.count > 0 && flow->is_parked) {
        park_until(f, flow, 0);
    } else if (flow->tickets.count == 0) {
        tree_remove(flow->is_parked ? &f->parked : &f->classes[flow->class].backlogged,
                    &flow->in_class);
        flow->is_parked = false;
    }
    if (f->depth == 0)
        end_busy_period(f);
}

static int class_order(const struct fair *f, size_t a, size_t b)
{
    int order = compare64(f->classes[a].start, f->classes[b].start);
    return order ? order : (a > b) - (a < b);
}

/* The backlogged class that follows `after` (CLASS_COUNT: the first); CLASS_COUNT: none. */
static size_t class_after(const struct fair *f, size_t after)
{
    size_t best = CLASS_COUNT;
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        if (f->classes[i].backlogged.count == 0 || f->classes[i].barred)
            continue;
        if (after != CLASS_COUNT && class_order(f, i, after) <= 0)
            continue;
        if (best == CLASS_COUNT || class_order(f, i, best) < 0)
            best = i;
    }
    return best;
}

static struct fair_flow *first_of_class(const struct fair *f, size_t c)
{
    if (c == CLASS_COUNT)
        return NULL;
    return TREE_ITEM(tree_first(&f->classes[c].backlogged), struct fair_flow, in_class);
}

struct fair_flow *fair_first(const struct fair *f)
{
    return first_of_class(f, class_after(f, CLASS_COUNT));
}

struct fair_flow *fair_after(const struct fair *f, const struct fair_flow *flow)
{
    struct tree_node *next = tree_next(&flow->in_class);
    if (next)
        return TREE_ITEM(next, struct fair_flow, in_class);
    return first_of_class(f, class_after(f, flow->class));
}

struct fair_entry *fair_flow_head(const struct fair_flow *flow)
{
    struct tree_node *node = tree_first(&flow->tickets);
    return node ? TREE_ITEM(node, struct fair_entry, in_flow) : NULL;
}

size_t fair_flow_depth(const struct fair_flow *flow)
{
    return flow->tickets.count;
}

int64_t fair_flow_start(const struct fair_flow *flow)
{
    return flow->start;
}

enum pool_class fair_class(const struct fair_flow *flow)
{
    return (enum pool_class)flow->class;
}

const char *fair_tenant(const struct fair_flow *flow)
{
    return flow->tenant;
}

void fair_charge(struct fair *f, struct fair_entry *e)
{
    struct fair_flow *flow = e->flow;
    struct fair_class *class = &f->classes[flow->class];

    int64_t least = first_of_class(f, flow->class)->start;
    class->virtual_time = max64(class->virtual_time, least);
    f->virtual_time = max64(f->virtual_time, f->classes[class_after(f, CLASS_COUNT)].start);

    tree_remove(&class->backlogged, &flow->in_class);
    take_out(f, e);
    flow->finish = flow->start + tag_of(e->cost, e->weight);
    class->finish = class->start + tag_of(e->cost, pool_class_weight[flow->class]);
    e->charged_in = f->period;
    if (flow->tickets.count > 0) {
        flow->start = flow->finish;
        tree_add(&class->backlogged, &flow->in_class);
    }
    if (class->backlogged.count > 0)
        class->start = class->finish;
    forget_idle(class, class->virtual_time);
    if (f->depth == 0)
        end_busy_period(f);
}

void fair_correct(struct fair *f, struct fair_entry *e, int64_t actual)
{
    bool stands = e->charged_in == f->period;
    e->charged_in = 0;
    if (!stands)
        return;

    struct fair_flow *flow = e->flow;
    struct fair_class *class = &f->classes[flow->class];
    int64_t by = tag_of(actual - e->cost, e->weight);
    flow->finish += by;
    if (flow->tickets.count > 0 && !flow->is_parked) {
        tree_remove(&class->backlogged, &flow->in_class);
        flow->start += by;
        tree_add(&class->backlogged, &flow->in_class);
    }
    by = tag_of(actual - e->cost, pool_class_weight[flow->class]);
    class->finish += by;
    if (class->backlogged.count > 0)
        class->start += by;
}

static const char *check_class(const struct fair_class *c)
{
    size_t depth = 0, backlogged = 0, idle = 0, at = 0;
    for (const struct fair_flow *flow; (flow = map_next(&c->flows, &at));) {
        depth += flow->tickets.count;
        backlogged += flow->tickets.count > 0 && !flow->is_parked;
        if (flow->is_parked && flow->tickets.count == 0)
            return "only a flow with queued tickets is parked";
        idle += flow->is_idle;
        if (flow->is_idle != (flow->users == 0))
            return "a flow is idle exactly when no ticket refers to it";
        if (flow->users < flow->tickets.count)
            return "every queued ticket refers to its flow";
    }
    if (depth != c->depth)
        return "the depth of a class is the sum of its flows";
    if (backlogged != c->backlogged.count || idle != c->idle.count)
        return "a flow stands in backlogged, in idle, or in neither";
    return NULL;
}

const char *fair_check(const struct fair *f)
{
    size_t depth = 0;
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        const char *broken = check_class(&f->classes[i]);
        if (broken)
            return broken;
        depth += f->classes[i].depth;
    }
    return depth == f->depth ? NULL : "the depth of the queue is the sum of its classes";
}
