/*
 * job: durable jobs: accepted once, run by any instance, kept until they are fetched.
 *
 * A job is a ticket whose record in Redis holds its request and, at the end, its answer; no
 * process needs to live for it. Submitting is one script call with the request in it, so a job
 * is either accepted and queued, or not known at all. Whoever gets its grant reads the request
 * from the record and runs it as a call; its result is stored by the same script that settles it.
 *
 *   delivery   at least once: a provider may be called again when an instance died in the middle
 *              (attempts tells). A result is stored once: a settle under an old fence is refused.
 *   ownership  opaque; texts of requests are copied or given as said.
 *   threads    one event loop. Every callback is called exactly once, never before return.
 */
#ifndef SCHEDULER_JOB_H
#define SCHEDULER_JOB_H

#include "scheduler/call.h"

struct joint_board;
struct jobs;

struct jobs *jobs_new(struct scheduler *s);
/* Kept: with it, batchable jobs are joined (scheduler/job_joint.c). */
void jobs_use_board(struct jobs *j, struct joint_board *board);
/* Runs are left to their leases. Before scheduler_stop(); free when Redis has answered all. */
void jobs_stop(struct jobs *j);
void jobs_free(struct jobs *j); /* accepts NULL; submissions that wait to be repeated fail */
size_t jobs_running(const struct jobs *j);

/* A job as its record tells. Texts are borrowed; "" or NULL where there is nothing. */
struct job_record {
    const char *id;
    const char *status; /* queued running retrying succeeded failed cancelled expired */
    const char *endpoint, *model, *class, *tenant;
    int64_t created_ms, started_ms, finished_ms;
    int64_t attempts;
    int64_t ahead, eta_ms; /* while queued */
    const char *binding;   /* what it waits for */
    const char *decision;
    int64_t input_tokens;
    int64_t trimmed_tokens; /* cut from its input when it was queued */
    const char *cut;        /* how: JSON; "" nothing was */
    int64_t status_code;    /* of the answer; 0 none */
    const char *body;       /* of the answer */
    size_t body_len;
    const char *usage, *error, *metadata; /* JSON */
    const char *hint;       /* which limits its answer moved, and how, for people; "" none */
    const char *explain;    /* JSON of call_explain(), of the last attempt */
    const char *retry_of;   /* id of the job that it repeats; "" none */
    const char *webhook;    /* who hears of its end (webhook_field.h); "" nobody */
    bool is_call;           /* a proxied call, which has ended */
    const char *durability; /* of one just accepted: how safe it is; else NULL */
    int64_t replicas;       /* that have it, with "replicated" */
    const char *group;      /* it came with others: their id; "" none */
    int64_t batch_size;     /* requests that were joined with it in its last answer; 0: none */
};

/* record is NULL when there is no such job of this tenant (failure says it, or why it is not
 * known now); replayed: it stood already under this Idempotency-Key. */
typedef void (*job_fn)(void *arg, const struct job_record *record, bool replayed,
                       const struct call_failure *failure);

struct job_spec {
    enum wire_endpoint endpoint;
    char *body; /* given */
    size_t body_len;
    const char *tenant;
    int64_t weight;
    const char *trace;  /* traceparent for the provider; "" or NULL none; kept with the job */
    const char *models; /* as of struct call_spec; kept with the job, for its fallbacks */
    const char *key;    /* as well */
    enum pool_class class;
    bool class_given;            /* else a priority inside the body holds */
    int64_t deadline_ms;         /* from now; 0 none */
    const char *metadata;        /* JSON text; NULL none */
    const char *webhook;         /* as webhook_field_read() wrote it; NULL or "": nobody */
    const char *idempotency_key; /* NULL none */
    const char *trim;            /* as of struct call_spec */
    bool never_shrink;
    const char *group; /* id of those it comes with (scheduler/job_group.h); NULL none */
    const char *batch; /* it may be joined with others of this name ("": any); NULL: it may not */
    const char *retry_of; /* id of the job that it repeats; NULL none */
};
void job_submit(struct jobs *j, const struct job_spec *spec, job_fn fn, void *arg);

/* Also of a proxied call that has ended, for jobs.call_ttl_s. */
void job_get(struct jobs *j, const char *tenant, const char *id, job_fn fn, void *arg);
/* Takes a waiting job out, asks a running one to stop; the record as it is after that. */
void job_cancel(struct jobs *j, const char *tenant, const char *id, job_fn fn, void *arg);

/* The same request as a new job, as it was kept: trimmed when it was. Of a job that has ended, else
 * 409; fn as of job_submit(). */
struct job_retry {
    const char *id, *tenant;
    const char *models, *key; /* as of struct job_spec: of whoever asks */
    int64_t weight;
};
void job_retry(struct jobs *j, const struct job_retry *retry, job_fn fn, void *arg);

/* Newest first: fn for each with a record, then once with record NULL; failure is set when the
 * list is not whole. after: id of the last one seen; NULL from the newest. */
struct job_page {
    const char *tenant;
    const char *after;
    int limit; /* 1..JOB_PAGE_MAX */
};
#define JOB_PAGE_MAX 100
typedef void (*job_list_fn)(void *arg, const struct job_record *record, bool has_more,
                            const struct call_failure *failure);
void job_list(struct jobs *j, const struct job_page *page, job_list_fn fn, void *arg);

/* ---- changes */
struct job_watch {
    struct list link;
    char id[TICKET_ID_BYTES];
    void (*fn)(void *arg, const char *state); /* may be called many times; may unwatch */
    void *arg;
};
/* The watch is the caller's (embedded). state is the script's word, or "" when changes may have
 * been missed: look again. */
void job_watch(struct jobs *j, struct job_watch *w);
void job_unwatch(struct job_watch *w);                /* idempotent */
void jobs_event(struct jobs *j, const char *payload); /* "ID STATE" of KEY_EVENTS */
void jobs_channel_back(struct jobs *j);
bool job_status_is_final(const char *status);

#endif
