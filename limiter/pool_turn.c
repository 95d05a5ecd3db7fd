#include "limiter/pool_internal.h"

#include <string.h>

/* What one dispatch carries along. */
struct turn {
    struct pool *pool;
    struct pool_turn *ret;
    size_t most;
    size_t drops;
    int64_t now_ms;
};

bool pool_slots_are_full(const struct pool *p)
{
    return p->limits.max_parallel > 0 && pool_running(p) >= p->limits.max_parallel;
}

bool pool_batch_is_full(const struct pool *p)
{
    int64_t slots = p->limits.max_parallel, permille = p->limits.batch_permille;
    if (slots == 0 || permille == 0 || permille == 1000)
        return false;
    int64_t most = slots * permille / 1000;
    return p->batch_running >= (most > 1 ? most : 1);
}

int64_t pool_lease_of(const struct pool *p, const struct record *r)
{
    return r->lease_ms > 0 ? r->lease_ms : p->limits.lease_ms;
}

static bool is_late(const struct record *r, int64_t now_ms)
{
    return r->deadline_ms > 0 && r->deadline_ms <= now_ms;
}

static struct quota *quota_for(const struct pool *p, const struct record *r)
{
    return quota_of(&p->quotas, fair_tenant(r->fair.flow));
}

/* A ticket's cost in the order of the limits, as its tenant's dimensions are. */
static void ordered_cost(const struct pool *p, const int64_t *numbered, int64_t *ret)
{
    memset(ret, 0, POOL_MAX_DIMS * sizeof(*ret));
    for (size_t i = 0; i < p->gate.count; i++)
        ret[i] = numbered[p->gate.number[i]];
}

static void charge_quota(struct pool *p, struct record *r)
{
    struct quota *q = quota_for(p, r);
    int64_t cost[POOL_MAX_DIMS];
    if (!q)
        return;
    ordered_cost(p, r->cost, cost);
    quota_charge(q, cost);
    q->running++;
    r->counted = true;
}

void pool_end_quota(struct pool *p, struct record *r, const struct pool_outcome *outcome,
                    int64_t now_ms)
{
    const char *tenant = fair_tenant(r->fair.flow);
    struct quota *q = quota_for(p, r), *counting = quotas_known(&p->quotas, tenant);
    int64_t cost[POOL_MAX_DIMS], accrued[POOL_MAX_DIMS];
    if (q)
        quota_refill(q, now_ms);
    if (q && r->counted && outcome) {
        ordered_cost(p, r->cost, cost);
        ordered_cost(p, r->accrued, accrued);
        for (size_t i = 0; i < p->gate.count; i++)
            cost[i] += accrued[i];
        quota_settle(q, cost, outcome->actual, outcome->unsent);
    }
    if (r->counted)
        counting->running--;
    r->counted = false;
    p->batch_running -= fair_class(r->fair.flow) == CLASS_BATCH;
    for (int c = 0; c < CLASS_COUNT && q; c++)
        fair_hurry(&p->book.fair, (enum pool_class)c, tenant);
}

void pool_accrue_quota(struct pool *p, const struct record *r, const int64_t *more, int64_t now_ms)
{
    struct quota *q = quota_for(p, r);
    if (!q || !r->counted)
        return;
    quota_refill(q, now_ms);
    quota_accrue(q, more, now_ms);
}

void pool_start(struct pool *p, struct record *r, int64_t now_ms, struct pool_turn *ret)
{
    gate_unhold(&p->gate, r);
    charge_quota(p, r);
    p->batch_running += fair_class(r->fair.flow) == CLASS_BATCH;
    book_move(&p->book, r, TICKET_RUNNING, now_ms + pool_lease_of(p, r));
    r->fence++;
    r->granted_ms = now_ms;
    memset(r->accrued, 0, sizeof(r->accrued));
    struct pool_grant *grant = &ret->grants[ret->grant_count++];
    *grant = (struct pool_grant){.fence = r->fence, .seq = ++p->seq};
    memcpy(grant->id, r->id, sizeof(grant->id));
}

void pool_drop(struct pool *p, struct record *r, enum ticket_state state)
{
    gate_unhold(&p->gate, r);
    book_move(&p->book, r, state, 0);
}

static void put_back_due(struct turn *t)
{
    for (size_t i = 0; i < DISPATCH_MAX_DUE; i++) {
        struct record *r = book_first_delayed(&t->pool->book);
        if (!r || r->until_ms > t->now_ms)
            return;
        book_move(&t->pool->book, r, TICKET_QUEUED, 0);
    }
}

static void bring_back_due(struct turn *t)
{
    struct fair *fair = &t->pool->book.fair;
    for (size_t i = 0; i < DISPATCH_MAX_DUE; i++) {
        struct fair_flow *flow = fair_first_parked(fair);
        if (!flow || fair_parked_until(flow) > t->now_ms)
            return;
        fair_unpark(fair, flow);
    }
}

static bool may_drop(const struct turn *t)
{
    return t->drops < DISPATCH_MAX_DROPS;
}

/* Whether its tenant's own limits let it; its flow is parked when they do not. */
static bool passes_quota(struct turn *t, const struct record *r)
{
    struct quota *q = quota_for(t->pool, r);
    int64_t cost[POOL_MAX_DIMS];
    if (!q)
        return true;
    ordered_cost(t->pool, r->cost, cost);
    quota_refill(q, t->now_ms);
    int64_t wait_ms = quota_wait_ms(q, cost, t->now_ms);
    if (wait_ms == 0)
        return true;
    int64_t until_ms = wait_ms == QUOTA_NEVER ? INT64_MAX : t->now_ms + wait_ms;
    if (r->deadline_ms > 0 && r->deadline_ms < until_ms)
        until_ms = r->deadline_ms;
    fair_park(&t->pool->book.fair, r->fair.flow, until_ms);
    t->drops++;
    return false;
}

/* The first ticket of a flow that is not late; late ones are dropped. NULL when the flow has
 * none, was parked, or the turn may drop no more. */
static struct record *come_up(struct turn *t, const struct fair_flow *flow, size_t queued)
{
    struct pool *p = t->pool;
    for (; queued > 0 && may_drop(t); queued--, t->drops++) {
        struct record *r = book_queued(flow);
        if (!is_late(r, t->now_ms)) {
            gate_cut(&p->gate, r->cost);
            return passes_quota(t, r) ? r : NULL;
        }
        pool_drop(p, r, TICKET_EXPIRED);
    }
    return NULL;
}

static struct record *find_head(struct turn *t)
{
    struct fair *fair = &t->pool->book.fair;
    while (fair->depth > 0 && may_drop(t)) {
        struct fair_flow *flow = fair_first(fair);
        struct record *r = flow ? come_up(t, flow, fair_flow_depth(flow)) : NULL;
        if (r || !flow)
            return r;
    }
    return NULL;
}

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* A wait for ticket r ends with its deadline at the latest. */
static int64_t wait_for(const struct turn *t, const struct record *r, int64_t wait_ms)
{
    return r->deadline_ms > 0 ? sooner(wait_ms, r->deadline_ms - t->now_ms) : wait_ms;
}

/* Lets the first that may pass the held head. True when one did; else the ms until one may. */
static bool bypass(struct turn *t, const struct record *head, int64_t *ret_wait_ms)
{
    struct pool *p = t->pool;
    struct fair *fair = &p->book.fair;
    struct fair_flow *next = NULL;
    int64_t soonest_ms = DIM_NEVER;
    size_t seen = 0;

    for (struct fair_flow *flow = fair_first(fair); flow && seen < BYPASS_MAX_SCAN; flow = next) {
        next = fair_after(fair, flow); /* a flow may go with its last ticket */
        if (flow == head->fair.flow)
            continue;
        seen++;
        struct record *r = come_up(t, flow, fair_flow_depth(flow));
        if (!r)
            continue;
        int64_t wait_ms = gate_pass_wait_ms(&p->gate, head->cost, r->cost, t->now_ms);
        if (wait_ms == 0) {
            gate_pass(&p->gate, head->cost, r->cost, t->now_ms);
            pool_start(p, r, t->now_ms, t->ret);
            return true;
        }
        soonest_ms = sooner(soonest_ms, wait_for(t, r, wait_ms));
    }
    *ret_wait_ms = soonest_ms;
    return false;
}

/* One step; false when the turn stops, with the wait and what binds. */
static bool step(struct turn *t)
{
    struct pool *p = t->pool;
    struct record *head = find_head(t);
    if (!head) {
        bool more = fair_first(&p->book.fair) != NULL;
        t->ret->wait_ms = more ? 0 : POOL_WAIT_NONE;
        return false;
    }

    int binding;
    int64_t wait_ms = gate_wait_ms(&p->gate, head->cost, t->now_ms, &binding);
    if (wait_ms == 0) {
        gate_charge(&p->gate, head->cost, t->now_ms);
        pool_start(p, head, t->now_ms, t->ret);
        return true;
    }

    gate_hold(&p->gate, head, p->limits.bypass_permille, t->now_ms);
    int64_t pass_ms;
    if (bypass(t, head, &pass_ms))
        return true;
    if (!may_drop(t)) {
        t->ret->wait_ms = 0;
        return false;
    }
    t->ret->wait_ms = sooner(wait_for(t, head, wait_ms), pass_ms);
    t->ret->binding = binding;
    return false;
}

static void run_queue(struct turn *t)
{
    struct pool *p = t->pool;
    struct pool_turn *ret = t->ret;
    for (;;) {
        ret->binding = -1;
        if (p->book.fair.depth == 0) {
            ret->wait_ms = POOL_WAIT_NONE;
            return;
        }
        if (ret->grant_count >= t->most) {
            ret->wait_ms = 0;
            return;
        }
        if (pool_slots_are_full(p)) {
            ret->wait_ms = POOL_WAIT_SLOTS;
            ret->binding = POOL_MAX_DIMS;
            return;
        }
        fair_bar(&p->book.fair, CLASS_BATCH, pool_batch_is_full(p));
        if (!step(t))
            return;
    }
}

void pool_turn_reset(struct pool_turn *ret)
{
    ret->grant_count = 0;
    ret->wait_ms = POOL_WAIT_KEEP;
    ret->binding = -1;
    ret->own = false;
}

/* A turn's wait, with what becomes due at some time by itself. */
static void wait_for_due(struct pool_turn *ret, int64_t due_ms, int64_t now_ms)
{
    int64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 1;
    if (ret->wait_ms == POOL_WAIT_NONE || ret->wait_ms > wait_ms)
        ret->wait_ms = wait_ms;
}

void pool_dispatch(struct pool *p, size_t max_grants, int64_t now_ms, struct pool_turn *ret)
{
    size_t most = max_grants < DISPATCH_MAX_GRANTS ? max_grants : DISPATCH_MAX_GRANTS;
    struct turn t = {.pool = p, .ret = ret, .most = most, .now_ms = now_ms};
    pool_turn_reset(ret);
    gate_refill(&p->gate, now_ms);
    put_back_due(&t);
    bring_back_due(&t);
    run_queue(&t);

    const struct record *r = book_first_delayed(&p->book);
    const struct fair_flow *flow = fair_first_parked(&p->book.fair);
    if (r)
        wait_for_due(ret, r->until_ms, now_ms);
    if (flow && fair_parked_until(flow) != INT64_MAX)
        wait_for_due(ret, fair_parked_until(flow), now_ms);
    if (ret->wait_ms == POOL_WAIT_NONE && p->book.fair.depth > 0)
        ret->wait_ms = POOL_WAIT_SLOTS;
}
