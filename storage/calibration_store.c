#include "storage/calibration_store.h"

#include "storage/redis_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 24

struct calibration_store {
    struct redis_link *link;
    int timeout_ms;
};

struct get {
    calibration_store_fn fn;
    void *arg;
};

struct calibration_store *calibration_store_new(struct redis_link *link, int timeout_ms)
{
    struct calibration_store *s = calloc(1, sizeof(*s));
    if (s)
        *s = (struct calibration_store){.link = link, .timeout_ms = timeout_ms};
    return s;
}

void calibration_store_free(struct calibration_store *s)
{
    free(s);
}

static void on_text(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct get *get = arg;
    get->fn(get->arg, status, status == REDIS_OK ? reply_text(reply, NULL) : NULL);
    free(get);
}

void calibration_store_get(struct calibration_store *s, const char *provider, const char *model,
                           calibration_store_fn fn, void *arg)
{
    struct key key = key_calibration(provider, model);
    const char *argv[] = {"GET", key.text};
    size_t lens[] = {3, key.len};
    struct redis_args args = {.argc = 2, .argv = argv, .lens = lens};
    struct get *get = malloc(sizeof(*get));
    if (!get) {
        fn(arg, REDIS_BUSY_LOCAL, NULL);
        return;
    }
    *get = (struct get){fn, arg};
    redis_link_command(s->link, &args, s->timeout_ms, on_text, get);
}

void calibration_store_put(struct calibration_store *s, const char *provider, const char *model,
                           const char *text)
{
    struct key key = key_calibration(provider, model);
    char ttl[NUMBER_BYTES];
    (void)snprintf(ttl, sizeof(ttl), "%d", CALIBRATION_TTL_S);
    const char *argv[] = {"SET", key.text, text, "EX", ttl};
    size_t lens[] = {3, key.len, strlen(text), 2, strlen(ttl)};
    struct redis_args args = {.argc = 5, .argv = argv, .lens = lens};
    redis_link_command(s->link, &args, s->timeout_ms, NULL, NULL);
}
