#include "storage/pool_store_internal.h"

#include "common/buf.h"
#include "storage/redis_reply.h"
#include "storage/redis_script.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS      320 /* heartbeat: 5 + 2 * STORE_MAX_LEASES */
#define NUMBERS_BYTES (MAX_ARGS * 21)

/* The words of one call. Numbers are formatted into `numbers`; texts are borrowed until sent. */
struct args {
    const char *word[MAX_ARGS];
    size_t len[MAX_ARGS];
    int count;
    char numbers[NUMBERS_BYTES];
    size_t used;
    struct key bucket, tenant;
    char dims[POOL_MAX_DIMS * 9];
    char costs[POOL_MAX_DIMS * 21], pauses[POOL_MAX_DIMS * 21];
    char news[STORE_NEWS_BYTES + 48], kind[32], listed[64 + GROUP_ID_BYTES];
    bool durable;
};

/* A call that may have to be repeated once the pool is configured. Its words live in one block. */
struct op {
    struct pool_store *store;
    struct store_pool *pool;
    enum script script;
    pool_store_fn fn;
    void *arg;
    bool repeated, durable;
    int argc;
    const char **argv;
    size_t *lens;
};

static void add_bytes(struct args *a, const char *bytes, size_t len)
{
    assert(a->count < MAX_ARGS);
    a->word[a->count] = bytes;
    a->len[a->count++] = len;
}

static void add_text(struct args *a, const char *text)
{
    add_bytes(a, text, strlen(text));
}

static void add_int(struct args *a, int64_t value)
{
    char *at = a->numbers + a->used;
    int n = snprintf(at, sizeof(a->numbers) - a->used, "%" PRId64, value);
    assert(n > 0 && a->used + (size_t)n < sizeof(a->numbers));
    a->used += (size_t)n + 1;
    add_bytes(a, at, (size_t)n);
}

static void join_costs(const struct pool_limits *limits, const int64_t *cost, char *out,
                       size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < limits->dim_count; i++) {
        int n = snprintf(out + used, size - used, "%s%" PRId64, i ? "," : "", cost[i]);
        assert(n > 0 && used + (size_t)n < size);
        used += (size_t)n;
    }
}

/* What every script but configure begins with: the key, then owner, most, dims. */
static void begin(struct args *a, const struct pool_store *s, const struct store_pool *pool,
                  int most)
{
    a->count = 0;
    a->used = 0;
    a->durable = false;
    a->bucket = key_pool(pool->id, "b");
    add_bytes(a, a->bucket.text, a->bucket.len);
    add_text(a, s->instance);
    add_int(a, most);

    size_t used = 0;
    a->dims[0] = '\0';
    for (size_t i = 0; i < pool->limits.dim_count; i++)
        used += (size_t)snprintf(a->dims + used, sizeof(a->dims) - used, "%s%s", i ? "," : "",
                                 pool->limits.dims[i].name);
    add_text(a, a->dims);
}

static void op_free(struct op *op)
{
    free(op);
}

/* One block: the op, its vectors and a copy of every word, since a repeat comes later. */
static struct op *op_new(struct pool_store *s, struct store_pool *pool, enum script script,
                         const struct args *a)
{
    size_t n = (size_t)a->count, bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += a->len[i];
    struct op *op = malloc(sizeof(*op) + n * (sizeof(char *) + sizeof(size_t)) + bytes);
    if (!op)
        return NULL;
    *op = (struct op){.store = s, .pool = pool, .script = script, .argc = a->count};
    op->argv = (const char **)(op + 1);
    op->lens = (size_t *)(op->argv + n);
    char *at = (char *)(op->lens + n);
    for (size_t i = 0; i < n; i++) {
        memcpy(at, a->word[i], a->len[i]);
        op->argv[i] = at;
        op->lens[i] = a->len[i];
        at += a->len[i];
    }
    return op;
}

static void read_grants(const struct redisReply *list, struct store_turn *turn)
{
    size_t n = reply_count(list) / 4;
    if (n > DISPATCH_MAX_GRANTS)
        n = DISPATCH_MAX_GRANTS;
    for (size_t i = 0; i < n; i++) {
        struct store_grant *g = &turn->grants[i];
        const char *id = reply_text(reply_at(list, 4 * i), NULL);
        const char *kind = reply_text(reply_at(list, 4 * i + 3), NULL);
        (void)snprintf(g->id, sizeof(g->id), "%s", id ? id : "");
        g->fence = reply_int(reply_at(list, 4 * i + 1), 0);
        g->seq = reply_int(reply_at(list, 4 * i + 2), 0);
        g->is_job = kind && strcmp(kind, "job") == 0;
    }
    turn->grant_count = n;
}

static void read_result(struct store_turn *turn)
{
    static const struct {
        const char *word;
        enum submit_result result;
    } words[] = {
        {"granted", SUBMIT_GRANTED}, {"queued", SUBMIT_QUEUED}, {"too_large", SUBMIT_TOO_LARGE},
        {"full", SUBMIT_FULL},       {"known", SUBMIT_KNOWN},   {"tenant_full", SUBMIT_TENANT_FULL},
        {"circuit", SUBMIT_CIRCUIT},
    };
    const struct redisReply *r = turn->items;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(turn->result, words[i].word) == 0)
            turn->submit = words[i].result;
    }
    const char *text = reply_text(reply_at(r, turn->submit == SUBMIT_QUEUED ? 3 : 1), NULL);
    turn->detail = text ? text : "";
    turn->detail_number = reply_int(reply_at(r, 2), 0);
    text = strcmp(turn->result, "settled") == 0 ? reply_text(reply_at(r, 2), NULL) : NULL;
    turn->moves = text ? text : "";
    switch (turn->submit) {
    case SUBMIT_GRANTED:
        turn->fence = reply_int(reply_at(r, 1), 0);
        turn->seq = reply_int(reply_at(r, 2), 0);
        break;
    case SUBMIT_QUEUED:
        turn->eta_ms = reply_int(reply_at(r, 1), 0);
        turn->ahead = reply_int(reply_at(r, 2), 0);
        break;
    case SUBMIT_KNOWN:
        turn->fence = reply_int(reply_at(r, 2), 0);
        turn->seq = reply_int(reply_at(r, 3), 0);
        break;
    default:
        break;
    }
}

static void read_turn(const struct redisReply *reply, struct store_turn *turn)
{
    const char *text;
    turn->items = reply_at(reply, 0);
    text = reply_text(reply_at(turn->items, 0), NULL);
    turn->result = text ? text : "";
    turn->wait_ms = reply_int(reply_at(reply, 1), -1);
    text = reply_text(reply_at(reply, 2), NULL);
    turn->binding = text ? text : "";
    read_grants(reply_at(reply, 3), turn);
    const struct redisReply *levels = reply_at(reply, 4);
    turn->level_count = reply_count(levels) / 2;
    if (turn->level_count > POOL_MAX_DIMS)
        turn->level_count = POOL_MAX_DIMS;
    for (size_t i = 0; i < turn->level_count; i++) {
        turn->levels[i].remaining = reply_int(reply_at(levels, 2 * i), 0);
        turn->levels[i].full_in_ms = reply_int(reply_at(levels, 2 * i + 1), 0);
    }
    turn->queued = reply_int(reply_at(reply, 5), 0);
    turn->foreseen_output = reply_int(reply_at(reply, 6), 0);
    read_result(turn);
}

static void on_reply(void *arg, enum redis_status status, const struct redisReply *reply);

static void send_op(struct op *op)
{
    struct script_call what = {
        .which = op->script,
        .nkeys = 1,
        .args = {.argc = op->argc, .argv = op->argv, .lens = op->lens},
        .deadline_ms = op->store->timeout_ms,
    };
    if (op->durable) {
        what.deadline_ms += op->store->confirm_ms; /* behind a WAIT */
        redis_script_call(op->store->durable_scripts, &what, on_reply, op);
    } else {
        redis_script_call(op->store->scripts, &what, on_reply, op);
    }
}

static void on_configured_then_repeat(void *arg, struct store_pool *pool,
                                      const struct store_turn *turn)
{
    struct op *op = arg;
    (void)pool;
    if (turn->status == REDIS_OK) {
        send_op(op);
        return;
    }
    if (op->fn)
        op->fn(op->arg, op->pool, turn);
    op_free(op);
}

static void on_reply(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct op *op = arg;
    if (status == REDIS_ERROR && !op->repeated && !op->pool->guest) {
        const char *text = reply_error(reply);
        if (text && strncmp(text, "NOPOOL", 6) == 0) {
            op->repeated = true;
            op->pool->data_losses += op->pool->configured;
            pool_store_configure(op->store, op->pool, on_configured_then_repeat, op);
            return;
        }
    }
    struct store_turn turn = {
        .status = status, .result = "", .detail = "", .binding = "", .moves = ""};
    if (status == REDIS_OK && op->script == SCRIPT_CONFIGURE)
        op->pool->configured = true;
    else if (status == REDIS_OK)
        read_turn(reply, &turn);
    if (op->durable)
        turn.stamp = redis_link_stamp(op->store->durable);
    if (op->fn)
        op->fn(op->arg, op->pool, &turn);
    op_free(op);
}

static void refuse_locally(struct store_pool *pool, pool_store_fn fn, void *arg)
{
    struct store_turn turn = {
        .status = REDIS_BUSY_LOCAL, .result = "", .detail = "", .binding = "", .moves = ""};
    if (fn)
        fn(arg, pool, &turn);
}

static void call(struct pool_store *s, struct store_pool *pool, enum script script,
                 const struct args *a, pool_store_fn fn, void *arg)
{
    struct op *op = op_new(s, pool, script, a);
    if (!op) {
        /* Told from here: the one case in which the answer precedes the return. Callers
         * treat it as any failed command, and none holds a lock over the call. */
        refuse_locally(pool, fn, arg);
        return;
    }
    op->fn = fn;
    op->arg = arg;
    op->durable = a->durable && s->durable_scripts;
    send_op(op);
}

static bool make_durable(struct pool_store *s, const struct pool_store_options *o)
{
    const struct redis_confirm_options confirm = {.link = o->durable,
                                                  .replicas = o->replicas,
                                                  .timeout_ms = o->confirm_ms,
                                                  .command_ms = o->timeout_ms};
    if (!o->durable)
        return true;
    s->durable = o->durable;
    s->confirm_ms = o->confirm_ms;
    s->durable_scripts = redis_scripts_new(o->durable);
    s->confirm = redis_confirm_new(&confirm);
    return s->durable_scripts && s->confirm;
}

struct pool_store *pool_store_new(const struct pool_store_options *options, struct error *e)
{
    struct pool_store *s = calloc(1, sizeof(*s));
    if (s)
        s->scripts = redis_scripts_new(options->link);
    if (!s || !s->scripts || !make_durable(s, options)) {
        pool_store_free(s);
        (void)error_set(e, -ENOMEM, "out of memory for the script table");
        return NULL;
    }
    (void)snprintf(s->instance, sizeof(s->instance), "%s", options->instance);
    s->link = options->link;
    s->timeout_ms = options->timeout_ms;
    s->alive_ms = options->alive_ms;
    return s;
}

void pool_store_free(struct pool_store *s)
{
    if (!s)
        return;
    redis_scripts_free(s->scripts);
    redis_scripts_free(s->durable_scripts);
    redis_confirm_free(s->confirm);
    free(s);
}

void store_pool_init(struct store_pool *pool, const char *id, const struct pool_limits *limits)
{
    *pool = (struct store_pool){.limits = *limits};
    (void)snprintf(pool->id, sizeof(pool->id), "%s", id);
    key_pool_hash(id, pool->hash);
}

static void write_tenant(struct buf *out, const struct pool_limits *l, const struct pool_tenant *t)
{
    struct key key = key_tenant(t->name);
    const char *comma = "";
    (void)buf_adds(out, out->len > 1 ? ",\"" : "\"");
    (void)buf_add_json(out, key.text, key.len);
    (void)buf_addf(out, "\":{\"K\":%" PRId64 ",\"Q\":%" PRId64 ",\"dim\":{", t->max_parallel,
                   t->max_depth);
    for (size_t i = 0; i < l->dim_count; i++) {
        if (t->rate[i] == 0)
            continue;
        (void)buf_addf(out, "%s\"%s\":[%" PRId64 ",%" PRId64 "]", comma, l->dims[i].name,
                       t->rate[i], t->capacity[i]);
        comma = ",";
    }
    (void)buf_adds(out, "}}");
}

static int write_tenants(struct buf *out, const struct pool_limits *l)
{
    (void)buf_adds(out, "{");
    for (size_t i = 0; i < l->tenant_count; i++)
        write_tenant(out, l, &l->tenants[i]);
    return buf_adds(out, "}");
}

void pool_store_configure(struct pool_store *s, struct store_pool *pool, pool_store_fn fn,
                          void *arg)
{
    static const char *const rules[] = {[DIM_REFUND] = "r", [DIM_KEEP] = "k", [DIM_ACCRUE] = "a"};
    const struct pool_limits *l = &pool->limits;
    struct args a = {.count = 0, .used = 0, .durable = false};
    struct buf tenants;
    buf_init(&tenants, STORE_MAX_TENANTS_BYTES);
    if (write_tenants(&tenants, l) < 0) {
        buf_release(&tenants);
        refuse_locally(pool, fn, arg);
        return;
    }
    a.bucket = key_pool(pool->id, "b");
    add_bytes(&a, a.bucket.text, a.bucket.len);
    add_text(&a, s->instance);
    add_text(&a, pool->configured ? "empty" : "full");
    add_int(&a, l->max_parallel);
    add_int(&a, l->bypass_permille);
    add_int(&a, l->max_depth);
    add_int(&a, l->lease_ms);
    add_int(&a, l->max_losses);
    add_int(&a, pool->finished_ttl_ms);
    add_int(&a, l->batch_permille % 1000);
    add_bytes(&a, tenants.data, tenants.len);
    for (size_t i = 0; i < l->dim_count; i++) {
        const struct dim_limit *d = &l->dims[i];
        add_text(&a, d->name);
        add_int(&a, d->rate);
        add_int(&a, d->period);
        add_int(&a, d->tick_ms);
        add_int(&a, d->capacity);
        add_int(&a, d->headroom);
        add_text(&a, rules[d->rule]);
        add_text(&a, d->algorithm == DIM_WINDOW ? "w" : "b");
    }
    call(s, pool, SCRIPT_CONFIGURE, &a, fn, arg);
    buf_release(&tenants);
}

static void add_fields(struct args *a, const struct store_field *fields, size_t count)
{
    assert(count <= STORE_MAX_FIELDS);
    for (size_t i = 0; i < count; i++) {
        add_text(a, fields[i].name);
        add_bytes(a, fields[i].value, fields[i].len);
    }
}

void pool_store_submit(struct pool_store *s, struct store_pool *pool, const struct store_ticket *t,
                       int most, pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, most);
    a.tenant = key_tenant(t->tenant);
    join_costs(&pool->limits, t->cost, a.costs, sizeof(a.costs));
    add_text(&a, t->id);
    (void)snprintf(a.kind, sizeof(a.kind), "permit %" PRId64, t->lease_ms);
    add_text(&a, t->lease_ms > 0 ? a.kind : t->is_job ? "job" : "call");
    add_int(&a, t->class);
    add_bytes(&a, a.tenant.text, a.tenant.len);
    add_int(&a, t->weight);
    add_text(&a, a.costs);
    add_int(&a, t->fair_cost);
    add_int(&a, t->deadline_in_ms);
    add_int(&a, t->aging_ms);
    add_int(&a, s->alive_ms);
    (void)snprintf(a.listed, sizeof(a.listed), "%" PRId64 " %" PRId64 " %d %s", t->listed_us,
                   t->listed_ttl_ms, JOB_MAX_LISTED, t->group ? t->group : "");
    add_text(&a, t->listed_us > 0 ? a.listed : "");
    add_fields(&a, t->fields, t->field_count);
    a.durable = t->is_job;
    call(s, pool, SCRIPT_SUBMIT, &a, fn, arg);
}

void pool_store_dispatch(struct pool_store *s, struct store_pool *pool, int most, pool_store_fn fn,
                         void *arg)
{
    struct args a;
    begin(&a, s, pool, most);
    call(s, pool, SCRIPT_DISPATCH, &a, fn, arg);
}

static const char *settled_state(enum ticket_state state)
{
    switch (state) {
    case TICKET_DONE:
        return "done";
    case TICKET_CANCELLED:
        return "cancelled";
    case TICKET_EXPIRED:
        return "expired";
    case TICKET_QUEUED:
        return "queued";
    default:
        return "failed";
    }
}

void pool_store_settle(struct pool_store *s, struct store_pool *pool, const struct store_outcome *o,
                       int most, pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, most);
    join_costs(&pool->limits, o->actual, a.costs, sizeof(a.costs));
    int paused = 0;
    if (o->pause_dim)
        paused =
            snprintf(a.news, sizeof(a.news), "pause %s %" PRId64 ";", o->pause_dim, o->pause_ms);
    (void)snprintf(a.news + paused, sizeof(a.news) - (size_t)paused, "%s", o->news ? o->news : "");
    add_text(&a, o->id);
    add_int(&a, o->fence);
    add_text(&a, settled_state(o->state));
    add_int(&a, o->delay_ms);
    add_text(&a, o->unsent ? "0" : "1");
    add_text(&a, a.costs);
    add_int(&a, o->fair_actual);
    add_text(&a, a.news);
    add_fields(&a, o->fields, o->field_count);
    call(s, pool, SCRIPT_SETTLE, &a, fn, arg);
}

void pool_store_accrue(struct pool_store *s, struct store_pool *pool, const struct store_lease *l,
                       const int64_t *produced, pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, 0);
    join_costs(&pool->limits, produced, a.costs, sizeof(a.costs));
    add_text(&a, l->id);
    add_int(&a, l->fence);
    add_text(&a, a.costs);
    call(s, pool, SCRIPT_ACCRUE, &a, fn, arg);
}

void pool_store_cancel(struct pool_store *s, struct store_pool *pool, const char *id, int most,
                       pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, most);
    add_text(&a, id);
    call(s, pool, SCRIPT_CANCEL, &a, fn, arg);
}

void pool_store_reap(struct pool_store *s, struct store_pool *pool, int most, pool_store_fn fn,
                     void *arg)
{
    struct args a;
    begin(&a, s, pool, most);
    call(s, pool, SCRIPT_REAP, &a, fn, arg);
}

void pool_store_charge(struct pool_store *s, struct store_pool *pool, const struct store_charge *c,
                       int most, pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, most);
    join_costs(&pool->limits, c->tokens, a.costs, sizeof(a.costs));
    join_costs(&pool->limits, c->pause_ms, a.pauses, sizeof(a.pauses));
    add_int(&a, c->number);
    add_text(&a, a.costs);
    add_text(&a, a.pauses);
    call(s, pool, SCRIPT_CHARGE, &a, fn, arg);
}

void pool_store_heartbeat(struct pool_store *s, struct store_pool *pool,
                          const struct store_lease *leases, size_t count, pool_store_fn fn,
                          void *arg)
{
    struct args a;
    assert(count <= STORE_MAX_LEASES);
    begin(&a, s, pool, 0);
    add_int(&a, s->alive_ms);
    for (size_t i = 0; i < count; i++) {
        add_text(&a, leases[i].id);
        add_int(&a, leases[i].fence);
    }
    call(s, pool, SCRIPT_HEARTBEAT, &a, fn, arg);
}

void pool_store_peek(struct pool_store *s, struct store_pool *pool, const struct store_look *look,
                     pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, 0);
    add_text(&a, look->id ? look->id : "");
    if (look->tenant) {
        a.tenant = key_tenant(look->tenant);
        add_bytes(&a, a.tenant.text, a.tenant.len);
    }
    for (size_t i = 0; i < look->field_count; i++)
        add_text(&a, look->fields[i]);
    call(s, pool, SCRIPT_PEEK, &a, fn, arg);
}

struct redis_link *pool_store_link(const struct pool_store *s, int *ret_timeout_ms)
{
    *ret_timeout_ms = s->timeout_ms;
    return s->link;
}

void pool_store_permit(struct pool_store *s, struct store_pool *pool, const struct store_look *look,
                       int64_t extend_ms, pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, 0);
    add_text(&a, look->id);
    add_int(&a, extend_ms);
    for (size_t i = 0; i < look->field_count; i++)
        add_text(&a, look->fields[i]);
    call(s, pool, SCRIPT_PERMIT, &a, fn, arg);
}

void pool_store_probe(struct pool_store *s, struct store_pool *pool, const struct store_ticket *t,
                      pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, 0);
    a.tenant = key_tenant(t->tenant);
    join_costs(&pool->limits, t->cost, a.costs, sizeof(a.costs));
    add_int(&a, t->class);
    add_bytes(&a, a.tenant.text, a.tenant.len);
    add_int(&a, t->weight);
    add_text(&a, a.costs);
    add_int(&a, t->fair_cost);
    call(s, pool, SCRIPT_PROBE, &a, fn, arg);
}

void pool_store_words(struct pool_store *s, struct store_pool *pool, enum script script,
                      const struct store_words *words, pool_store_fn fn, void *arg)
{
    struct args a;
    begin(&a, s, pool, 0);
    for (size_t i = 0; i < words->count; i++)
        add_text(&a, words->word[i]);
    call(s, pool, script, &a, fn, arg);
}
