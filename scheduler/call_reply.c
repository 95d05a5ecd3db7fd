#include "scheduler/call_internal.h"

#include "common/clock.h"
#include "scheduler/provider/wire_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *reply_header(void *arg, const char *name)
{
    return http_reply_header(arg, name);
}

void call_reply_reset(struct call *c)
{
    buf_release(&c->reply);
    sse_release(&c->events);
    sse_init(&c->events);
    wire_stream_init(&c->watch, c->spec.endpoint, c->hide_usage);
    call_tools_reset(c);
    c->status = 0;
    c->streaming = c->refused = c->broken = false;
    c->first_us = 0;
    c->accrued = c->accrued_us = 0;
    c->usage = (struct wire_usage){.known = false}; /* each attempt is settled by its own */
    c->refusal = (struct wire_answer){.failure = WIRE_OK, .retry_after_ms = -1};
    c->news = (struct news){.answered = false};
}

static void on_headers(void *arg, struct http_transfer *t, int status)
{
    struct call *c = arg;
    const char *type = http_reply_header(t, "content-type");
    c->status = status;
    c->first_us = clock_mono_us();
    struct hint_source source = {reply_header, t};
    hints_read(c->pool->profile->dialect, &source, clock_wall_ms(), &c->news.hints);
    c->streaming = status < 300 && type && strncasecmp(type, "text/event-stream", 17) == 0;
}

static void start(struct call *c)
{
    if (c->started)
        return;
    c->started = true;
    if (c->streaming)
        call_count_first_token(c);
    c->sink.start(c->arg);
}

static struct wire_answer classify(const struct call *c, struct http_transfer *t, int status,
                                   const char *body, size_t len)
{
    struct wire_reply reply = {status, reply_header, t, body, len};
    return wire_classify(wire_rules_find(c->pool->profile->name), &reply, clock_wall_ms());
}

/* A provider may quote the key that it refuses; the service's own is not the caller's to see. */
static void hide_key(const struct call *c, char *bytes, size_t len)
{
    const char *key = c->account ? c->account->api_key : NULL;
    size_t key_len = key ? strlen(key) : 0;
    if (key_len == 0)
        return;
    for (char *at; len >= key_len && (at = memmem(bytes, len, key, key_len));) {
        memset(at, '*', key_len);
        len -= (size_t)(at - bytes) + key_len;
        bytes = at + key_len;
    }
}

/* An event that ends a stream which has begun, without our key. */
static void pass_error_event(struct call *c, const struct sse_event *event)
{
    buf_clear(&c->reply);
    if (buf_add(&c->reply, event->raw, event->raw_len) < 0)
        return; /* without memory the stream ends without it */
    hide_key(c, c->reply.data, c->reply.len);
    c->sink.data(c->arg, c->reply.data, c->reply.len);
}

static void on_event(void *arg, const struct sse_event *event)
{
    struct call *c = arg;
    if (c->refused || c->broken || c->state == CALL_CANCELLED)
        return;
    /* A provider's comment is no output: passed on, it would forbid to try again. */
    if (!event->has_data && !c->started)
        return;
    enum wire_verdict verdict =
        wire_stream_event(&c->watch, event->name, event->data, event->data_len);
    if (verdict == WIRE_DROP)
        return;
    if (verdict == WIRE_FAIL && !c->started) {
        /* Nothing is out yet, so this is an answer like any other: perhaps to be repeated. */
        c->refusal = classify(c, c->transfer, 200, event->data, event->data_len);
        if (c->refusal.failure == WIRE_OK)
            c->refusal = (struct wire_answer){
                .failure = WIRE_SERVER, .may_retry = true, .retry_after_ms = -1};
        c->refused = true;
        (void)buf_add(&c->reply, event->raw, event->raw_len);
        return;
    }
    if (c->state == CALL_SENDING)
        call_enter(c, CALL_STREAMING);
    start(c);
    if (c->state != CALL_STREAMING)
        return;
    if (verdict == WIRE_FAIL)
        pass_error_event(c, event);
    else if (call_tools_event(c, event) < 0)
        c->broken = true;
    if (c->state == CALL_STREAMING)
        call_accrue(c);
}

static void give_up(struct call *c, const char *why)
{
    struct call_failure f;
    call_failure_set(&f, 502, "provider_answer_too_large", "The provider's answer %s.", why);
    call_fail(c, &f);
}

static void on_body(void *arg, struct http_transfer *t, const char *bytes, size_t len)
{
    struct call *c = arg;
    (void)t;
    if (!c->streaming) {
        if (buf_add(&c->reply, bytes, len) < 0)
            give_up(c, "is larger than this service takes");
        return;
    }
    /* A sink may cancel the call; it is freed once the stack is unwound. */
    int rc = sse_feed(&c->events, bytes, len, on_event, c);
    if ((rc < 0 || c->broken) && c->state != CALL_CANCELLED)
        give_up(c, "holds an event larger than this service takes");
}

static const char *why_of(enum http_result result)
{
    switch (result) {
    case HTTP_NOT_SENT:
        return "The provider could not be reached";
    case HTTP_FIRST_BYTE:
        return "The provider did not answer in time";
    case HTTP_IDLE:
        return "The provider stopped in the middle of its answer";
    case HTTP_TOO_LARGE:
        return "The provider's answer is larger than this service takes";
    case HTTP_NO_MEMORY:
        return "Sluice is out of memory";
    default:
        return "The provider closed the connection before its answer was whole";
    }
}

static const char *answer_word(enum http_result result, const struct wire_answer *answer)
{
    return result == HTTP_DONE ? wire_failure_name(answer->failure) : http_result_name(result);
}

static void count_answer(struct call *c, enum http_result result, enum wire_failure failure)
{
    struct pool_stats *stats = pool_agent_stats(c->pool->agent);
    if (result != HTTP_DONE)
        pool_stats_add(stats, COUNT_provider_errors, 1);
    else if (c->status == 429 || failure == WIRE_RATE || failure == WIRE_RAMP)
        pool_stats_add(stats, COUNT_provider_429, 1);
    else if (c->status >= 500 || failure == WIRE_OVERLOAD || failure == WIRE_SERVER)
        pool_stats_add(stats, COUNT_provider_5xx, 1);
}

/* The provider's own answer, as it is. */
static void pass_answer(struct call *c)
{
    if (c->state == CALL_SENDING)
        call_enter(c, CALL_STREAMING);
    start(c);
    if (c->status >= 400)
        hide_key(c, c->reply.data, c->reply.len);
    if (c->state == CALL_STREAMING && c->reply.len > 0)
        c->sink.data(c->arg, c->reply.data, c->reply.len);
    if (c->state == CALL_STREAMING)
        call_succeed(c);
}

/* Where the attempt failed for good, or would wait longer than elsewhere. */
static bool go_elsewhere(struct call *c, enum http_result result, const struct wire_answer *answer)
{
    bool rate = answer->failure == WIRE_RATE || answer->failure == WIRE_RAMP;
    bool fault = result != HTTP_DONE && result != HTTP_TOO_LARGE && result != HTTP_NO_MEMORY;
    bool dead = result == HTTP_DONE && pool_aside_by(answer->failure) && !c->pool->transient;
    const struct retry_plan decided = c->outcome;
    uint32_t tried = c->tried;
    bool gone = false;
    if (dead) {
        pool_set_aside(scheduler_options(c->sched)->store, c->pool, answer, c->status);
        c->outcome.unsent = true;
        gone = call_move(c, INT64_MAX) || call_fall_back(c, "key refused");
    } else if (c->outcome.again && rate) {
        /* The pause must be told to its pool, which a job does only when it goes back. */
        gone = (!c->spec.is_job || c->home.pool) && call_move(c, c->outcome.pause_ms);
        c->tried = tried; /* it is as good as the others once its pause is over */
    } else if (c->outcome.again) {
        gone = call_move(c, c->outcome.delay_ms);
    } else if (fault || (result == HTTP_DONE && answer->may_retry)) {
        gone = call_move(c, call_wait_left_ms(c)) || call_fall_back(c, answer_word(result, answer));
    }
    if (!gone)
        c->outcome = decided;
    return gone;
}

static void unsuccessful(struct call *c, enum http_result result, const struct wire_answer *answer,
                         const char *detail)
{
    struct retry_case what = {
        .result = result,
        .answer = *answer,
        .attempts = c->attempts + 1,
        .max_attempts = c->provider->max_attempts,
        .refusals = c->refusals + 1,
        .wait_left_ms = call_wait_left_ms(c),
        .output_given = c->started,
    };
    count_answer(c, result, answer->failure);
    if (result == HTTP_DONE)
        news_answer(&c->news, answer, c->status);
    c->outcome = retry_decide(&what, scheduler_rand(c->sched));
    c->attempts += c->outcome.counts || !c->outcome.again;
    c->refusals += c->outcome.again && !c->outcome.counts;
    call_note(c, answer_word(result, answer));
    if (go_elsewhere(c, result, answer))
        return;
    if (c->outcome.again) {
        call_requeue(c);
        return;
    }
    if (result == HTTP_DONE && !c->started && !c->streaming) {
        pass_answer(c);
        return;
    }
    struct call_failure f;
    call_failure_set(&f, result == HTTP_FIRST_BYTE ? 504 : 502, "provider_error", "%s (%s, %s).",
                     result == HTTP_DONE ? "The provider ended its stream with an error"
                                         : why_of(result),
                     c->provider->name, detail && *detail ? detail : http_result_name(result));
    call_fail(c, &f);
}

static void stream_done(struct call *c, enum http_result result, const char *detail)
{
    struct wire_answer none = {.failure = WIRE_SERVER, .may_retry = true, .retry_after_ms = -1};
    c->usage = c->watch.usage;
    if (c->refused)
        unsuccessful(c, HTTP_DONE, &c->refusal, "error event");
    else if (c->watch.failed && c->started)
        call_succeed(c); /* its own error event has told the client; nothing to add */
    else if (result == HTTP_DONE && c->watch.finished) {
        news_answer(&c->news, &c->refusal, c->status); /* none: its failure is WIRE_OK */
        call_succeed(c);
    } else
        unsuccessful(c, result == HTTP_DONE ? HTTP_BROKEN : result, &none,
                     detail && *detail ? detail : "stream cut");
}

static void answered(struct call *c, struct http_transfer *t, enum http_result result,
                     const char *detail)
{
    struct wire_answer answer = {.failure = WIRE_SERVER, .may_retry = true, .retry_after_ms = -1};
    if (c->streaming) {
        /* What only waited for the line feed of its last carriage return is whole now. */
        if (sse_finish(&c->events, on_event, c) < 0 || c->broken)
            result = HTTP_TOO_LARGE;
        if (!call_state_is_final(c->state)) /* a sink may have cancelled it */
            stream_done(c, result, detail);
        return;
    }
    if (result == HTTP_DONE)
        answer = classify(c, t, c->status, c->reply.data, c->reply.len);
    if (result != HTTP_DONE || answer.failure != WIRE_OK) {
        unsuccessful(c, result, &answer, detail);
        return;
    }
    wire_usage_read(c->spec.endpoint, c->reply.data, c->reply.len, &c->usage);
    news_answer(&c->news, &answer, c->status);
    if (call_tools_body(c) < 0)
        give_up(c, "has more tool calls than this service can sort out");
    else
        pass_answer(c);
}

static void on_done(void *arg, struct http_transfer *t, enum http_result result, int status,
                    const char *detail)
{
    struct call *c = arg;
    c->status = status;
    c->transfer_done = true;
    if (result == HTTP_DONE)
        call_count_answered(c);
    answered(c, t, result, detail);
    c->transfer = NULL; /* an ended call is freed later, so it may be touched here */
}

const struct http_handlers call_reply_handlers = {
    .on_headers = on_headers,
    .on_body = on_body,
    .on_done = on_done,
};
