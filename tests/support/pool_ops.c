#include "tests/support/pool_ops.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 INT64_C(1760000000000)

const char *const pool_ops_name[OPS_NAMES] = {"rpm", "tpm", "itpm", "rpd"};

const char *const pool_ops_tenant[OPS_TENANTS] = {"a", "b", "c", "bb", ""};

static const int64_t weights[] = {1, 1, 3, 7, 10};

static int64_t below(struct pool_ops *ops, int64_t n)
{
    return rand_below(&ops->rand, n);
}

static bool chance(struct pool_ops *ops, int percent)
{
    return below(ops, 100) < percent;
}

#define PICK(ops, list) ((list)[below(ops, (int64_t)(sizeof(list) / sizeof((list)[0])))])

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

size_t pool_ops_number(const char *name)
{
    for (size_t i = 0; i < OPS_NAMES; i++) {
        if (strcmp(pool_ops_name[i], name) == 0)
            return i;
    }
    abort(); /* a name that no pool of ours has */
}

size_t pool_ops_tenant_number(const char *tenant)
{
    for (size_t i = 0; i < OPS_TENANTS; i++) {
        if (strcmp(pool_ops_tenant[i], tenant) == 0)
            return i;
    }
    abort(); /* a tenant that no ticket of ours has */
}

/* ---- limits */

static struct dim_limit random_dim(struct pool_ops *ops, size_t name)
{
    static const int64_t rates[OPS_NAMES][4] = {
        {3, 60, 500, 997},
        {997, 30000, 60000, 1000003},
        {5000, 40000, 1000000, 2000000003},
        {200, 2000, 7777, 100000},
    };
    bool daily = name == 3;
    struct dim_limit d = {.period = daily ? 86400 : 60000, .tick_ms = daily ? 1000 : 1};
    (void)snprintf(d.name, sizeof(d.name), "%s", pool_ops_name[name]);
    d.rate = PICK(ops, rates[name]);
    static const int64_t parts[] = {1, 1, 2, 6};
    d.capacity = max64(d.rate / PICK(ops, parts), 1);
    static const int64_t shares[] = {0, 0, 20, 1000};
    int64_t share = PICK(ops, shares);
    d.headroom = share ? min64(d.capacity * d.period / share, d.capacity * d.period - 1) : 0;
    static const enum dim_rule rules[] = {DIM_REFUND, DIM_KEEP, DIM_ACCRUE};
    d.rule = PICK(ops, rules);
    d.algorithm = chance(ops, ops->window_percent) ? DIM_WINDOW : DIM_BUCKET;
    return d;
}

static const struct dim_limit *limit_of(const struct pool_limits *l, const char *name)
{
    for (size_t i = 0; i < l->dim_count; i++) {
        if (strcmp(l->dims[i].name, name) == 0)
            return &l->dims[i];
    }
    return NULL;
}

static struct pool_tenant random_tenant(struct pool_ops *ops, const struct pool_limits *l,
                                        const char *name)
{
    static const int64_t parts[] = {1, 2, 4, 8}, slots[] = {0, 0, 1, 2}, depths[] = {0, 1, 5, 50};
    struct pool_tenant t = {.max_parallel = PICK(ops, slots), .max_depth = PICK(ops, depths)};
    (void)snprintf(t.name, sizeof(t.name), "%s", name);
    for (size_t i = 0; i < l->dim_count; i++) {
        if (chance(ops, 40))
            continue;
        t.rate[i] = max64(l->dims[i].rate / PICK(ops, parts), 1);
        t.capacity[i] = max64(l->dims[i].capacity / PICK(ops, parts), 1);
    }
    return t;
}

/* A random part of the names in a random order. */
static struct pool_limits random_limits(struct pool_ops *ops)
{
    static const int64_t slots[] = {0, 1, 4, 20}, shares[] = {0, 100, 250, 500, 1000};
    static const int64_t depths[] = {3, 40, 1000}, leases[] = {2000, 15000};
    static const int64_t parts[] = {0, 1, 300, 800, 1000};
    struct pool_limits l = {.max_parallel = PICK(ops, slots),
                            .bypass_permille = PICK(ops, shares),
                            .batch_permille = PICK(ops, parts),
                            .max_depth = PICK(ops, depths),
                            .lease_ms = PICK(ops, leases),
                            .max_losses = 1 + below(ops, 3)};
    size_t first = (size_t)below(ops, OPS_NAMES);
    for (size_t i = 0; i < OPS_NAMES; i++) {
        size_t name = (first + i) % OPS_NAMES;
        if (name != 1 && chance(ops, 35))
            continue;
        struct dim_limit *d = &l.dims[l.dim_count++];
        *d = random_dim(ops, name);
        int64_t *least = &ops->least_cap[name];
        if (!ops->may_raise && *least > 0 && d->capacity > *least) {
            d->capacity = *least;
            d->headroom = min64(d->headroom, d->capacity * d->period - 1);
        }
        *least = d->capacity;
    }
    for (size_t i = 0; i < OPS_TENANTS; i++) {
        if (chance(ops, ops->quota_percent))
            ops->tenants[l.tenant_count++] = random_tenant(ops, &l, pool_ops_tenant[i]);
    }
    l.tenants = ops->tenants;
    return l;
}

/* ---- time */

static void move_clock(struct pool_ops *ops)
{
    int64_t wait = ops->last_wait_ms;
    int64_t dice = below(ops, 1000);
    if (dice < 400)
        return;
    if (dice < 700)
        ops->now_ms += 1 + below(ops, 200);
    else if (dice < 850 && wait > 0 && wait < 120000)
        ops->now_ms += wait - below(ops, 2);
    else if (dice < 900)
        ops->now_ms += 1 + below(ops, 20000);
    else if (dice < 910)
        ops->now_ms += 3600000;
    else if (dice < 935)
        ops->now_ms -= 1 + below(ops, 10000);
    else if (dice < 960)
        ops->now_ms = ops->latest_ms;
    ops->latest_ms = max64(ops->latest_ms, ops->now_ms);
}

/* ---- operations */

/* A random ticket in that state; NULL when a few looks find none. */
static struct ops_ticket *find_live(struct pool_ops *ops, const struct pool *p,
                                    enum ticket_state state)
{
    for (int look = 0; look < 24 && ops->live_count > 0; look++) {
        size_t at = (size_t)below(ops, (int64_t)ops->live_count);
        struct ops_ticket *t = &ops->tickets[ops->live[at]];
        enum ticket_state now = pool_ticket_state(p, t->id);
        if (now == state)
            return t;
        if (now == TICKET_NONE || ticket_state_is_final(now))
            ops->live[at] = ops->live[--ops->live_count];
    }
    return NULL;
}

static int64_t random_tokens(struct pool_ops *ops)
{
    const struct dim_limit *tpm = limit_of(&ops->limits, "tpm");
    int64_t c = tpm->capacity;
    const int64_t sizes[] = {1, c / 50, c / 7, c / 7, c / 3, c / 2, c};
    return chance(ops, 1) ? c + 1 : max64(PICK(ops, sizes), 1);
}

static void make_ticket(struct pool_ops *ops, size_t number)
{
    struct ops_ticket *t = &ops->tickets[number];
    (void)snprintf(t->id, sizeof(t->id), "t%zu", number);
    size_t who = (size_t)below(ops, OPS_TENANTS);
    t->asked = (struct ticket){.id = t->id, .tenant = pool_ops_tenant[who], .weight = weights[who]};
    static const enum pool_class classes[] = {CLASS_INTERACTIVE, CLASS_NORMAL, CLASS_NORMAL,
                                              CLASS_BATCH};
    t->asked.class = PICK(ops, classes);

    int64_t tokens = random_tokens(ops), request = chance(ops, 90);
    t->named_cost[0] = t->named_cost[3] = request;
    t->named_cost[1] = chance(ops, 90) ? tokens : 0;
    t->named_cost[2] = chance(ops, 50) ? min64(tokens / 2, 2000) : 0;
    t->asked.fair_cost = tokens;
    static const int64_t leases[] = {0, 0, 0, 1000, 15000};
    t->asked.lease_ms = PICK(ops, leases);
}

/* A new ticket, or now and then one that was submitted before. */
static void next_submit(struct pool_ops *ops, struct pool_op *op)
{
    bool old = ops->count == OPS_MAX_TICKETS || (ops->count > 0 && chance(ops, 4));
    struct ops_ticket *t = &ops->tickets[ops->count];
    if (old)
        t = &ops->tickets[below(ops, (int64_t)ops->count)];
    else
        make_ticket(ops, ops->count++);
    if (ops->live_count < OPS_MAX_TICKETS)
        ops->live[ops->live_count++] = (size_t)(t - ops->tickets);

    op->ticket = t->asked;
    for (size_t i = 0; i < ops->limits.dim_count; i++)
        op->ticket.cost[i] = t->named_cost[pool_ops_number(ops->limits.dims[i].name)];
    static const int64_t agings[] = {0, 0, 500, 60000};
    op->aging_ms = PICK(ops, agings);
    op->ticket.order_us = (ops->now_ms + op->aging_ms) * 1000;
    if (chance(ops, ops->late_percent)) {
        op->ticket.deadline_ms = ops->now_ms + 1 + below(ops, 20000);
        op->ticket.order_us = min64(op->ticket.order_us, op->ticket.deadline_ms * 1000);
    }
}

static void next_settle(struct pool_ops *ops, const struct pool *p, struct pool_op *op)
{
    struct ops_ticket *t = find_live(ops, p, TICKET_RUNNING);
    if (!t) {
        op->kind = OP_DISPATCH;
        return;
    }
    op->id = t->id;
    op->fence = t->fence - chance(ops, 10);
    static const enum ticket_state states[] = {TICKET_DONE,   TICKET_DONE,      TICKET_DONE,
                                               TICKET_FAILED, TICKET_CANCELLED, TICKET_QUEUED};
    op->outcome.state = PICK(ops, states);
    op->outcome.unsent = chance(ops, 8);
    if (chance(ops, 60))
        op->outcome.delay_ms = 1 + below(ops, 5000);
    for (size_t i = 0; i < ops->limits.dim_count; i++) {
        int64_t c = t->named_cost[pool_ops_number(ops->limits.dims[i].name)];
        const int64_t actual[] = {-1, 0, c, c / 2, c + c / 4, c + 1};
        op->outcome.actual[i] = PICK(ops, actual);
    }
    int64_t f = t->asked.fair_cost;
    const int64_t fair[] = {-1, 0, 1, f, f / 2, f + f / 3};
    op->outcome.fair_actual = PICK(ops, fair);
    if (chance(ops, 4)) {
        op->pause_dim = (int)below(ops, (int64_t)ops->limits.dim_count + 1) - 1;
        op->pause_ms = 1 + below(ops, 5000);
    }
}

static void next_on_any(struct pool_ops *ops, const struct pool *p, struct pool_op *op)
{
    static const enum ticket_state states[] = {TICKET_QUEUED, TICKET_QUEUED, TICKET_DELAYED,
                                               TICKET_RUNNING};
    struct ops_ticket *t =
        find_live(ops, p, op->kind == OP_HEARTBEAT ? TICKET_RUNNING : PICK(ops, states));
    if (!t && ops->count > 0)
        t = &ops->tickets[below(ops, (int64_t)ops->count)];
    if (!t) {
        op->kind = OP_DISPATCH;
        return;
    }
    op->id = t->id;
    op->fence = t->fence - chance(ops, 10);
}

static void next_accrue(struct pool_ops *ops, const struct pool *p, struct pool_op *op)
{
    struct ops_ticket *t = find_live(ops, p, TICKET_RUNNING);
    if (!t) {
        op->kind = OP_DISPATCH;
        return;
    }
    op->kind = OP_ACCRUE;
    op->id = t->id;
    op->fence = t->fence - chance(ops, 10);
    for (size_t i = 0; i < ops->limits.dim_count; i++) {
        int64_t c = t->named_cost[pool_ops_number(ops->limits.dims[i].name)];
        const int64_t produced[] = {0, c, c + 1, c + c / 4, 2 * c + 1, 3 * c};
        op->produced[i] = PICK(ops, produced);
    }
}

static enum pool_op_kind random_kind(struct pool_ops *ops)
{
    static const int percent[2][OP_ACCRUE] = {{34, 15, 37, 5, 3, 5, 1}, {75, 8, 9, 3, 1, 3, 1}};
    const int *of = percent[ops->flood];
    int64_t dice = below(ops, 100);
    int kind = 0;
    while (dice >= of[kind])
        dice -= of[kind++];
    return (enum pool_op_kind)kind;
}

void pool_ops_start(struct pool_ops *ops, uint64_t seed, bool may_raise)
{
    ops->count = ops->live_count = 0;
    ops->may_raise = may_raise;
    ops->now_ms = ops->latest_ms = T0;
    ops->last_wait_ms = -1;
    ops->limits.dim_count = 0;
    memset(ops->least_cap, 0, sizeof(ops->least_cap));
    rand_seed(&ops->rand, seed);
    static const int lates[] = {0, 15, 15, 90};
    ops->flood = chance(ops, 25);
    ops->late_percent = PICK(ops, lates);
    static const int windows[] = {0, 50, 100};
    ops->window_percent = PICK(ops, windows);
    static const int quotas[] = {0, 0, 40, 80};
    ops->quota_percent = PICK(ops, quotas);
    ops->limits = random_limits(ops);
}

void pool_ops_next(struct pool_ops *ops, const struct pool *p, struct pool_op *ret)
{
    move_clock(ops);
    static const size_t mosts[] = {0, 1, 2, DISPATCH_MAX_GRANTS, DISPATCH_MAX_GRANTS};
    *ret = (struct pool_op){.kind = random_kind(ops), .now_ms = ops->now_ms, .pause_dim = -2};
    ret->most = PICK(ops, mosts);
    switch (ret->kind) {
    case OP_SUBMIT:
        next_submit(ops, ret);
        break;
    case OP_SETTLE:
        next_settle(ops, p, ret);
        break;
    case OP_CANCEL:
    case OP_HEARTBEAT:
        next_on_any(ops, p, ret);
        break;
    case OP_DISPATCH:
        if (ops->accrues && chance(ops, 40))
            next_accrue(ops, p, ret);
        break;
    case OP_CONFIGURE:
        ret->limits = random_limits(ops);
        break;
    default:
        break;
    }
}

void pool_ops_dispatch_at(struct pool_ops *ops, int64_t now_ms, struct pool_op *ret)
{
    ops->now_ms = now_ms;
    ops->latest_ms = max64(ops->latest_ms, now_ms);
    *ret = (struct pool_op){
        .kind = OP_DISPATCH, .now_ms = now_ms, .most = DISPATCH_MAX_GRANTS, .pause_dim = -2};
}

void pool_ops_note(struct pool_ops *ops, const struct pool_op *op, const struct pool_result *r)
{
    if (op->kind == OP_CONFIGURE)
        ops->limits = op->limits;
    for (size_t i = 0; i < r->turn.grant_count; i++) {
        struct ops_ticket *t = pool_ops_find(ops, r->turn.grants[i].id);
        if (t)
            t->fence = r->turn.grants[i].fence;
    }
    if (r->turn.wait_ms != POOL_WAIT_KEEP)
        ops->last_wait_ms = r->turn.wait_ms;
}

struct ops_ticket *pool_ops_find(struct pool_ops *ops, const char *id)
{
    size_t number = (size_t)strtoull(id + 1, NULL, 10);
    return number < ops->count ? &ops->tickets[number] : NULL;
}

void pool_op_run(struct pool *p, const struct pool_op *op, struct pool_result *ret)
{
    *ret = (struct pool_result){.turn = {.wait_ms = POOL_WAIT_KEEP, .binding = -1}};
    struct pool_outcome outcome = op->outcome;
    int rc = 0;
    switch (op->kind) {
    case OP_SUBMIT:
        rc = pool_submit(p, &op->ticket, op->most, op->now_ms, &ret->turn);
        ret->submit = (enum submit_result)rc;
        break;
    case OP_SETTLE:
        /* A pause comes with a settlement that takes effect, before the turn that ends it. */
        if (op->pause_dim >= -1 && pool_heartbeat(p, op->id, op->fence, op->now_ms))
            pool_pause(p, op->pause_dim, op->now_ms + op->pause_ms);
        outcome.id = op->id;
        outcome.fence = op->fence;
        ret->took = pool_settle(p, &outcome, op->most, op->now_ms, &ret->turn);
        break;
    case OP_CANCEL:
        ret->was = pool_cancel(p, op->id, op->now_ms);
        if (ret->was == TICKET_QUEUED)
            pool_dispatch(p, op->most, op->now_ms, &ret->turn);
        break;
    case OP_HEARTBEAT:
        ret->took = pool_heartbeat(p, op->id, op->fence, op->now_ms);
        break;
    case OP_ACCRUE:
        ret->took = pool_accrue(p, op->id, op->fence, op->produced, op->now_ms);
        break;
    case OP_REAP:
        ret->reaped = pool_reap(p, op->now_ms);
        pool_dispatch(p, op->most, op->now_ms, &ret->turn);
        break;
    case OP_CONFIGURE:
        rc = pool_configure(p, &op->limits, op->now_ms);
        break;
    default:
        pool_dispatch(p, op->most, op->now_ms, &ret->turn);
        break;
    }
    assert(rc >= 0);
    (void)rc;
}

void pool_op_print(const struct pool_op *op, char *text, size_t size)
{
    static const char *const names[OP_COUNT] = {"submit",    "dispatch", "settle",    "cancel",
                                                "heartbeat", "reap",     "configure", "accrue"};
    const char *id = op->kind == OP_SUBMIT ? op->ticket.id : op->id;
    (void)snprintf(text, size, "%s %s fence %" PRId64 " most %zu at %" PRId64, names[op->kind],
                   id ? id : "-", op->fence, op->most, op->now_ms - T0);
}
