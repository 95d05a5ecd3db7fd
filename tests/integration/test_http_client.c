#include "scheduler/http_client.h"

#include "common/limits.h"
#include "tests/support/http_call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static const struct fake_step plain[] = {{.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = OK_2}};

static void a_plain_reply_arrives_whole(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, plain);
    struct http_call call = {0};
    http_call_post(f, &call);
    assert_int_equal(http_client_running(f->client), 1);

    RUN_UNTIL(f, call.done);

    assert_int_equal(call.result, HTTP_DONE);
    assert_string_equal(call.detail, "");
    assert_int_equal(call.headers, 1);
    assert_int_equal(call.status, 200);
    assert_int_equal(call.done_status, 200);
    assert_string_equal(call.body, "{}");
    assert_true(call.sent);
    assert_int_equal(http_client_running(f->client), 0);
}

static void the_request_is_sent_as_given(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, plain);
    char url[128];
    (void)snprintf(url, sizeof(url), "%s/v1/messages?beta=true", fake_provider_url(f->provider));
    static const struct http_header headers[] = {
        {"x-api-key", "k"},      {"Host", "evil.example"},
        {"content-length", "7"}, {"Transfer-Encoding", "x"},
        {"Connection", "close"}, {"Accept-Encoding", "gzip"},
        {"x-empty", ""},         {"X-Tab", "a\tb"},
    };
    char *body = malloc(2 * MIB);
    assert_non_null(body);
    memset(body, 'b', 2 * MIB);
    struct http_request r = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .header_count = sizeof(headers) / sizeof(headers[0]),
                             .body = body,
                             .body_len = 2 * MIB};
    struct http_call call = {0};
    http_call_start(f, &call, &r);
    RUN_UNTIL(f, call.done);
    free(body);

    char want[512];
    (void)snprintf(want, sizeof(want),
                   "POST /v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "x-api-key: k\r\nAccept-Encoding: gzip\r\nx-empty:\r\nX-Tab: a\tb\r\n"
                   "Content-Length: 2097152\r\n\r\n",
                   fake_provider_port(f->provider));
    assert_string_equal(fake_provider_head(f->provider), want);
    assert_int_equal(fake_provider_body_len(f->provider), 2 * MIB);
}

/* Short bodies go another way than long ones, and a handle has to change between them. */
static void bodies_of_any_length_arrive(void **state)
{
    struct http_calls *f = *state;
    static const size_t lengths[] = {0, 65535, 65536, 1, 65537, 200000, 65535, 2};
    FAKE_SCRIPT(f->provider, plain);
    char *body = malloc(200000);
    assert_non_null(body);
    memset(body, 'b', 200000);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct http_call call = {0};
        struct http_request r = {.method = "POST", .body = body, .body_len = lengths[i]};
        http_call_start(f, &call, &r);
        RUN_UNTIL(f, call.done);
        assert_int_equal(call.result, HTTP_DONE);
        assert_int_equal(fake_provider_body_len(f->provider), lengths[i]);
    }
    assert_int_equal(fake_provider_connections(f->provider), 1);
    free(body);
}

/* One reused handle sends all of them: nothing of one may show in the next. */
static void methods_do_not_leak_into_the_next_request(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    static const struct {
        const char *method, *body, *first_line;
        bool length;
    } cases[] = {
        {"POST", "{}", "POST / HTTP/1.1\r\n", true},
        {"GET", "", "GET / HTTP/1.1\r\n", false},
        {"DELETE", "", "DELETE / HTTP/1.1\r\n", false},
        {"POST", "", "POST / HTTP/1.1\r\n", true},
        {"HEAD", "", "HEAD / HTTP/1.1\r\n", false},
        {"GET", "", "GET / HTTP/1.1\r\n", false},
        {"PUT", "{}", "PUT / HTTP/1.1\r\n", true},
        {"DELETE", "{}", "DELETE / HTTP/1.1\r\n", true},
        {"GET", "", "GET / HTTP/1.1\r\n", false},
    };
    FAKE_SCRIPT(f->provider, steps);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_call call = {0};
        size_t len = strlen(cases[i].body);
        struct http_request r = {
            .method = cases[i].method, .body = len ? cases[i].body : NULL, .body_len = len};
        http_call_start(f, &call, &r);
        RUN_UNTIL(f, call.done);

        const char *head = fake_provider_head(f->provider);
        assert_int_equal(call.result, HTTP_DONE);
        assert_memory_equal(head, cases[i].first_line, strlen(cases[i].first_line));
        assert_int_equal(strstr(head, "Content-Length:") != NULL, cases[i].length);
        assert_int_equal(fake_provider_body_len(f->provider), len);
    }
    assert_int_equal(fake_provider_connections(f->provider), 1);
}

struct lines {
    char text[512];
};

static void note_line(void *arg, const char *name, const char *value)
{
    struct lines *lines = arg;
    size_t len = strlen(lines->text);
    (void)snprintf(lines->text + len, sizeof(lines->text) - len, "%s=%s;", name, value);
}

struct looked_up {
    char last[64];
    bool absent;
    struct lines lines;
    bool done;
};

static void look_up(void *arg, struct http_transfer *t, int status)
{
    struct looked_up *seen = arg;
    (void)status;
    const char *value = http_reply_header(t, "x-RATE");
    (void)snprintf(seen->last, sizeof(seen->last), "%s", value ? value : "");
    seen->absent = http_reply_header(t, "x-interim") == NULL;
    http_reply_headers(t, note_line, &seen->lines);
}

static void ignore_body(void *arg, struct http_transfer *t, const char *bytes, size_t len)
{
    (void)arg, (void)t, (void)bytes, (void)len;
}

static void note_done(void *arg, struct http_transfer *t, enum http_result result, int status,
                      const char *detail)
{
    (void)t, (void)status, (void)detail;
    struct looked_up *seen = arg;
    seen->done = result == HTTP_DONE;
}

static void reply_headers_are_found_in_any_case_and_interim_replies_are_skipped(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = "HTTP/1.1 100 Continue\r\nx-interim: 1\r\n\r\n"
                  "HTTP/1.1 429 Too Many\r\nX-Rate: 1\r\nx-empty:\r\nfolded: a\r\n"
                  "  b\r\nx-rate:  2 \r\nContent-Length: 0\r\n\r\n"},
    };
    FAKE_SCRIPT(f->provider, steps);
    static const struct http_handlers handlers = {look_up, ignore_body, note_done};
    struct looked_up seen = {0};
    struct http_request r = {.method = "GET", .url = fake_provider_url(f->provider)};
    assert_non_null(http_transfer_start(f->client, &r, &handlers, &seen, NULL));
    RUN_UNTIL(f, seen.done);

    assert_string_equal(seen.last, "2");
    assert_true(seen.absent);
    assert_string_equal(seen.lines.text, "X-Rate=1;x-empty=;folded=a b;x-rate=2;Content-Length=0;");
}

static void a_stream_arrives_piece_by_piece(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         .slice = 3},
        {.op = FAKE_SEND, .bytes = "3\r\nabc\r\n"},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = "5;x=y\r\ndefgh\r\n0\r\nlocation: /x\r\n\r\n", .slice = 1},
    };
    FAKE_SCRIPT(f->provider, steps);
    struct http_call call = {0};
    http_call_post(f, &call);

    RUN_UNTIL(f, call.bytes == 3); /* the first event is here while the reply is open */
    assert_int_equal(call.headers, 1);
    assert_int_equal(call.done, 0);
    fake_provider_go(f->provider);
    RUN_UNTIL(f, call.done);

    assert_int_equal(call.result, HTTP_DONE);
    assert_string_equal(call.body, "abcdefgh");
    assert_string_equal(call.location, ""); /* a trailer is no header */
    assert_in_range(call.pieces, 3, 8);
    assert_int_equal(call.headers, 1);
}

static void a_body_without_length_ends_with_its_connection(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.0 200 OK\r\n\r\nabc"},
        {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_call call = {0};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.done);

    assert_int_equal(call.result, HTTP_DONE);
    assert_string_equal(call.body, "abc");
}

static void a_redirect_is_a_reply_like_any_other(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = "HTTP/1.1 307 Temporary\r\nLocation: http://127.0.0.1:1/\r\n"
                  "Content-Length: 0\r\n\r\n"}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_call call = {0};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.done);

    assert_int_equal(call.result, HTTP_DONE);
    assert_int_equal(call.done_status, 307);
    assert_string_equal(call.location, "http://127.0.0.1:1/");
    assert_int_equal(fake_provider_requests(f->provider), 1);
}

static void proxies_of_the_environment_are_ignored(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, plain);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
    struct http_call call = {0};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.done);
    (void)unsetenv("http_proxy");
    (void)unsetenv("ALL_PROXY");

    assert_int_equal(call.result, HTTP_DONE);
}

static void a_host_name_is_resolved_without_the_loop(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, plain);
    char url[64];
    (void)snprintf(url, sizeof(url), "http://localhost:%u/", fake_provider_port(f->provider));
    struct http_call calls[2] = {{0}, {.cancel_at = HTTP_CALL_NEVER}};
    struct http_request r = {.method = "GET", .url = url};
    http_call_start(f, &calls[0], &r);
    http_call_start(f, &calls[1], &r);
    http_calls_step(f);
    http_call_cancel(&calls[1]); /* while its resolver may run */
    RUN_UNTIL(f, calls[0].done);

    assert_int_equal(calls[0].result, HTTP_DONE);
    assert_int_equal(calls[1].after_cancel, 0);
}

static void connections_are_reused(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, plain);
    for (int i = 0; i < 50; i++) {
        struct http_call call = {0};
        http_call_post(f, &call);
        RUN_UNTIL(f, call.done);
        assert_int_equal(call.result, HTTP_DONE);
    }
    assert_int_equal(fake_provider_requests(f->provider), 50);
    assert_int_equal(fake_provider_connections(f->provider), 1);
}

/* A number that stayed registered would be taken for whoever gets it next. */
static void a_closed_connection_leaves_nothing_on_the_loop(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"},
        {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(f->provider, steps);
    http_calls_settle(f);
    int before = event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED);
    struct http_call call = {0};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.done);
    http_calls_settle(f);

    assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), before);
}

static void a_connection_closed_between_requests_is_replaced(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {{.op = FAKE_READ},
                                             {.op = FAKE_SEND, .bytes = OK_2},
                                             {.op = FAKE_STALL},
                                             {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(f->provider, steps);
    for (unsigned i = 1; i <= 3; i++) {
        struct http_call call = {0};
        http_call_post(f, &call);
        RUN_UNTIL(f, call.done);
        assert_int_equal(call.result, HTTP_DONE);
        assert_int_equal(fake_provider_connections(f->provider), i);
        fake_provider_go(f->provider);
        http_calls_settle(f);
        assert_int_equal(fake_provider_open(f->provider), 0);
    }
}

/* Starts the next one inside on_done, until there were 20. */
static void start_again(struct http_call *call)
{
    struct http_calls *f = call->calls;
    unsigned done = call->done;
    if (done == 20)
        return;
    call->done = 0;
    http_call_post(f, call);
    call->done = done;
}

static void a_transfer_may_be_started_inside_on_done(void **state)
{
    struct http_calls *f = *state;
    FAKE_SCRIPT(f->provider, plain);
    struct http_call call = {.on_done = start_again};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.done == 20);

    assert_int_equal(fake_provider_requests(f->provider), 20);
    assert_int_equal(http_client_running(f->client), 0);
}

static bool all_done(const struct http_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!calls[i].done)
            return false;
    return true;
}

static void two_hundred_transfers_run_at_once(void **state)
{
    enum { COUNT = 200 };
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ}, {.op = FAKE_STALL}, {.op = FAKE_SEND, .bytes = OK_2}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_call *calls = calloc(COUNT, sizeof(*calls));
    assert_non_null(calls);
    for (unsigned round = 1; round <= 2; round++) {
        memset(calls, 0, COUNT * sizeof(*calls));
        for (size_t i = 0; i < COUNT; i++)
            http_call_post(f, &calls[i]);
        assert_int_equal(http_client_running(f->client), COUNT);
        RUN_UNTIL(f, fake_provider_stalled(f->provider) == COUNT);
        fake_provider_go(f->provider);
        RUN_UNTIL(f, all_done(calls, COUNT));
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(calls[i].result, HTTP_DONE);
            assert_string_equal(calls[i].body, "{}");
            assert_int_equal(calls[i].done, 1);
        }
        assert_int_equal(fake_provider_requests(f->provider), round * COUNT);
    }
    assert_int_equal(fake_provider_connections(f->provider), COUNT);
    free(calls);
}

static void a_client_may_be_freed_with_running_transfers(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"},
        {.op = FAKE_STALL}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_call calls[4] = {{0}};
    for (size_t i = 0; i < 3; i++)
        http_call_post(f, &calls[i]);
    RUN_UNTIL(f, calls[0].bytes == 3 && calls[1].bytes == 3 && calls[2].bytes == 3);
    http_call_pause(&calls[1]);
    http_call_post(f, &calls[3]); /* not even begun */

    http_client_free(f->client);
    f->client = NULL;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(calls[i].done, 0);
    RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_calls_setup, http_calls_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_plain_reply_arrives_whole),
        CASE(the_request_is_sent_as_given),
        CASE(bodies_of_any_length_arrive),
        CASE(methods_do_not_leak_into_the_next_request),
        CASE(reply_headers_are_found_in_any_case_and_interim_replies_are_skipped),
        CASE(a_stream_arrives_piece_by_piece),
        CASE(a_body_without_length_ends_with_its_connection),
        CASE(a_redirect_is_a_reply_like_any_other),
        CASE(proxies_of_the_environment_are_ignored),
        CASE(a_host_name_is_resolved_without_the_loop),
        CASE(connections_are_reused),
        CASE(a_closed_connection_leaves_nothing_on_the_loop),
        CASE(a_connection_closed_between_requests_is_replaced),
        CASE(a_transfer_may_be_started_inside_on_done),
        CASE(two_hundred_transfers_run_at_once),
        CASE(a_client_may_be_freed_with_running_transfers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
