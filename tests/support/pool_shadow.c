#include "tests/support/pool_shadow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void refill_all(struct pool_shadow *s, int64_t now_ms)
{
    for (size_t n = 0; n < OPS_NAMES; n++) {
        struct shadow_dim *d = &s->dims[n];
        if (!d->present)
            continue;
        shadow_dim_refill(d, now_ms);
        if (!shadow_dim_is_window(d))
            continue;
        d->loose |= now_ms < s->latest_ms;
        shadow_dim_forget_left(d, now_ms);
    }
    for (size_t k = 0; k < OPS_TENANTS; k++) {
        for (size_t n = 0; n < OPS_NAMES; n++) {
            s->own[k][n].loose |= now_ms < s->latest_ms;
            if (s->own[k][n].present)
                shadow_dim_refill(&s->own[k][n], now_ms);
        }
    }
    s->latest_ms = now_ms > s->latest_ms ? now_ms : s->latest_ms;
}

static void set_limits(struct pool_shadow *s, const struct pool_limits *l, int64_t now_ms)
{
    s->limits = *l;
    struct shadow_dim old[OPS_NAMES];
    memcpy(old, s->dims, sizeof(old));
    memset(s->dims, 0, sizeof(s->dims));
    for (size_t n = 0; n < OPS_NAMES; n++)
        s->dims[n].log = s->logs[n];
    for (size_t i = 0; i < l->dim_count; i++) {
        size_t n = pool_ops_number(l->dims[i].name);
        shadow_dim_set(&s->dims[n], &old[n], &l->dims[i], now_ms);
    }
}

static const struct pool_tenant *tenant_of(const struct pool_shadow *s, const char *name)
{
    for (size_t i = 0; i < s->tenant_count; i++) {
        if (strcmp(s->tenants[i].name, name) == 0)
            return &s->tenants[i];
    }
    return NULL;
}

static void set_own(struct pool_shadow *s, const struct pool_limits *l, int64_t now_ms)
{
    s->tenant_count = l->tenant_count;
    memcpy(s->tenants, l->tenants, l->tenant_count * sizeof(*l->tenants));
    for (size_t k = 0; k < OPS_TENANTS; k++) {
        const struct pool_tenant *own = tenant_of(s, pool_ops_tenant[k]);
        struct shadow_dim old[OPS_NAMES];
        memcpy(old, s->own[k], sizeof(old));
        memset(s->own[k], 0, sizeof(s->own[k]));
        for (size_t i = 0; own && i < l->dim_count; i++) {
            size_t n = pool_ops_number(l->dims[i].name);
            struct shadow_dim *d = &s->own[k][n];
            if (own->rate[i] == 0)
                continue;
            *d = old[n];
            d->limit = quota_limit(own, &l->dims[i], i);
            d->level =
                d->present ? shadow_dim_least(d->level, shadow_dim_full(d)) : shadow_dim_full(d);
            d->refilled_ms = d->present ? d->refilled_ms : now_ms;
            d->loose &= d->present;
            d->present = true;
        }
    }
}

void pool_shadow_start(struct pool_shadow *s, const struct pool_ops *ops)
{
    memset(s, 0, sizeof(*s));
    set_limits(s, &ops->limits, ops->now_ms);
    set_own(s, &ops->limits, ops->now_ms);
}

static struct shadow_ticket *ticket_of(struct pool_shadow *s, struct pool_ops *ops, const char *id)
{
    struct ops_ticket *t = pool_ops_find(ops, id);
    assert_non_null(t);
    return &s->tickets[t - ops->tickets];
}

static int64_t running(const struct pool_shadow *s, size_t count)
{
    int64_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += s->tickets[i].state == TICKET_RUNNING;
    return n;
}

static int64_t count_of(const struct pool_shadow *s, const struct pool_ops *ops, const char *tenant,
                        enum ticket_state state)
{
    int64_t n = 0;
    for (size_t i = 0; i < ops->count; i++)
        n += s->tickets[i].state == state && strcmp(ops->tickets[i].asked.tenant, tenant) == 0;
    return n;
}

/* A tenant's own limits: slots that were taken under them, and its buckets. */
static void follow_own(struct pool_shadow *s, struct shadow_ticket *t, const char *tenant)
{
    const struct pool_tenant *own = tenant_of(s, tenant);
    size_t k = pool_ops_tenant_number(tenant);
    if (!own)
        return;
    if (own->max_parallel > 0)
        assert_true(s->running[k] < own->max_parallel);
    s->running[k]++;
    t->counted = true;
    for (size_t n = 0; n < OPS_NAMES; n++) {
        struct shadow_dim *d = &s->own[k][n];
        int64_t units = t->cost[n] * d->limit.period;
        if (!d->present || t->cost[n] == 0)
            continue;
        /* Loose: a bucket that is seldom looked at does not see each step back of the clock. */
        assert_true(d->loose || d->level >= shadow_dim_least(units, shadow_dim_full(d)));
        d->level -= units;
    }
}

static int64_t lease_of(const struct pool_shadow *s, struct pool_ops *ops, const char *id)
{
    int64_t own_ms = pool_ops_find(ops, id)->asked.lease_ms;
    return own_ms > 0 ? own_ms : s->limits.lease_ms;
}

/* The part of the slots that the class batch may hold. */
static void follow_class(const struct pool_shadow *s, const struct pool_ops *ops,
                         const struct ops_ticket *granted)
{
    int64_t batch = 0, most = s->limits.max_parallel * s->limits.batch_permille / 1000;
    if (granted->asked.class != CLASS_BATCH || s->limits.max_parallel == 0 ||
        s->limits.batch_permille == 0)
        return;
    for (size_t i = 0; i < ops->count; i++)
        batch +=
            s->tickets[i].state == TICKET_RUNNING && ops->tickets[i].asked.class == CLASS_BATCH;
    assert_true(batch < (most > 1 ? most : 1));
}

/* I2, I3, I8 and the fit itself, for one grant. */
static void follow_grant(struct pool_shadow *s, struct pool_ops *ops, const struct pool_grant *g,
                         int64_t now_ms)
{
    struct shadow_ticket *t = ticket_of(s, ops, g->id);
    assert_int_equal(t->state, TICKET_QUEUED);
    if (t->deadline_ms)
        assert_true(now_ms < t->deadline_ms);
    if (s->limits.max_parallel)
        assert_true(running(s, ops->count) < s->limits.max_parallel);
    for (size_t n = 0; n < OPS_NAMES; n++) {
        struct shadow_dim *d = &s->dims[n];
        if (!d->present || t->cost[n] == 0)
            continue;
        t->cost[n] = shadow_dim_least(t->cost[n], d->limit.capacity);
        int64_t units = t->cost[n] * d->limit.period;
        assert_true(now_ms >= d->paused_ms);
        if (shadow_dim_is_window(d)) {
            shadow_dim_grant(d, t->cost[n], (size_t)(t - s->tickets), now_ms);
            continue;
        }
        assert_true(d->level >= shadow_dim_least(units + d->limit.headroom, shadow_dim_full(d)));
        shadow_dim_charge(d, units, true);
        assert_true(d->level >= 0);
    }
    follow_class(s, ops, pool_ops_find(ops, g->id));
    follow_own(s, t, pool_ops_find(ops, g->id)->asked.tenant);
    assert_int_equal(g->fence, t->fence + 1); /* I7 */
    assert_int_equal(g->seq, s->seq + 1);
    t->fence = g->fence;
    s->seq = g->seq;
    t->state = TICKET_RUNNING;
    t->granted_ms = now_ms;
    t->until_ms = now_ms + lease_of(s, ops, g->id);
    s->grants++;
}

/* What a turn may do besides grants: put back what is due, drop what is late. */
static void follow_turn(struct pool_shadow *s, struct pool_ops *ops, const struct pool *p,
                        const struct pool_op *op, const struct pool_turn *turn)
{
    for (size_t i = 0; i < ops->count; i++) {
        struct shadow_ticket *t = &s->tickets[i];
        if (t->state == TICKET_DELAYED && t->until_ms <= op->now_ms)
            t->state = TICKET_QUEUED;
    }
    for (size_t i = 0; i < turn->grant_count; i++)
        follow_grant(s, ops, &turn->grants[i], op->now_ms);
    for (size_t i = 0; i < ops->count; i++) {
        struct shadow_ticket *t = &s->tickets[i];
        bool late = t->deadline_ms > 0 && t->deadline_ms <= op->now_ms;
        if (late && t->state == TICKET_QUEUED &&
            pool_ticket_state(p, ops->tickets[i].id) == TICKET_EXPIRED) {
            t->state = TICKET_EXPIRED;
            s->expired++;
        }
    }
}

static bool follow_own_size(const struct pool_shadow *s, const struct ops_ticket *asked)
{
    const struct pool_tenant *own = tenant_of(s, asked->asked.tenant);
    for (size_t i = 0; own && i < s->limits.dim_count; i++) {
        size_t n = pool_ops_number(s->limits.dims[i].name);
        if (own->rate[i] > 0 && asked->named_cost[n] > own->capacity[i])
            return true;
    }
    return false;
}

static void follow_submit(struct pool_shadow *s, struct pool_ops *ops, const struct pool *p,
                          const struct pool_op *op, const struct pool_result *r)
{
    struct ops_ticket *asked = pool_ops_find(ops, op->ticket.id);
    struct shadow_ticket *t = ticket_of(s, ops, op->ticket.id);
    bool known = t->state != TICKET_NONE, large = false;
    int64_t queued = 0;
    for (size_t i = 0; i < ops->count; i++)
        queued += s->tickets[i].state == TICKET_QUEUED;
    for (size_t n = 0; n < OPS_NAMES; n++)
        large |= s->dims[n].present && asked->named_cost[n] > s->dims[n].limit.capacity;

    assert_int_equal(r->submit == SUBMIT_KNOWN, known);
    if (known)
        return;
    large |= follow_own_size(s, asked);
    assert_int_equal(r->submit == SUBMIT_TOO_LARGE, large);
    if (large)
        return;
    if (r->submit == SUBMIT_FULL) {
        assert_true(queued >= s->limits.max_depth);
        return;
    }
    if (r->submit == SUBMIT_TENANT_FULL) {
        const struct pool_tenant *own = tenant_of(s, asked->asked.tenant);
        assert_non_null(own);
        assert_true(own->max_depth > 0 &&
                    count_of(s, ops, asked->asked.tenant, TICKET_QUEUED) >= own->max_depth);
        return;
    }
    refill_all(s, op->now_ms);
    for (size_t n = 0; n < OPS_NAMES; n++)
        t->cost[n] = s->dims[n].present ? asked->named_cost[n] : 0;
    t->state = TICKET_QUEUED;
    t->deadline_ms = op->ticket.deadline_ms;
    if (r->submit == SUBMIT_GRANTED) {
        assert_int_equal(queued, 0);
        assert_int_equal(r->turn.grant_count, 1);
        follow_grant(s, ops, &r->turn.grants[0], op->now_ms);
        return;
    }
    assert_true(queued < s->limits.max_depth);
    follow_turn(s, ops, p, op, &r->turn);
}

static void correct_window(struct shadow_dim *d, const struct shadow_ticket *t, size_t ticket,
                           const struct pool_op *op, int64_t cost, int64_t actual)
{
    bool unsent = op->outcome.unsent, known = t->granted_ms > d->since_ms;
    if (d->limit.rule == DIM_ACCRUE && !unsent) {
        if (known)
            shadow_dim_take_back(d, ticket, t->granted_ms, cost);
        shadow_dim_add(d, op->now_ms, actual, SIZE_MAX);
    } else if (actual > cost) {
        shadow_dim_add(d, op->now_ms, actual - cost, SIZE_MAX);
    } else if (known && (unsent || d->limit.rule != DIM_KEEP)) {
        shadow_dim_take_back(d, ticket, t->granted_ms, cost - actual);
    }
}

static void correct(struct pool_shadow *s, const struct pool_ops *ops,
                    const struct shadow_ticket *t, const struct pool_op *op)
{
    for (size_t i = 0; i < s->limits.dim_count; i++) {
        size_t n = pool_ops_number(s->limits.dims[i].name);
        struct shadow_dim *d = &s->dims[n];
        int64_t actual = op->outcome.unsent ? 0 : op->outcome.actual[i];
        if (actual < 0)
            continue;
        /* It came up while the capacity was lower, and was cut, or it did not: nobody told. */
        d->loose |= t->cost[n] > ops->least_cap[n];
        if (shadow_dim_is_window(d)) {
            correct_window(d, t, (size_t)(t - s->tickets), op, t->cost[n], actual);
            continue;
        }
        int64_t units = (t->cost[n] - actual) * d->limit.period;
        if (units > 0 && d->limit.rule == DIM_KEEP && !op->outcome.unsent)
            continue;
        shadow_dim_charge(d, -shadow_dim_least(units, shadow_dim_full(d) - d->level), false);
    }
}

/* The same for the tenant's buckets, and its slot. */
static void end_own(struct pool_shadow *s, struct shadow_ticket *t, const char *tenant,
                    const struct pool_op *op)
{
    size_t k = pool_ops_tenant_number(tenant);
    bool charged = t->counted && tenant_of(s, tenant);
    s->running[k] -= t->counted;
    t->counted = false;
    for (size_t i = 0; i < s->limits.dim_count && charged && op; i++) {
        size_t n = pool_ops_number(s->limits.dims[i].name);
        struct shadow_dim *d = &s->own[k][n];
        int64_t actual = op->outcome.unsent ? 0 : op->outcome.actual[i];
        int64_t units = (t->cost[n] - actual) * d->limit.period;
        if (!d->present || actual < 0)
            continue;
        if (units < 0 || op->outcome.unsent || d->limit.rule != DIM_KEEP)
            d->level = shadow_dim_least(d->level + (shadow_wide)units, shadow_dim_full(d));
    }
}

static void pause_dims(struct pool_shadow *s, const struct pool_op *op)
{
    for (size_t i = 0; i < s->limits.dim_count; i++) {
        struct shadow_dim *d = &s->dims[pool_ops_number(s->limits.dims[i].name)];
        int64_t until = op->now_ms + op->pause_ms;
        if ((op->pause_dim == -1 || op->pause_dim == (int)i) && d->paused_ms < until)
            d->paused_ms = until;
    }
}

/* I4 and I7: only the current holder, and once. */
static void follow_settle(struct pool_shadow *s, struct pool_ops *ops, const struct pool_op *op,
                          bool took)
{
    struct shadow_ticket *t = ticket_of(s, ops, op->id);
    assert_int_equal(took, t->state == TICKET_RUNNING && t->fence == op->fence);
    refill_all(s, op->now_ms);
    if (!took)
        return;
    correct(s, ops, t, op);
    end_own(s, t, pool_ops_find(ops, op->id)->asked.tenant, op);
    pause_dims(s, op);
    t->state = op->outcome.state;
    s->settles++;
    if (t->state != TICKET_QUEUED)
        return;
    if (t->cancelled)
        t->state = TICKET_CANCELLED;
    else if (op->outcome.delay_ms > 0)
        t->state = TICKET_DELAYED;
    t->until_ms = op->now_ms + op->outcome.delay_ms;
}

static void follow_cancel(struct pool_shadow *s, struct pool_ops *ops, const struct pool_op *op,
                          enum ticket_state was)
{
    struct shadow_ticket *t = ticket_of(s, ops, op->id);
    assert_int_equal(was, t->state);
    refill_all(s, op->now_ms);
    if (was == TICKET_RUNNING)
        t->cancelled = true;
    else if (was == TICKET_QUEUED || was == TICKET_DELAYED)
        t->state = TICKET_CANCELLED;
}

/* The lease that ended first, by id among equals; NULL: none has. */
static struct shadow_ticket *first_ended(struct pool_shadow *s, const struct pool_ops *ops,
                                         int64_t now_ms)
{
    struct shadow_ticket *first = NULL;
    for (size_t i = 0; i < ops->count; i++) {
        struct shadow_ticket *t = &s->tickets[i];
        if (t->state != TICKET_RUNNING || t->until_ms > now_ms)
            continue;
        if (!first || t->until_ms < first->until_ms ||
            (t->until_ms == first->until_ms &&
             strcmp(ops->tickets[i].id, ops->tickets[first - s->tickets].id) < 0))
            first = t;
    }
    return first;
}

static void follow_reap(struct pool_shadow *s, struct pool_ops *ops, const struct pool_op *op,
                        size_t reaped)
{
    size_t count = 0;
    refill_all(s, op->now_ms);
    for (; count < REAP_MAX_LEASES; count++) {
        struct shadow_ticket *t = first_ended(s, ops, op->now_ms);
        if (!t)
            break;
        end_own(s, t, ops->tickets[t - s->tickets].asked.tenant, NULL);
        t->losses++;
        t->state = ops->tickets[t - s->tickets].asked.lease_ms > 0 ? TICKET_EXPIRED
                   : t->losses >= s->limits.max_losses             ? TICKET_DEAD
                   : t->cancelled                                  ? TICKET_CANCELLED
                                                                   : TICKET_QUEUED;
    }
    assert_int_equal(reaped, count);
    s->reaped += count;
}

void pool_shadow_follow(struct pool_shadow *s, struct pool_ops *ops, const struct pool *p,
                        const struct pool_op *op, const struct pool_result *r)
{
    bool turned = r->turn.wait_ms != POOL_WAIT_KEEP;
    switch (op->kind) {
    case OP_SUBMIT:
        follow_submit(s, ops, p, op, r);
        return;
    case OP_SETTLE:
        follow_settle(s, ops, op, r->took);
        break;
    case OP_CANCEL:
        follow_cancel(s, ops, op, r->was);
        break;
    case OP_REAP:
        follow_reap(s, ops, op, r->reaped);
        break;
    case OP_HEARTBEAT: {
        struct shadow_ticket *t = ticket_of(s, ops, op->id);
        assert_int_equal(r->took, t->state == TICKET_RUNNING && t->fence == op->fence);
        if (r->took)
            t->until_ms = op->now_ms + lease_of(s, ops, op->id);
        break;
    }
    case OP_CONFIGURE:
        refill_all(s, op->now_ms);
        set_limits(s, &op->limits, op->now_ms);
        set_own(s, &op->limits, op->now_ms);
        break;
    default:
        refill_all(s, op->now_ms);
        break;
    }
    if (turned)
        follow_turn(s, ops, p, op, &r->turn);
}

void pool_shadow_compare(const struct pool_shadow *s, const struct pool_ops *ops,
                         const struct pool *p, int64_t now_ms, bool all)
{
    for (size_t i = 0; i < s->limits.dim_count; i++) {
        struct shadow_dim d = s->dims[pool_ops_number(s->limits.dims[i].name)];
        int64_t level = pool_level(p, i, now_ms);
        shadow_dim_refill(&d, now_ms);
        if (shadow_dim_is_window(&d)) {
            static struct shadow_record log[SHADOW_MAX_RECORDS];
            memcpy(log, d.log, d.count * sizeof(*log));
            d.log = log;
            shadow_dim_forget_left(&d, now_ms);
        }
        assert_true(level <= d.level); /* I3, I5 */
        if (!d.loose)
            assert_int_equal(level, d.level);
    }
    int64_t count[TICKET_STATE_COUNT] = {0}, queued = 0;
    for (size_t i = 0; i < ops->count; i++) {
        count[s->tickets[i].state]++;
        if (all)
            assert_int_equal(pool_ticket_state(p, ops->tickets[i].id), s->tickets[i].state);
    }
    for (int c = 0; c < CLASS_COUNT; c++)
        queued += pool_depth(p, (enum pool_class)c);
    assert_int_equal(queued, count[TICKET_QUEUED]); /* I6 */
    assert_int_equal(pool_delayed(p), count[TICKET_DELAYED]);
    assert_int_equal(pool_running(p), count[TICKET_RUNNING]);
}
