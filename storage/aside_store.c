#include "storage/aside_store.h"

#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void command(struct pool_store *s, int argc, const char *const *argv, redis_reply_fn fn,
                    void *arg)
{
    size_t lens[5];
    int timeout_ms = 0;
    struct redis_link *link = pool_store_link(s, &timeout_ms);
    for (int i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    struct redis_args args = {.argc = argc, .argv = argv, .lens = lens};
    redis_link_command(link, &args, timeout_ms, fn, arg);
}

void aside_store_set(struct pool_store *s, const struct store_pool *pool, const char *reason,
                     int64_t ms)
{
    struct key key = key_pool(pool->id, "aside");
    char ttl[24];
    (void)snprintf(ttl, sizeof(ttl), "%" PRId64, ms > 0 ? ms : 1);
    const char *argv[] = {"SET", key.text, reason, "PX", ttl};
    command(s, 5, argv, NULL, NULL);
}

void aside_store_clear(struct pool_store *s, const struct store_pool *pool)
{
    struct key key = key_pool(pool->id, "aside");
    const char *argv[] = {"DEL", key.text};
    command(s, 2, argv, NULL, NULL);
}

struct look {
    aside_store_fn fn;
    void *arg;
    char hash[POOL_HASH_BYTES];
    char reason[ASIDE_REASON_BYTES];
    int64_t left_ms;
    bool failed;
    int open; /* answers to come: in a cluster that moves a slot the second may be the first */
};

static void answered(struct look *l)
{
    if (--l->open > 0)
        return;
    l->fn(l->arg, l->hash, l->reason, l->failed ? -1 : *l->reason ? l->left_ms : 0);
    free(l);
}

static void on_reason(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct look *l = arg;
    const char *reason = status == REDIS_OK ? reply_text(reply, NULL) : NULL;
    (void)snprintf(l->reason, sizeof(l->reason), "%s", reason ? reason : "");
    l->failed |= status != REDIS_OK;
    answered(l);
}

/* PTTL is -2 for a key that is not there. */
static void on_left(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct look *l = arg;
    int64_t left_ms = reply_int(reply, 0);
    l->left_ms = left_ms > 0 ? left_ms : 0;
    l->failed |= status != REDIS_OK;
    answered(l);
}

void aside_store_look(struct pool_store *s, const struct store_pool *pool, aside_store_fn fn,
                      void *arg)
{
    struct key key = key_pool(pool->id, "aside");
    struct look *l = malloc(sizeof(*l));
    if (!l) {
        fn(arg, pool->hash, "", -1);
        return;
    }
    *l = (struct look){.fn = fn, .arg = arg, .open = 2};
    memcpy(l->hash, pool->hash, sizeof(l->hash));
    const char *get[] = {"GET", key.text};
    const char *left[] = {"PTTL", key.text};
    command(s, 2, get, on_reason, l);
    command(s, 2, left, on_left, l);
}
