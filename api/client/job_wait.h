/*
 * job_wait: waits until jobs have ended, over restarts of the service.
 *
 *   ownership  the items are the caller's; their jobs are released by job_wait_release().
 */
#ifndef API_CLIENT_JOB_WAIT_H
#define API_CLIENT_JOB_WAIT_H

#include "api/client/client.h"
#include "api/client/terminal.h"

#include <stdint.h>

#define JOB_WAIT_OUTAGE_MS 60000 /* so long may the service be away */

struct job_wait_item {
    const char *id;     /* borrowed; NULL: nothing to wait for */
    json_t *job;        /* as last seen; NULL: never */
    bool over;          /* ended, or lost */
    struct error error; /* why it is lost */
};

struct job_wait {
    struct client *client;
    struct job_wait_item *items;
    size_t count;
    int64_t timeout_ms; /* 0: without end */
    struct progress progress;
};

/* 0 when all are over, -ETIMEDOUT, or as client_call() with e. */
int job_wait_run(struct job_wait *w, struct error *e) MUST_CHECK;
void job_wait_release(struct job_wait *w);

/* Letters, digits, '_' and '-': what can stand in a path. */
bool job_id_is_sane(const char *id);
/* "" when it is missing. */
const char *job_text(const json_t *job, const char *key);
bool job_has_succeeded(const json_t *job);

/* One job object as the service tells it. */
int job_call(struct client *c, const char *method, const char *id, json_t **ret_job,
             struct error *e) MUST_CHECK;

#endif
