/*
 * job_joint_internal: several durable jobs as one request to the provider. Only for
 * scheduler/job_joint*.c.
 *
 *   job_joint.c      they gather, and the joint request is made
 *   job_joint_end.c  its answer, and what becomes of each
 *
 * Nothing is joined when jobs are submitted: each is a ticket with a record of its own, waits in
 * the queue, and can be seen and cancelled there as any. A batch begins when the first of a kind is
 * granted here: it waits a moment for others that are granted (the start of a burst), and takes
 * along others of its kind that wait in the queue (storage/lua/ride.lua), which are granted with a
 * lease and a fence of their own but charged no request and no slot. So a batch grows for as long
 * as its head waits for the budget. The first one's grant pays for the joint request: it is settled
 * with what was really used, and what the others had reserved comes back.
 *
 * One record for the joint job that its members point to was rejected: then a member's state, end,
 * cancel, deadline and event would hang on another record, and each script would have to follow.
 * Here a crash at any point leaves tickets under leases, which come back by themselves; each ends
 * by a settle under its own fence, once. What was sent before a crash is sent again: at least once,
 * as for any job. A job whose part of the answer is no good goes back to its place in the queue
 * without its key, and so alone.
 *
 * When the first one is cancelled in the middle, the request ends, and the others are queued again.
 */
#ifndef SCHEDULER_JOB_JOINT_INTERNAL_H
#define SCHEDULER_JOB_JOINT_INTERNAL_H

#include "scheduler/job_internal.h"
#include "scheduler/joint/joint_answer.h"

#define JOINT_NUMBER_BYTES 24

struct event;

struct member {
    struct holding held;
    struct store_grant grant;
    struct call_spec spec; /* texts are in `texts` but for the body */
    struct call_past past;
    struct buf texts;
    struct joint_item item;
    bool rides; /* taken along: no request was charged for it */
    bool held_here, cancelled;
};

struct joint {
    struct list link;
    struct jobs *jobs; /* NULL: dropped while it rides */
    struct pool_agent *agent;
    struct joint_kind *kind;
    char key[JOINT_KEY_BYTES];
    struct joint_settings settings;
    struct member *member[JOINT_MAX_ITEMS];
    size_t count, most;
    size_t coming; /* asked for along, or their records are on the way: places kept for them */
    struct event *timer;
    int64_t due_ms;          /* it takes others along, then it is sent */
    bool riding, rode, sent; /* riding: a store call is open */
    struct call *call;       /* under the first one's grant */
    struct joint_names names;
    struct joint_answer answer;
    struct wire_usage share[JOINT_MAX_ITEMS];
    struct buf reply, text, usage;
    char number[2][JOINT_NUMBER_BYTES];
    enum ticket_state verdict; /* of the first one's ticket */
    bool judged, read, again;  /* again: it goes back as it is, after delay_ms */
    int64_t delay_ms;
};

/* job_joint.c */
void job_joint_free(struct joint *t);

/* job_joint_end.c */
extern const struct call_sink job_joint_sink;

#endif
