#include "tests/simulation/server.h"

#include "tests/simulation/loop.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t server_now_ms(const struct server *s)
{
    return loop_now_us() / 1000 + s->shift_ms;
}

/* ---- pools and records */

static struct server_pool *find_pool(struct server *s, const char *id)
{
    for (size_t i = 0; i < s->pool_count; i++) {
        if (strcmp(s->pools[i].id, id) == 0)
            return s->pools[i].pool ? &s->pools[i] : NULL;
    }
    return NULL;
}

static void record_free(struct record *r)
{
    list_remove(&r->link);
    op_free_fields(r->fields, r->field_count);
    free(r);
}

static void pool_forget(struct server_pool *p)
{
    while (!list_is_empty(&p->open))
        record_free(LIST_ITEM(p->open.next, struct record, link));
    while (!list_is_empty(&p->ended))
        record_free(LIST_ITEM(p->ended.next, struct record, link));
    map_release(&p->records);
    pool_free(p->pool);
    p->pool = NULL;
}

static struct server_pool *pool_make(struct server *s, const struct op *op)
{
    struct server_pool *p = NULL;
    for (size_t i = 0; i < s->pool_count && !p; i++)
        p = strcmp(s->pools[i].id, op->pool) == 0 ? &s->pools[i] : NULL;
    if (!p) {
        assert(s->pool_count < SERVER_MAX_POOLS);
        p = &s->pools[s->pool_count++];
    }
    *p = (struct server_pool){.due_us = INT64_MAX};
    (void)snprintf(p->id, sizeof(p->id), "%s", op->pool);
    p->pool = pool_new(op->limits, op->start_full, op->at_ms);
    assert(p->pool);
    map_init(&p->records, 0);
    list_init(&p->open);
    list_init(&p->ended);
    return p;
}

struct record *server_find(struct server *s, const char *id)
{
    for (size_t i = 0; i < s->pool_count; i++) {
        struct record *r = s->pools[i].pool ? map_get(&s->pools[i].records, id) : NULL;
        if (r)
            return r;
    }
    return NULL;
}

static void set_field(struct record *r, const struct store_field *f)
{
    size_t i = 0;
    while (i < r->field_count && strcmp(r->fields[i].name, f->name) != 0)
        i++;
    assert(i < STORE_MAX_FIELDS);
    if (i == r->field_count)
        r->field_count++;
    else
        free((void *)(uintptr_t)r->fields[i].value);
    op_copy_field(&r->fields[i], f);
}

static struct record *record_new(struct server_pool *p, const struct op *op, bool replaying)
{
    struct record *r = calloc(1, sizeof(*r));
    assert(r);
    memcpy(r->id, op->id, sizeof(r->id));
    r->pool = p;
    r->is_job = op->ticket.is_job;
    r->owner = op->owner;
    r->class = (int)op->ticket.class;
    r->weight = op->ticket.weight;
    r->state = TICKET_QUEUED;
    r->t0_ms = op->at_ms;
    r->accepted_us = op->at_us;
    memcpy(r->cost, op->ticket.cost, sizeof(r->cost));
    for (size_t i = 0; i < op->field_count; i++)
        set_field(r, &op->fields[i]);
    list_init(&r->link);
    r->replayed = replaying;
    list_add_last(&p->open, &r->link);
    p->open_jobs += r->is_job;
    int rc = map_put(&p->records, r->id, r);
    assert(rc == 0);
    (void)rc;
    return r;
}

/* ---- turns */

static void grant(struct server *s, struct server_pool *p, struct record *r,
                  const struct pool_grant *g, const struct op *op, struct store_turn *turn)
{
    watch_grant(p, r, g->fence, g->seq);
    for (size_t i = 0; i < p->limits.dim_count; i++) {
        if (r->cost[i] > p->limits.dims[i].capacity)
            r->cost[i] = p->limits.dims[i].capacity; /* it was lowered since */
    }
    r->state = TICKET_RUNNING;
    if (r->is_job)
        r->owner = op->owner;
    r->fence = g->fence;
    r->t1_ms = op->at_ms;
    r->lease_ms = op->at_ms + p->limits.lease_ms;
    r->granted_us = r->changed_us = op->at_us;
    r->replayed |= s->replaying;
    trace("grant", r->id, r->fence, r->owner);
    watch_charge(p, r->cost, true, op->at_ms);
    s->grants++;
    if (r->owner == op->owner) {
        struct store_grant *out = &turn->grants[turn->grant_count++];
        *out = (struct store_grant){.fence = g->fence, .seq = g->seq, .is_job = r->is_job};
        memcpy(out->id, r->id, sizeof(out->id));
        return;
    }
    char payload[160];
    (void)snprintf(payload, sizeof(payload), "grant %s %" PRId64 " %" PRId64 " {%s}", r->id,
                   g->fence, g->seq, p->id);
    if (!s->replaying)
        s->publish(s->arg, r->owner, payload);
}

static void tell_turn(struct server *s, struct server_pool *p, const struct pool_turn *t,
                      const struct op *op, struct store_turn *turn)
{
    watch_levels(p, t, op->at_ms);
    for (size_t i = 0; i < t->grant_count; i++) {
        struct record *r = map_get(&p->records, t->grants[i].id);
        if (!r)
            broken("I6: the pool granted %s, of which there is no record", t->grants[i].id);
        else
            grant(s, p, r, &t->grants[i], op, turn);
    }
    turn->wait_ms = t->wait_ms;
    turn->binding = t->binding < 0                ? ""
                    : t->binding == POOL_MAX_DIMS ? "max_parallel_requests"
                                                  : p->limits.dims[t->binding].name;
    if (t->wait_ms >= 0 && op->most > 0)
        p->due_us = loop_now_us() + t->wait_ms * 1000;
    else if (t->wait_ms != POOL_WAIT_KEEP && t->wait_ms < 0)
        p->due_us = INT64_MAX;
}

static void stay_alive(struct server_pool *p, const struct op *op)
{
    int64_t until_ms = op->at_ms + 2 * p->limits.lease_ms;
    if (p->alive_until_ms[op->owner] < until_ms)
        p->alive_until_ms[op->owner] = until_ms;
}

static bool is_alive(const struct server_pool *p, int owner, const struct op *op)
{
    return owner == op->owner || p->alive_until_ms[owner] > op->at_ms;
}

/* Calls that wait for a dead instance leave. The scripts find them as they come up; here they go
 * as soon as anybody takes a turn, which is never later. */
static void drop_dead(struct server_pool *p, const struct op *op)
{
    for (struct list *at = p->open.next, *next; at != &p->open; at = next) {
        struct record *r = LIST_ITEM(at, struct record, link);
        next = at->next;
        if (r->is_job || is_alive(p, r->owner, op))
            continue;
        if (pool_ticket_state(p->pool, r->id) != TICKET_QUEUED)
            continue;
        (void)pool_cancel(p->pool, r->id, op->at_ms);
        watch_refill(p, op->at_ms);
        watch_state(r, TICKET_CANCELLED);
    }
}

static void take_turn(struct server *s, struct server_pool *p, const struct op *op,
                      struct store_turn *turn)
{
    struct pool_turn t;
    drop_dead(p, op);
    pool_dispatch(p->pool, (size_t)op->most, op->at_ms, &t);
    tell_turn(s, p, &t, op, turn);
}

/* ---- one function for each script */

static void run_submit(struct server *s, struct server_pool *p, const struct op *op,
                       struct answer *a)
{
    const struct store_ticket *in = &op->ticket;
    struct store_turn *turn = &a->turn;
    int64_t deadline_ms = in->deadline_in_ms > 0 ? op->at_ms + in->deadline_in_ms : 0;
    int64_t order_us = (op->at_ms + in->aging_ms) * 1000;
    struct ticket t = {
        .id = op->id,
        .class = in->class,
        .tenant = op->tenant,
        .weight = in->weight,
        .fair_cost = in->fair_cost,
        .order_us =
            deadline_ms > 0 && deadline_ms * 1000 < order_us ? deadline_ms * 1000 : order_us,
        .deadline_ms = deadline_ms,
    };
    struct pool_turn pt;
    const struct record *known = map_get(&p->records, op->id);
    memcpy(t.cost, in->cost, sizeof(t.cost));
    if (known) {
        turn->submit = SUBMIT_KNOWN;
        turn->result = "known";
        turn->detail = ticket_state_name(pool_ticket_state(p->pool, op->id));
        turn->fence = known->fence;
        return;
    }
    drop_dead(p, op);
    int rc = pool_submit(p->pool, &t, (size_t)op->most, op->at_ms, &pt);
    assert(rc >= 0 && rc != SUBMIT_KNOWN);
    turn->submit = (enum submit_result)rc;
    if (rc == SUBMIT_TOO_LARGE) {
        turn->detail = p->limits.dims[pt.binding].name;
        turn->detail_number = p->limits.dims[pt.binding].capacity;
    }
    if (rc == SUBMIT_TOO_LARGE || rc == SUBMIT_FULL)
        return;
    watch_refill(p, op->at_ms);
    struct record *r = record_new(p, op, s->replaying);
    if (!r->is_job && rc == SUBMIT_QUEUED)
        stay_alive(p, op);
    tell_turn(s, p, &pt, op, turn);
    if (rc == SUBMIT_GRANTED) {
        turn->fence = pt.grants[0].fence;
        turn->seq = pt.grants[0].seq;
        turn->grant_count = 0;
    }
}

static void read_corrections(const struct record *r, const struct op *op, int64_t *ret)
{
    for (size_t i = 0; i < r->pool->limits.dim_count; i++) {
        int64_t actual = op->outcome.unsent ? 0 : op->outcome.actual[i];
        ret[i] = actual < 0 ? 0 : actual - r->cost[i];
        if (ret[i] < 0 && r->pool->limits.dims[i].rule == DIM_KEEP && !op->outcome.unsent)
            ret[i] = 0;
    }
}

static void run_settle(struct server *s, struct server_pool *p, const struct op *op,
                       struct answer *a)
{
    const struct store_outcome *o = &op->outcome;
    struct record *r = map_get(&p->records, op->id);
    bool current = r && r->state == TICKET_RUNNING && r->fence == o->fence;
    struct pool_outcome out = {.id = op->id,
                               .fence = o->fence,
                               .state = o->state,
                               .delay_ms = o->delay_ms,
                               .unsent = o->unsent,
                               .fair_actual = o->fair_actual};
    struct pool_turn t;
    int64_t corrections[POOL_MAX_DIMS] = {0};
    memcpy(out.actual, o->actual, sizeof(out.actual));
    drop_dead(p, op);
    if (current) {
        if (s->losses == 0 && !s->replaying) /* a loss brings back fences that were used before */
            watch_sent(r, o);
        read_corrections(r, op, corrections);
        watch_charge(p, corrections, false, op->at_ms);
        for (size_t i = 0; i < p->limits.dim_count && o->pause_dim; i++) {
            if (strcmp(op->pause_dim, "*") == 0 ||
                strcmp(op->pause_dim, p->limits.dims[i].name) == 0)
                pool_pause(p->pool, (int)i, op->at_ms + o->pause_ms);
        }
        if (o->state == TICKET_QUEUED && !r->is_job)
            stay_alive(p, op);
        watch_state(r, o->state == TICKET_QUEUED && r->cancelled ? TICKET_CANCELLED : o->state);
        for (size_t i = 0; i < op->field_count; i++)
            set_field(r, &op->fields[i]);
    }
    bool took = pool_settle(p->pool, &out, (size_t)op->most, op->at_ms, &t);
    if (took != current)
        broken("I4/I7: a settle of %s under fence %" PRId64 " %s effect", op->id, o->fence,
               took ? "took" : "took no");
    a->turn.result = took ? "settled" : "stale";
    s->settles += took;
    s->stale += !took;
    tell_turn(s, p, &t, op, &a->turn);
}

static void run_cancel(struct server *s, struct server_pool *p, const struct op *op,
                       struct answer *a)
{
    struct record *r = map_get(&p->records, op->id);
    enum ticket_state was = pool_cancel(p->pool, op->id, op->at_ms);
    a->turn.result = ticket_state_name(was);
    a->turn.fence = r ? r->fence : 0;
    if (was == TICKET_QUEUED || was == TICKET_DELAYED)
        watch_state(r, TICKET_CANCELLED);
    if (was == TICKET_RUNNING) {
        char payload[160];
        r->cancelled = true;
        (void)snprintf(payload, sizeof(payload), "cancel %s 0 0 {%s}", r->id, p->id);
        if (!s->replaying)
            s->publish(s->arg, r->owner, payload);
    }
    a->turn.wait_ms = POOL_WAIT_KEEP;
    if (was == TICKET_QUEUED)
        take_turn(s, p, op, &a->turn);
}

static void run_reap(struct server *s, struct server_pool *p, const struct op *op, struct answer *a)
{
    int64_t n = (int64_t)pool_reap(p->pool, op->at_ms), found = 0;
    for (struct list *at = p->open.next, *next; at != &p->open; at = next) {
        struct record *r = LIST_ITEM(at, struct record, link);
        next = at->next;
        enum ticket_state now = pool_ticket_state(p->pool, r->id);
        if (r->state != TICKET_RUNNING || now == TICKET_RUNNING)
            continue;
        found++;
        s->reaped_in_use += r->sent_fence == r->fence && !s->replaying;
        if (r->lease_ms > op->at_ms)
            broken("I7: the lease of %s was taken %" PRId64 " ms before its end", r->id,
                   r->lease_ms - op->at_ms);
        watch_state(r, now);
    }
    if (found != n)
        broken("I6: %" PRId64 " leases were reaped, %" PRId64 " tickets left running", n, found);
    s->reaped += (uint64_t)n;
    a->items = answer_items(2);
    answer_text(a->items, 0, "ok", 2);
    answer_int(a->items, 1, n);
    take_turn(s, p, op, &a->turn);
}

static void run_charge(struct server *s, struct server_pool *p, const struct op *op,
                       struct answer *a)
{
    a->turn.result = "known";
    if (p->charged[op->owner] < op->charge.number) {
        a->turn.result = "charged";
        p->charged[op->owner] = op->charge.number;
        p->charged_tokens[op->owner] += op->charge.tokens[0];
        watch_charge(p, op->charge.tokens, false, op->at_ms);
        pool_charge(p->pool, op->charge.tokens, op->at_ms);
        for (size_t i = 0; i < p->limits.dim_count; i++) {
            if (op->charge.pause_ms[i] > 0)
                pool_pause(p->pool, (int)i, op->at_ms + op->charge.pause_ms[i]);
        }
        s->charges++;
    }
    take_turn(s, p, op, &a->turn);
}

static void run_heartbeat(struct server_pool *p, const struct op *op, struct answer *a)
{
    size_t lost = 0;
    a->items = answer_items(1 + 2 * op->lease_count);
    answer_text(a->items, 0, "ok", 2);
    a->turn.result = p->beat_until_ms[op->owner] > op->at_ms ? "ok" : "new";
    stay_alive(p, op);
    p->beat_until_ms[op->owner] = p->alive_until_ms[op->owner];
    for (size_t i = 0; i < op->lease_count; i++) {
        const struct op_lease *l = &op->leases[i];
        struct record *r = map_get(&p->records, l->id);
        bool current = r && r->state == TICKET_RUNNING && r->fence == l->fence;
        bool held = pool_heartbeat(p->pool, l->id, l->fence, op->at_ms);
        if (held != current)
            broken("I7: a heartbeat of %s under fence %" PRId64 " is judged wrongly", l->id,
                   l->fence);
        if (held) {
            r->lease_ms = op->at_ms + p->limits.lease_ms;
            continue;
        }
        answer_text(a->items, 1 + 2 * lost, l->id, strlen(l->id));
        answer_int(a->items, 2 + 2 * lost, l->fence);
        lost++;
    }
    a->turn.wait_ms = POOL_WAIT_KEEP;
}

static bool number_field(const struct record *r, const char *name, int64_t *ret)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"w", r->weight}, {"cl", r->class}, {"at", r->fence},        {"t0", r->t0_ms},
                   {"t1", r->t1_ms}, {"t2", r->t2_ms}, {"cancel", r->cancelled}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(numbers[i].name, name) == 0) {
            *ret = numbers[i].value;
            return true;
        }
    }
    return false;
}

static void run_peek(struct server_pool *p, const struct op *op, struct answer *a)
{
    const struct record *r = map_get(&p->records, op->id);
    const char *state = r ? ticket_state_name(pool_ticket_state(p->pool, op->id)) : "none";
    a->turn.result = state;
    a->turn.wait_ms = POOL_WAIT_KEEP;
    a->items = answer_items(4 + op->field_count);
    answer_text(a->items, 0, state, strlen(state));
    answer_text(a->items, 3, "", 0);
    for (size_t i = 0; r && i < op->field_count; i++) {
        const char *name = op->fields[i].name;
        int64_t number;
        if (number_field(r, name, &number) && (number != 0 || strcmp(name, "cancel") != 0))
            answer_int(a->items, 4 + i, number);
        for (size_t k = 0; k < r->field_count; k++) {
            if (strcmp(r->fields[k].name, name) == 0)
                answer_text(a->items, 4 + i, r->fields[k].value, r->fields[k].len);
        }
    }
}

static void run_configure(struct server *s, struct server_pool *p, const struct op *op)
{
    bool fresh = !p;
    if (fresh)
        p = pool_make(s, op);
    else if (pool_configure(p->pool, op->limits, op->at_ms) < 0)
        broken("limits that were valid at an instance are none for the pool");
    p->limits = *op->limits;
    watch_configure(p, fresh, op->start_full, op->at_ms);
    s->configured(s->arg, p->id, &p->limits);
    if (!fresh)
        p->due_us = INT64_MAX; /* who configured looks again */
}

static void tell_levels(const struct server_pool *p, const struct op *op, struct store_turn *turn)
{
    turn->level_count = p->limits.dim_count;
    for (size_t i = 0; i < p->limits.dim_count; i++)
        turn->levels[i].remaining = pool_level(p->pool, i, op->at_ms) / p->limits.dims[i].period;
    for (int c = 0; c < CLASS_COUNT; c++)
        turn->queued += pool_depth(p->pool, (enum pool_class)c);
}

static void execute(struct server *s, struct op *op, struct answer *a)
{
    struct server_pool *p = find_pool(s, op->pool);
    *a = (struct answer){.status = REDIS_OK,
                         .turn = {.result = "ok", .detail = "", .binding = "", .wait_ms = -1}};
    if (op->kind == OP_CONFIGURE)
        run_configure(s, p, op);
    if (op->kind == OP_CLAIM)
        server_claim(s, op, a);
    if (op->kind == OP_CONFIGURE || op->kind == OP_CLAIM || op->kind == OP_NOTHING)
        return;
    if (!p) {
        a->no_pool = true;
        a->status = REDIS_ERROR;
        return;
    }
    a->turn.wait_ms = POOL_WAIT_KEEP;
    if (op->kind != OP_SUBMIT && op->kind != OP_HEARTBEAT && op->kind != OP_PEEK)
        watch_refill(p, op->at_ms); /* all of these refill first, and a submit that is taken */
    if (op->kind == OP_SUBMIT)
        run_submit(s, p, op, a);
    else if (op->kind == OP_SETTLE)
        run_settle(s, p, op, a);
    else if (op->kind == OP_CANCEL)
        run_cancel(s, p, op, a);
    else if (op->kind == OP_REAP)
        run_reap(s, p, op, a);
    else if (op->kind == OP_CHARGE)
        run_charge(s, p, op, a);
    else if (op->kind == OP_ACCRUE)
        a->turn.result =
            pool_accrue(p->pool, op->lease.id, op->lease.fence, op->produced, op->at_ms) ? "ok"
                                                                                         : "stale";
    else if (op->kind == OP_HEARTBEAT)
        run_heartbeat(p, op, a);
    else if (op->kind == OP_PEEK)
        run_peek(p, op, a);
    else
        take_turn(s, p, op, &a->turn);
    a->turn.items = a->items;
    tell_levels(p, op, &a->turn);
}

void server_run(struct server *s, struct op *op, struct answer *ret)
{
    op->at_ms = server_now_ms(s);
    op->at_us = loop_now_us();
    execute(s, op, ret);
    trace("redis", op->id, (int64_t)op->kind * 1000 + op->owner,
          ret->turn.wait_ms * 100 + (int64_t)ret->turn.grant_count);
    bool changes = op->kind != OP_PEEK && op->kind != OP_NOTHING;
    if (ret->no_pool) {
        ret->refused = op;
        return;
    }
    if (!s->keeps || !changes) {
        op_free(op);
        return;
    }
    if (s->kept_count == s->kept_room) {
        s->kept_room = s->kept_room ? s->kept_room * 2 : 1024;
        s->kept = realloc(s->kept, s->kept_room * sizeof(*s->kept));
        assert(s->kept);
    }
    s->kept[s->kept_count++] = op;
}

/* ---- the whole */

void server_init(struct server *s, bool keeps)
{
    *s = (struct server){.keeps = keeps};
    map_init(&s->claims, 0);
}

static void forget(struct server *s)
{
    size_t at = 0;
    for (size_t i = 0; i < s->pool_count; i++) {
        if (s->pools[i].pool)
            pool_forget(&s->pools[i]);
    }
    for (void *c = map_next(&s->claims, &at); c; c = map_next(&s->claims, &at))
        free(c);
    map_release(&s->claims);
    map_init(&s->claims, 0);
}

static void drop_kept(struct server *s, size_t from)
{
    for (size_t i = from; i < s->kept_count; i++)
        op_free(s->kept[i]);
    s->kept_count = from;
}

void server_forget(struct server *s)
{
    forget(s);
    drop_kept(s, 0);
    s->losses++;
    s->lost_us = loop_now_us();
}

void server_restart(struct server *s, int64_t lost_ms)
{
    size_t n = s->kept_count;
    if (lost_ms == 0 || !s->keeps)
        return;
    while (n > 0 && s->kept[n - 1]->at_us > loop_now_us() - lost_ms * 1000)
        n--;
    forget(s);
    drop_kept(s, n);
    s->replaying = true;
    for (size_t i = 0; i < n; i++) {
        struct answer a;
        execute(s, s->kept[i], &a);
        answer_release(&a);
    }
    s->replaying = false;
    s->losses++;
    s->lost_us = loop_now_us();
}

void server_release(struct server *s)
{
    forget(s);
    drop_kept(s, 0);
    map_release(&s->claims);
    free(s->kept);
}
