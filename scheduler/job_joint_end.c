#include "scheduler/job_joint_internal.h"

#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BACK_MS 1000 /* until the others are queued again, when the first one's lease was lost */

/* ---- the end of each */

struct ending {
    enum ticket_state state;
    struct store_field fields[STORE_MAX_FIELDS];
    size_t count;
};

static void add_field(struct ending *e, const char *name, const char *value, size_t len)
{
    e->fields[e->count++] = (struct store_field){name, value ? value : "", len};
}

static void add_number(struct ending *e, const char *name, char text[JOINT_NUMBER_BYTES],
                       int64_t value)
{
    (void)snprintf(text, JOINT_NUMBER_BYTES, "%" PRId64, value);
    add_field(e, name, text, strlen(text));
}

/* Its own part of the answer, into t->text and t->usage, which hold it until it is settled. */
static bool add_answer(struct joint *t, size_t i, struct ending *e)
{
    const struct wire_usage *u = &t->share[i];
    char cost[CALL_COST_BYTES];
    buf_clear(&t->text);
    buf_clear(&t->usage);
    if (joint_answer_write(&t->answer, i, u, &t->text) < 0)
        return false;
    add_field(e, "dc", "batched", 7);
    add_field(e, "rc", "200", 3);
    add_field(e, "rs", t->text.data, t->text.len);
    add_number(e, "jn", t->number[1], (int64_t)t->count);
    if (u->known &&
        buf_addf(&t->usage,
                 "{\"input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64
                 ",\"cached_tokens\":%" PRId64 ",\"cost_usd\":%s}",
                 u->input, u->output, u->cache_read, call_cost_of(t->call, u, cost)) == 0)
        add_field(e, "us", t->usage.data, t->usage.len);
    return true;
}

/* How it ends, or goes back: with its key when the joint request may be made again, else alone. */
static void decide(struct joint *t, size_t i, struct ending *e)
{
    struct member *m = t->member[i];
    int64_t tried = call_tries(t->call) - t->member[0]->past.tries;
    const char *explained = call_explain(t->call);
    *e = (struct ending){.state = TICKET_QUEUED};
    add_number(e, "tr", t->number[0], m->past.tries + (t->again ? tried : 0));
    add_field(e, "xp", explained, strlen(explained));
    if (m->cancelled) {
        e->state = TICKET_CANCELLED;
        return;
    }
    if (t->again)
        return;
    if (t->read && t->answer.item[i].at && add_answer(t, i, e)) {
        e->state = TICKET_DONE;
        return;
    }
    add_field(e, "bk", "", 0);
}

/* The joint call is not counted itself. */
static void count_done(struct joint *t, const struct member *m, enum ticket_state state)
{
    struct pool_stats *stats = pool_agent_stats(t->agent);
    if (state != TICKET_DONE)
        return;
    pool_stats_add(stats, COUNT_batched, 1);
    pool_stats_add(stats, COUNT_succeeded, 1);
    pool_stats_wait(stats, m->past.queue_ms);
}

static void settle_rider(struct joint *t, size_t i)
{
    struct member *m = t->member[i];
    struct ending e;
    decide(t, i, &e);
    struct store_outcome o = {.id = m->grant.id,
                              .fence = m->grant.fence,
                              .state = e.state,
                              .delay_ms = t->again ? t->delay_ms : 0,
                              .unsent = true, /* the first one's ticket is charged for all */
                              .fair_actual = -1,
                              .fields = e.fields,
                              .field_count = e.count};
    count_done(t, m, e.state);
    pool_agent_settle(t->agent, &o, NULL, NULL);
}

/* The first one is settled: now the others, then it is over. */
static void finish(struct joint *t)
{
    for (size_t i = 1; i < t->count; i++)
        settle_rider(t, i);
    job_joint_free(t);
}

/* ---- the joint request */

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    (void)arg;
    (void)eta_ms;
    (void)binding;
}

static void on_start(void *arg)
{
    (void)arg;
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct joint *t = arg;
    (void)buf_add(&t->reply, bytes, len);
}

static void read_answer(struct joint *t)
{
    int64_t text[JOINT_MAX_ITEMS];
    joint_answer_read(t->member[0]->spec.endpoint, t->reply.data ? t->reply.data : "", t->reply.len,
                      &t->names, t->count, &t->answer);
    for (size_t i = 0; i < t->count; i++)
        text[i] = t->member[i]->item.text_bytes;
    joint_answer_share(&t->answer, call_usage(t->call), text, t->share);
    t->read = true;
}

static void count_joint(struct joint *t)
{
    struct pool_stats *stats = pool_agent_stats(t->agent);
    int64_t items = (int64_t)t->count, alone = items - (int64_t)t->answer.good;
    pool_stats_add(stats, COUNT_joint_requests, 1);
    pool_stats_add(stats, COUNT_joint_items, items);
    pool_stats_add(stats, COUNT_joint_alone, alone);
    t->kind->requests++;
    t->kind->items += items;
    t->kind->alone += alone;
    joint_breaker_note(&t->kind->breaker, t->settings.most, items, alone);
}

/* What becomes of the first one's ticket: the call knows only of the joint request. */
static enum ticket_state on_verdict(void *arg, enum ticket_state state, int64_t delay_ms)
{
    struct joint *t = arg;
    struct ending e;
    t->again = state == TICKET_QUEUED || state == TICKET_CANCELLED;
    t->delay_ms = state == TICKET_QUEUED ? delay_ms : 0;
    t->judged = true;
    if (t->again)
        return state;
    if (state == TICKET_DONE)
        read_answer(t);
    count_joint(t);
    decide(t, 0, &e);
    count_done(t, t->member[0], e.state);
    return e.state;
}

static size_t on_result(void *arg, const struct call_failure *failure, struct store_field *out)
{
    struct joint *t = arg;
    struct ending e;
    (void)failure;
    decide(t, 0, &e);
    for (size_t i = 0; i < e.count; i++)
        out[i] = e.fields[i];
    return e.count;
}

static void log_end(const struct joint *t, const char *what)
{
    char status[LOG_NUMBER_BYTES], size[LOG_NUMBER_BYTES], good[LOG_NUMBER_BYTES];
    log_write(LOG_INFO, what, "job", t->member[0]->grant.id, "model", call_model(t->call), "status",
              log_number(status, call_status(t->call)), "items",
              log_number(size, (int64_t)t->count), "answered",
              log_number(good, (int64_t)t->answer.good), NULL);
}

static void on_end(void *arg)
{
    struct joint *t = arg;
    log_end(t, "joint jobs ended");
    finish(t);
}

static void on_fail(void *arg, const struct call_failure *failure)
{
    struct joint *t = arg;
    if (!t->judged) { /* its lease was lost, without a settle */
        t->again = true;
        t->delay_ms = BACK_MS;
    }
    if (failure)
        log_end(t, failure->message);
    finish(t);
}

const struct call_sink job_joint_sink = {
    .queued = on_queued,
    .start = on_start,
    .data = on_data,
    .end = on_end,
    .fail = on_fail,
    .result = on_result,
    .verdict = on_verdict,
};
