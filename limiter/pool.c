#include "limiter/pool_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ORDER_MAX_US ((INT64_C(1) << 53) - 1)

static int check_tenant(const struct pool_tenant *t, const struct pool_limits *limits,
                        struct error *e)
{
    if (t->max_parallel < 0 || t->max_depth < 0)
        return error_set(e, -EINVAL, "%s: a limit is out of range", t->name);
    for (size_t i = 0; i < limits->dim_count; i++) {
        struct dim_limit own = quota_limit(t, &limits->dims[i], i);
        int rc = t->rate[i] != 0 ? dim_limit_check(&own, e) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

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
    for (size_t i = 0; i < limits->tenant_count; i++) {
        int rc = check_tenant(&limits->tenants[i], limits, e);
        if (rc < 0)
            return rc;
    }
    if (limits->bypass_permille < 0 || limits->bypass_permille > 1000)
        return error_set(e, -EINVAL, "the bypass share must be 0 to 1000 permille");
    if (limits->batch_permille < 0 || limits->batch_permille > 1000)
        return error_set(e, -EINVAL, "the share of the class batch must be 0 to 1000 permille");
    if (limits->max_parallel < 0 || limits->max_depth < 0 || limits->lease_ms < 1 ||
        limits->max_losses < 0)
        return error_set(e, -EINVAL, "a limit of the queue is out of range");
    return 0;
}

void pool_limits_of_tenant(const struct pool_limits *limits, const char *tenant,
                           struct pool_limits *ret)
{
    *ret = *limits;
    ret->tenants = NULL;
    ret->tenant_count = 0;
    for (size_t i = 0; i < limits->tenant_count; i++) {
        const struct pool_tenant *t = &limits->tenants[i];
        if (strcmp(t->name, tenant) != 0)
            continue;
        for (size_t k = 0; k < ret->dim_count; k++) {
            if (t->rate[k] > 0 && t->capacity[k] < ret->dims[k].capacity)
                ret->dims[k].capacity = t->capacity[k];
        }
        return;
    }
}

static void keep_limits(struct pool *p, const struct pool_limits *limits)
{
    p->limits = *limits;
    p->limits.tenants = NULL;
    p->limits.tenant_count = 0;
}

static void set_quotas(struct pool *p, const struct pool_limits *l, int64_t now_ms)
{
    quotas_configure(&p->quotas, l->tenants, l->tenant_count, l->dims, l->dim_count, now_ms);
}

struct pool *pool_new(const struct pool_limits *limits, bool start_full, int64_t now_ms)
{
    if (pool_limits_check(limits, NULL) < 0)
        return NULL;
    struct pool *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    keep_limits(p, limits);
    /* The address is enough of a seed: it only has to differ from what a client can foresee. */
    book_init(&p->book, (uint64_t)(uintptr_t)p);
    quotas_init(&p->quotas, (uint64_t)(uintptr_t)p);
    if (quotas_reserve(&p->quotas, limits->tenants, limits->tenant_count) < 0 ||
        gate_configure(&p->gate, limits->dims, limits->dim_count, start_full, now_ms) < 0) {
        pool_free(p);
        return NULL;
    }
    set_quotas(p, limits, now_ms);
    return p;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    book_release(&p->book);
    gate_release(&p->gate);
    quotas_release(&p->quotas);
    free(p);
}

int pool_configure(struct pool *p, const struct pool_limits *limits, int64_t now_ms)
{
    int rc = pool_limits_check(limits, NULL);
    if (rc == 0)
        rc = quotas_reserve(&p->quotas, limits->tenants, limits->tenant_count);
    if (rc == 0)
        rc = gate_configure(&p->gate, limits->dims, limits->dim_count, true, now_ms);
    if (rc == 0) {
        keep_limits(p, limits);
        set_quotas(p, limits, now_ms);
        fair_hurry_all(&p->book.fair);
    }
    return rc;
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
    if (t->order_us < 0 || t->order_us > ORDER_MAX_US || t->deadline_ms < 0 || t->lease_ms < 0)
        return false;
    for (size_t i = 0; i < p->limits.dim_count; i++) {
        if (t->cost[i] < 0)
            return false;
    }
    return true;
}

static bool fits_at_once(struct pool *p, const struct ticket *t, const int64_t *cost,
                         int64_t now_ms)
{
    const struct quota *q = quota_of(&p->quotas, t->tenant);
    if (p->book.fair.depth > 0 || pool_slots_are_full(p))
        return false;
    if (t->class == CLASS_BATCH && pool_batch_is_full(p))
        return false;
    if (q) {
        struct quota then = *q;
        quota_refill(&then, now_ms);
        if (quota_wait_ms(&then, t->cost, now_ms) > 0)
            return false;
    }
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
    pool_turn_reset(ret);
    if (book_find(&p->book, t->id))
        return SUBMIT_KNOWN;
    int64_t cost[POOL_MAX_DIMS];
    gate_number_costs(&p->gate, t->cost, cost);
    ret->binding = gate_too_large(&p->gate, cost);
    if (ret->binding >= 0)
        return SUBMIT_TOO_LARGE;

    struct quota *q = quota_of(&p->quotas, t->tenant);
    ret->binding = q ? quota_too_large(q, t->cost) : -1;
    ret->own = ret->binding >= 0;
    if (ret->own)
        return SUBMIT_TOO_LARGE;

    bool late = t->deadline_ms > 0 && t->deadline_ms <= now_ms;
    bool at_once = !late && fits_at_once(p, t, cost, now_ms);
    if (!at_once && (int64_t)p->book.fair.depth >= p->limits.max_depth)
        return SUBMIT_FULL;
    if (!at_once && q && q->max_depth > 0 &&
        (int64_t)fair_tenant_depth(&p->book.fair, t->tenant) >= q->max_depth)
        return SUBMIT_TENANT_FULL;

    struct record *r;
    int rc = book_add(&p->book, t, &r);
    if (rc < 0)
        return rc;
    memcpy(r->cost, cost, sizeof(r->cost));
    if (q)
        quota_refill(q, now_ms);
    if (at_once) {
        gate_refill(&p->gate, now_ms);
        gate_charge(&p->gate, r->cost, now_ms);
        pool_start(p, r, now_ms, ret);
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
                                             .accrued = r->accrued,
                                             .actual = outcome->actual,
                                             .unsent = outcome->unsent};
        gate_settle(&p->gate, &settlement, now_ms);
        pool_end_quota(p, r, outcome, now_ms);
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

bool pool_accrue(struct pool *p, const char *id, int64_t fence, const int64_t *produced,
                 int64_t now_ms)
{
    struct record *r = find_running(p, id, fence);
    int64_t more[POOL_MAX_DIMS];
    if (!r)
        return false;
    struct gate_settlement so_far = {.cost = r->cost, .accrued = r->accrued, .actual = produced};
    gate_refill(&p->gate, now_ms);
    gate_accrue(&p->gate, &so_far, now_ms, more);
    pool_accrue_quota(p, r, more, now_ms);
    for (size_t i = 0; i < p->gate.count; i++)
        r->accrued[p->gate.number[i]] += more[i];
    return true;
}

enum ticket_state pool_cancel(struct pool *p, const char *id, int64_t now_ms)
{
    gate_refill(&p->gate, now_ms);
    struct record *r = book_find(&p->book, id);
    if (!r)
        return TICKET_NONE;
    enum ticket_state was = r->state;
    if (was == TICKET_QUEUED || was == TICKET_DELAYED)
        pool_drop(p, r, TICKET_CANCELLED);
    else if (was == TICKET_RUNNING)
        r->cancelled = true;
    return was;
}

bool pool_heartbeat(struct pool *p, const char *id, int64_t fence, int64_t now_ms)
{
    struct record *r = find_running(p, id, fence);
    if (r)
        book_extend(&p->book, r, now_ms + pool_lease_of(p, r));
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
        pool_end_quota(p, r, NULL, now_ms);
        if (r->lease_ms > 0)
            book_move(&p->book, r, TICKET_EXPIRED, 0);
        else if (++r->losses >= p->limits.max_losses)
            book_move(&p->book, r, TICKET_DEAD, 0);
        else
            repeat(p, r, 0, now_ms);
    }
    return count;
}

void pool_charge(struct pool *p, const int64_t *tokens, int64_t now_ms)
{
    gate_refill(&p->gate, now_ms);
    for (size_t i = 0; i < p->gate.count; i++) {
        /* What comes back has no time, so that nothing of a window does: it may have left already.
         */
        struct dim_charge charge = {.cost = tokens[i] < 0 ? -tokens[i] : 0};
        dim_settle(&p->gate.dims[i], &charge, tokens[i] > 0 ? tokens[i] : 0, true, now_ms);
    }
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

int64_t pool_parked_until(const struct pool *p)
{
    const struct fair_flow *flow = fair_first_parked(&p->book.fair);
    return flow ? fair_parked_until(flow) : INT64_MAX;
}

const struct quota *pool_quota(const struct pool *p, const char *tenant)
{
    return quota_of(&p->quotas, tenant);
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
    int64_t batch = 0;
    for (struct tree_node *n = tree_first(&p->book.leases); n; n = tree_next(n))
        batch += fair_class(TREE_ITEM(n, struct record, timed)->fair.flow) == CLASS_BATCH;
    if (batch != p->batch_running)
        return "running tickets of the class batch are counted";
    return book_check(&p->book);
}
