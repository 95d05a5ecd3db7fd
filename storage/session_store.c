#include "storage/session_store.h"

#include "storage/key.h"
#include "storage/redis_reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS       6
#define NUMBER      24
#define ANCHOR_TEXT (MODEL_NAME_BYTES + 96)

struct session_store {
    struct redis_link *link;
    struct redis_scripts *scripts;
    int timeout_ms;
};

struct session_store *session_store_new(struct redis_link *link, int timeout_ms)
{
    struct session_store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct session_store){link, redis_scripts_new(link), timeout_ms};
    if (!s->scripts) {
        free(s);
        return NULL;
    }
    return s;
}

void session_store_free(struct session_store *s)
{
    if (s)
        redis_scripts_free(s->scripts);
    free(s);
}

bool session_id_is_good(const char *id)
{
    size_t len = strlen(id);
    for (size_t i = 0; i < len; i++)
        if (id[i] < '!' || id[i] > '~')
            return false;
    return len >= 1 && len <= SESSION_ID_BYTES;
}

/* ---- facts as fields */

static const struct {
    const char *name;
    size_t facts, delta;
} counters[] = {
    {"calls", offsetof(struct session_facts, calls), offsetof(struct session_delta, calls)},
    {"dropped", offsetof(struct session_facts, dropped), offsetof(struct session_delta, dropped)},
    {"input", offsetof(struct session_facts, input), offsetof(struct session_delta, input)},
    {"output", offsetof(struct session_facts, output), offsetof(struct session_delta, output)},
    {"trims", offsetof(struct session_facts, trims), offsetof(struct session_delta, trims)},
    {"saved", offsetof(struct session_facts, saved), offsetof(struct session_delta, saved)},
    {"spent", offsetof(struct session_facts, spent), offsetof(struct session_delta, spent)},
    {"cost", offsetof(struct session_facts, cost), offsetof(struct session_delta, cost)},
    {"priced", offsetof(struct session_facts, priced), offsetof(struct session_delta, priced)},
};
#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static void read_anchor(const char *text, struct session_anchor *ret)
{
    struct session_anchor a = {.tokens = 0};
    int used = 0;
    if (text &&
        sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNx64 " %" SCNx64 " %n", &a.tokens,
               &a.messages, &a.counted, &a.high, &a.low, &used) == 5 &&
        strlen(text + used) < sizeof(a.model)) {
        (void)snprintf(a.model, sizeof(a.model), "%s", text + used);
        *ret = a;
    }
}

static void read_facts(const struct redisReply *fields, struct session_facts *ret)
{
    *ret = (struct session_facts){.requests = reply_int(reply_field(fields, "requests"), 0)};
    for (size_t i = 0; i < COUNTERS; i++) {
        int64_t value = reply_int(reply_field(fields, counters[i].name), 0);
        memcpy((char *)ret + counters[i].facts, &value, sizeof(value));
    }
    const char *turn = reply_text(reply_field(fields, "turn"), NULL);
    ret->turn = turn ? strtoull(turn, NULL, 16) : 0;
    ret->iterations = reply_int(reply_field(fields, "iterations"), 0);
    read_anchor(reply_text(reply_field(fields, "anchor"), NULL), &ret->anchor);
}

struct facts_call {
    session_facts_fn fn;
    void *arg;
};

static void on_facts(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct facts_call *call = arg;
    struct session_facts facts = {.requests = 0};
    if (status == REDIS_OK)
        read_facts(reply, &facts);
    call->fn(call->arg, status, &facts);
    free(call);
}

void session_store_facts(struct session_store *s, const char *tenant, const char *id,
                         session_facts_fn fn, void *arg)
{
    struct key key = key_session(tenant, id, "f");
    struct facts_call *call = malloc(sizeof(*call));
    struct session_facts none = {.requests = 0};
    if (!call) {
        fn(arg, REDIS_BUSY_LOCAL, &none);
        return;
    }
    *call = (struct facts_call){fn, arg};
    redis_link_command(s->link, REDIS_ARGS("HGETALL", key.text), s->timeout_ms, on_facts, call);
}

/* ---- one script call with the keys of a conversation */

struct words {
    const char *argv[PARTS + 2 * COUNTERS + 16 + SESSION_COMMIT_MESSAGES];
    size_t lens[PARTS + 2 * COUNTERS + 16 + SESSION_COMMIT_MESSAGES];
    int argc, nkeys;
    struct key keys[PARTS];
};

static void add_bytes(struct words *w, const char *text, size_t len)
{
    w->argv[w->argc] = text;
    w->lens[w->argc++] = len;
}

static void add(struct words *w, const char *text)
{
    add_bytes(w, text, strlen(text));
}

/* parts: one letter each */
static void add_keys(struct words *w, const char *tenant, const char *id, const char *parts)
{
    *w = (struct words){.argc = 0};
    for (size_t i = 0; parts[i]; i++) {
        const char part[2] = {parts[i], '\0'};
        w->keys[i] = key_session(tenant, id, part);
        add_bytes(w, w->keys[i].text, w->keys[i].len);
        w->nkeys++;
    }
}

static void call_script(struct session_store *s, enum script which, const struct words *w,
                        redis_reply_fn fn, void *arg)
{
    struct script_call call = {
        .which = which,
        .nkeys = w->nkeys,
        .args = {.argc = w->argc, .argv = w->argv, .lens = w->lens},
        .deadline_ms = s->timeout_ms,
    };
    redis_script_call(s->scripts, &call, fn, arg);
}

struct done_call {
    session_done_fn fn;
    void *arg;
};

static void on_done(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct done_call *call = arg;
    call->fn(call->arg, status, status == REDIS_OK && reply_int(reply, 0) > 0);
    free(call);
}

static void call_done(struct session_store *s, enum script which, const struct words *w,
                      session_done_fn fn, void *arg)
{
    struct done_call *call = fn ? malloc(sizeof(*call)) : NULL;
    if (fn && !call) {
        fn(arg, REDIS_BUSY_LOCAL, false);
        return;
    }
    if (call)
        *call = (struct done_call){fn, arg};
    call_script(s, which, w, fn ? on_done : NULL, call);
}

/* ---- increments */

struct numbers {
    char each[COUNTERS][NUMBER], increments[NUMBER], settings[NUMBER], ttl[NUMBER], fence[NUMBER];
    char turn[NUMBER], iterations[NUMBER], anchor[ANCHOR_TEXT];
};

static void add_delta(struct words *w, struct numbers *n, const struct session_delta *d)
{
    int increments = 1, settings = 2;
    const struct session_anchor *a = &d->anchor;
    int count_at = w->argc;
    add(w, "");
    add(w, "");
    add(w, "requests");
    add(w, "1");
    for (size_t i = 0; i < COUNTERS; i++) {
        int64_t value;
        memcpy(&value, (const char *)d + counters[i].delta, sizeof(value));
        if (value == 0)
            continue;
        (void)snprintf(n->each[i], NUMBER, "%" PRId64, value);
        add(w, counters[i].name);
        add(w, n->each[i]);
        increments++;
    }
    (void)snprintf(n->turn, NUMBER, "%016" PRIx64, d->turn);
    (void)snprintf(n->iterations, NUMBER, "%" PRId64, d->iterations);
    add(w, "turn");
    add(w, n->turn);
    add(w, "iterations");
    add(w, n->iterations);
    if (a->messages > 0) {
        (void)snprintf(n->anchor, sizeof(n->anchor),
                       "%" PRId64 " %" PRId64 " %" PRId64 " %016" PRIx64 " %016" PRIx64 " %s",
                       a->tokens, a->messages, a->counted, a->high, a->low, a->model);
        add(w, "anchor");
        add(w, n->anchor);
        settings++;
    }
    (void)snprintf(n->increments, NUMBER, "%d", increments);
    (void)snprintf(n->settings, NUMBER, "%d", settings);
    w->argv[count_at] = n->increments;
    w->lens[count_at] = strlen(n->increments);
    w->argv[count_at + 1] = n->settings;
    w->lens[count_at + 1] = strlen(n->settings);
}

static void add_ttl(struct words *w, struct numbers *n, int64_t ttl_s)
{
    (void)snprintf(n->ttl, NUMBER, "%" PRId64, ttl_s * 1000);
    add(w, n->ttl);
}

void session_store_add(struct session_store *s, const char *tenant, const char *id,
                       const struct session_delta *delta, int64_t ttl_s)
{
    struct words w = {.argc = 0};
    struct numbers n;
    struct key key = key_session(tenant, id, "f");
    add_ttl(&w, &n, ttl_s);
    add_delta(&w, &n, delta);
    /* Single commands and no script: a script that Redis does not hold yet is loaded first, and
     * the conversation's next call would be overtaken by that. */
    int at = 3, increments = atoi(n.increments), settings = atoi(n.settings);
    for (int i = 0; i < increments + settings; i++, at += 2)
        redis_link_command(
            s->link,
            REDIS_ARGS(i < increments ? "HINCRBY" : "HSET", key.text, w.argv[at], w.argv[at + 1]),
            s->timeout_ms, NULL, NULL);
    redis_link_command(s->link, REDIS_ARGS("PEXPIRE", key.text, n.ttl), s->timeout_ms, NULL, NULL);
}

/* In a slot of its own: at most a list that lacks an entry, or holds one that is gone. */
static void touch(struct session_store *s, const char *tenant, const char *id, int64_t now_us,
                  int64_t ttl_s)
{
    struct key key = key_sessions(tenant);
    char score[NUMBER], ttl[NUMBER], oldest[NUMBER];
    (void)snprintf(score, sizeof(score), "%" PRId64, now_us);
    (void)snprintf(ttl, sizeof(ttl), "%" PRId64, ttl_s * 1000);
    (void)snprintf(oldest, sizeof(oldest), "%d", -SESSION_MAX_LISTED - 1);
    redis_link_command(s->link, REDIS_ARGS("ZADD", key.text, score, id), s->timeout_ms, NULL, NULL);
    redis_link_command(s->link, REDIS_ARGS("ZREMRANGEBYRANK", key.text, "0", oldest), s->timeout_ms,
                       NULL, NULL);
    redis_link_command(s->link, REDIS_ARGS("PEXPIRE", key.text, ttl), s->timeout_ms, NULL, NULL);
}

void session_store_commit(struct session_store *s, const struct session_commit *what,
                          session_done_fn fn, void *arg)
{
    struct words w;
    struct numbers n;
    add_keys(&w, what->tenant, what->id, "mlkf");
    (void)snprintf(n.fence, NUMBER, "%" PRId64, what->fence);
    add(&w, n.fence);
    add_ttl(&w, &n, what->ttl_s);
    add_delta(&w, &n, what->delta);
    for (size_t i = 0; i < what->count && i < SESSION_COMMIT_MESSAGES; i++)
        add_bytes(&w, what->messages[i], what->lens[i]);
    call_done(s, SCRIPT_SESSION_COMMIT, &w, fn, arg);
    touch(s, what->tenant, what->id, what->now_us, what->ttl_s);
}

/* ---- views */

const char *session_view_message(const struct session_view *v, size_t index, size_t *ret_len)
{
    return reply_text(reply_at(v->messages, index), ret_len);
}

struct view_call {
    session_view_fn fn;
    void *arg;
};

static enum session_turn read_view(const struct redisReply *reply, struct session_view *v)
{
    const char *what = reply_text(reply_at(reply, 0), NULL);
    if (!what)
        return SESSION_FAILED;
    if (strcmp(what, "none") == 0)
        return SESSION_NONE;
    if (strcmp(what, "full") == 0)
        return SESSION_FULL;
    if (strcmp(what, "wait") == 0)
        return SESSION_WAIT;
    v->fence = reply_int(reply_at(reply, 1), 0);
    v->setup = reply_text(reply_at(reply, 2), &v->setup_len);
    v->created_ms = reply_int(reply_at(reply, 3), 0) / 1000;
    v->bytes = reply_int(reply_at(reply, 4), 0);
    read_facts(reply_at(reply, 5), &v->facts);
    v->messages = reply_at(reply, 6);
    v->count = reply_count(v->messages);
    v->left_ms = reply_int(reply_at(reply, 7), 0);
    return v->setup ? SESSION_GO : SESSION_FAILED;
}

static void on_view(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct view_call *call = arg;
    struct session_view view = {.setup = NULL};
    enum session_turn turn = status == REDIS_OK ? read_view(reply, &view) : SESSION_FAILED;
    call->fn(call->arg, turn, status, &view);
    free(call);
}

static void call_view(struct session_store *s, enum script which, const struct words *w,
                      session_view_fn fn, void *arg)
{
    struct view_call *call = malloc(sizeof(*call));
    struct session_view none = {.setup = NULL};
    if (!call) {
        fn(arg, SESSION_FAILED, REDIS_BUSY_LOCAL, &none);
        return;
    }
    *call = (struct view_call){fn, arg};
    call_script(s, which, w, on_view, call);
}

void session_store_read(struct session_store *s, const char *tenant, const char *id,
                        session_view_fn fn, void *arg)
{
    struct words w;
    add_keys(&w, tenant, id, "mlf");
    call_view(s, SCRIPT_SESSION_READ, &w, fn, arg);
}

void session_store_begin(struct session_store *s, const char *tenant, const char *id,
                         const char *waiter, session_view_fn fn, void *arg)
{
    struct words w;
    char lease[NUMBER], alive[NUMBER], most[NUMBER];
    (void)snprintf(lease, sizeof(lease), "%d", SESSION_LEASE_MS);
    (void)snprintf(alive, sizeof(alive), "%d", SESSION_WAITER_MS);
    (void)snprintf(most, sizeof(most), "%d", SESSION_MAX_WAITING);
    add_keys(&w, tenant, id, "mlkqaf");
    add(&w, waiter);
    add(&w, lease);
    add(&w, alive);
    add(&w, most);
    call_view(s, SCRIPT_SESSION_BEGIN, &w, fn, arg);
}

void session_store_create(struct session_store *s, const struct session_setup *setup,
                          session_done_fn fn, void *arg)
{
    struct key key = key_session(setup->tenant, setup->id, "m");
    struct done_call *call = malloc(sizeof(*call));
    char created[NUMBER], ttl[NUMBER];
    if (!call) {
        fn(arg, REDIS_BUSY_LOCAL, false);
        return;
    }
    *call = (struct done_call){fn, arg};
    (void)snprintf(created, sizeof(created), "%" PRId64, setup->now_us);
    (void)snprintf(ttl, sizeof(ttl), "%" PRId64, setup->ttl_s * 1000);
    const char *argv[] = {"HSET", key.text, "setup", setup->text, "created", created, "bytes", "0"};
    const size_t lens[] = {4, key.len, 5, setup->len, 7, strlen(created), 5, 1};
    const struct redis_args args = {.argc = 8, .argv = argv, .lens = lens};
    redis_link_command(s->link, &args, s->timeout_ms, NULL, NULL);
    /* Answers 1 only when the command before it has run. */
    redis_link_command(s->link, REDIS_ARGS("PEXPIRE", key.text, ttl), s->timeout_ms, on_done, call);
    touch(s, setup->tenant, setup->id, setup->now_us, setup->ttl_s);
}

static void end(struct session_store *s, const char *tenant, const char *id,
                const char *const words[3], session_done_fn fn, void *arg)
{
    struct words w;
    add_keys(&w, tenant, id, "mlkqaf");
    for (size_t i = 0; i < 3; i++)
        add(&w, words[i]);
    call_done(s, SCRIPT_SESSION_END, &w, fn, arg);
}

void session_store_renew(struct session_store *s, const char *tenant, const char *id, int64_t fence,
                         session_done_fn fn, void *arg)
{
    char number[NUMBER], lease[NUMBER];
    (void)snprintf(number, sizeof(number), "%" PRId64, fence);
    (void)snprintf(lease, sizeof(lease), "%d", SESSION_LEASE_MS);
    const char *const words[] = {"renew", number, lease};
    end(s, tenant, id, words, fn, arg);
}

void session_store_release(struct session_store *s, const char *tenant, const char *id,
                           int64_t fence, const char *waiter)
{
    char number[NUMBER];
    (void)snprintf(number, sizeof(number), "%" PRId64, fence);
    const char *const words[] = {"release", fence > 0 ? number : waiter, "0"};
    end(s, tenant, id, words, NULL, NULL);
}

void session_store_clear(struct session_store *s, const char *tenant, const char *id,
                         session_done_fn fn, void *arg)
{
    const char *const words[] = {"clear", "", "0"};
    end(s, tenant, id, words, fn, arg);
}

void session_store_delete(struct session_store *s, const char *tenant, const char *id,
                          session_done_fn fn, void *arg)
{
    struct key key = key_sessions(tenant);
    const char *const words[] = {"delete", "", "0"};
    redis_link_command(s->link, REDIS_ARGS("ZREM", key.text, id), s->timeout_ms, NULL, NULL);
    end(s, tenant, id, words, fn, arg);
}

/* ---- lists */

void session_store_list(struct session_store *s, const struct session_range *range,
                        time_index_fn fn, void *arg)
{
    struct key key = key_sessions(range->tenant);
    struct time_page page = {.key = key.text,
                             .before_us = range->before_us,
                             .before_id = range->before_id,
                             .since_us = range->since_us,
                             .limit = range->limit};
    time_index_page(s->link, s->timeout_ms, &page, fn, arg);
}

void session_store_place(struct session_store *s, const char *tenant, const char *id,
                         time_index_place_fn fn, void *arg)
{
    struct key key = key_sessions(tenant);
    time_index_place(s->link, s->timeout_ms, key.text, id, fn, arg);
}
