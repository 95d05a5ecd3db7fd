#include "limiter/pool.h"

#include "limiter/book.h"
#include "limiter/gate.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ORDER_MAX_US ((INT64_C(1) << 53) - 1)

struct pool {
    struct pool_limits limits;
    struct gate gate;
    struct book book;
    int64_t seq; /* of the last grant */
};

/* What one dispatch carries along. */
struct turn {
    struct pool *pool;
    struct pool_turn *ret;
    size_t most;
    size_t drops;
    int64_t now_ms;
};

int pool_limits_check(const struct pool_limits *limits, struct error *e)
{
    if (limits->dim_count > POOL_MAX_DIMS)
        return error_set(e, -EINVAL, "a pool has at most %d limits", POOL_MAX_DIMS);
    for (size_t i = 0; i < limits->dim_count; i++) {
        const struct dim_limit *limit = &limits->dims[i];
        int rc = dim_limit_check(limit, e);
        if (rc < 0)
            return rc;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(limit->name, limits->dims[j].name) == 0)
                return error_set(e, -EINVAL, "the limit %s stands twice", limit->name);
        }
    }
    if (limits->bypass_permille < 0 || limits->bypass_permille > 1000)
        return error_set(e, -EINVAL, "the bypass share must be 0 to 1000 permille");
    if (limits->max_parallel < 0 || limits->max_depth < 0 || limits->lease_ms < 1 ||
        limits->max_losses < 0)
        return error_set(e, -EINVAL, "a limit of the queue is out of range");
    return 0;
}

struct pool *pool_new(const struct pool_limits *limits, bool start_full, int64_t now_ms)
{
    if (pool_limits_check(limits, NULL) < 0)
        return NULL;
    struct pool *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->limits = *limits;
    /* The address is enough of a seed: it only has to differ from what a client can foresee. */
    book_init(&p->book, (uint64_t)(uintptr_t)p);
    if (gate_configure(&p->gate, limits->dims, limits->dim_count, start_full, now_ms) < 0) {
        pool_free(p);
        return NULL;
    }
    return p;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    book_release(&p->book);
    gate_release(&p->gate);
    free(p);
}

int pool_configure(struct pool *p, const struct pool_limits *limits, int64_t now_ms)
{
    int rc = pool_limits_check(limits, NULL);
    if (rc == 0)
        rc = gate_configure(&p->gate, limits->dims, limits->dim_count, true, now_ms);
    if (rc == 0)
        p->limits = *limits;
    return rc;
}

/* ---- turn */

static bool slots_are_full(const struct pool *p)
{
    return p->limits.max_parallel > 0 && pool_running(p) >= p->limits.max_parallel;
}

static bool is_late(const struct record *r, int64_t now_ms)
{
    return r->deadline_ms > 0 && r->deadline_ms <= now_ms;
}

static void start(struct pool *p, struct record *r, int64_t now_ms, struct pool_turn *ret)
{
    gate_unhold(&p->gate, r);
    book_move(&p->book, r, TICKET_RUNNING, now_ms + p->limits.lease_ms);
    r->fence++;
    r->granted_ms = now_ms;
    struct pool_grant *grant = &ret->grants[ret->grant_count++];
    *grant = (struct pool_grant){.fence = r->fence, .seq = ++p->seq};
    memcpy(grant->id, r->id, sizeof(grant->id));
}

/* Takes an ungranted ticket out of the queue for good. */
static void drop(struct pool *p, struct record *r, enum ticket_state state)
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

static bool may_drop(const struct turn *t)
{
    return t->drops < DISPATCH_MAX_DROPS;
}

/* The first ticket of a flow that is not late; late ones are dropped. NULL when the flow has
 * none, or the turn may drop no more. */
static struct record *come_up(struct turn *t, const struct fair_flow *flow, size_t queued)
{
    struct pool *p = t->pool;
    for (; queued > 0 && may_drop(t); queued--, t->drops++) {
        struct record *r = book_queued(flow);
        if (!is_late(r, t->now_ms)) {
            gate_cut(&p->gate, r->cost);
            return r;
        }
        drop(p, r, TICKET_EXPIRED);
    }
    return NULL;
}

static struct record *find_head(struct turn *t)
{
    struct fair *fair = &t->pool->book.fair;
    while (fair->depth > 0 && may_drop(t)) {
        struct fair_flow *flow = fair_first(fair);
        struct record *r = come_up(t, flow, fair_flow_depth(flow));
        if (r)
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
            start(p, r, t->now_ms, t->ret);
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
        t->ret->wait_ms = p->book.fair.depth > 0 ? 0 : POOL_WAIT_NONE;
        return false;
    }

    int binding;
    int64_t wait_ms = gate_wait_ms(&p->gate, head->cost, t->now_ms, &binding);
    if (wait_ms == 0) {
        gate_charge(&p->gate, head->cost, t->now_ms);
        start(p, head, t->now_ms, t->ret);
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
        if (slots_are_full(p)) {
            ret->wait_ms = POOL_WAIT_SLOTS;
            ret->binding = POOL_MAX_DIMS;
            return;
        }
        if (!step(t))
            return;
    }
}

static void reset(struct pool_turn *ret)
{
    ret->grant_count = 0;
    ret->wait_ms = POOL_WAIT_KEEP;
    ret->binding = -1;
}

void pool_dispatch(struct pool *p, size_t max_grants, int64_t now_ms, struct pool_turn *ret)
{
    size_t most = max_grants < DISPATCH_MAX_GRANTS ? max_grants : DISPATCH_MAX_GRANTS;
    struct turn t = {.pool = p, .ret = ret, .most = most, .now_ms = now_ms};
    reset(ret);
    gate_refill(&p->gate, now_ms);
    put_back_due(&t);
    run_queue(&t);

    const struct record *r = book_first_delayed(&p->book);
    if (!r)
        return;
    int64_t due_ms = r->until_ms > now_ms ? r->until_ms - now_ms : 1;
    if (ret->wait_ms == POOL_WAIT_NONE || ret->wait_ms > due_ms)
        ret->wait_ms = due_ms;
}

/* ---- tickets */

static bool is_well_formed(const struct pool *p, const struct ticket *t)
{
    size_t id_len = strlen(t->id);
    if (id_len == 0 || id_len >= TICKET_ID_BYTES || strlen(t->tenant) >= TENANT_NAME_BYTES)
        return false;
    if ((unsigned)t->class >= CLASS_COUNT || t->weight < 1)
        return false;
    if (t->fair_cost < 1 || t->fair_cost > FAIR_MAX_TOKENS)
        return false;
    if (t->order_us < 0 || t->order_us > ORDER_MAX_US || t->deadline_ms < 0)
        return false;
    for (size_t i = 0; i < p->limits.dim_count; i++) {
        if (t->cost[i] < 0)
            return false;
    }
    return true;
}

static bool fits_at_once(struct pool *p, const int64_t *cost, int64_t now_ms)
{
    if (p->book.fair.depth > 0 || slots_are_full(p))
        return false;
    struct gate then = p->gate; /* a refusal must not keep the refill */
    gate_refill(&then, now_ms);
    int binding;
    return gate_wait_ms(&then, cost, now_ms, &binding) == 0;
}

int pool_submit(struct pool *p, const struct ticket *t, size_t max_grants, int64_t now_ms,
                struct pool_turn *ret)
{
    if (!is_well_formed(p, t))
        return -EINVAL;
    reset(ret);
    if (book_find(&p->book, t->id))
        return SUBMIT_KNOWN;
    int64_t cost[POOL_MAX_DIMS];
    gate_number_costs(&p->gate, t->cost, cost);
    ret->binding = gate_too_large(&p->gate, cost);
    if (ret->binding >= 0)
        return SUBMIT_TOO_LARGE;

    bool late = t->deadline_ms > 0 && t->deadline_ms <= now_ms;
    bool at_once = !late && fits_at_once(p, cost, now_ms);
    if (!at_once && (int64_t)p->book.fair.depth >= p->limits.max_depth)
        return SUBMIT_FULL;

    struct record *r;
    int rc = book_add(&p->book, t, &r);
    if (rc < 0)
        return rc;
    memcpy(r->cost, cost, sizeof(r->cost));
    if (at_once) {
        gate_refill(&p->gate, now_ms);
        gate_charge(&p->gate, r->cost, now_ms);
        start(p, r, now_ms, ret);
        return SUBMIT_GRANTED;
    }
    book_move(&p->book, r, TICKET_QUEUED, 0);
    pool_dispatch(p, max_grants, now_ms, ret);
    return SUBMIT_QUEUED;
}

static struct record *find_running(const struct pool *p, const char *id, int64_t fence)
{
    struct record *r = book_find(&p->book, id);
    return r && r->state == TICKET_RUNNING && r->fence == fence ? r : NULL;
}

/* Where a ticket goes that would be repeated. */
static void repeat(struct pool *p, struct record *r, int64_t delay_ms, int64_t now_ms)
{
    if (r->cancelled)
        book_move(&p->book, r, TICKET_CANCELLED, 0);
    else if (delay_ms > 0)
        book_move(&p->book, r, TICKET_DELAYED, now_ms + delay_ms);
    else
        book_move(&p->book, r, TICKET_QUEUED, 0);
}

bool pool_settle(struct pool *p, const struct pool_outcome *outcome, size_t max_grants,
                 int64_t now_ms, struct pool_turn *ret)
{
    struct record *r = find_running(p, outcome->id, outcome->fence);
    if (r) {
        gate_refill(&p->gate, now_ms);
        struct gate_settlement settlement = {.cost = r->cost,
                                             .at_ms = r->granted_ms,
                                             .actual = outcome->actual,
                                             .unsent = outcome->unsent};
        gate_settle(&p->gate, &settlement, now_ms);
        int64_t fair_actual = outcome->unsent ? 0 : outcome->fair_actual;
        if (fair_actual > FAIR_MAX_TOKENS)
            fair_actual = FAIR_MAX_TOKENS;
        if (fair_actual >= 0)
            fair_correct(&p->book.fair, &r->fair, fair_actual);
        if (outcome->state == TICKET_QUEUED)
            repeat(p, r, outcome->delay_ms, now_ms);
        else
            book_move(&p->book, r, outcome->state, 0);
    }
    pool_dispatch(p, max_grants, now_ms, ret);
    return r != NULL;
}

enum ticket_state pool_cancel(struct pool *p, const char *id, int64_t now_ms)
{
    gate_refill(&p->gate, now_ms);
    struct record *r = book_find(&p->book, id);
    if (!r)
        return TICKET_NONE;
    enum ticket_state was = r->state;
    if (was == TICKET_QUEUED || was == TICKET_DELAYED)
        drop(p, r, TICKET_CANCELLED);
    else if (was == TICKET_RUNNING)
        r->cancelled = true;
    return was;
}

bool pool_heartbeat(struct pool *p, const char *id, int64_t fence, int64_t now_ms)
{
    struct record *r = find_running(p, id, fence);
    if (r)
        book_extend(&p->book, r, now_ms + p->limits.lease_ms);
    return r != NULL;
}

size_t pool_reap(struct pool *p, int64_t now_ms)
{
    gate_refill(&p->gate, now_ms);
    size_t count = 0;
    for (; count < REAP_MAX_LEASES; count++) {
        struct record *r = book_first_lease(&p->book);
        if (!r || r->until_ms > now_ms)
            break;
        if (++r->losses >= p->limits.max_losses)
            book_move(&p->book, r, TICKET_DEAD, 0);
        else
            repeat(p, r, 0, now_ms);
    }
    return count;
}

void pool_pause(struct pool *p, int dim, int64_t until_ms)
{
    for (size_t i = 0; i < p->gate.count; i++) {
        struct dim *d = &p->gate.dims[i];
        if ((dim < 0 || (size_t)dim == i) && d->paused_ms < until_ms)
            d->paused_ms = until_ms;
    }
}

/* ---- looking */

enum ticket_state pool_ticket_state(const struct pool *p, const char *id)
{
    const struct record *r = book_find(&p->book, id);
    return r ? r->state : TICKET_NONE;
}

int64_t pool_level(const struct pool *p, size_t dim, int64_t now_ms)
{
    assert(dim < p->gate.count);
    return dim_level_at(&p->gate.dims[dim], now_ms);
}

const struct window *pool_window(const struct pool *p, size_t dim)
{
    assert(dim < p->gate.count);
    const struct dim *d = &p->gate.dims[dim];
    return d->limit.algorithm == DIM_WINDOW ? &d->window : NULL;
}

int64_t pool_running(const struct pool *p)
{
    return (int64_t)p->book.leases.count;
}

int64_t pool_depth(const struct pool *p, enum pool_class c)
{
    return (int64_t)p->book.fair.classes[c].depth;
}

int64_t pool_delayed(const struct pool *p)
{
    return (int64_t)p->book.delayed.count;
}

const char *pool_head(const struct pool *p)
{
    const struct fair_flow *flow = fair_first(&p->book.fair);
    return flow ? book_queued(flow)->id : NULL;
}

const char *pool_check(const struct pool *p)
{
    for (size_t i = 0; i < p->gate.count; i++) {
        const char *broken = dim_check(&p->gate.dims[i]);
        if (broken)
            return broken;
    }
    const struct record *held = p->gate.hold.ticket;
    if (held && held->state != TICKET_QUEUED)
        return "only a queued ticket is held";
    return book_check(&p->book);
}
