#include "scheduler/job_internal.h"

#include "storage/redis_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const fields[] = {"ep", "rq", "ten", "cl", "md", "kd"};
enum { F_EP, F_REQUEST, F_TENANT, F_CLASS, F_METADATA, F_KIND, F_COUNT };
_Static_assert(sizeof(fields) / sizeof(fields[0]) == F_COUNT, "one place for each field");
#define PEEK_WORDS 4

struct again {
    struct jobs *jobs;
    int64_t weight;
    char id[TICKET_ID_BYTES];
    char tenant[TENANT_NAME_BYTES + 1];
    char *models, *key;
    job_fn fn;
    void *arg;
};

static void again_end(struct again *a, const struct call_failure *f)
{
    if (f)
        a->fn(a->arg, NULL, false, f);
    free(a->models);
    free(a->key);
    free(a);
}

static const char *text_at(const struct store_turn *turn, int field, size_t *ret_len)
{
    const char *text = reply_text(reply_at(turn->items, PEEK_WORDS + (size_t)field), ret_len);
    return text ? text : "";
}

/* As the public names of states have it, everything before an end can still go on. */
static bool is_over(const char *state)
{
    return job_status_is_final(state) && strcmp(state, "delayed") != 0;
}

static bool endpoint_of(const char *path, enum wire_endpoint *ret)
{
    for (enum wire_endpoint e = 0; e < WIRE_ENDPOINT_COUNT; e++) {
        if (strcmp(wire_path(e), path) == 0) {
            *ret = e;
            return true;
        }
    }
    return false;
}

static void submit_again(struct again *a, const struct store_turn *turn)
{
    struct call_failure f;
    struct job_spec spec = {
        .tenant = a->tenant,
        .weight = a->weight,
        .models = a->models,
        .key = a->key,
        .class = (enum pool_class)reply_int(reply_at(turn->items, PEEK_WORDS + F_CLASS), 0),
        .class_given = true,
        .retry_of = a->id,
    };
    const char *metadata = text_at(turn, F_METADATA, NULL);
    const char *body = text_at(turn, F_REQUEST, &spec.body_len);
    if (!endpoint_of(text_at(turn, F_EP, NULL), &spec.endpoint) || spec.body_len == 0) {
        job_not_found(&f, a->id);
        again_end(a, &f);
        return;
    }
    spec.metadata = *metadata ? metadata : NULL;
    spec.body = malloc(spec.body_len + 1);
    if (!spec.body) {
        call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
        again_end(a, &f);
        return;
    }
    memcpy(spec.body, body, spec.body_len);
    spec.body[spec.body_len] = '\0';
    job_submit(a->jobs, &spec, a->fn, a->arg);
    again_end(a, NULL);
}

static void on_record(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct again *a = arg;
    struct call_failure f;
    if (turn->status != REDIS_OK && !(turn->status == REDIS_ERROR && pool->guest)) {
        job_storage_failed(&f, turn->status);
        again_end(a, &f);
        return;
    }
    bool ours = turn->status == REDIS_OK && strcmp(turn->result, "none") != 0 &&
                strcmp(text_at(turn, F_TENANT, NULL), a->tenant) == 0 &&
                strcmp(text_at(turn, F_KIND, NULL), "call") != 0;
    if (ours && is_over(turn->result)) {
        submit_again(a, turn);
        return;
    }
    if (ours)
        call_failure_set(&f, 409, "job_not_over",
                         "The job %s has not ended: cancel it first, or wait for its end.", a->id);
    else
        job_not_found(&f, a->id);
    again_end(a, &f);
}

void job_retry(struct jobs *j, const struct job_retry *retry, job_fn fn, void *arg)
{
    struct store_pool *pool = job_pool(j, retry->id);
    struct again *a = pool ? calloc(1, sizeof(*a)) : NULL;
    struct call_failure f;
    if (a) {
        a->models = strdup(retry->models ? retry->models : "");
        a->key = strdup(retry->key ? retry->key : "");
    }
    if (!a || !a->models || !a->key) {
        if (pool)
            call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
        else
            job_not_found(&f, retry->id);
        if (a) {
            free(a->models);
            free(a->key);
        }
        free(a);
        fn(arg, NULL, false, &f);
        return;
    }
    a->jobs = j;
    a->weight = retry->weight;
    a->fn = fn;
    a->arg = arg;
    (void)snprintf(a->id, sizeof(a->id), "%s", retry->id);
    (void)snprintf(a->tenant, sizeof(a->tenant), "%s", retry->tenant);
    struct store_look look = {a->id, fields, F_COUNT, NULL};
    pool_store_peek(scheduler_options(j->scheduler)->store, pool, &look, on_record, a);
}
