#include "storage/job_store.h"

#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_VALUE_BYTES (64 + 1 + TICKET_ID_BYTES)

struct job_store {
    struct redis_link *link;
    int timeout_ms;
    struct redis_link *durable; /* NULL: claims go over link */
    int durable_ms;
};

struct job_store *job_store_new(struct redis_link *link, int timeout_ms)
{
    struct job_store *s = calloc(1, sizeof(*s));
    if (s)
        *s = (struct job_store){.link = link, .timeout_ms = timeout_ms};
    return s;
}

void job_store_free(struct job_store *s)
{
    free(s);
}

void job_store_use_durable(struct job_store *s, struct redis_link *durable, int timeout_ms)
{
    if (!s)
        return;
    s->durable = durable;
    s->durable_ms = timeout_ms;
}

static void send(struct job_store *s, int argc, const char *const *argv, redis_reply_fn fn,
                 void *arg)
{
    size_t lens[10];
    for (int i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    struct redis_args args = {.argc = argc, .argv = argv, .lens = lens};
    redis_link_command(s->link, &args, s->timeout_ms, fn, arg);
}

static void send_claim(struct job_store *s, const struct redis_args *args, redis_reply_fn fn,
                       void *arg)
{
    if (s->durable)
        redis_link_command(s->durable, args, s->durable_ms, fn, arg);
    else
        redis_link_command(s->link, args, s->timeout_ms, fn, arg);
}

uint64_t job_store_claim_stamp(const struct job_store *s)
{
    bool comparable = s->durable && !redis_link_is_cluster(s->durable);
    return comparable ? redis_link_stamp(s->durable) : 0;
}

void job_store_register_pool(struct job_store *s, const char *hash, const char *pool)
{
    const char *argv[] = {"HSET", KEY_POOLS, hash, pool};
    send(s, 4, argv, NULL, NULL);
}

struct pools_call {
    job_store_pool_fn fn;
    void *arg;
};

static void on_pools(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct pools_call *call = arg;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *hash = reply_text(reply_at(reply, 2 * i), NULL);
        const char *pool = reply_text(reply_at(reply, 2 * i + 1), NULL);
        if (hash && pool)
            call->fn(call->arg, hash, pool);
    }
    call->fn(call->arg, NULL, NULL);
    free(call);
}

void job_store_pools(struct job_store *s, job_store_pool_fn fn, void *arg)
{
    const char *argv[] = {"HGETALL", KEY_POOLS};
    struct pools_call *call = malloc(sizeof(*call));
    if (!call) {
        fn(arg, NULL, NULL);
        return;
    }
    *call = (struct pools_call){fn, arg};
    send(s, 2, argv, on_pools, call);
}

struct claim_call {
    job_store_claim_fn fn;
    void *arg;
    char fingerprint[65];
    char id[TICKET_ID_BYTES];
};

/* The answer of GET, which stands behind SET NX in the pipeline: who holds the key now. */
static void on_claim(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct claim_call *call = arg;
    const char *value = reply_text(reply, NULL);
    if (status == REDIS_OK && (!value || strlen(value) < 66))
        status = REDIS_ERROR; /* expired between the two commands, or not ours */
    if (status != REDIS_OK)
        call->fn(call->arg, status, NULL, false);
    else if (strcmp(value + 65, call->id) == 0)
        call->fn(call->arg, REDIS_OK, NULL, true);
    else
        call->fn(call->arg, REDIS_OK, value + 65, strncmp(value, call->fingerprint, 64) == 0);
    free(call);
}

void job_store_claim(struct job_store *s, const struct job_claim *claim, job_store_claim_fn fn,
                     void *arg)
{
    struct key key = key_idempotency(claim->tenant, claim->key);
    struct claim_call *call = malloc(sizeof(*call));
    char value[CLAIM_VALUE_BYTES], ttl[24];
    if (!call) {
        fn(arg, REDIS_BUSY_LOCAL, NULL, false);
        return;
    }
    *call = (struct claim_call){.fn = fn, .arg = arg};
    (void)snprintf(call->fingerprint, sizeof(call->fingerprint), "%s", claim->fingerprint);
    (void)snprintf(call->id, sizeof(call->id), "%s", claim->id);
    (void)snprintf(value, sizeof(value), "%.64s %s", claim->fingerprint, claim->id);
    (void)snprintf(ttl, sizeof(ttl), "%" PRId64, claim->ttl_ms);
    send_claim(s, REDIS_ARGS("SET", key.text, value, "NX", "PX", ttl), NULL, NULL);
    send_claim(s, REDIS_ARGS("GET", key.text), on_claim, call);
}

void job_store_unindex(struct job_store *s, const char *pool, const char *tenant, const char *id)
{
    struct key key = key_jobs(pool, tenant);
    const char *argv[] = {"ZREM", key.text, id};
    send(s, 3, argv, NULL, NULL);
}

void job_store_place(struct job_store *s, const struct job_entry *entry, time_index_place_fn fn,
                     void *arg)
{
    struct key key = key_jobs(entry->pool, entry->tenant);
    time_index_place(s->link, s->timeout_ms, key.text, entry->id, fn, arg);
}

void job_store_list(struct job_store *s, const struct job_range *range, time_index_fn fn, void *arg)
{
    struct key key = key_jobs(range->pool, range->tenant);
    struct time_page page = {.key = key.text,
                             .before_us = range->before_us,
                             .before_id = range->before_id,
                             .limit = range->limit};
    time_index_page(s->link, s->timeout_ms, &page, fn, arg);
}
