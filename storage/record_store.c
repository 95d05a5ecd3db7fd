#include "storage/record_store.h"

#include "storage/key.h"
#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 24

struct record_store {
    struct redis_link *link;
    int timeout_ms;
};

struct one {
    record_fn fn;
    void *arg;
    struct record_store *store;
    int64_t ttl_ms;
    struct key lease;
    char owner[64];
};

struct many {
    record_list_fn fn;
    void *arg;
};

struct record_store *record_store_new(struct redis_link *link, int timeout_ms)
{
    struct record_store *s = calloc(1, sizeof(*s));
    if (s)
        *s = (struct record_store){.link = link, .timeout_ms = timeout_ms};
    return s;
}

void record_store_free(struct record_store *s)
{
    free(s);
}

static void on_one(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct one *one = arg;
    size_t len = 0;
    const char *text = status == REDIS_OK ? reply_text(reply, &len) : NULL;
    one->fn(one->arg, status, text, text ? len : 0);
    free(one);
}

static void send(struct record_store *s, const struct redis_args *args, record_fn fn, void *arg)
{
    struct one *one = NULL;
    if (fn) {
        one = calloc(1, sizeof(*one));
        if (!one) {
            fn(arg, REDIS_BUSY_LOCAL, NULL, 0);
            return;
        }
        *one = (struct one){.fn = fn, .arg = arg};
    }
    redis_link_command(s->link, args, s->timeout_ms, fn ? on_one : NULL, one);
}

void record_store_put(struct record_store *s, const struct record_at *at, const char *text,
                      record_fn fn, void *arg)
{
    struct key key = key_records(at->set, at->tenant);
    send(s, REDIS_ARGS("HSET", key.text, at->id, text), fn, arg);
}

void record_store_get(struct record_store *s, const struct record_at *at, record_fn fn, void *arg)
{
    struct key key = key_records(at->set, at->tenant);
    send(s, REDIS_ARGS("HGET", key.text, at->id), fn, arg);
}

void record_store_remove(struct record_store *s, const struct record_at *at, record_fn fn,
                         void *arg)
{
    struct key key = key_records(at->set, at->tenant);
    send(s, REDIS_ARGS("HDEL", key.text, at->id), fn, arg);
}

static void on_list(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct many *many = arg;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = reply_text(reply_at(reply, 2 * i), NULL);
        const char *text = reply_text(reply_at(reply, 2 * i + 1), NULL);
        if (id && text)
            many->fn(many->arg, REDIS_OK, id, text);
    }
    many->fn(many->arg, status, NULL, NULL);
    free(many);
}

void record_store_list(struct record_store *s, const struct record_at *at, record_list_fn fn,
                       void *arg)
{
    struct key key = key_records(at->set, at->tenant);
    struct many *many = malloc(sizeof(*many));
    if (!many) {
        fn(arg, REDIS_BUSY_LOCAL, NULL, NULL);
        return;
    }
    *many = (struct many){fn, arg};
    redis_link_command(s->link, REDIS_ARGS("HGETALL", key.text), s->timeout_ms, on_list, many);
}

static void on_holder(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct one *one = arg;
    size_t len = 0;
    const char *holder = status == REDIS_OK ? reply_text(reply, &len) : NULL;
    char ttl[NUMBER_BYTES];
    if (holder && strcmp(holder, one->owner) == 0) {
        (void)snprintf(ttl, sizeof(ttl), "%" PRId64, one->ttl_ms);
        redis_link_command(one->store->link, REDIS_ARGS("PEXPIRE", one->lease.text, ttl),
                           one->store->timeout_ms, NULL, NULL);
    }
    one->fn(one->arg, status, holder, len);
    free(one);
}

void record_store_lease(struct record_store *s, const char *id, const char *owner, int64_t ttl_ms,
                        record_fn fn, void *arg)
{
    struct one *one = calloc(1, sizeof(*one));
    char ttl[NUMBER_BYTES];
    if (!one) {
        fn(arg, REDIS_BUSY_LOCAL, NULL, 0);
        return;
    }
    *one = (struct one){.fn = fn, .arg = arg, .store = s, .ttl_ms = ttl_ms};
    one->lease = key_lease(id);
    (void)snprintf(one->owner, sizeof(one->owner), "%s", owner);
    (void)snprintf(ttl, sizeof(ttl), "%" PRId64, ttl_ms);
    redis_link_command(s->link, REDIS_ARGS("SET", one->lease.text, owner, "NX", "PX", ttl),
                       s->timeout_ms, NULL, NULL);
    redis_link_command(s->link, REDIS_ARGS("GET", one->lease.text), s->timeout_ms, on_holder, one);
}

void record_store_unlease(struct record_store *s, const char *id)
{
    struct key key = key_lease(id);
    redis_link_command(s->link, REDIS_ARGS("DEL", key.text), s->timeout_ms, NULL, NULL);
}
