/* The counters of a pool, which no script reads. */
#include "storage/pool_store_internal.h"

#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATS_TTL_MS "2592000000" /* 30 days, as the pool */

static void command(struct pool_store *s, int argc, const char *const *argv, redis_reply_fn fn,
                    void *arg)
{
    size_t lens[4];
    for (int i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    struct redis_args args = {.argc = argc, .argv = argv, .lens = lens};
    redis_link_command(s->link, &args, s->timeout_ms, fn, arg);
}

const struct redis_latency *pool_store_latency(const struct pool_store *s)
{
    return redis_scripts_latency(s->scripts);
}

void pool_store_count(struct pool_store *s, const struct store_pool *pool,
                      const struct store_count *counts, size_t n)
{
    struct key key = key_pool(pool->id, "stats");
    for (size_t i = 0; i < n; i++) {
        char amount[24];
        (void)snprintf(amount, sizeof(amount), "%" PRId64, counts[i].amount);
        const char *argv[] = {"HINCRBY", key.text, counts[i].name, amount};
        command(s, 4, argv, NULL, NULL);
    }
    const char *expire[] = {"PEXPIRE", key.text, STATS_TTL_MS};
    if (n > 0)
        command(s, 3, expire, NULL, NULL);
}

struct counts_call {
    pool_store_count_fn fn;
    void *arg;
};

static void on_counts(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct counts_call *c = arg;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = reply_text(reply_at(reply, 2 * i), NULL);
        if (name)
            c->fn(c->arg, name, reply_int(reply_at(reply, 2 * i + 1), 0));
    }
    c->fn(c->arg, NULL, 0);
    free(c);
}

void pool_store_counts(struct pool_store *s, const struct store_pool *pool, pool_store_count_fn fn,
                       void *arg)
{
    struct key key = key_pool(pool->id, "stats");
    const char *argv[] = {"HGETALL", key.text};
    struct counts_call *c = malloc(sizeof(*c));
    if (!c) {
        fn(arg, NULL, 0);
        return;
    }
    *c = (struct counts_call){fn, arg};
    command(s, 2, argv, on_counts, c);
}
