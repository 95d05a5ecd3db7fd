#include "storage/tally_store.h"

#include "storage/key.h"
#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_ARGS    4
#define NUMBER_BYTES 24
#define NAME_BYTES   128

struct tally_store {
    struct redis_link *link;
    struct redis_scripts *scripts;
    int timeout_ms;
};

struct tally_store *tally_store_new(struct redis_link *link, int timeout_ms)
{
    struct tally_store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct tally_store){link, redis_scripts_new(link), timeout_ms};
    if (!s->scripts) {
        free(s);
        return NULL;
    }
    return s;
}

void tally_store_free(struct tally_store *s)
{
    if (s)
        redis_scripts_free(s->scripts);
    free(s);
}

struct adding {
    tally_store_added_fn fn;
    void *arg;
};

static void on_added(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct adding *w = arg;
    (void)reply;
    w->fn(w->arg, status);
    free(w);
}

void tally_store_add(struct tally_store *s, const struct tally_addition *a, tally_store_added_fn fn,
                     void *arg)
{
    struct adding *w = malloc(sizeof(*w));
    if (!w) {
        fn(arg, REDIS_BUSY_LOCAL);
        return;
    }
    *w = (struct adding){fn, arg};
    struct key key = key_tally(a->kind);
    char most[NUMBER_BYTES], amounts[TALLY_STORE_MAX_FIELDS][NUMBER_BYTES];
    const char *argv[HEAD_ARGS + 2 * TALLY_STORE_MAX_FIELDS] = {key.text, most, TALLY_STORE_TTL_MS,
                                                                a->name};
    size_t lens[HEAD_ARGS + 2 * TALLY_STORE_MAX_FIELDS];
    int argc = HEAD_ARGS;
    (void)snprintf(most, sizeof(most), "%zu", a->most);
    for (size_t i = 0; i < a->count && i < TALLY_STORE_MAX_FIELDS; i++) {
        (void)snprintf(amounts[i], sizeof(amounts[i]), "%" PRId64, a->numbers[i].amount);
        argv[argc++] = a->numbers[i].field;
        argv[argc++] = amounts[i];
    }
    for (int i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    struct script_call call = {.which = SCRIPT_TALLY,
                               .nkeys = 1,
                               .args = {.argc = argc, .argv = argv, .lens = lens},
                               .deadline_ms = s->timeout_ms};
    redis_script_call(s->scripts, &call, on_added, w);
}

struct reading {
    tally_store_fn fn;
    void *arg;
};

static void on_numbers(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct reading *r = arg;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *field = reply_text(reply_at(reply, 2 * i), NULL);
        const char *end = field ? strchr(field, '\n') : NULL;
        char name[NAME_BYTES];
        if (!end || end == field || !end[1] || (size_t)(end - field) >= sizeof(name))
            continue; /* what the script keeps for itself */
        (void)snprintf(name, sizeof(name), "%.*s", (int)(end - field), field);
        r->fn(r->arg, name, end + 1, reply_int(reply_at(reply, 2 * i + 1), 0));
    }
    r->fn(r->arg, NULL, NULL, 0);
    free(r);
}

void tally_store_read(struct tally_store *s, const char *kind, tally_store_fn fn, void *arg)
{
    struct key key = key_tally(kind);
    const char *argv[] = {"HGETALL", key.text};
    const size_t lens[] = {7, key.len};
    struct redis_args args = {.argc = 2, .argv = argv, .lens = lens};
    struct reading *r = malloc(sizeof(*r));
    if (!r) {
        fn(arg, NULL, NULL, 0);
        return;
    }
    *r = (struct reading){fn, arg};
    redis_link_command(s->link, &args, s->timeout_ms, on_numbers, r);
}
