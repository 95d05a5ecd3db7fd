#include "api/simulate/sim_core.h"

#include "api/simulate/sim_joint.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#define MILLION 1000000

static const char *header(const struct sim_call *call, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(call->http), name);
}

/* ---- life */

static void unlink_call(struct sim_call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        call->sim->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
}

void sim_call_free(struct sim_call *call)
{
    if (call->connection)
        evhttp_connection_set_closecb(call->connection, NULL, NULL);
    if (call->timer)
        event_free(call->timer);
    if (call->closed)
        event_free(call->closed);
    unlink_call(call);
    sim_scripted_free(call->scripted);
    sim_request_release(&call->request);
    free(call);
}

/* Gives back what was reserved and not used, where the provider does so. */
static void settle(struct sim_call *call, int64_t now_us)
{
    int64_t output = call->units_sent * sim_reply_unit_tokens(&call->reply);
    bool refund = call->sim->options.settle_refund && call->request.endpoint != SIM_MESSAGES;
    int64_t used = call->request.input_tokens + output;
    for (size_t i = 0; i < call->scope_count; i++) {
        struct sim_limit *limits = call->scopes[i]->limits;
        if (refund) {
            sim_limit_refund(&limits[SIM_TPM], call->cost.charge[SIM_TPM] - used, call->started_us,
                             now_us);
            sim_limit_refund(&limits[SIM_TPD], call->cost.charge[SIM_TPD] - used, call->started_us,
                             now_us);
        }
        sim_limit_refund(&limits[SIM_ITPM], call->reply.cached_tokens, call->started_us, now_us);
    }
}

void sim_call_end(struct sim_call *call, int status, enum sim_outcome outcome)
{
    int64_t now_us = sim_now_us();
    struct sim_call_record *record = sim_ledger_find(&call->sim->ledger, call->seq);
    if (call->admitted) {
        settle(call, now_us);
        sim_leave(call->scopes, call->scope_count);
    }
    sim_tally_ended(&call->tallies, outcome, call->admitted);
    if (record) {
        record->status = status;
        record->outcome = outcome;
        record->output_tokens = call->units_sent * sim_reply_unit_tokens(&call->reply);
        record->duration_ms = (now_us - call->started_us) / 1000;
    }
    sim_call_free(call);
}

/* The connection is being freed by evhttp. A request that it has let go is ours to free. */
static void on_connection_closed(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    struct sim_call *call = arg;
    if (!evhttp_request_get_connection(call->http))
        evhttp_request_free(call->http);
    call->connection = NULL;
    sim_call_end(call, 0, SIM_GONE);
}

/* evhttp itself does not look for the end of input while an answer is open. */
static void on_client_left(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sim_call *call = arg;
    evhttp_connection_free(call->connection); /* ends the call by on_connection_closed() */
}

static struct sim_call *call_new(struct sim *sim, struct evhttp_request *http)
{
    struct sim_call *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    call->sim = sim;
    call->http = http;
    call->connection = evhttp_request_get_connection(http);
    struct bufferevent *bev = evhttp_connection_get_bufferevent(call->connection);
    call->timer = event_new(sim->base, -1, 0, sim_answer_step, call);
    call->closed = event_new(sim->base, bufferevent_getfd(bev), EV_CLOSED, on_client_left, call);
    call->next = sim->calls;
    if (sim->calls)
        sim->calls->prev = call;
    sim->calls = call;
    if (!call->timer || !call->closed) {
        call->connection = NULL;
        sim_call_free(call);
        return NULL;
    }
    evhttp_connection_set_closecb(call->connection, on_connection_closed, call);
    (void)event_add(call->closed, NULL);
    return call;
}

/* ---- who and what */

static void read_key(struct sim_call *call)
{
    const char *bearer = header(call, "authorization");
    const char *key = header(call, "x-api-key");
    if (!key)
        key = header(call, "api-key");
    if (!key && bearer && strncasecmp(bearer, "bearer ", 7) == 0)
        key = bearer + 7;
    call->key = key && *key ? sim_hash(key, strlen(key)) : 0;
    if (call->key)
        (void)snprintf(call->key_name, sizeof(call->key_name), "%016" PRIx64, call->key);
    else
        (void)snprintf(call->key_name, sizeof(call->key_name), "none");
}

static bool authorized(const struct sim_call *call)
{
    const char *wanted = call->sim->options.require_key;
    return !*wanted || call->key == sim_hash(wanted, strlen(wanted));
}

static void find_scopes(struct sim_call *call, int64_t now_us)
{
    struct sim *sim = call->sim;
    const char *model = call->request.model;
    if (call->request.endpoint == SIM_COUNT_TOKENS)
        return;
    const struct sim_rule *rule = sim_options_model_rule(&sim->options, model);
    call->scopes[call->scope_count++] =
        sim_scope_of(sim, rule, *rule->model ? rule->model : model, now_us);

    /* A rule names its key as the caller sends it; the scope shows its hash. */
    const char *key = header(call, "x-api-key");
    const char *bearer = header(call, "authorization");
    if (!key && bearer && strncasecmp(bearer, "bearer ", 7) == 0)
        key = bearer + 7;
    rule = sim_options_key_rule(&sim->options, model, key ? key : "");
    if (!rule)
        return;
    char name[SIM_NAME_BYTES];
    (void)snprintf(name, sizeof(name), "%.80s%skey:%s", rule->model, *rule->model ? "/" : "",
                   call->key_name);
    call->scopes[call->scope_count++] = sim_scope_of(sim, rule, name, now_us);
}

static void write_record(struct sim_call *call, struct sim_call_record *record)
{
    const struct sim_request *q = &call->request;
    const char *request_id = header(call, "x-request-id");
    (void)snprintf(record->request_id, sizeof(record->request_id), "%s",
                   request_id ? request_id : "");
    (void)snprintf(record->id, sizeof(record->id), "%s", *q->id ? q->id : record->request_id);
    (void)snprintf(record->model, sizeof(record->model), "%s", q->model ? q->model : "");
    record->key = call->key;
    record->body_hash = q->body_hash;
    record->endpoint = (int)q->endpoint;
    record->stream = q->stream;
    record->input_tokens = q->input_tokens;
}

/* ---- what will be answered */

static int64_t output_of(const struct sim_options *o, const struct sim_request *q)
{
    if (q->endpoint == SIM_EMBEDDINGS || q->endpoint == SIM_COUNT_TOKENS)
        return 0;
    if (q->steer.output >= 0)
        return q->steer.output < SIM_MAX_OUTPUT_TOKENS ? q->steer.output : SIM_MAX_OUTPUT_TOKENS;
    uint64_t span = (uint64_t)(o->output_max - o->output_min) + 1;
    struct rand rand;
    rand_seed(&rand, q->body_hash ^ o->seed);
    return o->output_min + (int64_t)(rand_next(&rand) % span);
}

/* A model that obeys: no call where the choice is none, one where they may not be parallel. */
static int64_t allowed_calls(const struct sim_request *q)
{
    const json_t *choice = json_object_get(q->body, "tool_choice");
    const char *kind = json_string_value(choice);
    int64_t calls = q->steer.tool_calls > 0 ? q->steer.tool_calls : 0;
    if (!kind)
        kind = json_string_value(json_object_get(choice, "type"));
    if (q->steer.unruly)
        return calls;
    if (kind && strcmp(kind, "none") == 0)
        return 0;
    bool single = json_is_true(json_object_get(choice, "disable_parallel_tool_use")) ||
                  json_is_false(json_object_get(q->body, "parallel_tool_calls"));
    return single && calls > 1 ? 1 : calls;
}

/* Only what is answered whole and to one choice. */
static void plan_joint(const struct sim_options *o, const struct sim_request *q,
                       struct sim_reply *r)
{
    r->joint = (q->endpoint == SIM_CHAT || q->endpoint == SIM_MESSAGES) && !q->stream &&
               sim_joint_is(q->body);
    if (!r->joint)
        return;
    r->tool_calls = 0;
    r->joint_drop = o->joint_drop;
    r->joint_garble = o->joint_garble;
    r->joint_seed = o->seed;
}

void sim_reply_plan(struct sim *sim, const struct sim_request *q, struct sim_reply *r)
{
    int64_t output = output_of(&sim->options, q);
    int64_t calls = allowed_calls(q);
    bool has_tools = q->endpoint != SIM_EMBEDDINGS && q->endpoint != SIM_COMPLETIONS;
    *r = (struct sim_reply){
        .endpoint = q->endpoint,
        .model = q->model,
        .body = q->body,
        .number = ++sim->numbers,
        .created_s = clock_wall_ms() / 1000,
        .input_tokens = q->input_tokens,
        .cached_tokens = q->steer.cached > 0 ? q->steer.cached : 0,
        .choices = q->endpoint == SIM_CHAT || q->endpoint == SIM_COMPLETIONS ? q->choices : 1,
        .include_usage = q->include_usage,
        .user_hash = q->user_hash,
        .embedding_dims = (size_t)sim->options.embedding_dims,
    };
    (void)snprintf(r->id, sizeof(r->id), "%ssim%016" PRIx64 "%08" PRIx64,
                   sim_reply_id_prefix(q->endpoint), q->body_hash, r->number);
    if (r->cached_tokens > r->input_tokens)
        r->cached_tokens = r->input_tokens;
    r->tool_calls = !has_tools ? 0 : calls < SIM_MAX_TOOL_CALLS ? calls : SIM_MAX_TOOL_CALLS;
    plan_joint(&sim->options, q, r);
    if (r->joint)
        output = sim_joint_tokens(r);
    r->cut_by_max = q->max_tokens >= 0 && output > q->max_tokens && r->tool_calls == 0;
    r->output_tokens = r->cut_by_max       ? q->max_tokens
                       : r->tool_calls > 0 ? r->tool_calls * SIM_TOOL_CALL_TOKENS
                                           : output;
}

/* Errors by chance come from the simulator's own sequence, not from the request's hash:
 * a retry of the same body must be able to succeed. */
static void plan_fault(struct sim_call *call)
{
    struct sim *sim = call->sim;
    int64_t dice = rand_below(&sim->rand, MILLION);
    for (int i = 0; i < sim->options.fault_count; i++) {
        const struct sim_fault *fault = &sim->options.faults[i];
        dice -= fault->per_million;
        if (dice >= 0)
            continue;
        if (fault->kind == SIM_FAULT_STATUS) {
            call->plan = SIM_PLAN_ERROR;
            sim_status_refusal(call->profile, fault->status, &call->refusal);
        } else if (fault->kind == SIM_FAULT_DISCONNECT) {
            call->plan = SIM_PLAN_CLOSE;
        } else if (fault->kind == SIM_FAULT_STALL) {
            call->plan = SIM_PLAN_STALL;
        } else {
            call->cut_after = sim_reply_units(&call->reply) / 2;
        }
        return;
    }
}

static int64_t plan_delay_us(const struct sim_call *call)
{
    const struct sim_steer *steer = &call->request.steer;
    int64_t latency_ms = steer->latency_ms >= 0 ? steer->latency_ms : call->sim->options.latency_ms;
    int64_t delay_us = latency_ms * 1000;
    if (call->plan == SIM_PLAN_SCRIPTED)
        return call->scripted->delay_ms * 1000;
    if (call->plan == SIM_PLAN_ANSWER && !call->request.stream)
        delay_us += call->reply.output_tokens * call->us_per_token;
    return delay_us;
}

static void plan(struct sim_call *call)
{
    const struct sim_steer *steer = &call->request.steer;
    sim_reply_plan(call->sim, &call->request, &call->reply);
    call->cut_after = steer->cut_after;
    call->stall_after = steer->stall_after;
    call->error_after = steer->error_after;
    call->us_per_token =
        steer->ms_per_token >= 0 ? steer->ms_per_token * 1000 : call->sim->options.us_per_token;
    call->scripted = sim_script_take(&call->sim->script, sim_endpoint_path(call->request.endpoint));
    if (call->scripted) {
        call->plan = call->scripted->disconnect ? SIM_PLAN_CLOSE : SIM_PLAN_SCRIPTED;
    } else if (steer->status >= 400 && steer->status <= 599) {
        call->plan = SIM_PLAN_ERROR;
        sim_status_refusal(call->profile, (int)steer->status, &call->refusal);
    } else if (steer->disconnect || steer->stall) {
        call->plan = steer->disconnect ? SIM_PLAN_CLOSE : SIM_PLAN_STALL;
    } else {
        plan_fault(call);
    }
}

static void start_timer(struct sim_call *call)
{
    if (call->plan == SIM_PLAN_STALL)
        return;
    int64_t delay_us = plan_delay_us(call);
    struct timeval delay = {.tv_sec = delay_us / MILLION, .tv_usec = delay_us % MILLION};
    if (delay_us > 0)
        (void)event_add(call->timer, &delay);
    else
        sim_answer_step(-1, 0, call);
}

/* ---- admission */

static void admit(struct sim_call *call, struct sim_call_record *record)
{
    int64_t now_us = call->started_us;
    struct sim_refused why = {.wait_us = 0};
    find_scopes(call, now_us);
    call->cost = sim_request_cost(&call->request, &call->sim->options);
    bool admitted = sim_admit(call->scopes, call->scope_count, &call->cost, now_us, &why);
    sim_rates_take(&call->rates, call->scopes, call->scope_count, now_us, clock_wall_ms());
    if (!admitted) {
        struct sim_refusal refusal;
        sim_limit_refusal(call->profile, call->request.model, &why, &refusal);
        sim_tally_refused(&call->tallies, &why);
        sim_answer_refusal(call, &refusal, why.dim == SIM_CONCURRENCY ? MILLION : why.wait_us,
                           SIM_REFUSED);
        return;
    }
    call->admitted = true;
    record->charged_tokens = call->cost.charge[SIM_TPM];
    sim_tally_admitted(&call->tallies, call->request.input_tokens, call->cost.charge[SIM_TPM],
                       now_us);
    plan(call);
    start_timer(call);
}

/* Tallies need a model's name, which an unreadable body does not have. */
static bool read_request(struct sim_call *call, struct sim_refusal *refusal)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(call->http);
    size_t len = evbuffer_get_length(in);
    const char *body = len ? (const char *)evbuffer_pullup(in, -1) : "";
    if (!body)
        return sim_refuse(refusal, NULL, NULL, "out of memory");
    bool readable = sim_request_read(&call->request, &call->sim->options, body, len,
                                     header(call, "x-sim"), refusal);
    (void)evbuffer_drain(in, len);
    return readable;
}

void sim_call_start(struct sim *sim, struct evhttp_request *http, enum sim_endpoint endpoint)
{
    struct sim_call *call = call_new(sim, http);
    if (!call) {
        sim_send_json(http, 503, "{}", 2);
        return;
    }
    bool anthropic = sim_endpoint_is_anthropic(endpoint);
    struct sim_refusal refusal;
    call->profile = anthropic ? SIM_PROFILE_ANTHROPIC : sim->options.profile;
    call->request.endpoint = endpoint;
    call->started_us = sim_now_us();
    read_key(call);
    struct sim_call_record *record = sim_ledger_call(&sim->ledger, call->started_us);
    call->seq = record->seq;
    bool readable = read_request(call, &refusal);
    write_record(call, record);
    call->tallies = sim_ledger_tallies(&sim->ledger, call->request.model, call->key_name);
    if (!authorized(call)) {
        sim_status_refusal(call->profile, 401, &refusal);
        sim_answer_refusal(call, &refusal, SIM_NEVER, SIM_UNAUTHORIZED);
    } else if (!readable) {
        sim_answer_refusal(call, &refusal, SIM_NEVER, SIM_INVALID);
    } else {
        admit(call, record);
    }
}
