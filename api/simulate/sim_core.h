/*
 * sim_core: what the files of the simulator share: the simulator and one call.
 *
 * A call lives from its request until one of call_end_*(); it is in the simulator's list
 * meanwhile. Its way:
 *
 *   read and checked -> charged -> wait (latency) -> answer, stream, error, silence or cut
 *
 *   files      simulate.c makes and routes; sim_call.c admits and plans; sim_answer.c
 *              sends; sim_batch.c is the batch APIs; sim_admin.c is /sim.
 */
#ifndef API_SIMULATE_SIM_CORE_H
#define API_SIMULATE_SIM_CORE_H

#include "api/simulate/sim_error.h"
#include "api/simulate/sim_ledger.h"
#include "api/simulate/sim_limit.h"
#include "api/simulate/sim_options.h"
#include "api/simulate/sim_reply.h"
#include "api/simulate/sim_request.h"
#include "api/simulate/sim_script.h"
#include "common/rand.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/http.h>

#define SIM_CALL_SCOPES 2 /* the model's and the key's */

struct sim_call;

struct sim {
    struct event_base *base;
    struct sim_options options;
    struct evhttp *http;
    char url[SIM_NAME_BYTES + 16];
    struct sim_scope *scopes; /* SIM_MAX_SCOPES of them, so that they never move */
    const struct sim_rule *scope_rules[SIM_MAX_SCOPES];
    size_t scope_count;
    struct sim_ledger ledger;
    struct sim_script script;
    struct sim_call *calls;
    struct sim_batches *batches; /* NULL until there is one */
    struct rand rand;
    uint64_t numbers; /* of calls; never reset, so that ids stay unique */
};

enum sim_plan {
    SIM_PLAN_ANSWER,
    SIM_PLAN_ERROR,
    SIM_PLAN_SCRIPTED,
    SIM_PLAN_CLOSE,
    SIM_PLAN_STALL
};

struct sim_call {
    struct sim_call *prev, *next;
    struct sim *sim;
    struct evhttp_request *http; /* NULL once it was answered or has gone */
    struct evhttp_connection *connection;
    struct event *timer;  /* next step */
    struct event *closed; /* the client left */
    struct sim_request request;
    enum sim_profile profile;
    char key_name[24];
    uint64_t key;
    struct sim_scope *scopes[SIM_CALL_SCOPES];
    size_t scope_count;
    struct sim_tallies tallies;
    struct sim_cost cost;
    struct sim_rates rates; /* as it was admitted or refused */
    int64_t seq;            /* in the ledger */
    int64_t started_us, stream_us;
    bool admitted, streaming, closing;
    enum sim_plan plan;
    struct sim_refusal refusal; /* of SIM_PLAN_ERROR */
    struct sim_scripted *scripted;
    struct sim_reply reply;
    int64_t units_sent, us_per_token;
    int64_t cut_after, stall_after, error_after; /* tokens; -1 never */
};

/* simulate.c */
int64_t sim_now_us(void);
struct sim_scope *sim_scope_of(struct sim *sim, const struct sim_rule *rule, const char *name,
                               int64_t now_us);
void sim_apply_rules(struct sim *sim, int64_t now_us);

/* sim_call.c: takes the request over; answers it now or later. */
void sim_call_start(struct sim *sim, struct evhttp_request *http, enum sim_endpoint endpoint);
/* Ends a call whose HTTP request has been answered, closed or lost. */
void sim_call_end(struct sim_call *call, int status, enum sim_outcome outcome);
void sim_call_free(struct sim_call *call);
/* What a model would answer; r borrows from q. */
void sim_reply_plan(struct sim *sim, const struct sim_request *q, struct sim_reply *r);

/* sim_batch.c: files and batches; false: the path is none of theirs. */
bool sim_batch_route(struct sim *sim, struct evhttp_request *http, const char *path);
void sim_batches_free(struct sim_batches *b); /* accepts NULL */

/* sim_answer.c */
void sim_answer_refusal(struct sim_call *call, const struct sim_refusal *r, int64_t wait_us,
                        enum sim_outcome outcome);
void sim_answer_step(evutil_socket_t fd, short what, void *arg); /* the timer's callback */
/* For routes without a call. */
void sim_send_json(struct evhttp_request *http, int status, const char *body, size_t len);

/* sim_admin.c */
void sim_admin(struct sim *sim, struct evhttp_request *http, const char *path);

#endif
