#include "storage/answer_store.h"

#include "common/digest.h"
#include "storage/redis_reply.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 24
#define COUNTERS     4
#define FIELD_BYTES  (DIGEST_HEX_BYTES + 8)

struct answer_store {
    struct redis_link *link;
    int timeout_ms;
};

/* One look: two commands, as a cluster keeps the two in different places. */
struct get {
    answer_store_fn fn;
    void *arg;
    char *bytes; /* NULL: none */
    size_t len;
    char stamp[ANSWER_STAMP_BYTES]; /* "" not told */
    unsigned open;
};

struct purge {
    struct answer_store *store;
    answer_purged_fn fn;
    void *arg;
    char *payload;
};

struct answer_store *answer_store_new(struct redis_link *link, int timeout_ms)
{
    struct answer_store *s = calloc(1, sizeof(*s));
    if (s)
        *s = (struct answer_store){.link = link, .timeout_ms = timeout_ms};
    return s;
}

void answer_store_free(struct answer_store *s)
{
    free(s);
}

bool answer_store_is_up(const struct answer_store *s)
{
    return redis_link_is_up(s->link);
}

/* Names of users are hashed, so that no two of them make one field. */
static void write_field(const char *tenant, const char *model, char ret[FIELD_BYTES])
{
    char name[KEY_BYTES + MODEL_NAME_MAX_BYTES], sum[DIGEST_HEX_BYTES];
    int len = snprintf(name, sizeof(name), "%zu:%s:%s", strlen(tenant), tenant, model);
    assert(len > 0 && (size_t)len < sizeof(name));
    digest_hex(name, (size_t)len, sum, 32);
    (void)snprintf(ret, FIELD_BYTES, "%s", *tenant || *model ? sum : "all");
}

/* ---- looking */

static void answered(struct get *get)
{
    size_t stamp = strlen(get->stamp);
    bool good = stamp > 0 && get->bytes && get->len > stamp && get->bytes[stamp] == '\n' &&
                memcmp(get->bytes, get->stamp, stamp) == 0;
    if (--get->open > 0)
        return;
    get->fn(get->arg, good ? get->bytes + stamp + 1 : NULL, good ? get->len - stamp - 1 : 0,
            stamp > 0 ? get->stamp : NULL);
    free(get->bytes);
    free(get);
}

static void on_bytes(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct get *get = arg;
    size_t len = 0;
    const char *text = status == REDIS_OK ? reply_text(reply, &len) : NULL;
    get->bytes = text && len > 0 ? malloc(len) : NULL;
    if (get->bytes) {
        memcpy(get->bytes, text, len);
        get->len = len;
    }
    answered(get);
}

static void on_stamp(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct get *get = arg;
    size_t at = 0;
    for (size_t i = 0; status == REDIS_OK && reply_count(reply) == COUNTERS && i < COUNTERS; i++)
        at += (size_t)snprintf(get->stamp + at, sizeof(get->stamp) - at, "%s%" PRId64,
                               i > 0 ? "." : "", reply_int(reply_at(reply, i), 0));
    answered(get);
}

void answer_store_get(struct answer_store *s, const struct answer_names *names, answer_store_fn fn,
                      void *arg)
{
    struct key key = key_answer(names->digest);
    char fields[COUNTERS][FIELD_BYTES];
    struct get *get = calloc(1, sizeof(*get));
    if (!get) {
        fn(arg, NULL, 0, NULL);
        return;
    }
    *get = (struct get){.fn = fn, .arg = arg, .open = 2};
    write_field("", "", fields[0]);
    write_field(names->tenant, "", fields[1]);
    write_field("", names->model, fields[2]);
    write_field(names->tenant, names->model, fields[3]);
    redis_link_command(s->link, REDIS_ARGS("GET", key.text), s->timeout_ms, on_bytes, get);
    redis_link_command(
        s->link,
        REDIS_ARGS("HMGET", KEY_ANSWERS_PURGED, fields[0], fields[1], fields[2], fields[3]),
        s->timeout_ms, on_stamp, get);
}

void answer_store_put(struct answer_store *s, const struct answer_bytes *answer)
{
    struct key key = key_answer(answer->digest);
    size_t stamp = strlen(answer->stamp), len = stamp + 1 + answer->len;
    char ttl[NUMBER_BYTES], *text = malloc(len);
    if (!text)
        return;
    memcpy(text, answer->stamp, stamp);
    text[stamp] = '\n';
    memcpy(text + stamp + 1, answer->bytes, answer->len);
    (void)snprintf(ttl, sizeof(ttl), "%" PRId64, answer->ttl_ms);
    const char *argv[] = {"SET", key.text, text, "PX", ttl};
    size_t lens[] = {3, key.len, len, 2, strlen(ttl)};
    struct redis_args args = {.argc = 5, .argv = argv, .lens = lens};
    redis_link_command(s->link, &args, s->timeout_ms, NULL, NULL);
    free(text);
}

/* ---- purging */

static void purge_end(struct purge *p, enum redis_status status)
{
    p->fn(p->arg, status);
    free(p->payload);
    free(p);
}

static void on_told(void *arg, enum redis_status status, const struct redisReply *reply)
{
    (void)reply;
    purge_end(arg, status);
}

static void on_counted(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct purge *p = arg;
    (void)reply;
    if (status != REDIS_OK)
        purge_end(p, status);
    else
        redis_link_command(p->store->link, REDIS_ARGS("PUBLISH", KEY_ANSWERS_PURGE, p->payload),
                           p->store->timeout_ms, on_told, p);
}

void answer_store_purge(struct answer_store *s, const struct answer_purge *what,
                        answer_purged_fn fn, void *arg)
{
    char field[FIELD_BYTES];
    struct purge *p = calloc(1, sizeof(*p));
    size_t len = strlen(what->by) + strlen(what->tenant) + strlen(what->model) + 3;
    char *payload = malloc(len);
    if (!p || !payload) {
        free(p);
        free(payload);
        fn(arg, REDIS_BUSY_LOCAL);
        return;
    }
    (void)snprintf(payload, len, "%s\n%s\n%s", what->by, what->tenant, what->model);
    *p = (struct purge){.store = s, .fn = fn, .arg = arg, .payload = payload};
    write_field(what->tenant, what->model, field);
    redis_link_command(s->link, REDIS_ARGS("HINCRBY", KEY_ANSWERS_PURGED, field, "1"),
                       s->timeout_ms, on_counted, p);
}
