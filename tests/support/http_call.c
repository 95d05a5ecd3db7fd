#include "tests/support/http_call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#define SETTLED_PASSES 100

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

int http_calls_setup(void **state)
{
    static const struct timeval often = {.tv_usec = 1000};
    struct http_calls *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->base = event_base_new();
    assert_non_null(f->base);
    f->tick = event_new(f->base, -1, EV_PERSIST, on_tick, NULL);
    assert_non_null(f->tick);
    assert_int_equal(event_add(f->tick, &often), 0);
    f->provider = fake_provider_new(f->base);
    f->client = http_client_new(f->base);
    assert_non_null(f->client);
    *state = f;
    return 0;
}

int http_calls_teardown(void **state)
{
    struct http_calls *f = *state;
    http_client_free(f->client);
    fake_provider_free(f->provider);
    event_free(f->tick);
    event_base_free(f->base);
    free(f);
    return 0;
}

void http_calls_step(struct http_calls *f)
{
    (void)event_base_loop(f->base, EVLOOP_ONCE);
}

void http_calls_wait(struct http_calls *f, int64_t until_ms, const char *condition)
{
    if (clock_mono_ms() > until_ms)
        fail_msg("waited in vain for %s", condition);
    http_calls_step(f);
}

void http_calls_settle(struct http_calls *f)
{
    uint64_t sent = fake_provider_sent(f->provider);
    for (unsigned quiet = 0; quiet < SETTLED_PASSES; quiet++) {
        http_calls_step(f);
        if (fake_provider_sent(f->provider) != sent)
            quiet = 0;
        sent = fake_provider_sent(f->provider);
    }
}

void http_call_cancel(struct http_call *call)
{
    if (!call->transfer)
        return;
    call->cancelled = true;
    http_transfer_cancel(call->transfer);
    call->transfer = NULL;
}

void http_call_pause(struct http_call *call)
{
    call->paused = true;
    http_transfer_pause(call->transfer);
}

void http_call_resume(struct http_call *call)
{
    call->paused = false;
    http_transfer_resume(call->transfer);
}

static void act(struct http_call *call, enum http_call_moment moment)
{
    if (call->cancel_at == moment)
        http_call_cancel(call->victim ? call->victim : call);
}

static void on_headers(void *arg, struct http_transfer *t, int status)
{
    struct http_call *call = arg;
    call->headers++;
    call->after_cancel += call->cancelled;
    call->status = status;
    assert_ptr_equal(t, call->transfer);
    act(call, HTTP_CALL_HEADERS);
}

static void on_body(void *arg, struct http_transfer *t, const char *bytes, size_t len)
{
    struct http_call *call = arg;
    call->pieces++;
    call->after_cancel += call->cancelled;
    call->while_paused += call->paused;
    assert_ptr_equal(t, call->transfer);
    for (size_t i = 0; i < len; i++) {
        if (call->bytes < HTTP_CALL_BODY_BYTES)
            call->body[call->bytes] = bytes[i];
        call->filler += bytes[i] == 'x';
        call->bytes++;
    }
    if (call->pause_each)
        http_call_pause(call);
    if (call->resume_each)
        http_call_resume(call);
    act(call, HTTP_CALL_BODY);
    if (call->on_piece)
        call->on_piece(call);
}

static void on_done(void *arg, struct http_transfer *t, enum http_result result, int status,
                    const char *detail)
{
    struct http_call *call = arg;
    call->done++;
    call->after_cancel += call->cancelled;
    call->result = result;
    call->done_status = status;
    (void)snprintf(call->detail, sizeof(call->detail), "%s", detail);
    const char *location = http_reply_header(t, "location");
    (void)snprintf(call->location, sizeof(call->location), "%s", location ? location : "");
    call->sent = http_transfer_sent(t);
    assert_ptr_equal(t, call->transfer);
    act(call, HTTP_CALL_DONE);
    call->transfer = NULL;
    if (call->on_done)
        call->on_done(call);
}

static const struct http_handlers handlers = {on_headers, on_body, on_done};

void http_call_start(struct http_calls *f, struct http_call *call,
                     const struct http_request *request)
{
    struct http_request r = *request;
    if (!r.url)
        r.url = fake_provider_url(f->provider);
    struct error e = {{0}};
    call->calls = f;
    call->transfer = http_transfer_start(f->client, &r, &handlers, call, &e);
    if (!call->transfer)
        fail_msg("refused: %s", e.text);
    assert_int_equal(call->done, 0);
}

void http_call_post(struct http_calls *f, struct http_call *call)
{
    struct http_request r = {.method = "POST", .body = "{}", .body_len = 2};
    http_call_start(f, call, &r);
}
