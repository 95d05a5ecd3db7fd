#include "scheduler/job_group.h"

#include "scheduler/job_internal.h"

#include "common/clock.h"
#include "storage/redis_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE_LEAST_ENDED 10 /* jobs; a rate of fewer says nothing of the rest */

/* Words of the script's answer, behind its first. */
enum {
    W_CREATED = 1,
    W_ENDED,
    W_TOTAL,
    W_RUNNING,
    W_RETRYING,
    W_DONE,
    W_FAILED,
    W_DEAD,
    W_CANCELLED,
    W_EXPIRED,
    W_ETA,
};
_Static_assert(W_ETA + 1 == STORE_GROUP_IDS, "the ids stand behind it");

/* A look at all pools, and before it, of a cancel, one to name its open jobs. */
struct looking {
    struct jobs *jobs;
    struct job_group group;
    char tenant[TENANT_NAME_BYTES + 1];
    size_t open; /* answers to come, and one while it begins */
    int64_t last_end_ms, queue_ms;
    enum redis_status status;
    bool cancels;
    char (*ids)[TICKET_ID_BYTES]; /* to be cancelled, the last one next */
    size_t id_count;
    job_group_fn fn;
    void *arg;
};

static void looking_free(struct looking *l)
{
    free(l->ids);
    free(l);
}

static void fail(struct looking *l, const struct call_failure *f)
{
    l->fn(l->arg, NULL, f);
    looking_free(l);
}

static int64_t left(const struct job_group *g)
{
    return g->queued + g->running + g->retrying;
}

/* What ended tells the pace best: it knows of retries, and of jobs that are joined, as the queue's
 * own prediction does not. */
static void foresee(struct looking *l)
{
    struct job_group *g = &l->group;
    int64_t ended = g->total - left(g);
    int64_t spent = (left(g) > 0 ? clock_wall_ms() : l->last_end_ms) - g->created_ms;
    if (ended > 0)
        g->per_minute = (double)ended * 60000 / (double)(spent > 1 ? spent : 1);
    g->finished_ms = left(g) == 0 ? l->last_end_ms : 0;
    if (left(g) == 0)
        g->eta_ms = 0;
    else if (ended >= RATE_LEAST_ENDED)
        g->eta_ms = (int64_t)((double)left(g) * 60000 / g->per_minute);
    else
        g->eta_ms = g->queued > 0 ? l->queue_ms : -1;
}

static void ask_pools(struct looking *l);
static void cancel_next(struct looking *l);

static void all_told(struct looking *l)
{
    struct call_failure f;
    if (l->status != REDIS_OK) {
        job_storage_failed(&f, l->status);
        fail(l, &f);
    } else if (l->group.total == 0) {
        call_failure_set(&f, 404, "job_group_not_found",
                         "There is no group of jobs '%.60s' here: it never was, or its results "
                         "were kept their time (jobs.result_ttl_s) and are gone.",
                         l->group.id);
        fail(l, &f);
    } else if (l->cancels) {
        l->cancels = false;
        cancel_next(l);
    } else {
        foresee(l);
        l->fn(l->arg, &l->group, NULL);
        looking_free(l);
    }
}

static void told(struct looking *l)
{
    if (--l->open == 0)
        all_told(l);
}

static void note_ids(struct looking *l, const struct redisReply *items)
{
    size_t n = reply_count(items) - STORE_GROUP_IDS;
    char(*ids)[TICKET_ID_BYTES] = realloc(l->ids, (l->id_count + n) * sizeof(*ids));
    if (!ids) {
        l->status = REDIS_BUSY_LOCAL;
        return;
    }
    l->ids = ids;
    for (size_t i = 0; i < n; i++) {
        const char *id = reply_text(reply_at(items, STORE_GROUP_IDS + i), NULL);
        (void)snprintf(ids[l->id_count++], TICKET_ID_BYTES, "%s", id ? id : "");
    }
}

static void on_pool(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct looking *l = arg;
    struct job_group *g = &l->group;
    const struct redisReply *r = turn->items;
    if (turn->status == REDIS_OK && strcmp(turn->result, "group") == 0) {
        int64_t n[STORE_GROUP_IDS];
        for (size_t i = 1; i < STORE_GROUP_IDS; i++)
            n[i] = reply_int(reply_at(r, i), 0);
        int64_t ended = n[W_DONE] + n[W_FAILED] + n[W_DEAD] + n[W_CANCELLED] + n[W_EXPIRED];
        g->created_ms =
            g->total == 0 || n[W_CREATED] < g->created_ms ? n[W_CREATED] : g->created_ms;
        l->last_end_ms = n[W_ENDED] > l->last_end_ms ? n[W_ENDED] : l->last_end_ms;
        l->queue_ms = n[W_ETA] > l->queue_ms ? n[W_ETA] : l->queue_ms;
        g->total += n[W_TOTAL];
        g->running += n[W_RUNNING];
        g->retrying += n[W_RETRYING];
        g->queued += n[W_TOTAL] - ended - n[W_RUNNING] - n[W_RETRYING];
        g->succeeded += n[W_DONE];
        g->failed += n[W_FAILED] + n[W_DEAD];
        g->cancelled += n[W_CANCELLED];
        g->expired += n[W_EXPIRED];
        if (l->cancels && reply_count(r) > STORE_GROUP_IDS)
            note_ids(l, r);
    } else if (turn->status != REDIS_OK && !(turn->status == REDIS_ERROR && pool->guest)) {
        l->status = turn->status; /* of a guest nothing is left */
    }
    told(l);
}

/* Every pool that may hold jobs, those that have none of the group answer so at once. */
static void ask_pools(struct looking *l)
{
    struct scheduler *s = l->jobs->scheduler;
    struct job_cursor at = {.pool = 0};
    char key[GROUP_KEY_BYTES];
    struct store_group group = {.key = key, .ids = l->cancels ? INT32_MAX : 0};
    struct job_group none = {.eta_ms = -1};
    key_group(l->tenant, l->group.id, key);
    (void)snprintf(none.id, sizeof(none.id), "%s", l->group.id);
    l->group = none;
    l->status = REDIS_OK;
    l->open = 1;
    for (struct store_pool *pool; (pool = job_next_pool(l->jobs, &at));) {
        l->open++;
        pool_store_group(scheduler_options(s)->store, pool, &group, on_pool, l);
    }
    told(l);
}

static void on_cancelled(void *arg, const struct job_record *record, bool replayed,
                         const struct call_failure *failure)
{
    struct looking *l = arg;
    (void)record;
    (void)replayed;
    if (failure && failure->status != 404)
        fail(l, failure);
    else
        cancel_next(l);
}

static void cancel_next(struct looking *l)
{
    if (l->id_count == 0)
        ask_pools(l);
    else
        job_cancel(l->jobs, l->tenant, l->ids[--l->id_count], on_cancelled, l);
}

static void begin(struct jobs *j, const struct looking *what)
{
    struct looking *l = malloc(sizeof(*l));
    if (!l) {
        struct call_failure f;
        (void)call_fail_memory(&f);
        what->fn(what->arg, NULL, &f);
        return;
    }
    *l = *what;
    l->jobs = j;
    ask_pools(l);
}

static struct looking look(const char *tenant, const char *id, job_group_fn fn, void *arg)
{
    struct looking l = {.fn = fn, .arg = arg};
    (void)snprintf(l.tenant, sizeof(l.tenant), "%s", tenant);
    (void)snprintf(l.group.id, sizeof(l.group.id), "%s", id);
    return l;
}

void job_group_get(struct jobs *j, const char *tenant, const char *id, job_group_fn fn, void *arg)
{
    struct looking what = look(tenant, id, fn, arg);
    begin(j, &what);
}

void job_group_cancel(struct jobs *j, const char *tenant, const char *id, job_group_fn fn,
                      void *arg)
{
    struct looking what = look(tenant, id, fn, arg);
    what.cancels = true;
    begin(j, &what);
}
