#include "scheduler/job_internal.h"

#include "common/list.h"
#include "storage/redis_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is read of a record, in this order behind the four words of peek. */
static const char *const fields[] = {
    "ep", "mdl", "cl", "ten", "cr", "t1", "t2", "tr", "in",   "rc", "rs", "us", "er",
    "md", "dc",  "at", "xp",  "kd", "bd", "tt", "ct", "hint", "ry", "wh", "gi", "jn",
};
enum {
    F_EP,
    F_MODEL,
    F_CLASS,
    F_TENANT,
    F_CREATED,
    F_STARTED,
    F_ENDED,
    F_TRIES,
    F_INPUT,
    F_CODE,
    F_BODY,
    F_USAGE,
    F_ERROR,
    F_METADATA,
    F_DECISION,
    F_FENCE,
    F_EXPLAIN,
    F_KIND,
    F_BINDING,
    F_TRIMMED,
    F_CUT,
    F_HINT,
    F_RETRY_OF,
    F_WEBHOOK,
    F_GROUP,
    F_JOINED,
    F_COUNT,
};
_Static_assert(sizeof(fields) / sizeof(fields[0]) == F_COUNT, "one place for each field");
#define PEEK_WORDS 4

void job_not_found(struct call_failure *f, const char *id)
{
    call_failure_set(f, 404, "job_not_found",
                     "There is no job '%.60s' here: it never was, or its result was kept its time "
                     "(jobs.result_ttl_s) and is gone.",
                     id);
}

void job_storage_failed(struct call_failure *f, enum redis_status status)
{
    call_failure_set(
        f, 503, JOB_NO_STORAGE,
        "Sluice cannot reach its store now (redis: %s). Try again in a moment; with an "
        "Idempotency-Key nothing is done twice.",
        redis_status_name(status));
    f->retry_after_ms = 1000;
}

static const char *status_of(const char *state)
{
    static const char *const words[][2] = {
        {"delayed", "retrying"},
        {"done", "succeeded"},
        {"dead", "failed"},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(state, words[i][0]) == 0)
            return words[i][1];
    }
    return state;
}

static const char *text_at(const struct store_turn *turn, int field, size_t *ret_len)
{
    const char *text = reply_text(reply_at(turn->items, PEEK_WORDS + (size_t)field), ret_len);
    return text ? text : "";
}

static int64_t int_at(const struct store_turn *turn, int field)
{
    return reply_int(reply_at(turn->items, PEEK_WORDS + (size_t)field), 0);
}

static void read_record(const struct store_turn *turn, const char *id, struct job_record *r)
{
    const char *binding = reply_text(reply_at(turn->items, 3), NULL);
    *r = (struct job_record){
        .id = id,
        .status = status_of(turn->result),
        .endpoint = text_at(turn, F_EP, NULL),
        .model = text_at(turn, F_MODEL, NULL),
        .class = pool_class_name((enum pool_class)int_at(turn, F_CLASS)),
        .tenant = text_at(turn, F_TENANT, NULL),
        .created_ms = int_at(turn, F_CREATED) / 1000,
        .started_ms = int_at(turn, F_STARTED),
        .finished_ms = int_at(turn, F_ENDED),
        .attempts = int_at(turn, F_FENCE),
        .eta_ms = reply_int(reply_at(turn->items, 1), 0),
        .ahead = reply_int(reply_at(turn->items, 2), 0),
        .binding = binding ? binding : "",
        .decision = text_at(turn, F_DECISION, NULL),
        .input_tokens = int_at(turn, F_INPUT),
        .trimmed_tokens = int_at(turn, F_TRIMMED),
        .cut = text_at(turn, F_CUT, NULL),
        .status_code = int_at(turn, F_CODE),
        .usage = text_at(turn, F_USAGE, NULL),
        .error = text_at(turn, F_ERROR, NULL),
        .metadata = text_at(turn, F_METADATA, NULL),
        .hint = text_at(turn, F_HINT, NULL),
        .group = text_at(turn, F_GROUP, NULL),
        .batch_size = int_at(turn, F_JOINED),
        .retry_of = text_at(turn, F_RETRY_OF, NULL),
        .explain = text_at(turn, F_EXPLAIN, NULL),
        .webhook = text_at(turn, F_WEBHOOK, NULL),
        .is_call = strcmp(text_at(turn, F_KIND, NULL), "call") == 0,
    };
    if (!*r->binding)
        r->binding = text_at(turn, F_BINDING, NULL);
    r->body = text_at(turn, F_BODY, &r->body_len);
}

struct look {
    char id[TICKET_ID_BYTES];
    char tenant[TENANT_NAME_BYTES + 1];
    bool of_any;
    job_fn fn;
    void *arg;
};

static void on_looked(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct look *l = arg;
    struct job_record record;
    struct call_failure f;
    if (turn->status == REDIS_ERROR && pool->guest) {
        job_not_found(&f, l->id); /* nothing is left of that pool */
        l->fn(l->arg, NULL, false, &f);
    } else if (turn->status != REDIS_OK) {
        job_storage_failed(&f, turn->status);
        l->fn(l->arg, NULL, false, &f);
    } else {
        /* A proxied call has a record too, but no endpoint before its end. */
        read_record(turn, l->id, &record);
        bool ours = strcmp(turn->result, "none") != 0 && *record.endpoint &&
                    (l->of_any || strcmp(record.tenant, l->tenant) == 0);
        if (!ours)
            job_not_found(&f, l->id);
        l->fn(l->arg, ours ? &record : NULL, false, ours ? NULL : &f);
    }
    free(l);
}

void job_look(struct jobs *j, struct store_pool *pool, const char *tenant, const char *id,
              job_fn fn, void *arg)
{
    struct look *l = calloc(1, sizeof(*l));
    if (!l) {
        struct call_failure f;
        call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
        fn(arg, NULL, false, &f);
        return;
    }
    (void)snprintf(l->id, sizeof(l->id), "%s", id);
    (void)snprintf(l->tenant, sizeof(l->tenant), "%s", tenant ? tenant : "");
    l->of_any = !tenant;
    l->fn = fn;
    l->arg = arg;
    struct store_look look = {l->id, fields, F_COUNT, NULL};
    pool_store_peek(scheduler_options(j->scheduler)->store, pool, &look, on_looked, l);
}

void job_get(struct jobs *j, const char *tenant, const char *id, job_fn fn, void *arg)
{
    struct store_pool *pool = job_pool(j, id);
    struct call_failure f;
    if (pool) {
        job_look(j, pool, tenant, id, fn, arg);
        return;
    }
    job_not_found(&f, id);
    fn(arg, NULL, false, &f);
}

/* ---- cancel: first whose it is, then the script, then how it stands */

struct cancel {
    struct jobs *jobs;
    struct store_pool *pool;
    char id[TICKET_ID_BYTES];
    char tenant[TENANT_NAME_BYTES + 1];
    job_fn fn;
    void *arg;
};

static void on_cancelled(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct cancel *c = arg;
    (void)pool;
    (void)turn;
    job_look(c->jobs, c->pool, c->tenant, c->id, c->fn, c->arg);
    free(c);
}

static void on_owned(void *arg, const struct job_record *record, bool replayed,
                     const struct call_failure *failure)
{
    struct cancel *c = arg;
    if (!record || job_status_is_final(record->status)) {
        c->fn(c->arg, record, replayed, failure);
        free(c);
        return;
    }
    struct pool_view *v = scheduler_pool_by_hash(c->jobs->scheduler, c->pool->hash);
    if (v)
        pool_agent_cancel(v->agent, c->id, on_cancelled, c);
    else
        pool_store_cancel(scheduler_options(c->jobs->scheduler)->store, c->pool, c->id, 0,
                          on_cancelled, c);
}

void job_cancel(struct jobs *j, const char *tenant, const char *id, job_fn fn, void *arg)
{
    struct store_pool *pool = job_pool(j, id);
    struct cancel *c = pool ? calloc(1, sizeof(*c)) : NULL;
    if (!c) {
        struct call_failure f;
        job_not_found(&f, id);
        fn(arg, NULL, false, &f);
        return;
    }
    *c = (struct cancel){.jobs = j, .pool = pool, .fn = fn, .arg = arg};
    (void)snprintf(c->id, sizeof(c->id), "%s", id);
    (void)snprintf(c->tenant, sizeof(c->tenant), "%s", tenant);
    job_look(j, pool, tenant, id, on_owned, c);
}

/* ---- list: the newest ids of every pool, merged, then their records one after the other */

struct entry {
    char id[TICKET_ID_BYTES];
    int64_t created_us;
    struct store_pool *pool;
};

struct listing {
    struct jobs *jobs;
    char tenant[TENANT_NAME_BYTES + 1];
    int limit;
    int64_t before_us;
    char before_id[TICKET_ID_BYTES];
    size_t pools_open; /* answers that are still to come */
    struct entry *entries;
    size_t count, room, at;
    enum redis_status status;
    job_list_fn fn;
    void *arg;
};

struct pool_listing {
    struct listing *list;
    struct store_pool *pool;
};

static int newest_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int by_time = (x->created_us < y->created_us) - (x->created_us > y->created_us);
    return by_time ? by_time : strcmp(y->id, x->id);
}

static void listing_end(struct listing *l, bool has_more, const struct call_failure *f)
{
    l->fn(l->arg, NULL, has_more, f);
    free(l->entries);
    free(l);
}

static void next_record(struct listing *l);

static void on_entry(void *arg, const struct job_record *record, bool replayed,
                     const struct call_failure *failure)
{
    struct listing *l = arg;
    const struct entry *e = &l->entries[l->at++];
    (void)replayed;
    if (record) {
        l->limit--;
        l->fn(l->arg, record, false, NULL);
    } else if (failure->status == 404) {
        job_store_unindex(scheduler_options(l->jobs->scheduler)->jobs, e->pool->id, l->tenant,
                          e->id);
    } else {
        listing_end(l, false, failure);
        return;
    }
    next_record(l);
}

static void next_record(struct listing *l)
{
    if (l->at == l->count || l->limit == 0) {
        listing_end(l, l->at < l->count, NULL);
        return;
    }
    const struct entry *e = &l->entries[l->at];
    job_look(l->jobs, e->pool, l->tenant, e->id, on_entry, l);
}

static void all_listed(struct listing *l)
{
    struct call_failure f;
    if (l->status != REDIS_OK) {
        job_storage_failed(&f, l->status);
        listing_end(l, false, &f);
        return;
    }
    if (l->count > 0)
        qsort(l->entries, l->count, sizeof(l->entries[0]), newest_first);
    next_record(l);
}

static void on_listed(void *arg, enum redis_status status, const char *id, int64_t created_us)
{
    struct pool_listing *p = arg;
    struct listing *l = p->list;
    if (id) {
        if (l->count < l->room) {
            struct entry *e = &l->entries[l->count++];
            *e = (struct entry){.created_us = created_us, .pool = p->pool};
            (void)snprintf(e->id, sizeof(e->id), "%s", id);
        }
        return;
    }
    if (status != REDIS_OK)
        l->status = status;
    free(p);
    if (--l->pools_open == 0)
        all_listed(l);
}

static void ask_pools(struct listing *l)
{
    struct scheduler *s = l->jobs->scheduler;
    struct job_cursor at = {.pool = 0};
    l->pools_open = 1; /* held until every pool was asked */
    for (struct store_pool *pool; (pool = job_next_pool(l->jobs, &at));) {
        struct job_range range = {
            .pool = pool->id,
            .tenant = l->tenant,
            .before_us = l->before_us,
            .before_id = l->before_id,
            .limit = l->limit + 1,
        };
        struct pool_listing *p = malloc(sizeof(*p));
        if (!p) {
            l->status = REDIS_BUSY_LOCAL;
            break;
        }
        *p = (struct pool_listing){l, pool};
        l->pools_open++;
        job_store_list(scheduler_options(s)->jobs, &range, on_listed, p);
    }
    if (--l->pools_open == 0)
        all_listed(l);
}

/* The page begins behind a job: its place in the tenant's index is the cursor, so another tenant's
 * job is none. */
static void on_cursor(void *arg, enum redis_status status, int64_t created_us)
{
    struct listing *l = arg;
    l->before_us = created_us;
    if (status != REDIS_OK) {
        struct call_failure f;
        job_storage_failed(&f, status);
        listing_end(l, false, &f);
        return;
    }
    if (l->before_us == 0) {
        struct call_failure f;
        call_failure_set(
            &f, 400, "invalid_value",
            "after must be the id of a job that is still kept; begin again without it.");
        f.param = "after";
        listing_end(l, false, &f);
        return;
    }
    ask_pools(l);
}

void job_list(struct jobs *j, const struct job_page *page, job_list_fn fn, void *arg)
{
    struct listing *l = calloc(1, sizeof(*l));
    struct store_pool *pool = page->after ? job_pool(j, page->after) : NULL;
    struct job_cursor at = {.pool = 0};
    size_t pools = 0;
    struct call_failure f;
    while (job_next_pool(j, &at))
        pools++;
    if (l)
        l->entries = calloc((pools + 1) * 2 * (size_t)(page->limit + 1), sizeof(*l->entries));
    if (!l || !l->entries || (page->after && !pool)) {
        job_not_found(&f, page->after ? page->after : "");
        if (l)
            free(l->entries);
        free(l);
        fn(arg, NULL, false, &f);
        return;
    }
    l->jobs = j;
    l->limit = page->limit;
    l->room = (pools + 1) * 2 * (size_t)(page->limit + 1);
    l->status = REDIS_OK;
    l->fn = fn;
    l->arg = arg;
    (void)snprintf(l->tenant, sizeof(l->tenant), "%s", page->tenant);
    (void)snprintf(l->before_id, sizeof(l->before_id), "%s", page->after ? page->after : "");
    if (!pool) {
        ask_pools(l);
        return;
    }
    struct job_entry from = {.pool = pool->id, .tenant = l->tenant, .id = page->after};
    job_store_place(scheduler_options(j->scheduler)->jobs, &from, on_cursor, l);
}
