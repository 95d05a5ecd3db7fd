#include "scheduler/job_internal.h"

#include "common/log.h"
#include "storage/redis_reply.h"

#include <stdlib.h>
#include <string.h>

#define MOST_STRAYS 4096

struct stray {
    struct list link;
    struct store_pool pool; /* without limits: nothing of it is ever charged here */
};

struct store_pool *job_pool(struct jobs *j, const char *id)
{
    char hash[POOL_HASH_BYTES];
    struct pool_view *v;
    if (!key_id_hash(id, hash))
        return NULL;
    v = scheduler_pool_by_hash(j->scheduler, hash);
    if (v)
        return v->transient ? NULL : pool_agent_pool(v->agent); /* those do not stay */
    for (struct list *at = j->strays.next; at != &j->strays; at = at->next) {
        struct stray *s = LIST_ITEM(at, struct stray, link);
        if (strcmp(s->pool.hash, hash) == 0)
            return &s->pool;
    }
    return NULL;
}

static bool is_known(struct jobs *j, const char *hash)
{
    if (scheduler_pool_by_hash(j->scheduler, hash))
        return true;
    for (struct list *at = j->strays.next; at != &j->strays; at = at->next) {
        if (strcmp(LIST_ITEM(at, struct stray, link)->pool.hash, hash) == 0)
            return true;
    }
    return false;
}

/* The next pool that may hold jobs: those of the scheduler, then the strays. */
struct store_pool *job_next_pool(struct jobs *j, struct job_cursor *at)
{
    while (!at->stray) {
        struct pool_view *v = scheduler_next_pool(j->scheduler, &at->pool);
        if (!v)
            at->stray = &j->strays;
        else if (!v->transient)
            return pool_agent_pool(v->agent);
    }
    for (at->stray = at->stray->next; at->stray != &j->strays; at->stray = at->stray->next) {
        struct stray *s = LIST_ITEM(at->stray, struct stray, link);
        if (!scheduler_pool_by_hash(j->scheduler, s->pool.hash)) /* else a reload has made it */
            return &s->pool;
    }
    return NULL;
}

static void on_depth(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    char count[LOG_NUMBER_BYTES];
    (void)arg;
    if (turn->status == REDIS_OK && turn->queued > 0)
        log_write(LOG_WARN,
                  "a pool that the configuration does not name holds jobs; they wait "
                  "until it does, or are cancelled",
                  "pool", pool->id, "queued", log_number(count, turn->queued), NULL);
}

static void add(struct jobs *j, const char *id)
{
    struct stray *s = calloc(1, sizeof(*s));
    struct pool_limits none = {.dim_count = 0};
    if (!s)
        return; /* its jobs are told at the next connection */
    store_pool_init(&s->pool, id, &none);
    s->pool.guest = true;
    list_add_last(&j->strays, &s->link);
    j->stray_count++;
    struct store_look look = {NULL, NULL, 0, NULL};
    pool_store_peek(scheduler_options(j->scheduler)->store, &s->pool, &look, on_depth, NULL);
}

static void on_pool(void *arg, const char *hash, const char *id)
{
    struct jobs *j = arg;
    if (hash && id && strlen(id) < POOL_NAME_BYTES && !is_known(j, hash) &&
        j->stray_count < MOST_STRAYS)
        add(j, id);
}

void job_strays_look(struct jobs *j)
{
    job_store_pools(scheduler_options(j->scheduler)->jobs, on_pool, j);
}

void job_strays_free(struct jobs *j)
{
    while (!list_is_empty(&j->strays)) {
        struct stray *s = LIST_ITEM(j->strays.next, struct stray, link);
        list_remove(&s->link);
        free(s);
    }
}
