#include "storage/access_store.h"

#include "storage/key.h"
#include "storage/redis_reply.h"

#include <errno.h>
#include <stdlib.h>

struct loading {
    access_store_fn fn;
    void *arg;
};

static void on_loaded(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct loading *l = arg;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = reply_text(reply_at(reply, 2 * i), NULL);
        const char *record = reply_text(reply_at(reply, 2 * i + 1), NULL);
        if (id && record)
            l->fn(l->arg, status, id, record);
    }
    l->fn(l->arg, status, NULL, NULL);
    free(l);
}

int access_store_load(struct redis_link *link, access_store_fn fn, void *arg)
{
    struct loading *l = malloc(sizeof(*l));
    if (!l)
        return -ENOMEM;
    *l = (struct loading){fn, arg};
    redis_link_command(link, REDIS_ARGS("HGETALL", KEY_ACCESS), ACCESS_TIMEOUT_MS, on_loaded, l);
    return 0;
}

struct putting {
    struct redis_link *link;
    access_store_done_fn fn;
    void *arg;
};

static void on_put(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct putting *p = arg;
    (void)reply;
    if (status == REDIS_OK)
        redis_link_command(p->link, REDIS_ARGS("PUBLISH", KEY_ACCESS_CHANGED, ""),
                           ACCESS_TIMEOUT_MS, NULL, NULL);
    p->fn(p->arg, status);
    free(p);
}

int access_store_put(struct redis_link *link, const char *id, const char *record,
                     access_store_done_fn fn, void *arg)
{
    struct putting *p = malloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    *p = (struct putting){link, fn, arg};
    if (record)
        redis_link_command(link, REDIS_ARGS("HSET", KEY_ACCESS, id, record), ACCESS_TIMEOUT_MS,
                           on_put, p);
    else
        redis_link_command(link, REDIS_ARGS("HDEL", KEY_ACCESS, id), ACCESS_TIMEOUT_MS, on_put, p);
    return 0;
}
