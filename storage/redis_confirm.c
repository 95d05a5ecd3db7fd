#include "storage/redis_confirm.h"

#include "common/list.h"
#include "storage/redis_reply.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBER_BYTES 16
#define MARK_TTL_MS  "60000"

struct asker {
    struct list link;
    uint64_t stamp;
    char key[CONFIRM_KEY_BYTES];
    redis_confirm_fn fn;
    void *arg;
};

struct redis_confirm {
    struct redis_confirm_options options;
    struct list waiting, asking; /* for the next WAIT, for the one under way */
    bool busy;
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

void redis_confirm_free(struct redis_confirm *c)
{
    free(c);
}

static void end(struct asker *a, enum redis_status status, int64_t copies)
{
    redis_confirm_fn fn = a->fn;
    void *arg = a->arg;
    list_remove(&a->link);
    free(a);
    fn(arg, status, copies);
}

static void begin(struct redis_confirm *c);

static void on_waited(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct redis_confirm *c = arg;
    struct list answered;
    int64_t copies = reply_int(c->options.replicas > 0 ? reply : reply_at(reply, 0), 0);
    list_init(&answered);
    while (!list_is_empty(&c->asking)) {
        struct list *link = c->asking.next;
        list_remove(link);
        list_add_last(&answered, link);
    }
    c->busy = false;
    while (!list_is_empty(&answered))
        end(LIST_ITEM(answered.next, struct asker, link), status, copies);
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
    const struct asker *first = LIST_ITEM(c->waiting.next, struct asker, link);
    uint64_t stamp = first->stamp;
    struct list others;
    c->busy = true;
    list_init(&others);
    while (!list_is_empty(&c->waiting)) {
        struct asker *a = LIST_ITEM(c->waiting.next, struct asker, link);
        list_remove(&a->link);
        list_add_last(a->stamp == stamp ? &c->asking : &others, &a->link);
    }
    while (!list_is_empty(&others)) {
        struct list *link = others.next;
        list_remove(link);
        list_add_last(&c->waiting, link);
    }
    send_wait(c, stamp, LIST_ITEM(c->asking.next, struct asker, link)->key);
}

void redis_confirm_ask(struct redis_confirm *c, uint64_t stamp, const char *key,
                       redis_confirm_fn fn, void *arg)
{
    struct asker *a = malloc(sizeof(*a));
    if (!a) {
        /* Before the return, for want of anything to remember it by. */
        fn(arg, REDIS_BUSY_LOCAL, 0);
        return;
    }
    *a = (struct asker){.stamp = stamp, .fn = fn, .arg = arg};
    list_init(&a->link);
    (void)snprintf(a->key, sizeof(a->key), "%s", key);
    list_add_last(&c->waiting, &a->link);
    begin(c);
}
