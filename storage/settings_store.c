#include "storage/settings_store.h"

#include "storage/key.h"
#include "storage/redis_reply.h"
#include "storage/redis_script.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 24
#define COUNTER      "version"

struct settings_store {
    struct redis_link *link;
    struct redis_scripts *scripts;
    int timeout_ms;
};

struct settings_store *settings_store_new(struct redis_link *link, int timeout_ms)
{
    struct settings_store *s = malloc(sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct settings_store){link, redis_scripts_new(link), timeout_ms};
    if (s->scripts)
        return s;
    free(s);
    return NULL;
}

void settings_store_free(struct settings_store *s)
{
    if (s)
        redis_scripts_free(s->scripts);
    free(s);
}

struct loading {
    settings_row_fn fn;
    void *arg;
};

/* "VERSION RECORD". */
static void tell_row(const struct loading *l, const char *name, const char *text)
{
    int64_t version = 0;
    int used = 0;
    bool good = text && sscanf(text, "%" SCNd64 " %n", &version, &used) == 1 && version > 0;
    l->fn(l->arg, REDIS_OK, name, version, good && used > 0 ? text + used : NULL);
}

static void on_loaded(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct loading *l = arg;
    int64_t changes = 0;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = reply_text(reply_at(reply, 2 * i), NULL);
        const struct redisReply *value = reply_at(reply, 2 * i + 1);
        if (name && strcmp(name, COUNTER) == 0)
            changes = reply_int(value, 0);
        else if (name)
            tell_row(l, name, reply_text(value, NULL));
    }
    l->fn(l->arg, status, NULL, changes, NULL);
    free(l);
}

int settings_store_load(struct settings_store *s, settings_row_fn fn, void *arg)
{
    struct loading *l = malloc(sizeof(*l));
    if (!l)
        return -ENOMEM;
    *l = (struct loading){fn, arg};
    redis_link_command(s->link, REDIS_ARGS("HGETALL", KEY_SETTINGS), s->timeout_ms, on_loaded, l);
    return 0;
}

struct writing {
    settings_done_fn fn;
    void *arg;
};

static void on_written(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct writing *w = arg;
    const char *what = reply_text(reply_at(reply, 0), NULL);
    enum settings_change change = SETTINGS_DONE;
    if (status == REDIS_OK && what && strcmp(what, "stale") == 0)
        change = SETTINGS_STALE;
    else if (status == REDIS_OK && what && strcmp(what, "full") == 0)
        change = SETTINGS_FULL;
    else if (status == REDIS_OK && !what)
        status = REDIS_ERROR;
    w->fn(w->arg, status, change, reply_int(reply_at(reply, 1), 0));
    free(w);
}

int settings_store_write(struct settings_store *s, const struct settings_write *what,
                         settings_done_fn fn, void *arg)
{
    char expected[NUMBER_BYTES], most[NUMBER_BYTES];
    struct writing *w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct writing){fn, arg};
    (void)snprintf(expected, sizeof(expected), "%" PRId64, what->expected);
    (void)snprintf(most, sizeof(most), "%d", SETTINGS_MAX_ENTRIES);
    struct script_call call = {
        .which = SCRIPT_SETTINGS,
        .nkeys = 1,
        .args =
            *REDIS_ARGS(KEY_SETTINGS, what->name, what->record ? what->record : "", expected, most),
        .deadline_ms = s->timeout_ms,
    };
    redis_script_call(s->scripts, &call, on_written, w);
    return 0;
}
