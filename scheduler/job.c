#include "scheduler/job_internal.h"

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/trace.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESUBMIT_MS 250
#define MOST_TRIES  20 /* a submit is repeated over an outage of 5 s */
/* Of the index behind the last job: one may wait a month for its deadline. */
#define INDEX_TTL_MS           (INT64_C(31) * 86400000)
#define NUMBER_BYTES           24
#define CUT_BYTES              1024
#define FINGERPRINT_TEXT_BYTES 512

/* One job on its way into the queue. */
struct submission {
    struct list link;
    struct jobs *jobs;
    struct call *call; /* never started: it has read, routed and priced the request */
    char id[TICKET_ID_BYTES], retry_of[TICKET_ID_BYTES];
    char *metadata, *key, *webhook;
    char trace[TRACE_PARENT_BYTES];
    const char *body; /* that is kept: as it came, or with less in it; the call's */
    size_t body_len;
    struct buf cut; /* how it was cut, JSON; empty: it was not */
    char fingerprint[DIGEST_HEX_BYTES];
    char group[GROUP_ID_BYTES];        /* "" none */
    char batch[BATCH_GROUP_BYTES + 1]; /* with batchable */
    char joint[JOINT_KEY_BYTES];       /* "": it goes alone */
    bool batchable;
    int64_t deadline_ms, created_us;
    struct event *again;
    int tries;
    struct redis_asker asker;
    int64_t copies;       /* of the accepted job beside the first, as confirmed */
    uint64_t claim_stamp; /* 0: none */
    bool claimed, replayed, never_shrink;
    job_fn fn;
    void *arg;
};

struct jobs *jobs_new(struct scheduler *s)
{
    struct jobs *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    j->scheduler = s;
    list_init(&j->watches);
    list_init(&j->runs);
    list_init(&j->submissions);
    list_init(&j->strays);
    list_init(&j->joints);
    scheduler_on_job(s, job_run, job_run_cancel, j);
    return j;
}

void jobs_use_board(struct jobs *j, struct joint_board *board)
{
    j->board = board;
}

void jobs_stop(struct jobs *j)
{
    j->stopped = true;
    scheduler_on_job(j->scheduler, NULL, NULL, NULL);
    job_runs_drop(j);
    job_joints_drop(j);
}

size_t jobs_running(const struct jobs *j)
{
    return j->running;
}

/* ---- submit */

static void submission_free(struct submission *s)
{
    list_remove(&s->link);
    if (s->call)
        call_discard(s->call);
    if (s->again)
        event_free(s->again);
    buf_release(&s->cut);
    free(s->metadata);
    free(s->webhook);
    free(s->key);
    free(s);
}

static void refused(struct submission *s, const struct call_failure *f)
{
    s->fn(s->arg, NULL, false, f);
    submission_free(s);
}

void jobs_free(struct jobs *j)
{
    struct call_failure f;
    if (!j)
        return;
    jobs_stop(j);
    job_storage_failed(&f, REDIS_DOWN);
    while (!list_is_empty(&j->submissions))
        refused(LIST_ITEM(j->submissions.next, struct submission, link), &f);
    while (!list_is_empty(&j->watches))
        list_remove(j->watches.next);
    job_strays_free(j);
    free(j);
}

static struct pool_agent *agent_of(const struct submission *s)
{
    return call_pool(s->call)->agent;
}

static enum config_durability durability(const struct submission *s)
{
    return scheduler_plan(s->jobs->scheduler)->config->jobs.durability;
}

/* The same id again: when the first one arrived after all, it is known. */
static bool comes_again(struct submission *s, enum redis_status status)
{
    struct timeval tv = {.tv_usec = RESUBMIT_MS * 1000};
    return redis_status_passes(status) && !s->jobs->stopped && ++s->tries < MOST_TRIES &&
           evtimer_add(s->again, &tv) == 0;
}

static void on_record(void *arg, const struct job_record *record, bool replayed,
                      const struct call_failure *failure)
{
    static const char *const words[] = {[CONFIG_EVERYSEC] = "everysec",
                                        [CONFIG_ALWAYS] = "always",
                                        [CONFIG_REPLICATED] = "replicated"};
    struct submission *s = arg;
    (void)replayed;
    if (record) {
        struct job_record told = *record;
        told.durability = words[durability(s)];
        told.replicas = durability(s) == CONFIG_REPLICATED ? s->copies : 0;
        s->fn(s->arg, &told, s->replayed, failure);
    } else if (strcmp(failure->code, JOB_NO_STORAGE) == 0 && comes_again(s, REDIS_LOST)) {
        return; /* accepted, and the look at it was lost: the same id is known then */
    } else {
        s->fn(s->arg, NULL, s->replayed, failure);
    }
    submission_free(s);
}

/* What a job is refused for: as a call, for the same limits. */
static void explain(struct submission *s, const struct store_turn *turn, struct call_failure *f)
{
    const struct store_pool *p = pool_agent_pool(agent_of(s));
    struct store_ticket t;
    call_ticket(s->call, &t);
    if (turn->submit == SUBMIT_TOO_LARGE) {
        call_failure_too_large(f, t.tenant, p, t.cost, turn);
    } else if (turn->submit == SUBMIT_TENANT_FULL) {
        call_failure_tenant_full(f, t.tenant, p->id, turn);
    } else {
        call_failure_set(f, 503, "queue_full",
                         "The queue of %s is full: %" PRId64 " tickets wait in it "
                         "(queue.max_depth). Try again later.",
                         p->id, turn->queued);
        f->retry_after_ms = 5000;
    }
}

static void submit(struct submission *s);

static void pass_on(const struct submission *s, const struct store_grant *grant)
{
    struct store_outcome o = {.id = grant->id,
                              .fence = grant->fence,
                              .state = TICKET_QUEUED,
                              .unsent = true,
                              .fair_actual = -1};
    pool_agent_settle(agent_of(s), &o, NULL, NULL);
}

static void not_safe(const struct submission *s, int64_t copies, struct call_failure *f)
{
    const struct config *c = scheduler_plan(s->jobs->scheduler)->config;
    bool disk = c->jobs.durability == CONFIG_ALWAYS;
    call_failure_set(f, 503, "not_durable",
                     "The job was stored, but %" PRId64 " of %" PRId64
                     " %s confirmed it in time: it may run or be lost, nobody knows yet. Submit it "
                     "again; with the same Idempotency-Key it is not done twice.",
                     copies, disk ? 1 : c->jobs.replicas, disk ? "disks" : "replicas");
    f->retry_after_ms = 1000;
}

/* Only now the submit may be answered: before, a failover could lose what was promised. */
static void on_confirmed(void *arg, enum redis_status status, int64_t copies)
{
    struct submission *s = arg;
    const struct config *c = scheduler_plan(s->jobs->scheduler)->config;
    struct call_failure f;
    if (comes_again(s, status))
        return;
    int64_t wanted = durability(s) == CONFIG_REPLICATED ? c->jobs.replicas : 0;
    if (durability(s) == CONFIG_ALWAYS)
        wanted = pool_store_confirms(scheduler_options(s->jobs->scheduler)->store);
    if (status != REDIS_OK || copies < wanted) {
        not_safe(s, copies, &f);
        refused(s, &f);
        return;
    }
    struct store_ticket t;
    s->copies = copies;
    call_ticket(s->call, &t);
    job_look(s->jobs, pool_agent_pool(agent_of(s)), t.tenant, s->id, on_record, s);
}

static void on_submitted(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct submission *s = arg;
    struct call_failure f;
    if (comes_again(s, turn->status))
        return;
    if (turn->status != REDIS_OK) {
        job_storage_failed(&f, turn->status);
        refused(s, &f);
        return;
    }
    if (turn->submit == SUBMIT_TOO_LARGE || turn->submit == SUBMIT_FULL ||
        turn->submit == SUBMIT_TENANT_FULL) {
        pool_stats_add(pool_agent_stats(agent_of(s)), COUNT_refused, 1);
        explain(s, turn, &f);
        refused(s, &f);
        return;
    }
    if (turn->submit == SUBMIT_GRANTED) {
        struct store_grant grant = {.fence = turn->fence, .seq = turn->seq, .is_job = true};
        (void)snprintf(grant.id, sizeof(grant.id), "%s", s->id);
        /* The fast path of submit grants whatever this instance has room for. */
        if (scheduler_job_room(s->jobs->scheduler) > 0)
            job_run(s->jobs, agent_of(s), &grant);
        else
            pass_on(s, &grant);
    }
    if (s->claim_stamp != 0 && s->claim_stamp != turn->stamp) {
        if (comes_again(s, REDIS_LOST))
            return;
        job_storage_failed(&f, REDIS_LOST);
        refused(s, &f);
        return;
    }
    struct pool_store *store = scheduler_options(s->jobs->scheduler)->store;
    pool_store_confirm(store, pool, turn->stamp, &s->asker, on_confirmed, s);
}

static struct store_field field(const char *name, const char *value, size_t len)
{
    return (struct store_field){name, value, len};
}

static void submit(struct submission *s)
{
    struct store_ticket t;
    struct store_field fields[STORE_MAX_FIELDS];
    char created[NUMBER_BYTES], input[NUMBER_BYTES];
    char trimmed[NUMBER_BYTES], group[GROUP_KEY_BYTES];
    size_t n = 0;
    const char *path = wire_path(call_endpoint(s->call));

    call_ticket(s->call, &t);
    (void)snprintf(created, sizeof(created), "%" PRId64, s->created_us);
    (void)snprintf(input, sizeof(input), "%" PRId64, call_input_estimate(s->call));
    fields[n++] = field("ep", path, strlen(path));
    fields[n++] = field("rq", s->body, s->body_len);
    fields[n++] = field("ten", t.tenant, strlen(t.tenant));
    fields[n++] = field("mdl", call_model(s->call), strlen(call_model(s->call)));
    fields[n++] = field("cr", created, strlen(created));
    fields[n++] = field("in", input, strlen(input));
    fields[n++] = field("tr", "0", 1);
    if (s->cut.len > 0) {
        (void)snprintf(trimmed, sizeof(trimmed), "%" PRId64, call_trimmed(s->call));
        fields[n++] = field("tt", trimmed, strlen(trimmed));
        fields[n++] = field("ct", s->cut.data, s->cut.len);
    }
    if (call_is_shrunk(s->call))
        fields[n++] = field("sh", "1", 1);
    if (*call_models(s->call))
        fields[n++] = field("ml", call_models(s->call), strlen(call_models(s->call)));
    if (*s->retry_of)
        fields[n++] = field("ry", s->retry_of, strlen(s->retry_of));
    if (*s->trace)
        fields[n++] = field("tp", s->trace, strlen(s->trace));
    if (*call_key(s->call))
        fields[n++] = field("ky", call_key(s->call), strlen(call_key(s->call)));
    if (s->metadata)
        fields[n++] = field("md", s->metadata, strlen(s->metadata));
    if (*s->joint) {
        fields[n++] = field("bk", s->joint, strlen(s->joint));
        fields[n++] = field("bg", s->batch, strlen(s->batch));
    }
    if (*s->group) {
        key_group(t.tenant, s->group, group);
        t.group = group;
        fields[n++] = field("gi", s->group, strlen(s->group));
    }
    if (s->webhook)
        fields[n++] = field("wh", s->webhook, strlen(s->webhook));
    t.id = s->id;
    t.is_job = true;
    t.deadline_in_ms = s->deadline_ms;
    t.fields = fields;
    t.field_count = n;

    t.listed_us = s->created_us;
    t.listed_ttl_ms = pool_agent_pool(agent_of(s))->finished_ttl_ms + INDEX_TTL_MS;
    pool_agent_submit(agent_of(s), &t, on_submitted, s);
}

/* Someone holds the key: the same request gets the job it made, another one is refused. When the
 * job is not there (a crash between claim and submit) it is submitted now under the id claimed. */
static void on_claimed(void *arg, enum redis_status status, const char *existing_id, bool same)
{
    struct submission *s = arg;
    struct call_failure f;
    s->claim_stamp = job_store_claim_stamp(scheduler_options(s->jobs->scheduler)->jobs);
    if (s->tries > 0 && comes_again(s, status))
        return;
    if (status != REDIS_OK) {
        job_storage_failed(&f, status);
        refused(s, &f);
        return;
    }
    if (!same) {
        call_failure_set(
            &f, 422, "idempotency_key_reused",
            "This Idempotency-Key was used with another request; use a new key for a new "
            "request.");
        refused(s, &f);
        return;
    }
    if (existing_id) {
        s->replayed = true;
        (void)snprintf(s->id, sizeof(s->id), "%s", existing_id);
    }
    submit(s);
}

static void claim(struct submission *s)
{
    struct store_ticket t;
    call_ticket(s->call, &t);
    struct job_claim c = {
        .tenant = t.tenant,
        .key = s->key,
        .fingerprint = s->fingerprint,
        .id = s->id,
        .ttl_ms = pool_agent_pool(agent_of(s))->finished_ttl_ms,
    };
    job_store_claim(scheduler_options(s->jobs->scheduler)->jobs, &c, on_claimed, s);
}

static void go_on(struct submission *s)
{
    if (s->key)
        claim(s);
    else
        submit(s);
}

/* With the key, too: what parted the submit from its answer may be a failover that lost the claim,
 * and whoever repeats the request would make a second job. */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    go_on(arg);
}

static void no_sink(void *arg)
{
    (void)arg;
}

static void no_data(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    (void)len;
}

static void no_queue(void *arg, int64_t eta_ms, const char *binding)
{
    (void)arg;
    (void)eta_ms;
    (void)binding;
}

static void no_failure(void *arg, const struct call_failure *f)
{
    (void)arg;
    (void)f;
}

/* Reads, routes and prices the request; the call is thrown away once the ticket is made. */
static struct call *check(struct jobs *j, const struct job_spec *spec, struct call_failure *f)
{
    static const struct call_sink sink = {
        .queued = no_queue, .start = no_sink, .data = no_data, .end = no_sink, .fail = no_failure};
    struct call_spec call = {
        .endpoint = spec->endpoint,
        .body = spec->body,
        .body_len = spec->body_len,
        .tenant = spec->tenant,
        .weight = spec->weight,
        .models = spec->models,
        .key = spec->key,
        .class = spec->class,
        .class_given = spec->class_given,
        .is_job = true,
        .trim = spec->trim,
        .never_shrink = spec->never_shrink,
        .deadline_ms = spec->deadline_ms,
    };
    struct call *c = call_new(j->scheduler, &call, &sink, NULL, f);
    if (c && call_is_stream(c)) {
        call_failure_set(
            f, 400, "invalid_value",
            "A job's answer is fetched whole: leave stream out of its body, or send the "
            "request to %s itself.",
            wire_path(spec->endpoint));
        f->param = "body.stream";
        call_discard(c);
        c = NULL;
    }
    return c;
}

/* Of all that the request says: under one key, the same body for another endpoint, priority or
 * deadline, or to be trimmed in another way, is another request. */
static void take_fingerprint(struct submission *s, const struct job_spec *spec, const char *body,
                             size_t len)
{
    char of_body[DIGEST_HEX_BYTES], of_metadata[DIGEST_HEX_BYTES], text[FINGERPRINT_TEXT_BYTES];
    const char *metadata = spec->metadata ? spec->metadata : "";
    char of_webhook[DIGEST_HEX_BYTES] = "";
    if (spec->webhook && strlen(spec->webhook) > 2) /* "{}" is what is configured */
        digest_hex(spec->webhook, strlen(spec->webhook), of_webhook, DIGEST_HEX_BYTES - 1);
    digest_hex(body, len, of_body, DIGEST_HEX_BYTES - 1);
    digest_hex(metadata, strlen(metadata), of_metadata, DIGEST_HEX_BYTES - 1);
    int n =
        snprintf(text, sizeof(text), "%s %s %" PRId64 " %s %s %.*s %d%s", wire_path(spec->endpoint),
                 pool_class_name(spec->class), spec->deadline_ms, of_body, of_metadata,
                 TRIM_NAME_BYTES, spec->trim ? spec->trim : "", spec->never_shrink, of_webhook);
    assert(n > 0 && (size_t)n < sizeof(text));
    digest_hex(text, (size_t)n, s->fingerprint, DIGEST_HEX_BYTES - 1);
}

/* What goes into the record, as the call is now. */
static bool keep(struct submission *s)
{
    buf_clear(&s->cut);
    if (call_keep_body(s->call, &s->body, &s->body_len) < 0 || call_cut_json(s->call, &s->cut) < 0)
        return false;
    if (s->batchable && s->jobs->board)
        job_joint_key(s->call, s->body, s->body_len, s->batch, s->joint);
    return true;
}

/* A look at the pool before the ticket is made, since one that stands in the queue keeps its id,
 * which may be promised to an Idempotency-Key. When nothing is known, it is left to its deadline:
 * it may still be early enough, and ends as expired when it is not. */
static void on_peek(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct submission *s = arg;
    struct call_failure f;
    if (turn->status != REDIS_OK || call_fit_deadline(s->call, turn)) {
        if (keep(s)) {
            go_on(s);
            return;
        }
        call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
        refused(s, &f);
        return;
    }
    if (!s->never_shrink) {
        go_on(s);
        return;
    }
    call_failure_set(&f, 504, "queue_timeout",
                     "This job would not start within its deadline of %" PRId64 " ms: what %s "
                     "holds, or has waiting, is too much.",
                     s->deadline_ms, pool->id);
    refused(s, &f);
}

/* The request is as small as policy has it. */
static void on_ready(void *arg, const struct call_failure *failure)
{
    struct submission *s = arg;
    struct store_look look = {.id = NULL};
    struct call_failure f;
    call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
    if (failure || !keep(s))
        refused(s, failure ? failure : &f);
    else if (s->deadline_ms > 0)
        pool_store_peek(scheduler_options(s->jobs->scheduler)->store, pool_agent_pool(agent_of(s)),
                        &look, on_peek, s);
    else
        go_on(s);
}

static bool fill(struct submission *s, const struct job_spec *spec, size_t body_len,
                 const char *body)
{
    struct jobs *j = s->jobs;
    int64_t now_us = clock_wall_ms() * 1000;
    j->last_created_us = now_us > j->last_created_us ? now_us : j->last_created_us + 1;
    s->created_us = j->last_created_us;
    s->deadline_ms = spec->deadline_ms;
    s->never_shrink = spec->never_shrink;
    s->batchable = spec->batch != NULL;
    (void)snprintf(s->batch, sizeof(s->batch), "%s", spec->batch ? spec->batch : "");
    (void)snprintf(s->group, sizeof(s->group), "%s", spec->group ? spec->group : "");
    key_new_id(pool_agent_pool(agent_of(s))->hash, s->id);
    (void)snprintf(s->retry_of, sizeof(s->retry_of), "%s", spec->retry_of ? spec->retry_of : "");
    s->again = evtimer_new(scheduler_options(j->scheduler)->base, on_again, s);
    (void)snprintf(s->trace, sizeof(s->trace), "%s", spec->trace ? spec->trace : "");
    s->metadata = spec->metadata ? strdup(spec->metadata) : NULL;
    s->key = spec->idempotency_key ? strdup(spec->idempotency_key) : NULL;
    s->webhook = spec->webhook && *spec->webhook ? strdup(spec->webhook) : NULL;
    take_fingerprint(s, spec, body, body_len);
    if (spec->webhook && *spec->webhook && !s->webhook)
        return false;
    return s->again && (!spec->metadata || s->metadata) && (!spec->idempotency_key || s->key);
}

void job_submit(struct jobs *j, const struct job_spec *spec, job_fn fn, void *arg)
{
    struct submission *s = calloc(1, sizeof(*s));
    struct call_failure f;
    size_t len = 0;
    struct call *c = check(j, spec, &f);
    if (!c || !s) {
        if (c)
            call_discard(c);
        if (!s)
            call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
        free(s);
        fn(arg, NULL, false, &f);
        return;
    }
    *s = (struct submission){.jobs = j, .call = c, .fn = fn, .arg = arg};
    buf_init(&s->cut, CUT_BYTES);
    list_add_last(&j->submissions, &s->link);
    const char *body = call_body(c, &len);
    if (!fill(s, spec, len, body)) {
        call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
        refused(s, &f);
        return;
    }
    if (call_is_ready(c))
        on_ready(s, NULL);
    else
        call_make_ready(c, on_ready, s);
}
