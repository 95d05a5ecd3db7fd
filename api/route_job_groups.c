/*
 * route_job_groups: how far jobs are that were submitted together, and the end of all of them.
 */
#include "api/answer.h"
#include "api/route.h"

#include "scheduler/job_group.h"
#include "storage/key.h"

#include <errno.h>
#include <stdlib.h>

struct asking {
    struct exchange *exchange;
    bool gone;
};

static void on_gone(void *arg)
{
    struct asking *a = arg;
    a->gone = true;
}

static json_t *seconds(int64_t ms)
{
    return ms > 0 ? json_integer(ms / 1000) : json_null();
}

static json_t *group_json(const struct job_group *g)
{
    json_t *counts =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "total", (json_int_t)g->total,
                  "queued", (json_int_t)g->queued, "running", (json_int_t)g->running, "retrying",
                  (json_int_t)g->retrying, "succeeded", (json_int_t)g->succeeded, "failed",
                  (json_int_t)g->failed, "cancelled", (json_int_t)g->cancelled, "expired",
                  (json_int_t)g->expired);
    int64_t open = g->queued + g->running + g->retrying;
    return json_pack("{s:s, s:s, s:s, s:o, s:f, s:o, s:o, s:o}", "id", g->id, "object", "job_group",
                     "status", open > 0 ? "in_progress" : "finished", "counts", counts,
                     "jobs_per_minute", g->per_minute, "eta_ms",
                     g->eta_ms >= 0 ? json_integer(g->eta_ms) : json_null(), "created_at",
                     seconds(g->created_ms), "finished_at", seconds(g->finished_ms));
}

static void on_group(void *arg, const struct job_group *group, const struct call_failure *failure)
{
    struct asking *a = arg;
    if (!a->gone && failure)
        answer_failure(a->exchange, WIRE_OPENAI, failure);
    else if (!a->gone)
        answer_json(a->exchange, 200, group_json(group));
    free(a);
}

static struct asking *begin(const struct route_request *r)
{
    struct asking *a = NULL;
    if (!key_is_group(r->id)) {
        answer_error(r->exchange, WIRE_OPENAI, 404, "job_group_not_found",
                     "There is no group of jobs of this id here.");
        return NULL;
    }
    a = calloc(1, sizeof(*a));
    if (!a) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return NULL;
    }
    a->exchange = r->exchange;
    exchange_on_gone(r->exchange, on_gone, a);
    return a;
}

void route_job_groups_get(const struct route_request *r)
{
    struct asking *a = begin(r);
    if (a)
        job_group_get(service_jobs(r->service), r->caller.tenant, r->id, on_group, a);
}

void route_job_groups_cancel(const struct route_request *r)
{
    struct asking *a = begin(r);
    if (a)
        job_group_cancel(service_jobs(r->service), r->caller.tenant, r->id, on_group, a);
}

/* The one that was asked for (a file that is sent in parts), or a new one. With an Idempotency-Key
 * it is made of the key: the same lines come into the same group when they are sent again. */
bool route_job_group_of(const struct route_request *r, const char *key, char ret[GROUP_ID_BYTES])
{
    int rc = exchange_query(r->exchange, "group", ret, GROUP_ID_BYTES);
    if (rc == -ENOENT) {
        key_new_group_id(key, ret);
        return true;
    }
    if (rc == 0 && key_is_group(ret))
        return true;
    answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_value",
                 "group must be the id of a group of jobs, as an earlier answer told it.");
    return false;
}
