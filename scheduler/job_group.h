/*
 * job_group: how far jobs are that were submitted together.
 *
 * A group has no record of its own. Each job that is stored under its id is counted, in the pool
 * that holds the job, by the same script that changes the job's state: a crash between two writes
 * cannot part them, and a group of which only a part was submitted has just that part. The counts
 * of its pools are added up when somebody looks. A count kept beside the jobs (a record written by
 * who submits) was rejected, since a crash leaves it wrong for ever, and counting the jobs one by
 * one, since a group of ten thousand is looked at every second.
 *
 *   units    ms
 *   threads  one event loop. Callbacks are called exactly once, never before return.
 */
#ifndef SCHEDULER_JOB_GROUP_H
#define SCHEDULER_JOB_GROUP_H

#include "scheduler/job.h"

struct job_group {
    char id[GROUP_ID_BYTES];
    int64_t created_ms;  /* its first job was stored */
    int64_t finished_ms; /* its last job ended; 0: some have not */
    int64_t total, queued, running, retrying, succeeded, failed, cancelled, expired;
    double per_minute; /* jobs that ended, since it was created; 0: none did */
    int64_t eta_ms;    /* until all have ended, as far as can be told; -1 unknown, 0 they have */
};

/* group is NULL when the tenant has no such group (failure says so, or why it is not known). */
typedef void (*job_group_fn)(void *arg, const struct job_group *group,
                             const struct call_failure *failure);
void job_group_get(struct jobs *j, const char *tenant, const char *id, job_group_fn fn, void *arg);
/* Cancels each of its jobs that has not ended, then tells how it stands. */
void job_group_cancel(struct jobs *j, const char *tenant, const char *id, job_group_fn fn,
                      void *arg);

#endif
