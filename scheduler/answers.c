#include "scheduler/answers_internal.h"

#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first line of an answer in Redis: form, time, usage, content type. */
#define FORM       1
#define HEAD_BYTES (ANSWER_TYPE_BYTES + 160)

static void on_serve(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    call_flights_serve(arg);
}

struct answers *answers_new(struct event_base *base, struct answer_store *store, uint64_t seed)
{
    struct answers *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->base = base;
    a->store = store;
    (void)snprintf(a->id, sizeof(a->id), "%016" PRIx64, seed);
    answer_cache_init(&a->cache, seed);
    map_init(&a->flights, seed ^ 1);
    list_init(&a->all);
    list_init(&a->due);
    list_init(&a->vectors);
    a->serve = evtimer_new(base, on_serve, a);
    if (!a->serve) {
        free(a);
        return NULL;
    }
    return a;
}

void answers_free(struct answers *a)
{
    if (!a)
        return;
    call_flights_free(a);
    event_free(a->serve);
    map_release(&a->flights);
    answer_cache_release(&a->cache);
    free(a);
}

void answers_stats(const struct answers *a, struct answers_stats *ret)
{
    *ret = a->stats;
    ret->entries = (int64_t)a->cache.answers.count;
    ret->bytes = (int64_t)a->cache.bytes;
    ret->flights = (int64_t)a->flights.count;
}

/* ---- keeping */

static void write_head(const struct answer_head *head, char ret[HEAD_BYTES], size_t *ret_len)
{
    const struct wire_usage *u = &head->usage;
    int n = snprintf(ret, HEAD_BYTES,
                     "%d %" PRId64 " %d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s\n", FORM,
                     head->stored_ms, u->known, u->input, u->cache_read, u->cache_write, u->output,
                     head->type);
    *ret_len = n > 0 && n < HEAD_BYTES ? (size_t)n : 0;
}

static void store(const struct answers *a, const struct config *config,
                  const struct answers_fresh *fresh)
{
    char head[HEAD_BYTES];
    size_t len;
    struct buf text;
    write_head(fresh->head, head, &len);
    buf_init(&text, ANSWER_MAX_STORED_BYTES);
    (void)buf_add(&text, head, len);
    if (len > 0 && buf_add(&text, fresh->bytes, fresh->len) == 0) {
        struct answer_bytes answer = {.digest = fresh->head->key,
                                      .stamp = fresh->stamp,
                                      .bytes = text.data,
                                      .len = text.len,
                                      .ttl_ms = config->cache.ttl_s * 1000};
        answer_store_put(a->store, &answer);
    }
    buf_release(&text);
}

void answers_keep(struct answers *a, const struct config *config, const struct answers_fresh *fresh)
{
    struct answer *kept;
    if (fresh->len > (size_t)config->cache.max_entry_bytes)
        return;
    if (a->store && config->cache.redis && *fresh->stamp)
        store(a, config, fresh);
    kept = answer_new(fresh->head, fresh->bytes, fresh->len);
    if (!kept)
        return;
    answer_cache_put(&a->cache, kept, (size_t)config->cache.memory_bytes);
    answer_drop(kept);
    a->stats.kept++;
}

static bool read_head(const char *text, size_t len, struct answer_head *head)
{
    char line[HEAD_BYTES];
    int form = 0, known = 0, at = 0;
    struct wire_usage *u = &head->usage;
    if (len >= sizeof(line))
        return false;
    memcpy(line, text, len);
    line[len] = '\0';
    if (sscanf(line, "%d %" SCNd64 " %d %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %n", &form,
               &head->stored_ms, &known, &u->input, &u->cache_read, &u->cache_write, &u->output,
               &at) != 7 ||
        form != FORM || at == 0 || strlen(line + at) >= sizeof(head->type))
        return false;
    u->known = known != 0;
    (void)snprintf(head->type, sizeof(head->type), "%s", line + at);
    return true;
}

struct answer *answers_read(struct answers *a, const struct config *config,
                            const struct answer_head *head, const struct answer_found *in_redis)
{
    struct answer_head h = *head;
    const char *bytes = in_redis->bytes;
    size_t len = in_redis->len;
    const char *end = bytes ? memchr(bytes, '\n', len) : NULL;
    size_t line = end ? (size_t)(end - bytes) : 0;
    if (!end || !read_head(bytes, line, &h))
        return NULL;
    /* Clocks of instances differ by a little: what comes from the future is of now. */
    int64_t now_ms = clock_wall_ms();
    h.stored_ms = h.stored_ms < now_ms ? h.stored_ms : now_ms;
    h.until_ms = h.stored_ms + config->cache.ttl_s * 1000;
    struct answer *found = answer_new(&h, end + 1, len - line - 1);
    if (found)
        answer_cache_put(&a->cache, found, (size_t)config->cache.memory_bytes);
    return found;
}

/* ---- purging */

static void purge_here(struct answers *a, const char *tenant, const char *model)
{
    a->stats.purged += (int64_t)answer_cache_purge(&a->cache, tenant, model);
    call_flights_purged(a, tenant, model);
    call_vectors_purged(a, tenant, model);
}

void answers_purge(struct answers *a, const char *tenant, const char *model, answer_purged_fn fn,
                   void *arg)
{
    struct answer_purge what = {.by = a->id, .tenant = tenant, .model = model};
    purge_here(a, tenant, model);
    if (a->store)
        answer_store_purge(a->store, &what, fn, arg);
    else
        fn(arg, REDIS_OK);
}

void answers_purged(struct answers *a, const char *payload)
{
    char tenant[TENANT_NAME_BYTES + 1];
    size_t by = strcspn(payload, "\n");
    const char *name = payload[by] ? payload + by + 1 : "", *end = strchr(name, '\n');
    if (by == strlen(a->id) && memcmp(payload, a->id, by) == 0)
        return; /* it would take what was kept since then */
    if (!end || (size_t)(end - name) >= sizeof(tenant)) {
        log_write(LOG_WARN, "a purge of answers could not be read, all go from memory", NULL);
        purge_here(a, "", "");
        return;
    }
    (void)snprintf(tenant, sizeof(tenant), "%.*s", (int)(end - name), name);
    purge_here(a, tenant, end + 1);
}

void answers_channel_back(struct answers *a)
{
    purge_here(a, "", "");
}
