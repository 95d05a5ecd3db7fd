#include "scheduler/http_client.h"

#include "common/limits.h"
#include "tests/support/http_call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LARGE      67108864 /* 64 MiB */
#define LARGE_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n"

static const struct fake_step large[] = {
    {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = LARGE_HEAD}, {.op = FAKE_FILL, .len = LARGE}};

/* What the sockets of both ends may hold: the maxima of tcp_rmem and tcp_wmem and more. */
#define KERNEL_BYTES (24 * MIB)

static void a_paused_reply_holds_the_provider_back(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, large);
    struct http_call call = {0};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.bytes > 0);

    http_call_pause(&call);
    http_calls_settle(f);
    uint64_t sent = fake_provider_sent(f->provider);
    assert_in_range(sent, call.bytes, call.bytes + KERNEL_BYTES);

    http_call_resume(&call);
    RUN_UNTIL(f, fake_provider_sent(f->provider) > sent + MIB);
    http_call_pause(&call); /* a second time, in the middle */
    http_calls_settle(f);
    assert_in_range(fake_provider_sent(f->provider), call.bytes, call.bytes + KERNEL_BYTES);
    http_call_resume(&call);
    RUN_UNTIL(f, call.done);

    assert_int_equal(call.result, HTTP_DONE);
    assert_int_equal(call.while_paused, 0);
    assert_int_equal(call.bytes, LARGE);
    assert_int_equal(call.filler, LARGE);
}

static void a_reply_may_be_paused_and_resumed_at_each_piece(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, large);
    struct http_call both = {.pause_each = true, .resume_each = true};
    struct http_call outside = {.pause_each = true};
    http_call_post(f, &both);
    http_call_post(f, &outside);
    unsigned resumed = 0;
    while (!both.done || !outside.done) {
        RUN_UNTIL(f, outside.paused || (both.done && outside.done));
        if (outside.paused && outside.transfer) {
            unsigned pieces = outside.pieces;
            http_call_resume(&outside);
            assert_int_equal(outside.pieces, pieces); /* never inside the call */
            resumed++;
        }
        if (!outside.transfer)
            outside.paused = false;
    }
    assert_in_range(resumed, LARGE / 16384 / 2, LARGE);
    assert_int_equal(outside.result, HTTP_DONE);
    assert_int_equal(outside.while_paused, 0);
    assert_int_equal(outside.filler, LARGE);
    assert_int_equal(both.result, HTTP_DONE);
    assert_int_equal(both.filler, LARGE);
}

static void a_chunked_reply_survives_pausing_at_any_place(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n4\r\nghij\r\n0\r\n\r\n"},
    };
    FAKE_SCRIPT(f->provider, steps);
    for (int i = 0; i < 3; i++) { /* on one connection: nothing of a reply is left in it */
        struct http_call call = {.pause_each = true};
        http_call_post(f, &call);
        while (!call.done) {
            RUN_UNTIL(f, call.paused || call.done);
            if (call.transfer)
                http_call_resume(&call);
        }
        assert_int_equal(call.result, HTTP_DONE);
        assert_int_equal(call.while_paused, 0);
        assert_in_range(call.pieces, 2, 4); /* held chunks are joined */
        assert_string_equal(call.body, "abcdefghij");
    }
    assert_int_equal(fake_provider_connections(f->provider), 1);
}

static void pausing_and_resuming_twice_is_as_once(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, large);
    struct http_call call = {0};
    http_call_post(f, &call);
    http_call_resume(&call); /* not paused, not even begun */
    http_call_pause(&call);
    http_call_pause(&call);
    RUN_UNTIL(f, call.headers == 1);
    http_calls_settle(f);
    assert_int_equal(call.pieces, 0);

    http_call_resume(&call);
    http_call_resume(&call);
    http_call_pause(&call); /* before the loop could act on it */
    http_calls_settle(f);
    assert_int_equal(call.pieces, 0);

    http_call_resume(&call);
    RUN_UNTIL(f, call.done);
    assert_int_equal(call.filler, LARGE);
}

static const struct fake_step half_then_stall[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"},
    {.op = FAKE_STALL},
    {.op = FAKE_SEND, .bytes = "def"},
};

static void a_paused_reply_does_not_time_out_and_a_resumed_one_does(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, half_then_stall);
    struct http_request r = {.method = "GET", .idle_ms = 60};
    struct http_call calls[2] = {{.pause_each = true}, {.pause_each = true}};
    http_call_start(f, &calls[0], &r);
    http_call_start(f, &calls[1], &r);
    RUN_UNTIL(f, calls[0].paused && calls[1].paused);
    int64_t later_ms = clock_mono_ms() + 300;
    RUN_UNTIL(f, clock_mono_ms() > later_ms);
    assert_int_equal(calls[0].done, 0);

    http_call_resume(&calls[1]); /* nothing more comes */
    RUN_UNTIL(f, calls[1].done);
    assert_int_equal(calls[1].result, HTTP_IDLE);
    assert_int_equal(calls[0].done, 0);

    fake_provider_go(f->provider);
    calls[0].pause_each = false;
    http_call_resume(&calls[0]);
    RUN_UNTIL(f, calls[0].done);
    assert_int_equal(calls[0].result, HTTP_DONE);
    assert_string_equal(calls[0].body, "abcdef");
}

static void a_transfer_may_cancel_itself_in_any_handler(void **state)
{
    struct http_calls *f = *state;
    static const enum http_call_moment moments[] = {HTTP_CALL_HEADERS, HTTP_CALL_BODY,
                                                    HTTP_CALL_DONE};
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"}};
    FAKE_SCRIPT(f->provider, steps);
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        struct http_call call = {.cancel_at = moments[i]};
        http_call_post(f, &call);
        RUN_UNTIL(f, call.cancelled);
        RUN_UNTIL(f, http_client_running(f->client) == 0);
        http_calls_settle(f);

        bool in_done = moments[i] == HTTP_CALL_DONE;
        assert_int_equal(call.done, in_done);
        assert_int_equal(call.after_cancel, 0);
        assert_int_equal(call.pieces, moments[i] == HTTP_CALL_HEADERS ? 0 : 1);
        /* A whole reply leaves its connection for the next one; a cut one does not. */
        assert_int_equal(fake_provider_open(f->provider), in_done);
    }
}

static void a_transfer_may_be_cancelled_in_any_handler_of_another(void **state)
{
    struct http_calls *f = *state;
    static const enum http_call_moment moments[] = {HTTP_CALL_HEADERS, HTTP_CALL_BODY,
                                                    HTTP_CALL_DONE};
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
        {.op = FAKE_CLOSE}};
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        FAKE_SCRIPT(f->provider, half_then_stall);
        struct http_call victim = {.pause_each = i == 1}; /* once while it is paused */
        http_call_post(f, &victim);
        RUN_UNTIL(f, victim.bytes == 3);
        FAKE_SCRIPT(f->provider, steps);
        struct http_call call = {.cancel_at = moments[i], .victim = &victim};
        http_call_post(f, &call);
        RUN_UNTIL(f, fake_provider_stalled(f->provider) == 2);
        fake_provider_go(f->provider);
        RUN_UNTIL(f, call.done);

        assert_true(victim.cancelled);
        assert_int_equal(victim.done, 0);
        assert_int_equal(victim.after_cancel, 0);
        assert_int_equal(call.result, HTTP_DONE);
        assert_int_equal(http_client_running(f->client), 0);
    }
}

/* Whoever is done first cancels all others, which may have ended in the same pass. */
static struct http_call *rivals;
enum { RIVALS = 40 };

static void cancel_rivals(struct http_call *call)
{
    for (size_t i = 0; i < RIVALS; i++)
        if (&rivals[i] != call)
            http_call_cancel(&rivals[i]);
}

static void ended_transfers_may_be_cancelled_before_their_report(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_call calls[RIVALS] = {{0}};
    rivals = calls;
    for (size_t i = 0; i < RIVALS; i++) {
        calls[i].on_done = cancel_rivals;
        http_call_post(f, &calls[i]);
    }
    RUN_UNTIL(f, fake_provider_stalled(f->provider) == RIVALS);
    fake_provider_go(f->provider);
    RUN_UNTIL(f, http_client_running(f->client) == 0);

    unsigned done = 0, after = 0;
    for (size_t i = 0; i < RIVALS; i++) {
        done += calls[i].done;
        after += calls[i].after_cancel;
    }
    assert_int_equal(done, 1);
    assert_int_equal(after, 0);
}

/* The kernel refuses TCP to a broadcast address on the spot, so that all ends are collected
 * in one pass. */
static void transfers_that_failed_together_may_be_cancelled_before_their_report(void **state)
{
    struct http_calls *f = *state;
    struct http_request r = {.method = "GET", .url = "http://255.255.255.255/"};
    struct http_call calls[RIVALS] = {{0}};
    rivals = calls;
    for (size_t i = 0; i < RIVALS; i++) {
        calls[i].on_done = cancel_rivals;
        http_call_start(f, &calls[i], &r);
    }
    RUN_UNTIL(f, http_client_running(f->client) == 0);

    unsigned done = 0;
    for (size_t i = 0; i < RIVALS; i++)
        done += calls[i].done;
    assert_int_equal(done, 1);
    assert_int_equal(calls[0].result, HTTP_NOT_SENT);

    /* Nothing is lost in the lists: the teardown frees what runs now (or leaks it). */
    FAKE_SCRIPT(f->provider, half_then_stall);
    struct http_call last[2] = {{0}};
    http_call_post(f, &last[0]);
    http_call_post(f, &last[1]);
    RUN_UNTIL(f, last[0].bytes == 3 && last[1].bytes == 3);
}

static void a_transfer_may_be_cancelled_from_outside_at_any_time(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, half_then_stall);
    struct http_call calls[4] = {{0}};

    http_call_post(f, &calls[0]); /* before the loop saw it */
    http_call_cancel(&calls[0]);
    http_call_post(f, &calls[1]); /* while it connects */
    http_calls_step(f);
    http_call_cancel(&calls[1]);
    http_call_post(f, &calls[2]); /* in its body */
    RUN_UNTIL(f, calls[2].bytes == 3);
    http_call_cancel(&calls[2]);
    http_call_post(f, &calls[3]); /* while it is paused and resumed */
    RUN_UNTIL(f, calls[3].bytes == 3);
    http_call_pause(&calls[3]);
    fake_provider_go(f->provider);
    http_calls_settle(f);
    http_call_resume(&calls[3]);
    http_call_cancel(&calls[3]);

    assert_int_equal(http_client_running(f->client), 0);
    RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(calls[i].done, 0);
        assert_int_equal(calls[i].after_cancel, 0);
    }
}

/* At the third piece: the first one is what libcurl held, and delivers on its own. */
static void cancel_upload(struct http_call *call)
{
    struct http_call *upload = call->arg;
    if (call->pieces < 3 || !upload->transfer)
        return;
    http_call_cancel(upload);
    free(upload->arg); /* the sanitizer sees whoever still reads it */
    upload->arg = NULL;
}

/* Both are resumed in one pass, so that libcurl may come to the upload right after the
 * handler that cancels it, before it is off the stack. */
static void resume_and_cancel(struct http_calls *f, bool upload_first)
{
    static const struct fake_step large_once[] = {{.op = FAKE_READ},
                                                  {.op = FAKE_SEND, .bytes = LARGE_HEAD},
                                                  {.op = FAKE_FILL, .len = LARGE},
                                                  {.op = FAKE_CLOSE}};
    static const struct fake_step early[] = {
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", .slice = 1},
        {.op = FAKE_STALL},
        {.op = FAKE_READ},
    };
    FAKE_SCRIPT(f->provider, early);
    struct http_call upload = {.pause_each = true, .arg = calloc(1, LARGE)};
    assert_non_null(upload.arg);
    struct http_request r = {.method = "POST", .body = upload.arg, .body_len = LARGE};
    http_call_start(f, &upload, &r);
    RUN_UNTIL(f, upload.paused && fake_provider_stalled(f->provider) == 1);
    FAKE_SCRIPT(f->provider, large_once);
    struct http_call call = {.pause_each = true, .on_piece = cancel_upload, .arg = &upload};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.paused);
    http_calls_settle(f);

    fake_provider_go(f->provider); /* it reads on: the upload is in full flow */
    http_calls_step(f);
    call.pause_each = upload.pause_each = false;
    http_call_resume(upload_first ? &upload : &call);
    http_call_resume(upload_first ? &call : &upload);
    RUN_UNTIL(f, call.done);

    assert_null(upload.arg);
    assert_int_equal(upload.after_cancel, 0);
    assert_int_equal(call.result, HTTP_DONE);
}

static void the_body_of_a_transfer_cancelled_in_a_handler_is_not_read_again(void **state)
{
    for (int i = 0; i < 6; i++)
        resume_and_cancel(*state, i % 2);
}

/* What libcurl held back is delivered from the loop, and refused there. */
static void a_transfer_may_be_cancelled_while_held_bytes_are_delivered(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, large);
    struct http_call call = {.pause_each = true};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.paused);
    http_calls_settle(f);
    call.cancel_at = HTTP_CALL_BODY;
    http_call_resume(&call);
    RUN_UNTIL(f, call.cancelled);
    RUN_UNTIL(f, fake_provider_open(f->provider) == 0);

    assert_int_equal(call.pieces, 2);
    assert_int_equal(call.after_cancel, 0);
    assert_int_equal(http_client_running(f->client), 0);
}

/* Nothing more comes on the socket that could remind libcurl of it. */
static void a_body_that_is_too_large_is_noticed_in_held_bytes(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabcde"},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = "fghijkl"},
        {.op = FAKE_STALL}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_call call = {.pause_each = true};
    struct http_request r = {.method = "GET", .max_body_bytes = 10};
    http_call_start(f, &call, &r);
    RUN_UNTIL(f, call.paused);
    fake_provider_go(f->provider);
    http_calls_settle(f);
    http_call_resume(&call);
    RUN_UNTIL(f, call.done);

    assert_int_equal(call.result, HTTP_TOO_LARGE);
    assert_string_equal(call.body, "abcde");
    RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_calls_setup, http_calls_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_paused_reply_holds_the_provider_back),
        CASE(a_reply_may_be_paused_and_resumed_at_each_piece),
        CASE(a_chunked_reply_survives_pausing_at_any_place),
        CASE(pausing_and_resuming_twice_is_as_once),
        CASE(a_paused_reply_does_not_time_out_and_a_resumed_one_does),
        CASE(a_transfer_may_cancel_itself_in_any_handler),
        CASE(a_transfer_may_be_cancelled_in_any_handler_of_another),
        CASE(ended_transfers_may_be_cancelled_before_their_report),
        CASE(transfers_that_failed_together_may_be_cancelled_before_their_report),
        CASE(a_transfer_may_be_cancelled_from_outside_at_any_time),
        CASE(the_body_of_a_transfer_cancelled_in_a_handler_is_not_read_again),
        CASE(a_transfer_may_be_cancelled_while_held_bytes_are_delivered),
        CASE(a_body_that_is_too_large_is_noticed_in_held_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
