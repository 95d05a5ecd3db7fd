#include "scheduler/job_internal.h"

#include "common/log.h"
#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const fields[] = {"ep", "rq", "ten",    "w",  "cl", "tr", "at",
                                     "t0", "t1", "cancel", "bd", "xp", "sh", "ml",
                                     "tp", "ky", "bk",     "bg", "rd", "mdl"};
enum {
    F_EP,
    F_REQUEST,
    F_TENANT,
    F_WEIGHT,
    F_CLASS,
    F_TRIES,
    F_GRANTS,
    F_QUEUED,
    F_STARTED,
    F_CANCEL,
    F_BINDING,
    F_EXPLAINED,
    F_SHRUNK,
    F_MODELS,
    F_TRACE,
    F_KEY,
    F_JOINT,
    F_BATCH,
    F_RIDES,
    F_MODEL,
    F_COUNT
};
_Static_assert(sizeof(fields) / sizeof(fields[0]) == F_COUNT, "one place for each field");
#define PEEK_WORDS 4
#define NOTE_BYTES (2 * KIB)

/* A granted job: its record is fetched, then it runs as a call. */
struct run {
    struct list link;
    struct jobs *jobs; /* NULL: dropped while its record was on the way */
    struct pool_agent *agent;
    struct store_grant grant;
    struct call *call;
    bool cancelled; /* before the call was made */
    struct buf body, error;
    char code[16], tries[16], usage[CALL_USAGE_BYTES];
};

static void run_free(struct run *r)
{
    list_remove(&r->link);
    if (r->jobs) {
        r->jobs->running--;
        scheduler_count_job(r->jobs->scheduler, -1);
    }
    buf_release(&r->body);
    buf_release(&r->error);
    free(r);
}

/* ---- the call's side */

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    (void)arg; /* a job's call is granted before it is made */
    (void)eta_ms;
    (void)binding;
}

static void on_start(void *arg)
{
    (void)arg;
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct run *r = arg;
    (void)buf_add(&r->body, bytes, len); /* bounded as the call's own buffer is */
}

static size_t on_result(void *arg, const struct call_failure *failure, struct store_field *out)
{
    struct run *r = arg;
    size_t n = 0;
    (void)snprintf(r->tries, sizeof(r->tries), "%" PRId64, call_tries(r->call));
    out[n++] = (struct store_field){"tr", r->tries, strlen(r->tries)};
    const char *decision = call_decision(r->call);
    out[n++] = (struct store_field){"dc", decision, strlen(decision)};
    const char *explained = call_explain(r->call);
    out[n++] = (struct store_field){"xp", explained, strlen(explained)};
    if (failure) {
        buf_clear(&r->error);
        (void)buf_addf(&r->error, "{\"status\":%d,\"code\":\"%s\",\"message\":\"", failure->status,
                       failure->code ? failure->code : "");
        (void)buf_add_json(&r->error, failure->message, strlen(failure->message));
        (void)buf_adds(&r->error, "\"}");
        out[n++] = (struct store_field){"er", r->error.data, r->error.len};
        return n;
    }
    if (call_usage_json(r->call, r->usage))
        out[n++] = (struct store_field){"us", r->usage, strlen(r->usage)};
    if (call_status(r->call) > 0) {
        (void)snprintf(r->code, sizeof(r->code), "%d", call_status(r->call));
        out[n++] = (struct store_field){"rc", r->code, strlen(r->code)};
        out[n++] = (struct store_field){"rs", r->body.data ? r->body.data : "", r->body.len};
    }
    return n;
}

static void on_end(void *arg)
{
    struct run *r = arg;
    call_log(r->call, "job ended", call_status(r->call), "");
    run_free(r);
}

static void on_fail(void *arg, const struct call_failure *failure)
{
    struct run *r = arg;
    if (failure)
        call_log(r->call, failure->message, failure->status, "");
    run_free(r);
}

static const struct call_sink sink = {
    .queued = on_queued,
    .start = on_start,
    .data = on_data,
    .end = on_end,
    .fail = on_fail,
    .result = on_result,
};

/* ---- from grant to call */

/* The record cannot be run (its model is no longer configured, it is damaged): the job fails. */
static void fail_run(struct run *r, const struct call_failure *f)
{
    (void)buf_addf(&r->error, "{\"status\":%d,\"code\":\"%s\",\"message\":\"", f->status,
                   f->code ? f->code : "");
    (void)buf_add_json(&r->error, f->message, strlen(f->message));
    (void)buf_adds(&r->error, "\"}");
    struct store_field error = {"er", r->error.data ? r->error.data : "", r->error.len};
    struct store_outcome o = {
        .id = r->grant.id,
        .fence = r->grant.fence,
        .state = TICKET_FAILED,
        .unsent = true,
        .fair_actual = -1,
        .fields = &error,
        .field_count = 1,
    };
    log_write(LOG_WARN, f->message, "job", r->grant.id, NULL);
    pool_agent_settle(r->agent, &o, NULL, NULL);
    run_free(r);
}

/* Not to be run here and now: back to its place, or, when it was cancelled, to its end. */
static void hand_back(struct run *r, enum ticket_state state)
{
    struct store_outcome o = {
        .id = r->grant.id,
        .fence = r->grant.fence,
        .state = state,
        .delay_ms = pool_agent_hand_back_ms(r->agent),
        .unsent = true,
        .fair_actual = -1,
    };
    pool_agent_settle(r->agent, &o, NULL, NULL);
    run_free(r);
}

static const char *text_at(const struct store_turn *turn, int field, size_t *ret_len)
{
    const char *text = reply_text(reply_at(turn->items, PEEK_WORDS + (size_t)field), ret_len);
    return text ? text : "";
}

static int64_t int_at(const struct store_turn *turn, int field, int64_t otherwise)
{
    return reply_int(reply_at(turn->items, PEEK_WORDS + (size_t)field), otherwise);
}

static void start(struct run *r, const struct call_spec *spec, const struct call_past *past)
{
    struct call_failure f;
    r->call = call_new(r->jobs->scheduler, spec, &sink, r, &f);
    if (!r->call && f.code && strcmp(f.code, CALL_MONEY_HELD) == 0)
        hand_back(r, TICKET_QUEUED); /* until what runs has ended and tells what is left */
    else if (!r->call)
        fail_run(r, &f);
    else
        call_start_granted(r->call, &r->grant, past);
}

static void begin(struct run *r, const struct store_turn *turn)
{
    struct call_failure f;
    size_t len = 0;
    const char *body = text_at(turn, F_REQUEST, &len);
    const struct http_header trace = {"traceparent", text_at(turn, F_TRACE, NULL)};
    struct call_spec spec = {
        .tenant = text_at(turn, F_TENANT, NULL),
        .weight = int_at(turn, F_WEIGHT, 1),
        .models = text_at(turn, F_MODELS, NULL),
        .key = text_at(turn, F_KEY, NULL),
        .class = (enum pool_class)int_at(turn, F_CLASS, 1),
        .max_wait_ms = INT64_MAX / 4,
        .headers = &trace,
        .header_count = *trace.value != '\0',
        .is_job = true,
        .prepared = true,
        .was_shrunk = int_at(turn, F_SHRUNK, 0) != 0,
        .pool = scheduler_pool_of(r->jobs->scheduler, r->agent),
        .body = malloc(len + 1),
        .body_len = len,
    };
    if (!spec.body) {
        hand_back(r, TICKET_QUEUED);
        return;
    }
    memcpy(spec.body, body, len);
    spec.body[len] = '\0';
    if (!wire_endpoint_find(text_at(turn, F_EP, NULL), &spec.endpoint)) {
        free(spec.body);
        call_failure_set(&f, 500, "damaged_record", "The job's record names no known endpoint.");
        fail_run(r, &f);
        return;
    }
    struct call_past past = {
        .tries = int_at(turn, F_TRIES, 0),
        .queue_ms = int_at(turn, F_STARTED, 0) - int_at(turn, F_QUEUED, 0),
        .granted = int_at(turn, F_GRANTS, 1) > 1,
        .binding = text_at(turn, F_BINDING, NULL),
    };
    past.explained = text_at(turn, F_EXPLAINED, &past.explained_len);
    const struct job_granted granted = {
        .agent = r->agent,
        .grant = &r->grant,
        .spec = &spec,
        .past = &past,
        .key = text_at(turn, F_JOINT, NULL),
        .batch = text_at(turn, F_BATCH, NULL),
        .model = text_at(turn, F_MODEL, NULL),
        .rides = int_at(turn, F_RIDES, 0) != 0,
    };
    if (*granted.key && job_joint_take(r->jobs, &granted)) {
        run_free(r);
    } else if (granted.rides) {
        free(spec.body); /* the batch that took it along is gone: no request was charged for it */
        hand_back(r, TICKET_QUEUED);
    } else {
        start(r, &spec, &past);
    }
}

static void on_record(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct run *r = arg;
    (void)pool;
    if (!r->jobs)
        run_free(r); /* the service stops: the lease ends by itself */
    else if (turn->status != REDIS_OK)
        hand_back(r, r->cancelled ? TICKET_CANCELLED : TICKET_QUEUED);
    else if (strcmp(turn->result, "running") != 0 || int_at(turn, F_GRANTS, 0) != r->grant.fence)
        run_free(r); /* taken back meanwhile, and perhaps granted anew */
    else if (r->cancelled || int_at(turn, F_CANCEL, 0) != 0)
        hand_back(r, TICKET_CANCELLED);
    else if (scheduler_is_draining(r->jobs->scheduler))
        hand_back(r, TICKET_QUEUED); /* nothing was sent: another instance starts it sooner */
    else
        begin(r, turn);
}

static struct run *run_new(struct jobs *j, struct pool_agent *agent,
                           const struct store_grant *grant)
{
    struct run *r = calloc(1, sizeof(*r));
    if (!r) {
        log_write(LOG_ERROR, "no memory to run a job; its lease will end", "job", grant->id, NULL);
        return NULL;
    }
    *r = (struct run){.jobs = j, .agent = agent, .grant = *grant};
    buf_init(&r->body, UPSTREAM_MAX_BODY_BYTES);
    buf_init(&r->error, NOTE_BYTES);
    list_init(&r->link);
    list_add_last(&j->runs, &r->link);
    j->running++;
    scheduler_count_job(j->scheduler, 1);
    return r;
}

void job_run_alone(struct jobs *j, const struct job_granted *g)
{
    struct run *r = run_new(j, g->agent, g->grant);
    if (r)
        start(r, g->spec, g->past);
    else
        free(g->spec->body);
}

void job_run(void *arg, struct pool_agent *agent, const struct store_grant *grant)
{
    struct jobs *j = arg;
    struct run *r = run_new(j, agent, grant);
    if (!r)
        return;
    struct store_look look = {r->grant.id, fields, F_COUNT, NULL};
    pool_store_peek(scheduler_options(j->scheduler)->store, pool_agent_pool(agent), &look,
                    on_record, r);
}

void job_run_cancel(void *arg, const char *id)
{
    struct jobs *j = arg;
    for (struct list *at = j->runs.next; at != &j->runs; at = at->next) {
        struct run *r = LIST_ITEM(at, struct run, link);
        if (strcmp(r->grant.id, id) == 0)
            r->cancelled = true;
    }
    job_joint_cancel(j, id);
}

/* Calls are cancelled without a settle of their jobs: those go back by their leases. */
void job_runs_drop(struct jobs *j)
{
    for (struct list *at = j->runs.next, *next; at != &j->runs; at = next) {
        struct run *r = LIST_ITEM(at, struct run, link);
        next = at->next;
        list_remove(at);
        r->jobs = NULL;
        if (r->call) {
            call_abandon(r->call);
            run_free(r);
        }
    }
    j->running = 0;
}
