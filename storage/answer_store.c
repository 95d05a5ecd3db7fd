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

struct get;

struct piece {
    struct get *get;
    char *bytes; /* NULL: none */
    size_t len;
};

/* One look: a command for each answer and one for the stamp, sent together. No MGET, as a cluster
 * keeps them in different places. */
struct get {
    answer_store_fn fn;
    void *arg;
    char stamp[ANSWER_STAMP_BYTES]; /* "" not told */
    size_t open, count;
    struct answer_found *found;
    struct piece pieces[];
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

static struct get *get_new(const struct answer_names *names)
{
    struct get *get = calloc(1, sizeof(*get) + names->count * sizeof(get->pieces[0]));
    if (!get)
        return NULL;
    get->found = calloc(names->count, sizeof(*get->found));
    get->count = get->found ? names->count : 0;
    for (size_t i = 0; i < get->count; i++)
        get->pieces[i].get = get;
    if (get->found)
        return get;
    free(get);
    return NULL;
}

/* What follows the stamp, if that is the one of now. */
static struct answer_found behind_stamp(const struct get *get, const struct piece *p)
{
    size_t stamp = strlen(get->stamp);
    bool good = stamp > 0 && p->bytes && p->len > stamp && p->bytes[stamp] == '\n' &&
                memcmp(p->bytes, get->stamp, stamp) == 0;
    if (!good)
        return (struct answer_found){.bytes = NULL};
    return (struct answer_found){.bytes = p->bytes + stamp + 1, .len = p->len - stamp - 1};
}

static void answered(struct get *get)
{
    if (--get->open > 0)
        return;
    for (size_t i = 0; i < get->count; i++)
        get->found[i] = behind_stamp(get, &get->pieces[i]);
    get->fn(get->arg, get->found, *get->stamp ? get->stamp : NULL);
    for (size_t i = 0; i < get->count; i++)
        free(get->pieces[i].bytes);
    free(get->found);
    free(get);
}

static void on_bytes(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct piece *p = arg;
    size_t len = 0;
    const char *text = status == REDIS_OK ? reply_text(reply, &len) : NULL;
    p->bytes = text && len > 0 ? malloc(len) : NULL;
    if (p->bytes) {
        memcpy(p->bytes, text, len);
        p->len = len;
    }
    answered(p->get);
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
    char fields[COUNTERS][FIELD_BYTES];
    struct get *get = get_new(names);
    if (!get) {
        fn(arg, NULL, NULL);
        return;
    }
    get->fn = fn;
    get->arg = arg;
    get->open = get->count + 1;
    write_field("", "", fields[0]);
    write_field(names->tenant, "", fields[1]);
    write_field("", names->model, fields[2]);
    write_field(names->tenant, names->model, fields[3]);
    for (size_t i = 0; i < names->count; i++) {
        struct key key = key_answer(names->digests[i]);
        redis_link_command(s->link, REDIS_ARGS("GET", key.text), s->timeout_ms, on_bytes,
                           &get->pieces[i]);
    }
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
