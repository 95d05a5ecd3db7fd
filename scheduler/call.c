#include "scheduler/call_internal.h"
#include "scheduler/call_vectors.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/call_flight.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The only writer of call->state, so one breakpoint or one log line shows it all. */
void call_enter(struct call *c, enum call_state next)
{
    assert(call_state_may_follow(c->state, next));
    if (log_enabled(LOG_DEBUG))
        log_write(LOG_DEBUG, "call", "id", c->held.id, "from", call_state_name(c->state), "to",
                  call_state_name(next), NULL);
    c->state = next;
    c->entered_us = clock_mono_us();
}

void call_arm(struct call *c, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(c->timer, &tv);
}

int64_t call_wait_left_ms(const struct call *c)
{
    int64_t left = c->spec.max_wait_ms - call_queue_ms(c);
    return left > 1 ? left : 1;
}

void call_leave_queue(struct call *c)
{
    if (c->queued_us > 0) {
        c->queue_ms += (clock_mono_us() - c->queued_us) / 1000;
        if (c->state != CALL_JOINED)
            pool_agent_unexpect(c->pool->agent);
    }
    c->queued_us = 0;
    event_del(c->timer);
}

void call_enter_queue(struct call *c)
{
    c->queued_us = clock_mono_us();
    pool_agent_expect(c->pool->agent);
    c->waited = true;
    call_arm(c, call_wait_left_ms(c));
}

/* ---- the end: settle, tell, hand over to the scheduler's grave */

void call_bury(struct call *c)
{
    /* Out of the index first: a grant that comes now must find nobody, and so be given back. */
    scheduler_remove_call(c->sched, c->held.id);
    if (c->home.pool)
        scheduler_remove_call(c->sched, c->home.held.id);
    call_drop_order(c);
    if (c->submitting)
        return; /* the answer of the submit buries it */
    event_del(c->timer);
    scheduler_bury(c->sched, &c->grave);
}

static void stop_transfer(struct call *c)
{
    if (c->transfer && !c->transfer_done)
        http_transfer_cancel(c->transfer);
    if (!c->transfer_done)
        c->transfer = NULL;
}

static void read_usage(const struct call *c, struct profile_usage *ret)
{
    *ret = (struct profile_usage){
        .input = c->usage.input,
        .cache_read = c->usage.cache_read,
        .output = c->usage.output,
        .input_bytes = c->request.input_bytes,
    };
}

/* Its ticket where it was sent to; fields for a record are only in o when it is the call's own. */
static void settle_held(struct call *c, struct store_outcome *o)
{
    struct profile_usage usage;
    struct pool_agent *agent = c->pool->agent;
    char news[STORE_NEWS_BYTES];
    read_usage(c, &usage);
    news_text(&c->news, news);
    o->news = c->outcome.unsent ? NULL : news;
    o->is_call = !c->spec.is_job || c->home.pool;
    o->id = c->held.id;
    o->fence = c->held.fence;
    o->fair_actual = profile_actual(c->pool->profile, &pool_agent_pool(agent)->limits, &c->estimate,
                                    c->usage.known ? &usage : NULL, o->actual);
    call_count_estimate(c, o->fair_actual);
    o->unsent = c->outcome.unsent;
    o->pause_dim = c->outcome.pause_dim[0] ? c->outcome.pause_dim : NULL;
    o->pause_ms = c->outcome.pause_ms;
    if (o->pause_dim)
        pool_agent_note_pause(agent, o->pause_ms);
    pool_agent_release(agent, &c->held);
    pool_agent_settle(agent, o, NULL, NULL);
    c->held.fence = 0;
}

void call_close_ticket(struct call *c)
{
    struct store_outcome o = {.state = TICKET_FAILED};
    settle_held(c, &o);
    scheduler_remove_call(c->sched, c->held.id);
}

/* What a job has elsewhere, when it ends or goes back. */
static void end_visit(struct call *c, enum ticket_state state)
{
    struct store_outcome o = {.state = state == TICKET_QUEUED ? TICKET_FAILED : state};
    if (c->held.fence > 0)
        settle_held(c, &o);
    else if (c->submitting)
        c->abandoned = true;
    else if (c->place != PLACE_NOWHERE)
        pool_agent_abandon(c->pool->agent, c->held.id);
}

/* The last settle of a granted ticket, or a step back into the queue. */
void call_settle(struct call *c, enum ticket_state state, const struct call_failure *failure)
{
    struct store_field fields[STORE_MAX_FIELDS];
    if (c->sink.verdict)
        state = c->sink.verdict(c->arg, state, c->outcome.delay_ms);
    struct store_outcome o = {.state = state, .fields = fields, .delay_ms = c->outcome.delay_ms};
    if (c->sink.result)
        o.field_count = c->sink.result(c->arg, failure, fields);
    else if (state != TICKET_QUEUED)
        o.field_count = call_record(c, failure, fields);
    if (!c->home.pool) {
        settle_held(c, &o);
        return;
    }
    end_visit(c, state);
    o.id = c->home.held.id;
    o.fence = c->home.held.fence;
    o.unsent = true; /* nothing of this pool was used */
    o.fair_actual = -1;
    pool_agent_release(c->home.pool->agent, &c->home.held);
    pool_agent_settle(c->home.pool->agent, &o, NULL, NULL);
    c->home.held.fence = 0;
}

/* Whether a ticket of its own runs under its lease. */
static bool is_granted(const struct call *c)
{
    return c->home.pool ? c->home.held.fence > 0 : c->held.fence > 0;
}

/* Without a settle. */
static void let_go(struct call *c)
{
    if (c->home.pool) {
        end_visit(c, TICKET_CANCELLED);
        if (c->home.held.fence > 0)
            pool_agent_release(c->home.pool->agent, &c->home.held);
        c->home.held.fence = 0;
    } else if (c->held.fence > 0) {
        pool_agent_release(c->pool->agent, &c->held);
        c->held.fence = 0;
    }
}

/* Before a transfer is stopped in the middle. */
static void take_unsent(struct call *c)
{
    c->outcome = (struct retry_plan){.unsent = c->transfer && !http_transfer_sent(c->transfer)};
    c->left = c->transfer && !c->transfer_done && !c->outcome.unsent;
}

void call_succeed(struct call *c)
{
    bool good = c->status < 400 && !c->watch.failed;
    if (c->usage.known) {
        if (!c->spec.is_batch)
            quantile_add(&c->pool->output, c->usage.output);
        gauge_learn(scheduler_gauge(c->sched), &c->fit.size, c->usage.input);
    }
    call_count_end(c, good ? COUNT_succeeded : COUNT_failed);
    if (good)
        pool_aside_end(scheduler_options(c->sched)->store, c->pool);
    call_enter(c, CALL_DONE);
    call_settle(c, good ? TICKET_DONE : TICKET_FAILED, NULL);
    c->sink.end(c->arg);
    call_bury(c);
}

void call_fail(struct call *c, const struct call_failure *failure)
{
    call_given_leave(c);
    call_leave_queue(c);
    stop_transfer(c);
    c->abandoned = c->submitting;
    call_count_end(c, failure->status == 504 ? COUNT_expired : COUNT_failed);
    call_enter(c, CALL_FAILED);
    if (is_granted(c))
        call_settle(c, TICKET_FAILED, failure);
    c->sink.fail(c->arg, failure);
    call_bury(c);
}

void call_cancel(struct call *c)
{
    bool waiting = c->state == CALL_QUEUED || c->state == CALL_SUBMITTING;
    if (call_state_is_final(c->state) || call_flight_goes_on(c))
        return;
    call_given_leave(c);
    take_unsent(c);
    if (c->streaming)
        c->usage = c->watch.usage;
    call_leave_queue(c);
    stop_transfer(c);
    call_count_end(c, COUNT_cancelled);
    call_enter(c, CALL_CANCELLED);
    if (is_granted(c))
        call_settle(c, TICKET_CANCELLED, NULL);
    else if (c->submitting)
        c->abandoned = true;
    else if (waiting)
        pool_agent_abandon(c->pool->agent, c->held.id);
    call_bury(c);
}

void call_abandon(struct call *c)
{
    call_given_leave(c);
    call_leave_queue(c);
    stop_transfer(c);
    let_go(c);
    call_enter(c, CALL_CANCELLED);
    call_bury(c);
}

void call_requeue(struct call *c)
{
    pool_stats_add(pool_agent_stats(c->pool->agent), COUNT_retries, 1);
    call_settle(c, TICKET_QUEUED, NULL);
    if (c->spec.is_job) {
        /* Any instance may run it next: this one is done with it. */
        call_enter(c, CALL_CANCELLED);
        c->sink.fail(c->arg, NULL);
        call_bury(c);
        return;
    }
    call_enter(c, CALL_QUEUED);
    call_reply_reset(c);
    call_enter_queue(c);
    if (c->sink.requeued)
        c->sink.requeued(c->arg);
}

/* ---- grants */

static void send_request(struct call *c)
{
    struct call_upstream up;
    struct error e = {.text = ""};
    call_reply_reset(c);
    c->outcome = (struct retry_plan){.again = false};
    c->sent_us = clock_mono_us();
    c->transfer_done = false;
    c->transfer = NULL;
    if (call_upstream(c, &up, &e) == 0)
        c->transfer = http_transfer_start(scheduler_options(c->sched)->http, &up.request,
                                          &call_reply_handlers, c, &e);
    explicit_bzero(up.auth, sizeof(up.auth));
    c->sends += c->transfer != NULL;
    if (!c->transfer) {
        struct call_failure f;
        c->outcome.unsent = true;
        call_failure_set(&f, 502, "provider_error", "The request could not be sent to '%s': %s.",
                         c->provider->name, e.text);
        call_fail(c, &f);
    }
}

void call_granted(struct call *c, int64_t fence)
{
    call_leave_queue(c);
    c->held.fence = c->last_fence = fence;
    pool_agent_hold(c->pool->agent, &c->held);
    if (c->attempts + c->refusals == 0)
        call_count_grant(c);
    call_enter(c, CALL_SENDING);
    if (c->sink.granted)
        c->sink.granted(c->arg);
    send_request(c);
}

void call_on_grant(struct call *c, const struct store_grant *grant)
{
    if (c->home.pool && strcmp(grant->id, c->home.held.id) == 0) {
        if (grant->fence > c->home.held.fence)
            c->home.held.fence = grant->fence; /* the job's own lease came back to us */
        return;
    }
    if (grant->fence <= c->last_fence)
        return; /* told twice: by the channel, and by the answer to a submit */
    if (c->state == CALL_QUEUED || c->state == CALL_SUBMITTING)
        call_granted(c, grant->fence);
    else if (c->held.fence > 0) /* the lease was lost and came back to us: go on under it */
        c->held.fence = c->last_fence = grant->fence;
}

void call_on_lost(struct call *c, const char *id)
{
    /* A job may run elsewhere now, so it must end here. A call's client is only here: it goes
     * on, and its settle, refused as stale, changes nothing. */
    bool own = !c->home.pool || strcmp(c->home.held.id, id) == 0;
    if (c->spec.is_job && own && !call_state_is_final(c->state)) {
        call_leave_queue(c);
        stop_transfer(c);
        let_go(c);
        call_enter(c, CALL_CANCELLED);
        c->sink.fail(c->arg, NULL);
        call_bury(c);
    }
}

void call_on_cancel(struct call *c)
{
    struct call_failure f;
    if (call_state_is_final(c->state) || !is_granted(c))
        return;
    call_leave_queue(c);
    take_unsent(c);
    call_failure_set(&f, 499, "cancelled", "The job was cancelled while it ran.");
    stop_transfer(c);
    call_count_end(c, COUNT_cancelled);
    call_enter(c, CALL_CANCELLED);
    call_settle(c, TICKET_CANCELLED, &f);
    c->sink.fail(c->arg, &f);
    call_bury(c);
}

void call_start_granted(struct call *c, const struct store_grant *grant,
                        const struct call_past *past)
{
    scheduler_remove_call(c->sched, c->held.id);
    (void)snprintf(c->held.id, sizeof(c->held.id), "%s", grant->id);
    c->attempts = past->tries;
    c->queue_ms = past->queue_ms;
    c->waited = past->queue_ms > 0;
    (void)snprintf(c->binding, sizeof(c->binding), "%s", past->binding ? past->binding : "");
    if (past->explained)
        call_recall(c, past->explained, past->explained_len);
    if (!past->granted)
        call_count_grant(c);
    if (scheduler_add_call(c->sched, c, c->held.id) < 0)
        log_write(LOG_ERROR, "no memory to index a job", "id", c->held.id, NULL);
    c->held.fence = c->last_fence = grant->fence;
    pool_agent_hold(c->pool->agent, &c->held);
    call_reserve_cost(c);
    call_enter(c, CALL_SENDING);
    if (!call_leave_home(c))
        send_request(c);
}

/* ---- making and freeing */

void call_discard(struct call *c)
{
    scheduler_remove_call(c->sched, c->held.id);
    call_free(&c->grave);
}

void call_free(struct list *grave)
{
    struct call *c = LIST_ITEM(grave, struct call, grave);
    call_drop_order(c);
    call_release_cost(c);
    call_vectors_free(c->shared.vectors);
    if (c->timer)
        event_free(c->timer);
    if (c->pool)
        c->pool->users--;
    if (c->home.pool)
        c->home.pool->users--;
    free(c->asked);
    buf_release(&c->sent);
    buf_release(&c->reply);
    buf_release(&c->notes);
    buf_release(&c->explain);
    buf_release(&c->record.error);
    call_tools_release(c);
    sse_release(&c->events);
    plan_drop(c->plan);
    free(c->model);
    free(c->texts);
    free(c->spec.body);
    free(c);
}

struct call *call_new(struct scheduler *s, const struct call_spec *spec,
                      const struct call_sink *sink, void *arg, struct call_failure *failure)
{
    struct call *c = calloc(1, sizeof(*c));
    call_failure_set(failure, 503, "out_of_memory",
                     "Sluice is out of memory; try again in a moment.");
    failure->retry_after_ms = 1000;
    if (!c) {
        free(spec->body);
        return NULL;
    }
    *c = (struct call){.sched = s, .sink = *sink, .arg = arg, .born_us = clock_mono_us()};
    list_init(&c->held.link);
    list_init(&c->home.held.link);
    list_init(&c->grave);
    list_init(&c->summary.link);
    buf_init(&c->sent, HTTP_MAX_BODY_BYTES + KIB);
    buf_init(&c->reply, UPSTREAM_MAX_BODY_BYTES);
    buf_init(&c->notes, 4 * KIB);
    buf_init(&c->explain, 8 * KIB);
    buf_init(&c->record.error, 2 * KIB);
    sse_init(&c->events);
    c->spec.body = spec->body;
    c->plan = plan_use(scheduler_plan(s));
    c->timer = evtimer_new(scheduler_options(s)->base, call_on_timer, c);
    if (spec->header_count > CALL_MAX_HEADERS) {
        call_failure_set(failure, 431, "too_many_headers",
                         "The request has %zu header lines to pass on; at most %d are.",
                         spec->header_count, CALL_MAX_HEADERS);
        goto fail;
    }
    (void)snprintf(c->money.key, sizeof(c->money.key), "%s", spec->key ? spec->key : "");
    if (!c->timer || call_copy_spec(c, spec) < 0 || call_read(c, failure) < 0 ||
        call_check_budget(c, failure) < 0)
        goto fail;
    key_new_id(pool_agent_pool(c->pool->agent)->hash, c->held.id);
    if (scheduler_add_call(s, c, c->held.id) < 0)
        goto fail;
    return c;

fail:
    call_free(&c->grave);
    return NULL;
}
