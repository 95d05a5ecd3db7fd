/*
 * call_internal: the fields of struct call. Only for scheduler/call*.c.
 *
 *   call.c            its life: grant, cancel, end; the one writer of state
 *   call_preflight.c  reading the request: the stages it goes through before it has a price
 *   call_route.c      of these, which provider, row and pool serve it
 *   call_submit.c     its ticket on the way to the queue, and what the queue answers
 *   call_request.c    what is sent to the provider
 *   call_reply.c      what comes back: whole or streamed, retry or settle
 *   call_info.c       what others may see of it
 */
#ifndef SCHEDULER_CALL_INTERNAL_H
#define SCHEDULER_CALL_INTERNAL_H

#include "scheduler/call.h"
#include "scheduler/provider/sse.h"
#include "scheduler/retry.h"

#include <event2/util.h>

#define CALL_MAX_HEADERS 64

struct event;

/* Where the ticket of a call stands that has submitted it. */
enum call_place {
    PLACE_NOWHERE,
    PLACE_UNSURE, /* perhaps in Redis: a submit was not answered */
    PLACE_STORE,  /* in Redis, where it stays over an outage */
    PLACE_LOCAL,  /* in this instance, while Redis is away (scheduler/pool_local.h) */
};

struct call {
    struct holding held; /* its ticket; id from call_new() on, fence once granted */
    enum call_state state;
    int64_t born_us, entered_us;
    struct scheduler *sched;
    struct plan *plan; /* what provider and row belong to */
    const struct config_provider *provider;
    const struct config_model *row;
    struct pool_view *pool;
    struct call_spec spec; /* texts are in `texts`, headers in `headers` */
    struct call_sink sink;
    void *arg;

    /* the request */
    char *texts; /* one block: tenant, caller's key, header lines */
    struct http_header headers[CALL_MAX_HEADERS];
    struct wire_request request;
    char *model;     /* decoded, without a forced provider */
    struct buf sent; /* the body to send when it differs from the client's */
    bool hide_usage;
    struct profile_estimate estimate;
    int64_t cost[POOL_MAX_DIMS];
    int64_t fair_cost;

    /* the queue */
    struct event *timer; /* queue wait, or a failure that must not be told at once */
    bool starting;       /* inside call_start() */
    bool submitting;     /* a submit is unanswered: the call must stay in memory */
    bool abandoned;      /* ended while submitting: the answer takes the ticket out */
    bool waited;
    enum call_place place;
    int64_t last_fence;          /* of the last grant that was taken */
    int64_t queued_us;           /* since when it waits; 0: it does not */
    int64_t queue_ms;            /* waits that are over */
    struct call_failure failure; /* with starting */
    struct list grave;           /* ended: freed by the scheduler once the stack is unwound */

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
    int64_t attempts, refusals; /* that count, and those that only wait */
    int64_t sends;              /* transfers of this call */
    int64_t sent_us, first_us;
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
void call_enter_queue(struct call *c);
void call_granted(struct call *c, int64_t fence);
/* The last settle of a granted ticket, or a step back into the queue. */
void call_settle(struct call *c, enum ticket_state state, const struct call_failure *failure);
void call_bury(struct call *c);

/* call_submit.c */
void call_on_timer(evutil_socket_t fd, short what, void *arg);

/* call_preflight.c */
int call_read(struct call *c, struct call_failure *failure) MUST_CHECK;
/* Another body is to be sent, and c->request tells of it from now on. Takes changed, also when
 * it fails: nothing is different then. */
int call_replace_body(struct call *c, struct buf *changed) MUST_CHECK;

/* call_route.c */
int call_route(struct call *c, struct call_failure *failure) MUST_CHECK;

/* call_request.c */
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

/* call_reply.c */
extern const struct http_handlers call_reply_handlers;
void call_reply_reset(struct call *c);

#endif
