#include "storage/history_store.h"

#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_ARGS  3
#define HEAD_ARGS    2 /* the key and how long it is kept */
#define NUMBER_BYTES 24

struct history_store {
    struct redis_link *link;
    struct redis_scripts *scripts;
    int timeout_ms;
};

/* A chunk's own length, and how long it stays after its last addition: of a chunk that has just
 * ended, the oldest point is a whole chunk older than the newest. */
static const struct {
    int64_t step_s, chunk_s, kept_s;
} steps[] = {
    {HISTORY_MINUTE_S, 3600, HISTORY_MINUTES_KEPT_S},
    {HISTORY_HOUR_S, 86400, HISTORY_HOURS_KEPT_S},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

struct history_store *history_store_new(struct redis_link *link, int timeout_ms)
{
    struct history_store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct history_store){link, redis_scripts_new(link), timeout_ms};
    if (!s->scripts) {
        free(s);
        return NULL;
    }
    return s;
}

void history_store_free(struct history_store *s)
{
    if (s)
        redis_scripts_free(s->scripts);
    free(s);
}

static struct key key_of(const struct history_subject *subject, int64_t step_s, int64_t chunk)
{
    char part[64];
    (void)snprintf(part, sizeof(part), "h:%" PRId64 ":%" PRId64, step_s, chunk);
    switch (subject->kind) {
    case HISTORY_POOL:
        return key_pool(subject->name, part);
    case HISTORY_TENANT:
        return key_history(subject->name, part);
    default:
        return key_history("", part);
    }
}

/* ---- adding */

struct addition {
    char ttl[NUMBER_BYTES];
    char fields[HISTORY_MAX_SAMPLES][HISTORY_NAME_BYTES + NUMBER_BYTES];
    char amounts[HISTORY_MAX_SAMPLES][NUMBER_BYTES];
    const char *argv[HEAD_ARGS + SAMPLE_ARGS * HISTORY_MAX_SAMPLES];
    size_t lens[HEAD_ARGS + SAMPLE_ARGS * HISTORY_MAX_SAMPLES];
};

static void put(struct addition *a, int *argc, const char *text)
{
    a->argv[*argc] = text;
    a->lens[*argc] = strlen(text);
    (*argc)++;
}

static void add(struct history_store *s, struct addition *a, const struct key *key, int64_t slot,
                const struct history_sample *samples, size_t n)
{
    int argc = 0;
    put(a, &argc, key->text);
    put(a, &argc, a->ttl);
    for (size_t i = 0; i < n && i < HISTORY_MAX_SAMPLES; i++) {
        (void)snprintf(a->fields[i], sizeof(a->fields[i]), "%" PRId64 ":%s", slot, samples[i].name);
        (void)snprintf(a->amounts[i], sizeof(a->amounts[i]), "%" PRId64, samples[i].amount);
        put(a, &argc, samples[i].is_peak ? "^" : "+");
        put(a, &argc, a->fields[i]);
        put(a, &argc, a->amounts[i]);
    }
    struct script_call call = {.which = SCRIPT_HISTORY,
                               .nkeys = 1,
                               .args = {.argc = argc, .argv = a->argv, .lens = a->lens},
                               .deadline_ms = s->timeout_ms};
    redis_script_call(s->scripts, &call, NULL, NULL);
}

void history_store_add(struct history_store *s, const struct history_subject *subject, int64_t at_s,
                       const struct history_sample *samples, size_t n)
{
    struct addition *a = n > 0 ? malloc(sizeof(*a)) : NULL;
    if (!a)
        return; /* without memory a point lacks this share */
    for (size_t i = 0; i < STEPS; i++) {
        struct key key = key_of(subject, steps[i].step_s, at_s / steps[i].chunk_s);
        (void)snprintf(a->ttl, sizeof(a->ttl), "%" PRId64,
                       (steps[i].kept_s + steps[i].chunk_s) * 1000);
        add(s, a, &key, at_s % steps[i].chunk_s / steps[i].step_s, samples, n);
    }
    free(a);
}

/* ---- reading */

struct reading {
    history_fn fn;
    void *arg;
    struct history_range range;
    size_t open; /* answers that are still to come */
    bool failed;
};

struct chunk {
    struct reading *reading;
    int64_t begins_s;
};

static void ended(struct reading *r)
{
    struct history_value end = {.ok = !r->failed};
    if (--r->open > 0)
        return;
    r->fn(r->arg, &end);
    free(r);
}

static void give(const struct chunk *c, const char *field, int64_t amount)
{
    const struct history_range *range = &c->reading->range;
    char *name = NULL;
    int64_t slot = strtoll(field, &name, 10);
    struct history_value v = {.at_s = c->begins_s + slot * range->step_s, .amount = amount};
    if (*name != ':' || v.at_s < range->from_s || v.at_s >= range->to_s)
        return;
    v.name = name + 1;
    c->reading->fn(c->reading->arg, &v);
}

static void on_chunk(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct chunk *c = arg;
    struct reading *r = c->reading;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    r->failed |= status != REDIS_OK;
    for (size_t i = 0; i < n; i++) {
        const char *field = reply_text(reply_at(reply, 2 * i), NULL);
        if (field)
            give(c, field, reply_int(reply_at(reply, 2 * i + 1), 0));
    }
    free(c);
    ended(r);
}

static void read_chunk(struct history_store *s, const struct key *key, struct reading *r,
                       int64_t begins_s)
{
    const char *argv[] = {"HGETALL", key->text};
    const size_t lens[] = {7, key->len};
    struct redis_args args = {.argc = 2, .argv = argv, .lens = lens};
    struct chunk *c = malloc(sizeof(*c));
    if (!c) {
        r->failed = true;
        return;
    }
    *c = (struct chunk){r, begins_s};
    r->open++;
    redis_link_command(s->link, &args, s->timeout_ms, on_chunk, c);
}

void history_store_read(struct history_store *s, const struct history_subject *subject,
                        const struct history_range *range, history_fn fn, void *arg)
{
    struct reading *r = malloc(sizeof(*r));
    struct history_value none = {.ok = false};
    int64_t chunk_s = range->step_s == HISTORY_HOUR_S ? steps[1].chunk_s : steps[0].chunk_s;
    if (!r) {
        fn(arg, &none);
        return;
    }
    *r = (struct reading){.fn = fn, .arg = arg, .range = *range, .open = 1};
    for (int64_t chunk = range->from_s / chunk_s; chunk * chunk_s < range->to_s; chunk++) {
        struct key key = key_of(subject, range->step_s, chunk);
        read_chunk(s, &key, r, chunk * chunk_s);
    }
    ended(r); /* before return only when nothing could be asked */
}
