/*
 * route_job_retry: the request of a job that has ended, as a new job.
 */
#include "api/answer.h"
#include "api/job_json.h"
#include "api/route.h"

#include "common/log.h"
#include "scheduler/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
    struct exchange *exchange;
    bool gone;
};

static void on_gone(void *arg)
{
    struct asked *a = arg;
    a->gone = true; /* the job goes on, as one that was submitted */
}

static void on_submitted(void *arg, const struct job_record *record, bool replayed,
                         const struct call_failure *failure)
{
    struct asked *a = arg;
    char location[TICKET_ID_BYTES + 16];
    (void)replayed;
    if (!a->gone && failure) {
        answer_failure(a->exchange, WIRE_OPENAI, failure);
    } else if (!a->gone) {
        (void)snprintf(location, sizeof(location), "/v1/jobs/%s", record->id);
        if (exchange_set_header(a->exchange, "Location", location) < 0)
            log_write(LOG_WARN, "no memory for a header", NULL);
        answer_json(a->exchange, 202, job_json(record));
    }
    free(a);
}

void route_jobs_retry(const struct route_request *r)
{
    struct asked *a = calloc(1, sizeof(*a));
    struct job_retry retry = {.id = r->id,
                              .tenant = r->caller.tenant,
                              .models = r->caller.models,
                              .key = r->caller.key_id,
                              .weight = r->caller.weight};
    struct call_failure f;
    if (!a || strlen(r->id) >= TICKET_ID_BYTES || service_is_draining(r->service)) {
        if (!a)
            call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
        else if (strlen(r->id) >= TICKET_ID_BYTES)
            call_failure_set(&f, 404, "job_not_found", "There is no job of this id here.");
        else
            call_failure_set(&f, 503, "draining",
                             "This instance is shutting down and takes no new jobs; try again.");
        free(a);
        answer_failure(r->exchange, WIRE_OPENAI, &f);
        return;
    }
    a->exchange = r->exchange;
    exchange_on_gone(r->exchange, on_gone, a);
    job_retry(service_jobs(r->service), &retry, on_submitted, a);
}
