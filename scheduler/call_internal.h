/*
 * call_internal: the fields of struct call. Only for scheduler/call*.c.
 *
 *   call.c            its life: grant, cancel, end; the one writer of state
 *   call_preflight.c  reading the request: the stages it goes through before it has a price
 *   call_route.c      of these, which provider, row and pool serve it
 *   call_move.c       which way of several, and from one to another
 *   call_fit.c        of these, what is cut so that it fits
 *   call_prepare.c    of these, a summary that it waits for
 *   call_submit.c     its ticket on the way to the queue, and what the queue answers
 *   call_ways.c       before these, who may answer it instead
 *   call_given.c      how such an answer is given
 *   call_answers.c    one that is kept, or on its way to an equal request; with call_flight.c,
 *                     call_flight_look.c and call_reader.c
 *   call_vectors.c    of embeddings, inputs that are kept
 *   call_embed.c      of these, a batch of embeddings
 *   call_joint.c      of these, a joint request of several chat calls
 *   call_settings.c   what is saved for its model
 *   call_tools.c      caps of tool calls, in the request and in the answer
 *   call_request.c    what is sent to the provider
 *   call_accrue.c     of these, output that is charged while it streams
 *   call_reply.c      what comes back: whole or streamed, retry or settle
 *   call_count.c      what is counted of it
 *   call_log.c        what the log says of it
 *   call_note.c       attempts that failed
 *   call_record.c     what its ticket's record tells of it at its end
 *   call_cost.c       what it costs, and budgets
 *   call_info.c       what others may see of it
 */
#ifndef SCHEDULER_CALL_INTERNAL_H
#define SCHEDULER_CALL_INTERNAL_H

#include "scheduler/call.h"
#include "scheduler/call_given.h"
#include "scheduler/call_settings.h"
#include "scheduler/call_tools.h"
#include "scheduler/gauge.h"
#include "scheduler/news.h"
#include "scheduler/provider/sse.h"
#include "scheduler/retry.h"
#include "scheduler/spending.h"
#include "scheduler/summaries.h"

#include <event2/util.h>

#define CALL_MAX_HEADERS   64
#define CALL_BINDING_BYTES 24
#define CALL_NUMBER_BYTES  24
/* Of the time left: a smaller form is not planned to the last moment. */
#define CALL_MARGIN_PART 8
#define CALL_MAX_FORMS   16 /* of a request, that are tried until one fits */

struct event;

/* Where the ticket of a call stands that has submitted it. */
enum call_place {
    PLACE_NOWHERE,
    PLACE_UNSURE, /* perhaps in Redis: a submit was not answered */
    PLACE_STORE,  /* in Redis, where it stays over an outage */
    PLACE_LOCAL,  /* in this instance, while Redis is away (scheduler/pool_local.h) */
};

/* Texts of a record, until a settle has copied them. */
struct call_record {
    char created[CALL_NUMBER_BYTES], input[CALL_NUMBER_BYTES], ttl[CALL_NUMBER_BYTES];
    char code[CALL_NUMBER_BYTES], usage[CALL_USAGE_BYTES];
    struct buf error;
};

/* How large it is, and what was cut so that it is no larger. */
struct call_fit {
    struct gauge_reading size; /* of what is sent */
    int64_t trimmed;           /* tokens of input that were cut, as counted */
    const char *policy;        /* by which; NULL: nothing was */
    unsigned stages;           /* that cut: a bit for each, the one behind them for repair */
    bool output_lowered;       /* the most it may answer, to request.max_output_tokens */
    bool shrunk;               /* as it would not have fitted */
    unsigned forms;            /* tried so far */
    int64_t spent;             /* tokens that a summary for it took */
};

struct call_money {
    char key[COST_KEY_BYTES]; /* id of the caller's access key; "" none */
    int64_t reserved;         /* nano-dollars, of the budgets below */
    struct spending_limit held[SPENDING_MAX_LIMITS];
    size_t held_count;
};

struct call {
    struct holding held; /* its ticket; id from call_new() on, fence once granted */
    enum call_state state;
    int64_t born_us, entered_us;
    struct scheduler *sched;
    struct plan *plan; /* what provider and row belong to */
    const struct config_provider *provider;
    const struct config_model *row;
    const struct config_account *account; /* NULL: the caller's own key */
    struct pool_view *pool;
    struct call_spec spec; /* texts are in `texts`, headers in `headers` */
    struct call_sink sink;
    void *arg;

    /* the request */
    char *texts; /* one block: tenant, caller's key, header lines */
    struct http_header headers[CALL_MAX_HEADERS];
    struct wire_request request;
    char *asked;     /* what leads to the row: as the request says, or a fallback */
    char *model;     /* of this without a forced provider */
    struct buf sent; /* the body to send when it differs from the client's */
    bool hide_usage;
    struct config_tool_calls asked_caps; /* spec.tool_calls and .facts point here, or are NULL */
    struct session_facts facts;
    struct call_tools tools;
    struct call_settings settings;
    struct call_fit fit;
    struct summary_order *order; /* it waits for this one; NULL: none */
    struct summary_wait summary;
    bool ordered; /* a summary: it is asked for once only */
    void (*on_ready)(void *arg, const struct call_failure *failure);
    void *ready_arg;
    struct call_money money;
    struct profile_estimate estimate;
    int64_t cost[POOL_MAX_DIMS];
    int64_t fair_cost;

    /* the way it goes */
    unsigned way;                      /* which of config_candidates() */
    uint32_t tried;                    /* bits of those that failed */
    const struct config_model *fallen; /* the row that was asked for, once a fallback serves */
    size_t next_fallback;
    bool astray; /* a job whose pool is no way of its model any more */
    /* Of a job that goes another way: its own ticket, which runs on under its lease while `held`
     * stands for it elsewhere. pool NULL: it is at home. */
    struct {
        struct holding held;
        struct pool_view *pool;
    } home;

    /* the queue */
    struct event *timer; /* queue wait, or a failure that must not be told at once */
    bool starting;       /* inside call_start() */
    bool submitting;     /* a submit is unanswered: the call must stay in memory */
    bool asks_again;     /* asked for meanwhile: to be submitted once more after the answer */
    bool abandoned;      /* ended while submitting: the answer takes the ticket out */
    bool waited;
    enum call_place place;
    int64_t last_fence;          /* of the last grant that was taken */
    int64_t queued_us;           /* since when it waits; 0: it does not */
    int64_t queue_ms;            /* waits that are over */
    struct call_failure failure; /* with starting */
    struct list grave;           /* ended: freed by the scheduler once the stack is unwound */

    char binding[CALL_BINDING_BYTES]; /* of the last wait */
    struct buf notes;                 /* of attempts that failed: JSON objects, no brackets yet */
    int note_count;
    struct buf explain;
    struct call_record record;

    /* an answer that another one gives */
    struct {
        const struct call_giver *giver; /* NULL: none, or it has nothing more to tell */
        void *arg;
        const char *decision; /* static; NULL: it was never joined, or parted */
        char type[CALL_TYPE_BYTES];
        bool paused;
        size_t next_way;           /* of call_ways.c */
        const struct call *source; /* whose answer it is, while it is given; NULL: nobody's */
        size_t batch_size;
    } given;
    struct {
        struct flight *flight;      /* that it leads; NULL: none */
        const char *word;           /* of x-sluice-cache; static; NULL: nothing to say */
        int64_t age_ms;             /* of an answer that was kept */
        struct vectors *vectors;    /* its inputs, one by one; NULL: they are not looked for */
        size_t inputs, inputs_kept; /* of these; the former 0: as above */
    } shared;

    /* the answer */
    struct http_transfer *transfer; /* valid until its on_done has returned */
    bool transfer_done;             /* inside on_done, or after it: not to be cancelled */
    int status;
    struct buf reply;  /* an answer that is taken whole */
    struct sse events; /* one that streams */
    struct wire_stream watch;
    bool streaming, started;
    bool broken;                /* an event could not be read: the stream is given up */
    struct wire_answer refusal; /* an error event before any output */
    bool refused;
    struct wire_usage usage;
    int64_t accrued, accrued_us; /* output that was told, and when */
    int64_t attempts, refusals;  /* that count, and those that only wait */
    int64_t sends;               /* transfers of this call */
    bool left;                   /* it was stopped while its request was at the provider */
    int64_t sent_us, first_us;
    struct news news;          /* of the last transfer */
    struct retry_plan outcome; /* of the last transfer: what its settle says */
};

/* call.c */
void call_enter(struct call *c, enum call_state next);
/* Settles as c->outcome says and queues the ticket again. */
void call_requeue(struct call *c);
int64_t call_wait_left_ms(const struct call *c); /* in the queue, at least 1 */
void call_fail(struct call *c, const struct call_failure *failure);
void call_succeed(struct call *c);

void call_arm(struct call *c, int64_t ms);
void call_leave_queue(struct call *c);
/* Settles the ticket that it holds, as an attempt that is over; a job's own is left. */
void call_close_ticket(struct call *c);
void call_enter_queue(struct call *c);
void call_granted(struct call *c, int64_t fence);
/* The last settle of a granted ticket, or a step back into the queue. */
void call_settle(struct call *c, enum ticket_state state, const struct call_failure *failure);
void call_bury(struct call *c);

/* call_submit.c */
/* Its ticket ended: a new one, under a new id. */
void call_submit_anew(struct call *c);
void call_on_timer(evutil_socket_t fd, short what, void *arg);

/* call_ways.c */
bool call_take_way(struct call *c); /* true: another one answers it */

/* call_info.c: its transfer, whoever else reads it */
void call_hold_back(struct call *c);
void call_let_flow(struct call *c);

/* call_given.c */
/* It ends before its giver is done: the giver is told, once. */
void call_given_leave(struct call *c);
void call_given_too_late(struct call *c);

/* call_embed.c */
/* Of the ways. True: it is part of a batch now. */
bool call_embed(struct call *c);

/* call_joint.c: the same of chat calls that ask for it. */
bool call_joint(struct call *c);

/* call_accrue.c */
/* More was streamed. */
void call_accrue(struct call *c);
/* Output that is foreseen of a request to this pool. */
int64_t call_foreseen_output(const struct pool_view *pool);

/* call_preflight.c */
int call_read(struct call *c, struct call_failure *failure) MUST_CHECK;
/* Another body is to be sent, and c->request tells of it from now on. Takes changed, also when
 * it fails: nothing is different then. */
int call_replace_body(struct call *c, struct buf *changed) MUST_CHECK;

/* The estimate and the cost, of the request as it is now. */
void call_price(struct call *c);

/* The stages behind one that could not go on; a ready call has been through all. */
int call_read_on(struct call *c, struct call_failure *failure) MUST_CHECK;

/* call_prepare.c */
struct trim_summarizer call_summarizer(struct call *c);
void call_not_ready_in_time(struct call *c);
void call_drop_order(struct call *c);

/* call_fit.c */
int call_fit(struct call *c, struct call_failure *failure) MUST_CHECK;
void call_measure(struct call *c);
/* It would be granted late_ms too late, by this limit: makes it smaller by so much. False: it
 * cannot, and is as it was. */
bool call_fit_sooner(struct call *c, const char *dim, int64_t late_ms) MUST_CHECK;

/* call_cost.c */
/* 429 where a budget of its tenant or key is used up. */
int call_check_budget(struct call *c, struct call_failure *failure) MUST_CHECK;
void call_reserve_cost(struct call *c); /* while it waits and runs; again: nothing more */
void call_release_cost(struct call *c);
void call_count_cost(struct call *c); /* at its end, once */
/* At the end of one that was given another's answer: what that would have cost is saved. */
void call_count_saved(struct call *c, const struct wire_usage *usage);
/* Of a part of one that was sent without it. */
void call_count_spared(struct call *c, const struct wire_usage *usage);

/* call_route.c */
int call_route(struct call *c, struct call_failure *failure) MUST_CHECK;
int call_rename_model(struct call *c, const char *model) MUST_CHECK;

/* call_move.c. Nothing moves once output was given, nor while a submit is unanswered. */
/* Takes the best way before there is a ticket. -ENOSPC: there is none. */
int call_choose_way(struct call *c) MUST_CHECK;
int call_find_way(struct call *c, struct pool_view *pool) MUST_CHECK; /* of a granted job */
/* To another way that has not failed and starts sooner than that. False: it stays. */
bool call_move(struct call *c, int64_t before_ms);
/* To the next fallback. Inside call_new() it only takes the new way, and its price is the
 * caller's to ask; later it is queued there. why: a word for the log. False: there is none. */
bool call_fall_back(struct call *c, const char *why);
/* A job that was granted here but must run elsewhere. True: it has left. */
bool call_leave_home(struct call *c);

/* call_request.c */

/* Whether its caller may use the model of that name, or the one that the name leads to. */
bool call_may_use(const struct call *c, const char *asked);
int call_copy_spec(struct call *c, const struct call_spec *spec) MUST_CHECK;
/* The transfer's request; header lines in headers[], the authorization line in auth. */
#define CALL_AUTH_BYTES 4096
struct call_upstream {
    struct http_request request;
    struct http_header headers[CALL_MAX_HEADERS + 4];
    char url[2048];
    char auth[CALL_AUTH_BYTES]; /* secret: wiped after the start */
};
int call_upstream(struct call *c, struct call_upstream *ret, struct error *e) MUST_CHECK;

/* call_count.c */
void call_count_end(struct call *c, enum pool_counter counter);
void call_count_grant(struct call *c); /* the first of this request */
void call_count_refused(struct call *c, const struct store_turn *turn);
/* One that another one answered: nothing of what it has was used for it. */
void call_count_given(struct call *c, enum pool_counter counter);
void call_count_answered(struct call *c);
void call_count_first_token(struct call *c);
void call_count_estimate(struct call *c, int64_t used); /* used: its fair cost in the end */

/* call_note.c */
void call_note(struct call *c, const char *failure); /* the attempt that has just failed */

/* call_record.c */
/* Fields of a proxied call's ticket at its end, for GET /v1/jobs/{id}. */
size_t call_record(struct call *c, const struct call_failure *failure, struct store_field *out);
void call_recall(struct call *c, const char *explained, size_t len);

/* call_reply.c */
extern const struct http_handlers call_reply_handlers;
void call_reply_reset(struct call *c);

#endif
