/*
 * job_internal: what scheduler/job*.c share.
 *
 *   job.c         submit
 *   job_watch.c   who is told of changes
 *   job_look.c    records: get, list, cancel
 *   job_group.c   how far those are that came together
 *   job_retry.c   the request of one that has ended, once more
 *   job_run.c     a granted job as a call
 *   job_joint.c   several granted jobs as one call
 *   job_stray.c   pools that Redis knows and the configuration does not (any more): their jobs can
 *                 be seen and cancelled, and wait until a configuration names the pool again
 *
 * Fields that a job keeps in its ticket's record beside those of storage/lua/lib.lua:
 *   ep endpoint path   rq request body     ten tenant     mdl model      md metadata (JSON)
 *   cr created, µs     in input estimate   tr attempts    rs answer      rc its status code
 *   us usage (JSON)    er error (JSON)     dc decision    bd limit it waits for at its submit
 *   wh who hears of its end (webhook_field.h)
 *   tp traceparent for the provider
 *   xp call_explain()  kt ms that a finished call is kept
 *
 * A proxied call has ep, ten, mdl, cr, in, rc, us, er, dc, xp and kt from its end on.
 *   us usage (JSON)    er error (JSON)     dc decision       sh 1: it was shrunk
 *   tt trimmed tokens  ct how it was cut (JSON)      gi id of its group   ry id of the job that it
 * repeats bk key by which it is joined with others, "" once it must go alone   bg name of that
 * batch jn how many were joined in its answer
 */
#ifndef SCHEDULER_JOB_INTERNAL_H
#define SCHEDULER_JOB_INTERNAL_H

#include "scheduler/job.h"

#include "common/list.h"
#include "scheduler/joint/joint_board.h"

#define JOB_NO_STORAGE "storage_unavailable" /* code of job_storage_failed() */

struct jobs {
    struct scheduler *scheduler;
    struct list watches;
    struct list runs;
    struct list submissions;
    struct list strays;
    struct list joints;        /* batches of jobs that gather, or run */
    struct joint_board *board; /* NULL: none are joined */
    size_t stray_count;
    bool stopped;
    size_t running;
    int64_t last_created_us; /* creation times are unique within an instance */
    uint64_t sweep;          /* counts walks over the watches */
};

/* job_run.c: fetches the record and runs it. */
void job_run(void *arg, struct pool_agent *agent, const struct store_grant *grant);
/* For one whose record is still on the way; later its call is told. */
void job_run_cancel(void *arg, const char *id);
void job_runs_drop(struct jobs *j);

/* A job whose record was read. */
struct job_granted {
    struct pool_agent *agent;
    const struct store_grant *grant;
    struct call_spec *spec; /* its body is malloc'd, and given to who takes it */
    const struct call_past *past;
    const char *key, *batch, *model; /* bk, bg and mdl of its record */
    bool rides; /* it was taken along by another: it must not be sent by itself */
};
/* Runs it by itself. The room for one more job is counted by this. */
void job_run_alone(struct jobs *j, const struct job_granted *g);

/* job_joint.c */
/* What a job may be joined by, "" nothing. body: as it is kept. */
void job_joint_key(struct call *c, const char *body, size_t len, const char *batch,
                   char ret[JOINT_KEY_BYTES]);
/* Whether it was taken into a batch, which gathers or is sent at once. */
bool job_joint_take(struct jobs *j, const struct job_granted *g);
void job_joint_cancel(struct jobs *j, const char *id);
void job_joints_drop(struct jobs *j);

/* job_look.c: reads one record of a pool; of any tenant with NULL. */
void job_look(struct jobs *j, struct store_pool *pool, const char *tenant, const char *id,
              job_fn fn, void *arg);

/* job_stray.c */
/* The pool of an id; NULL when the id is none of ours, or of a pool that is not known here. */
struct store_pool *job_pool(struct jobs *j, const char *id);
struct job_cursor { /* zero: at the start */
    size_t pool;
    struct list *stray;
};
struct store_pool *job_next_pool(struct jobs *j, struct job_cursor *at);
void job_strays_look(struct jobs *j); /* asks Redis which pools there are */
void job_strays_free(struct jobs *j);

void job_not_found(struct call_failure *f, const char *id);
void job_storage_failed(struct call_failure *f, enum redis_status status);

#endif
