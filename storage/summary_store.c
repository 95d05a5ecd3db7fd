#include "storage/summary_store.h"

#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 24

struct summary_store {
    struct redis_link *link;
    int timeout_ms;
};

struct get {
    summary_store_fn fn;
    void *arg;
};

struct summary_store *summary_store_new(struct redis_link *link, int timeout_ms)
{
    struct summary_store *s = calloc(1, sizeof(*s));
    if (s)
        *s = (struct summary_store){.link = link, .timeout_ms = timeout_ms};
    return s;
}

void summary_store_free(struct summary_store *s)
{
    free(s);
}

static void on_text(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct get *get = arg;
    size_t len = 0;
    const char *text = status == REDIS_OK ? reply_text(reply, &len) : NULL;
    get->fn(get->arg, text, text ? len : 0);
    free(get);
}

void summary_store_get(struct summary_store *s, const char *tenant, const char *digest,
                       summary_store_fn fn, void *arg)
{
    struct key key = key_summary(tenant, digest);
    const char *argv[] = {"GET", key.text};
    size_t lens[] = {3, key.len};
    struct redis_args args = {.argc = 2, .argv = argv, .lens = lens};
    struct get *get = malloc(sizeof(*get));
    if (!get) {
        fn(arg, NULL, 0);
        return;
    }
    *get = (struct get){fn, arg};
    redis_link_command(s->link, &args, s->timeout_ms, on_text, get);
}

void summary_store_put(struct summary_store *s, const struct summary_record *record)
{
    struct key key = key_summary(record->tenant, record->digest);
    char ttl[NUMBER_BYTES];
    (void)snprintf(ttl, sizeof(ttl), "%" PRId64, record->ttl_s);
    const char *argv[] = {"SET", key.text, record->text, "EX", ttl};
    size_t lens[] = {3, key.len, record->len, 2, strlen(ttl)};
    struct redis_args args = {.argc = 5, .argv = argv, .lens = lens};
    redis_link_command(s->link, &args, s->timeout_ms, NULL, NULL);
}
