/*
 * call: one request on its way: submitted, queued, sent, answered, settled.
 *
 * A call is made of a client's request (a proxied call) or of a durable job that was granted to
 * this instance. It tells its owner what comes of it through a sink, and ends exactly once: by
 * end or fail, or by call_cancel(), after which nothing more is told. The owner must not touch it
 * after that.
 *
 *   ownership  opaque; the body is given, all else is copied.
 *   threads    one event loop. No sink function is called before call_start() has returned.
 */
#ifndef SCHEDULER_CALL_H
#define SCHEDULER_CALL_H

#include "scheduler/answer_wish.h"
#include "scheduler/call_state.h"
#include "scheduler/http_client.h"
#include "scheduler/provider/wire.h"
#include "scheduler/scheduler.h"
#include "storage/session_store.h"

struct call;

/* Why a call has no answer from a provider. */
struct call_failure {
    int status;        /* HTTP: 400 404 413 429 502 503 504 … */
    const char *type;  /* NULL: from the status */
    const char *code;  /* "" none */
    const char *param; /* "" none */
    char message[ERROR_TEXT_BYTES];
    int64_t retry_after_ms; /* -1: none */
};

#define CALL_NO_MONEY   "budget_exceeded" /* code of a 429 that waiting a moment does not mend */
#define CALL_MONEY_HELD "budget_reserved" /* and of one that it does */

void call_failure_set(struct call_failure *f, int status, const char *code, const char *format, ...)
    PRINTF_AT(4, 5);
int call_fail_memory(struct call_failure *f); /* 503 that says so; -ENOMEM */

struct call_sink {
    /* It waits in the queue; told once for each time it is queued. */
    void (*queued)(void *arg, int64_t eta_ms, const char *binding);
    /* The answer begins; call_status() and call_reply_headers() tell of it. */
    void (*start)(void *arg);
    /* An answer that does not stream comes at once, and stays until end() has returned. */
    void (*data)(void *arg, const char *bytes, size_t len);
    void (*end)(void *arg);
    /* Instead of start, or in the middle of a stream after it. Borrowed. NULL (jobs only): it is
     * no longer this instance's to run. */
    void (*fail)(void *arg, const struct call_failure *failure);
    /* Before a settle: fields for the ticket's record (jobs); failure is NULL unless it failed.
     * Borrowed until it returns to the caller of the sink. May be NULL. */
    size_t (*result)(void *arg, const struct call_failure *failure, struct store_field *fields);
    /* Ahead of result: the state that its ticket is to have instead (a joint request, which ends
     * well or not for each of its jobs). delay_ms: of one that is queued again. May be NULL. */
    enum ticket_state (*verdict)(void *arg, enum ticket_state state, int64_t delay_ms);
    /* Its budget is there, and it is sent when this returns; and: it waits again, after an attempt
     * that is to be repeated. May be NULL. */
    void (*granted)(void *arg);
    void (*requeued)(void *arg);
};

struct call_spec {
    enum wire_endpoint endpoint;
    char *body; /* given, also when call_new() fails */
    size_t body_len;
    const char *tenant;
    int64_t weight;
    const char *models; /* the caller may use these (common/model_list.h); NULL all; copied */
    const char *key;    /* id of the caller's access key; NULL none; copied */
    enum pool_class class;
    bool class_given;                  /* beside the body, whose own priority says nothing then */
    int64_t max_wait_ms;               /* in the queue, all attempts together */
    const struct http_header *headers; /* of the client, to be passed on; copied */
    size_t header_count;
    const char *caller_key; /* NULL: none. Passed on where the provider has no key of its own */
    const struct config_tool_calls *tool_calls; /* caps the caller asks for; NULL: none; copied */
    const struct session_facts *facts;          /* of a named conversation; NULL: none; copied */
    const char *trim;    /* NULL: as tenant and model have it; none: nothing is cut */
    const char *session; /* the caller's name of the conversation; NULL none */
    int64_t deadline_ms; /* from now, until it is granted; 0 none */
    bool never_shrink;   /* it is refused where it would be made smaller to fit */
    bool prepared;       /* a job that was trimmed, and perhaps shrunk, when it was queued */
    bool was_shrunk;
    bool is_job;
    bool no_fallback;         /* only the model that was asked for */
    bool no_batch;            /* it is not joined with others */
    const char *batch;        /* chat: it may be, with others of this name; NULL: not. Copied */
    bool is_batch;            /* of others, who are counted in its place; never joined itself */
    struct answer_wish cache; /* what may be answered by what is kept; scheduler/answers.h */
    struct pool_view *pool;   /* jobs: the pool that granted it; NULL: by routing */

    /* of a request that the caller sends itself (scheduler/permit.h) */
    bool for_permit;
    const char *provider;      /* that the model is to be of; NULL: by the model alone. Borrowed */
    int64_t input_tokens;      /* > 0: as told, the body is not counted */
    int64_t max_output_tokens; /* > 0: as told, whatever the body says */

    /* Of a call that is only looked at (scheduler/admission.h) and never started: why the model
     * cannot take it in any form, which fails no other stage. Its status stays 0 when it can. */
    struct call_failure *unfit;
    struct call_failure *unpaid; /* the same of a budget that is used up */
};

/* Reads and routes the request. NULL with *failure set when it cannot be served. */
struct call *call_new(struct scheduler *s, const struct call_spec *spec,
                      const struct call_sink *sink, void *arg, struct call_failure *failure);
/* Whether it has been through all stages; else it needs a summary first. call_start() sees to that
 * by itself; who only wants its ticket (jobs) must ask for it. fn is told once, perhaps at once,
 * unless the call is cancelled or discarded. */
bool call_is_ready(const struct call *c);
void call_make_ready(struct call *c, void (*fn)(void *arg, const struct call_failure *failure),
                     void *arg);
/* Sends its ticket to the queue. Another one may answer it instead: scheduler/call_given.h. */
void call_start(struct call *c);
/* What a job's ticket has been through before this grant, on any instance. */
struct call_past {
    int64_t tries;
    int64_t queue_ms;
    bool granted;          /* before: its wait was counted then */
    const char *binding;   /* what it waited for, as it was told when it was submitted */
    const char *explained; /* call_explain() of an earlier grant; borrowed */
    size_t explained_len;
};
/* A job's call: its ticket runs already under this fence; sends the request. */
void call_start_granted(struct call *c, const struct store_grant *grant,
                        const struct call_past *past);
void call_cancel(struct call *c);
/* Frees a call that was never started. */
void call_discard(struct call *c);
/* Ends it here without a settle: its lease is left to end (a job, when the service stops). */
void call_abandon(struct call *c);
void call_pause(struct call *c); /* back-pressure: no data until resumed */
void call_resume(struct call *c);

/* ---- looking */
const char *call_id(const struct call *c);
const char *call_model(const struct call *c);  /* that serves it: perhaps a fallback */
const char *call_models(const struct call *c); /* as in its spec; "" all */
enum wire_endpoint call_endpoint(const struct call *c);
const char *call_body(const struct call *c, size_t *ret_len); /* the client's own bytes */
int64_t call_tries(const struct call *c); /* attempts that count, of jobs on all instances */
struct pool_view *call_pool(const struct call *c);
bool call_is_stream(const struct call *c); /* asked for, by the request */
int call_status(const struct call *c);     /* of the provider's answer */
const char *call_reply_header(const struct call *c, const char *name);
void call_reply_headers(const struct call *c,
                        void (*fn)(void *arg, const char *name, const char *value), void *arg);
const char *call_decision(const struct call *c);   /* admitted, delayed, shrunk */
const char *call_cache_word(const struct call *c); /* of x-sluice-cache; NULL: nothing to say */
int64_t call_answer_age_ms(const struct call *c);  /* since the answer was kept; 0: it is new */
int64_t call_queue_ms(const struct call *c);       /* waited so far */
int64_t call_upstream_ms(const struct call *c);    /* of the last attempt, to its first byte */
size_t call_batch_size(const struct call *c); /* of calls that were answered as one; 0: alone */
/* One that ended well is in a batch's call, and has no call of its own: it is counted. */
void call_count_part(struct call *batch, int64_t wait_ms);
int64_t call_overhead_us(const struct call *c); /* spent here, queue left out, before it was sent */
int64_t call_input_estimate(const struct call *c);
int64_t call_trimmed(const struct call *c); /* tokens that were cut from its input */
/* Of embeddings whose inputs may be kept one by one; 0: they may not. */
size_t call_cache_inputs(const struct call *c, size_t *ret_kept);
/* "balanced (tool_results, deletion)"; NULL: nothing was cut. */
#define CALL_CUT_BYTES 192
const char *call_cut(const struct call *c, char out[CALL_CUT_BYTES]);
const char *call_cut_policy(const struct call *c); /* "balanced"; NULL: nothing was cut */
/* The same as a JSON object (policy, stages, tokens, max_tokens, shrunk), for records; appends
 * nothing when nothing was cut. 0 or what buf_add() gives. */
int call_cut_json(const struct call *c, struct buf *out) MUST_CHECK;
int64_t call_lowered_output(const struct call *c); /* its new maximum; -1: it is as it came */
/* "max_output_tokens=8192, temperature=0.7": what was saved and is in the request now; NULL:
 * nothing is. */
#define CALL_SETTINGS_BYTES 160
const char *call_settings_applied(const struct call *c, char out[CALL_SETTINGS_BYTES]);
bool call_is_shrunk(const struct call *c);
/* What a job is to keep in place of the body that was given: what was cut is left out, and the
 * model is named as it came. Borrowed; 0 or -ENOMEM. */
int call_keep_body(struct call *c, const char **ret, size_t *ret_len) MUST_CHECK;
const struct profile_estimate *call_estimate(const struct call *c);
int64_t call_input_bytes(const struct call *c); /* of its text */
const struct config_provider *call_provider(const struct call *c);
int64_t call_attempts(const struct call *c); /* requests sent to the provider so far */
const struct wire_usage *call_usage(const struct call *c);
const char *call_key(const struct call *c); /* id of the caller's access key; "" none */
/* What it cost so far as is known: as soon as its usage is, which is before the sink's start for an
 * answer that is taken whole, and at its end for a stream. */
struct call_bill {
    bool known;     /* tokens were used, and how many is told or estimated */
    bool priced;    /* else cost says nothing */
    bool estimated; /* it was cut off, or the provider told no usage */
    int64_t pico;   /* scheduler/price/price.h */
};
void call_bill(const struct call *c, struct call_bill *ret);
/* For people and machines: "0.000123" US dollars; NULL: not priced, or its usage was not told. */
#define CALL_COST_BYTES 32
const char *call_cost_text(const struct call *c, char out[CALL_COST_BYTES]);
/* Of a part of its usage; "null": its price is not known. */
const char *call_cost_of(const struct call *c, const struct wire_usage *part,
                         char out[CALL_COST_BYTES]);
/* The same for a log: "0.00" when nothing was used, "unknown" when it is not priced. */
const char *call_cost_word(const struct call *c, char out[CALL_COST_BYTES]);
/* For records: {"input_tokens",…,"cost_usd"} as JSON, cost_usd null when it is not priced; NULL
 * when the provider told no usage. */
#define CALL_USAGE_BYTES 192
const char *call_usage_json(const struct call *c, char out[CALL_USAGE_BYTES]);
/* How it came to its answer: {model, asked_model, pool, queue_ms, limit, whose, failed_attempts},
 * as JSON; "" without memory. Borrowed until the call goes on. */
const char *call_explain(struct call *c);
/* Attempts that failed, as a JSON array of {pool, model, status, failure, queue_ms}, the first
 * CALL_MAX_NOTES of them; "" none. Borrowed until the call goes on. */
const char *call_notes(struct call *c);
const char *call_binding(const struct call *c);        /* what it waited for last; "" nothing */
int64_t call_tool_calls_dropped(const struct call *c); /* taken out of its answer */
/* What it adds to a conversation that has a name, once it was answered. */
void call_session_delta(const struct call *c, struct session_delta *ret);
/* Makes one that was not submitted smaller, where its pool, as a peek just told, would hold it past
 * its deadline. False: it would, and no form of it is small enough. */
bool call_fit_deadline(struct call *c, const struct store_turn *pool) MUST_CHECK;
/* Its ticket, for a submit elsewhere (jobs): cost and class filled in, fields left empty. */
void call_ticket(struct call *c, struct store_ticket *ret);

/* One line at its end. request_id: the client's; "" none. Trace and span are those of its own
 * traceparent header. */
void call_log(struct call *c, const char *what, int status, const char *request_id);
/* A permit for it was granted: counted for its tenant and model. */
void call_count_permit(struct call *c, int64_t wait_ms);

/* ---- for the scheduler */
void call_on_grant(struct call *c, const struct store_grant *grant);
bool call_holds(const struct call *c, const struct store_lease *lease);
void call_on_lost(struct call *c, const char *id);
void call_on_cancel(struct call *c);
/* Redis was away, or the channel: one that waits submits its ticket again under the same id, and
 * learns of a grant that nobody heard; when Redis has lost the ticket it has a new one. */
void call_ask_again(struct call *c);
void call_free(struct list *grave); /* the link by which it was buried */

/* A limit that a request can never fit: whose it is, and what to do. cost: of the ticket. */
void call_failure_too_large(struct call_failure *f, const char *tenant,
                            const struct store_pool *pool, const int64_t *cost,
                            const struct store_turn *turn);
/* As many of the tenant wait as may: 429. */
void call_failure_tenant_full(struct call_failure *f, const char *tenant, const char *pool,
                              const struct store_turn *turn);
/* Nothing is sent while the provider says that there is no money: 429. */
void call_failure_circuit(struct call_failure *f, const char *pool, const struct store_turn *turn);
#endif
