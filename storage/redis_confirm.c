#include "storage/redis_confirm.h"

#include "storage/redis_reply.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBER_BYTES 16
#define MARK_TTL_MS  "60000"

struct redis_confirm {
    struct redis_confirm_options options;
    struct list waiting, asking; /* for the next WAIT, for the one under way */
    bool busy, closed;           /* closed: the link still has an answer for it, which frees it */
};

struct redis_confirm *redis_confirm_new(const struct redis_confirm_options *options)
{
    struct redis_confirm *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->options = *options;
    list_init(&c->waiting);
    list_init(&c->asking);
    return c;
}

static void end_all(struct list *askers, enum redis_status status, int64_t copies)
{
    while (!list_is_empty(askers)) {
        struct redis_asker *a = LIST_ITEM(askers->next, struct redis_asker, link);
        list_remove(&a->link);
        a->fn(a->arg, status, copies);
    }
}

void redis_confirm_free(struct redis_confirm *c)
{
    if (!c)
        return;
    c->closed = true;
    end_all(&c->asking, REDIS_LOST, 0);
    end_all(&c->waiting, REDIS_LOST, 0);
    if (!c->busy)
        free(c);
}

static void begin(struct redis_confirm *c);

static void on_waited(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct redis_confirm *c = arg;
    struct list answered;
    int64_t copies = reply_int(c->options.replicas > 0 ? reply : reply_at(reply, 0), 0);
    if (c->closed) {
        free(c);
        return;
    }
    list_init(&answered);
    while (!list_is_empty(&c->asking)) {
        struct list *link = c->asking.next;
        list_remove(link);
        list_add_last(&answered, link);
    }
    c->busy = false;
    end_all(&answered, status, copies);
    begin(c);
}

static void send_wait(struct redis_confirm *c, uint64_t stamp, const char *key)
{
    const struct redis_confirm_options *o = &c->options;
    char replicas[NUMBER_BYTES], timeout[NUMBER_BYTES];
    int deadline_ms = o->timeout_ms + o->command_ms;
    (void)snprintf(replicas, sizeof(replicas), "%d", o->replicas);
    (void)snprintf(timeout, sizeof(timeout), "%d", o->timeout_ms);
    redis_link_command_at(o->link, stamp, REDIS_ARGS("SET", key, "1", "PX", MARK_TTL_MS),
                          deadline_ms, NULL, NULL);
    if (o->replicas > 0)
        redis_link_command_at(o->link, stamp, REDIS_ARGS("WAIT", replicas, timeout), deadline_ms,
                              on_waited, c);
    else
        redis_link_command_at(o->link, stamp, REDIS_ARGS("WAITAOF", "1", "0", timeout), deadline_ms,
                              on_waited, c);
}

/* All of one connection together. */
static void begin(struct redis_confirm *c)
{
    if (c->busy || list_is_empty(&c->waiting))
        return;
    uint64_t stamp = LIST_ITEM(c->waiting.next, struct redis_asker, link)->stamp;
    struct list others;
    c->busy = true;
    list_init(&others);
    while (!list_is_empty(&c->waiting)) {
        struct redis_asker *a = LIST_ITEM(c->waiting.next, struct redis_asker, link);
        list_remove(&a->link);
        list_add_last(a->stamp == stamp ? &c->asking : &others, &a->link);
    }
    while (!list_is_empty(&others)) {
        struct list *link = others.next;
        list_remove(link);
        list_add_last(&c->waiting, link);
    }
    send_wait(c, stamp, LIST_ITEM(c->asking.next, struct redis_asker, link)->key);
}

void redis_confirm_ask(struct redis_confirm *c, struct redis_asker *a, uint64_t stamp,
                       const char *key, redis_confirm_fn fn, void *arg)
{
    *a = (struct redis_asker){.stamp = stamp, .fn = fn, .arg = arg};
    list_init(&a->link);
    (void)snprintf(a->key, sizeof(a->key), "%s", key);
    list_add_last(&c->waiting, &a->link);
    begin(c);
}
