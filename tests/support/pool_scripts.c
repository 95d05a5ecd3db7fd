#include "tests/support/pool_scripts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define KEY        "sluice:{test}:b"
#define LOG_KEY    "sluice:{test}:w:"
#define TICKET_KEY "sluice:{test}:j:"
#define OWNER      "instance"
#define OWN        "tenant:" /* before the name of a limit that is the tenant's */
#define MAX_ARGS   96
#define ANSWER_S   30
#define CLOCK      "local function now_us() return tonumber(redis.call('GET', 'fake')) * 1000 end\n"
#define TEXT_BYTES 131072

static const char *const script_name[OP_COUNT] = {"submit",    "dispatch", "settle",    "cancel",
                                                  "heartbeat", "reap",     "configure", "accrue"};

/* ---- text */

static int read_file(const char *name, char *text, size_t size)
{
    char path[512];
    const char *source = getenv("SLUICE_SOURCE");
    (void)snprintf(path, sizeof(path), "%s/storage/lua/%s.lua", source ? source : ".", name);
    FILE *file = fopen(path, "re");
    if (!file) {
        perror(path);
        return -1;
    }
    size_t len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    return len < size - 1 ? 0 : -1;
}

/* Puts `with` where [from, to) is. */
static int splice(char *text, size_t size, char *from, const char *to, const char *with)
{
    size_t tail = strlen(to) + 1, len = strlen(with);
    if ((size_t)(from - text) + len + tail > size)
        return -1;
    memmove(from + len, to, tail);
    memcpy(from, with, len);
    return 0;
}

static int set_clock(char *text, size_t size)
{
    char *from = strstr(text, "\nlocal function now_us()");
    char *to = strstr(text, "-- END CLOCK");
    if (!from || !to || to < from) {
        (void)fprintf(stderr, "pool_scripts: the clock of lib.lua is not where it was\n");
        return -1;
    }
    return splice(text, size, from + 1, to, CLOCK);
}

static int join(const char *name, char *text, size_t size)
{
    const char *const parts[] = {"dim", "adapt", "tenant", "lib", "queue", "eta", name};
    size_t used = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (read_file(parts[i], text + used, size - used) < 0)
            return -1;
        used += strlen(text + used);
    }
    return set_clock(text, size);
}

/* 1 when the mutation was found. */
static int mutate(char *text, size_t size, const struct pool_mutation *m)
{
    char *at = m ? strstr(text, m->find) : NULL;
    if (!at)
        return 0;
    return splice(text, size, at, at + strlen(m->find), m->replace) < 0 ? -1 : 1;
}

int pool_scripts_open(struct pool_scripts *s, const char *socket)
{
    *s = (struct pool_scripts){0};
    for (size_t i = 0; i < POOL_MAX_DIMS; i++) {
        if (window_init(&s->logs[i]) < 0)
            return -1;
    }
    /* A script that never ends must fail the test and not hang it. */
    s->redis = redisConnectUnixWithTimeout(socket, (struct timeval){.tv_sec = ANSWER_S});
    if (s->redis && !s->redis->err &&
        redisSetTimeout(s->redis, (struct timeval){.tv_sec = ANSWER_S}) == REDIS_OK)
        return 0;
    (void)fprintf(stderr, "pool_scripts: %s\n", s->redis ? s->redis->errstr : "no memory");
    return -1;
}

void pool_scripts_close(struct pool_scripts *s)
{
    if (s->redis)
        redisFree(s->redis);
    s->redis = NULL;
    for (size_t i = 0; i < POOL_MAX_DIMS; i++)
        window_release(&s->logs[i]);
}

int pool_scripts_load(struct pool_scripts *s, const struct pool_mutation *mutation)
{
    static char text[TEXT_BYTES];
    int found = 0;
    for (size_t i = 0; i < OP_COUNT; i++) {
        if (join(script_name[i], text, sizeof(text)) < 0)
            return -1;
        found |= mutate(text, sizeof(text), mutation);
        redisReply *r = redisCommand(s->redis, "SCRIPT LOAD %s", text);
        bool loaded = r && r->type == REDIS_REPLY_STRING && r->len == SCRIPT_SHA_BYTES - 1;
        if (loaded)
            memcpy(s->sha[i], r->str, SCRIPT_SHA_BYTES);
        else
            (void)fprintf(stderr, "pool_scripts: %s: %s\n", script_name[i], r ? r->str : "");
        freeReplyObject(r);
        if (!loaded)
            return -1;
    }
    if (mutation && found != 1)
        (void)fprintf(stderr, "pool_scripts: nothing to change for: %s\n", mutation->name);
    return mutation && found != 1 ? -1 : 0;
}

/* ---- calls */

struct words {
    const char *word[MAX_ARGS];
    int count;
    char numbers[MAX_ARGS][24];
    char tenants[4096];
    char costs[POOL_MAX_DIMS * 24], dims[POOL_MAX_DIMS * 9], pause[40], kind[32];
};

static void add(struct words *w, const char *text)
{
    assert(w->count < MAX_ARGS);
    w->word[w->count++] = text;
}

static void add_int(struct words *w, int64_t n)
{
    (void)snprintf(w->numbers[w->count], sizeof(w->numbers[0]), "%" PRId64, n);
    add(w, w->numbers[w->count]);
}

static void add_costs(struct words *w, const struct pool_limits *l, const int64_t *cost)
{
    size_t used = 0;
    w->costs[0] = '\0';
    for (size_t i = 0; i < l->dim_count; i++)
        used += (size_t)snprintf(w->costs + used, sizeof(w->costs) - used, "%s%" PRId64,
                                 i ? "," : "", cost[i]);
    add(w, w->costs);
}

/* EVALSHA sha 1 key, and what every script but configure has next. */
static void begin(struct words *w, const struct pool_scripts *s, const struct pool_op *op)
{
    w->count = 0;
    add(w, "EVALSHA");
    add(w, s->sha[op->kind]);
    add(w, "1");
    add(w, KEY);
    if (op->kind == OP_CONFIGURE)
        return;
    add(w, OWNER);
    add_int(w, (int64_t)op->most);
    size_t used = 0;
    w->dims[0] = '\0';
    for (size_t i = 0; i < s->limits.dim_count; i++)
        used += (size_t)snprintf(w->dims + used, sizeof(w->dims) - used, "%s%s", i ? "," : "",
                                 s->limits.dims[i].name);
    add(w, w->dims);
}

static void add_submit(struct words *w, const struct pool_scripts *s, const struct pool_op *op)
{
    const struct ticket *t = &op->ticket;
    add(w, t->id);
    (void)snprintf(w->kind, sizeof(w->kind), "permit %" PRId64, t->lease_ms);
    add(w, t->lease_ms > 0 ? w->kind : t->id[strlen(t->id) - 1] % 2 ? "job" : "call");
    add_int(w, t->class);
    add(w, t->tenant);
    add_int(w, t->weight);
    add_costs(w, &s->limits, t->cost);
    add_int(w, t->fair_cost);
    add_int(w, t->deadline_ms ? t->deadline_ms - op->now_ms : 0);
    add_int(w, op->aging_ms);
    add_int(w, 15000); /* how long the owner counts as alive; it is the caller */
}

static void add_settle(struct words *w, const struct pool_scripts *s, const struct pool_op *op)
{
    add(w, op->id);
    add_int(w, op->fence);
    add(w, ticket_state_name(op->outcome.state));
    add_int(w, op->outcome.delay_ms);
    add(w, op->outcome.unsent ? "0" : "1");
    add_costs(w, &s->limits, op->outcome.actual);
    add_int(w, op->outcome.fair_actual);
    const char *dim = op->pause_dim >= 0 ? s->limits.dims[op->pause_dim].name : "*";
    w->pause[0] = '\0';
    if (op->pause_dim >= -1)
        (void)snprintf(w->pause, sizeof(w->pause), "pause %s %" PRId64, dim, op->pause_ms);
    add(w, op->news ? op->news : w->pause);
}

static void add_tenants(struct words *w, const struct pool_limits *l)
{
    char *at = w->tenants, *const end = w->tenants + sizeof(w->tenants);
    at += snprintf(at, (size_t)(end - at), "{");
    for (size_t i = 0; i < l->tenant_count; i++) {
        const struct pool_tenant *t = &l->tenants[i];
        const char *comma = "";
        at += snprintf(at, (size_t)(end - at),
                       "%s\"%s\":{\"K\":%" PRId64 ",\"Q\":%" PRId64 ",\"dim\":{", i ? "," : "",
                       t->name, t->max_parallel, t->max_depth);
        for (size_t k = 0; k < l->dim_count; k++) {
            if (t->rate[k] == 0)
                continue;
            at += snprintf(at, (size_t)(end - at), "%s\"%s\":[%" PRId64 ",%" PRId64 "]", comma,
                           l->dims[k].name, t->rate[k], t->capacity[k]);
            comma = ",";
        }
        at += snprintf(at, (size_t)(end - at), "}}");
    }
    (void)snprintf(at, (size_t)(end - at), "}");
    add(w, w->tenants);
}

static void add_configure(struct words *w, const struct pool_limits *l)
{
    static const char *const rules[] = {[DIM_REFUND] = "r", [DIM_KEEP] = "k", [DIM_ACCRUE] = "a"};
    add(w, OWNER);
    add(w, "full");
    add_int(w, l->max_parallel);
    add_int(w, l->bypass_permille);
    add_int(w, l->max_depth);
    add_int(w, l->lease_ms);
    add_int(w, l->max_losses);
    add_int(w, 3600000); /* how long an ended ticket is kept: longer than a run */
    add_int(w, l->batch_permille % 1000);
    add_tenants(w, l);
    for (size_t i = 0; i < l->dim_count; i++) {
        const struct dim_limit *d = &l->dims[i];
        add(w, d->name);
        add_int(w, d->rate);
        add_int(w, d->period);
        add_int(w, d->tick_ms);
        add_int(w, d->capacity);
        add_int(w, d->headroom);
        add(w, rules[d->rule]);
        add(w, d->algorithm == DIM_WINDOW ? "w" : "b");
    }
}

/* Clock, script, levels and the ticket's state in one round trip. */
static void send_op(struct pool_scripts *s, const struct pool_op *op, const char *id)
{
    static struct words w;
    begin(&w, s, op);
    if (op->kind == OP_SUBMIT) {
        add_submit(&w, s, op);
    } else if (op->kind == OP_SETTLE) {
        add_settle(&w, s, op);
    } else if (op->kind == OP_CANCEL) {
        add(&w, op->id);
    } else if (op->kind == OP_HEARTBEAT) {
        add_int(&w, 15000);
        add(&w, op->id);
        add_int(&w, op->fence);
    } else if (op->kind == OP_ACCRUE) {
        add(&w, op->id);
        add_int(&w, op->fence);
        add_costs(&w, &s->limits, op->produced);
    } else if (op->kind == OP_CONFIGURE) {
        s->limits = op->limits;
        add_configure(&w, &op->limits);
    }
    redisAppendCommand(s->redis, "SET fake %lld", (long long)op->now_ms);
    redisAppendCommandArgv(s->redis, w.count, w.word, NULL);

    w.count = 0;
    add(&w, "HMGET");
    add(&w, KEY);
    add(&w, "nq");
    static char fields[POOL_MAX_DIMS][3][16];
    for (size_t i = 0; i < s->limits.dim_count; i++) {
        for (size_t f = 0; f < 3; f++) {
            (void)snprintf(fields[i][f], sizeof(fields[i][f]), "%s:%c", s->limits.dims[i].name,
                           "LTW"[f]);
            add(&w, fields[i][f]);
        }
    }
    redisAppendCommandArgv(s->redis, w.count, w.word, NULL);
    redisAppendCommand(s->redis, "HGET " TICKET_KEY "%s st", id);
    for (size_t i = 0; i < s->limits.dim_count; i++)
        redisAppendCommand(s->redis, "LRANGE " LOG_KEY "%s 0 -1", s->limits.dims[i].name);
}

/* ---- answers */

static int64_t int_of(const redisReply *r)
{
    if (!r)
        return INT64_MIN;
    if (r->type == REDIS_REPLY_INTEGER)
        return r->integer;
    return r->type == REDIS_REPLY_STRING ? strtoll(r->str, NULL, 10) : INT64_MIN;
}

static const char *text_of(const redisReply *r)
{
    return r && r->type == REDIS_REPLY_STRING ? r->str : "";
}

static const redisReply *at(const redisReply *list, size_t i)
{
    if (!list || list->type != REDIS_REPLY_ARRAY || i >= list->elements)
        return NULL;
    return list->element[i];
}

static int binding_of(const struct pool_limits *l, const char *name)
{
    for (size_t i = 0; i < l->dim_count; i++) {
        if (strcmp(l->dims[i].name, name) == 0)
            return (int)i;
    }
    return name[0] ? POOL_MAX_DIMS : -1;
}

static void read_grant(struct pool_turn *turn, const char *id, int64_t fence, int64_t seq)
{
    if (turn->grant_count == DISPATCH_MAX_GRANTS)
        return;
    struct pool_grant *g = &turn->grants[turn->grant_count++];
    (void)snprintf(g->id, sizeof(g->id), "%s", id);
    g->fence = fence;
    g->seq = seq;
}

static enum ticket_state state_of(const char *name)
{
    int s = 0;
    while (s < TICKET_STATE_COUNT && strcmp(ticket_state_name((enum ticket_state)s), name) != 0)
        s++;
    return (enum ticket_state)s;
}

static void read_submit(const struct pool_limits *l, const char *id, const redisReply *result,
                        struct pool_result *ret)
{
    static const char *const words[] = {
        [SUBMIT_GRANTED] = "granted",     [SUBMIT_QUEUED] = "queued",
        [SUBMIT_TOO_LARGE] = "too_large", [SUBMIT_FULL] = "full",
        [SUBMIT_KNOWN] = "known",         [SUBMIT_TENANT_FULL] = "tenant_full"};
    const char *word = text_of(at(result, 0));
    size_t found = 0;
    while (found < sizeof(words) / sizeof(words[0]) && strcmp(words[found], word) != 0)
        found++;
    ret->submit = (enum submit_result)found;
    if (found == SUBMIT_GRANTED)
        read_grant(&ret->turn, id, int_of(at(result, 1)), int_of(at(result, 2)));
    const char *dim = text_of(at(result, 1));
    ret->turn.own = found == SUBMIT_TOO_LARGE && strncmp(dim, OWN, sizeof(OWN) - 1) == 0;
    if (found == SUBMIT_TOO_LARGE)
        ret->turn.binding = binding_of(l, ret->turn.own ? dim + sizeof(OWN) - 1 : dim);
}

static void read_reply(const struct pool_scripts *s, const struct pool_op *op,
                       const redisReply *reply, struct pool_result *ret)
{
    const redisReply *result = at(reply, 0), *grants = at(reply, 3);
    const char *word = text_of(at(result, 0));
    ret->turn.wait_ms = int_of(at(reply, 1));
    ret->turn.binding = binding_of(&s->limits, text_of(at(reply, 2)));
    for (size_t i = 0; grants && i + 3 < grants->elements; i += 4)
        read_grant(&ret->turn, text_of(at(grants, i)), int_of(at(grants, i + 1)),
                   int_of(at(grants, i + 2)));
    switch (op->kind) {
    case OP_SUBMIT:
        read_submit(&s->limits, op->ticket.id, result, ret);
        break;
    case OP_SETTLE:
        ret->took = strcmp(word, "settled") == 0;
        break;
    case OP_ACCRUE:
        ret->took = strcmp(word, "ok") == 0;
        break;
    case OP_HEARTBEAT:
        ret->took = result && result->elements == 1;
        break;
    case OP_CANCEL:
        ret->was = state_of(word);
        break;
    case OP_REAP:
        ret->reaped = (size_t)int_of(at(result, 1));
        break;
    default:
        break;
    }
}

static void read_levels(const struct pool_scripts *s, const redisReply *r,
                        struct scripts_result *ret)
{
    ret->queued = int_of(at(r, 0));
    for (size_t i = 0; i < s->limits.dim_count; i++)
        ret->dims[i] = (struct dim){.limit = s->limits.dims[i],
                                    .level = int_of(at(r, 1 + 3 * i)),
                                    .refilled_ms = int_of(at(r, 2 + 3 * i)),
                                    .paused_ms = int_of(at(r, 3 + 3 * i))};
}

static void read_log(struct window *log, const redisReply *r)
{
    window_restart(log, 0);
    for (size_t i = 0; i + 1 < r->elements && log->count < WINDOW_MAX_ENTRIES; i += 2)
        window_add(log, int_of(at(r, i)), int_of(at(r, i + 1)), 1);
}

int pool_scripts_run(struct pool_scripts *s, const struct pool_op *op, struct scripts_result *ret,
                     char *why, size_t size)
{
    *ret = (struct scripts_result){.queued = 0};
    const char *id = op->kind == OP_SUBMIT ? op->ticket.id : op->id;
    send_op(s, op, id ? id : "none");
    int rc = 0;
    const int log_at = 4, replies = log_at + (int)s->limits.dim_count;
    for (int i = 0; i < replies; i++) {
        void *got = NULL;
        if (redisGetReply(s->redis, &got) != REDIS_OK) {
            (void)snprintf(why, size, "%s", s->redis->errstr);
            return -1;
        }
        redisReply *r = got;
        if (r->type == REDIS_REPLY_ERROR) {
            (void)snprintf(why, size, "%s", r->str);
            rc = -1;
        } else if (i == 1 && op->kind != OP_CONFIGURE) {
            read_reply(s, op, r, &ret->result);
        } else if (i == 2) {
            read_levels(s, r, ret);
        } else if (i == 3) {
            (void)snprintf(ret->state, sizeof(ret->state), "%s", text_of(r));
        } else if (i >= log_at) {
            read_log(&s->logs[i - log_at], r);
            ret->dims[i - log_at].window = s->logs[i - log_at];
        }
        freeReplyObject(r);
    }
    return rc;
}

int pool_scripts_begin(struct pool_scripts *s, const struct pool_limits *limits, int64_t now_ms)
{
    redisReply *r = redisCommand(s->redis, "FLUSHALL");
    freeReplyObject(r);
    struct pool_op op = {.kind = OP_CONFIGURE, .now_ms = now_ms, .limits = *limits};
    struct scripts_result ret;
    char why[256];
    if (r && pool_scripts_run(s, &op, &ret, why, sizeof(why)) == 0)
        return 0;
    (void)fprintf(stderr, "pool_scripts: %s\n", r ? why : s->redis->errstr);
    return -1;
}

bool pool_scripts_same_states(struct pool_scripts *s, const struct pool_ops *ops,
                              const struct pool *p, char *why, size_t size)
{
    bool same = true;
    for (size_t i = 0; i < ops->count; i++)
        redisAppendCommand(s->redis, "HGET " TICKET_KEY "%s st", ops->tickets[i].id);
    for (size_t i = 0; i < ops->count; i++) {
        void *got = NULL;
        if (redisGetReply(s->redis, &got) != REDIS_OK)
            return false;
        redisReply *r = got;
        const char *in_c = ticket_state_name(pool_ticket_state(p, ops->tickets[i].id));
        const char *in_lua = r->type == REDIS_REPLY_STRING ? r->str : "none";
        if (same && strcmp(in_c, in_lua) != 0) {
            (void)snprintf(why, size, "%s is %s in C, %s in Lua", ops->tickets[i].id, in_c, in_lua);
            same = false;
        }
        freeReplyObject(r);
    }
    return same;
}

/* ---- comparison */

static bool differ(char *why, size_t size, const char *what, int64_t in_c, int64_t in_lua)
{
    (void)snprintf(why, size, "%s: %" PRId64 " in C, %" PRId64 " in Lua", what, in_c, in_lua);
    return false;
}

static bool same_turn(const struct pool_turn *c, const struct pool_turn *lua, char *why,
                      size_t size)
{
    for (size_t i = 0; i < c->grant_count && i < lua->grant_count; i++) {
        const struct pool_grant *a = &c->grants[i], *b = &lua->grants[i];
        if (strcmp(a->id, b->id) != 0) {
            (void)snprintf(why, size, "grant %zu: %s in C, %s in Lua", i, a->id, b->id);
            return false;
        }
        if (a->fence != b->fence)
            return differ(why, size, "fence", a->fence, b->fence);
        if (a->seq != b->seq)
            return differ(why, size, "seq", a->seq, b->seq);
    }
    if (c->grant_count != lua->grant_count)
        return differ(why, size, "grants", (int64_t)c->grant_count, (int64_t)lua->grant_count);
    if (c->wait_ms != lua->wait_ms)
        return differ(why, size, "wait", c->wait_ms, lua->wait_ms);
    if (c->binding != lua->binding)
        return differ(why, size, "binding", c->binding, lua->binding);
    if (c->own != lua->own)
        return differ(why, size, "own binding", c->own, lua->own);
    return true;
}

static bool same_result(const struct pool_op *op, const struct pool_result *c,
                        const struct pool_result *lua, char *why, size_t size)
{
    if (op->kind == OP_SUBMIT && c->submit != lua->submit)
        return differ(why, size, "submit", c->submit, lua->submit);
    if (c->took != lua->took)
        return differ(why, size, "took effect", c->took, lua->took);
    if (c->was != lua->was)
        return differ(why, size, "state before", c->was, lua->was);
    if (c->reaped != lua->reaped)
        return differ(why, size, "reaped", (int64_t)c->reaped, (int64_t)lua->reaped);
    return true;
}

static bool same_log(const struct window *c, const struct window *lua, char *why, size_t size)
{
    if (!c)
        return lua->count == 0 || differ(why, size, "log of a bucket", 0, (int64_t)lua->count);
    if (c->count != lua->count)
        return differ(why, size, "log", (int64_t)c->count, (int64_t)lua->count);
    for (size_t i = 0; i < c->count; i++) {
        const struct window_entry *a = window_at(c, i), *b = window_at(lua, i);
        if (a->at_ms != b->at_ms)
            return differ(why, size, "time of an entry", a->at_ms, b->at_ms);
        if (a->tokens != b->tokens)
            return differ(why, size, "tokens of an entry", a->tokens, b->tokens);
    }
    return true;
}

static bool same_dims(const struct pool *p, int64_t now_ms, const struct scripts_result *scripts,
                      char *why, size_t size)
{
    for (size_t i = 0; i < POOL_MAX_DIMS && scripts->dims[i].limit.rate > 0; i++) {
        int64_t in_c = pool_level(p, i, now_ms);
        int64_t in_lua = dim_level_at(&scripts->dims[i], now_ms);
        if (in_c != in_lua)
            return differ(why, size, scripts->dims[i].limit.name, in_c, in_lua);
        if (!same_log(pool_window(p, i), &scripts->dims[i].window, why, size))
            return false;
    }
    return true;
}

bool pool_scripts_agree(const struct pool *p, const struct pool_op *op, const struct pool_result *r,
                        const struct scripts_result *scripts, char *why, size_t size)
{
    if (!same_result(op, r, &scripts->result, why, size))
        return false;
    if (op->kind != OP_CONFIGURE && !same_turn(&r->turn, &scripts->result.turn, why, size))
        return false;
    if (!same_dims(p, op->now_ms, scripts, why, size))
        return false;
    int64_t queued = 0;
    for (int c = 0; c < CLASS_COUNT; c++)
        queued += pool_depth(p, (enum pool_class)c);
    if (queued != scripts->queued)
        return differ(why, size, "queued", queued, scripts->queued);
    const char *id = op->kind == OP_SUBMIT ? op->ticket.id : op->id;
    const char *state = scripts->state[0] ? scripts->state : "none";
    if (id && strcmp(ticket_state_name(pool_ticket_state(p, id)), state) != 0) {
        (void)snprintf(why, size, "%s is %s in C, %s in Lua", id,
                       ticket_state_name(pool_ticket_state(p, id)), state);
        return false;
    }
    return true;
}
