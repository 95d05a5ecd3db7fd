#include "scheduler/http_client.h"

#include "common/limits.h"
#include "tests/support/http_call.h"
#include "tests/support/tls_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

/* A port of ours where nobody listens. Returns the descriptor that keeps it so. */
static int closed_port(char *url, size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(url, room, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    return fd;
}

static void a_refused_connection_means_not_sent(void **state)
{
    struct http_calls *f = *state;
    char url[64];
    int fd = closed_port(url, sizeof(url));
    struct http_request r = {.method = "POST", .url = url, .body = "{}", .body_len = 2};
    struct http_call call = {0};
    http_call_start(f, &call, &r);
    RUN_UNTIL(f, call.done);
    (void)close(fd);

    assert_int_equal(call.result, HTTP_NOT_SENT);
    assert_int_equal(call.done_status, 0);
    assert_false(call.sent);
    assert_string_not_equal(call.detail, "");
}

/* A reused handle must not remember that its last request was sent. */
static void not_sent_is_said_of_this_request_only(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {{.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = OK_2}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_call first = {0};
    http_call_post(f, &first);
    RUN_UNTIL(f, first.done);
    assert_true(first.sent);
    struct http_call second = {0};
    http_call_post(f, &second);
    assert_false(http_transfer_sent(second.transfer));
    http_call_cancel(&second);
    a_refused_connection_means_not_sent(state);
}

/* Each case is what a provider does with a request, and what it is called here. */
static void what_breaks_a_reply_is_told(void **state)
{
    struct http_calls *f = *state;
#define HEAD_9  "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define READ_IT                                                                                    \
    {                                                                                              \
        .op = FAKE_READ                                                                            \
    }
#define SEND_IT(s)                                                                                 \
    {                                                                                              \
        .op = FAKE_SEND, .bytes = (s)                                                              \
    }
    static const struct {
        struct fake_step steps[3];
        size_t count;
        int status;
    } cases[] = {
        {{READ_IT, {.op = FAKE_RESET}}, 2, 0},
        {{READ_IT, {.op = FAKE_CLOSE}}, 2, 0},
        {{READ_IT, SEND_IT("HTTP/1.1 200 OK\r\nX-"), {.op = FAKE_RESET}}, 3, 200},
        {{READ_IT, SEND_IT(HEAD_9 "abc"), {.op = FAKE_RESET}}, 3, 200},
        {{READ_IT, SEND_IT(HEAD_9 "abc"), {.op = FAKE_CLOSE}}, 3, 200},
        {{READ_IT, SEND_IT(CHUNKED "3\r\nabc\r\n"), {.op = FAKE_CLOSE}}, 3, 200},
        {{READ_IT, SEND_IT(CHUNKED "5\r\nabc"), {.op = FAKE_CLOSE}}, 3, 200},
        {{READ_IT, SEND_IT(CHUNKED "zz\r\nabc\r\n0\r\n\r\n"), {.op = FAKE_STALL}}, 3, 200},
        {{READ_IT, SEND_IT("SSH-2.0-OpenSSH_9.2\r\n\r\n"), {.op = FAKE_STALL}}, 3, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_provider_script(f->provider, cases[i].steps, cases[i].count);
        struct http_call call = {0};
        http_call_post(f, &call);
        RUN_UNTIL(f, call.done);
        if (call.result != HTTP_BROKEN || call.done_status != cases[i].status || !call.sent)
            fail_msg("case %zu: %s, status %d, %s", i, http_result_name(call.result),
                     call.done_status, call.detail);
        assert_string_not_equal(call.detail, "");
        assert_int_equal(fake_provider_requests(f->provider), i + 1);
    }
}

static void a_request_is_not_sent_again_on_its_own(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = OK_2}, {.op = FAKE_READ}, {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_call calls[2] = {{0}};
    http_call_post(f, &calls[0]);
    RUN_UNTIL(f, calls[0].done);
    http_call_post(f, &calls[1]); /* on the same connection, which dies of it */
    RUN_UNTIL(f, calls[1].done);

    assert_int_equal(calls[1].result, HTTP_BROKEN);
    assert_true(calls[1].sent);
    http_calls_settle(f);
    assert_int_equal(fake_provider_requests(f->provider), 2);
}

static void silence_ends_at_the_first_byte_limit(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_request r = {.method = "GET", .first_byte_ms = 40, .idle_ms = 10000};
    struct http_call call = {0};
    int64_t start_ms = clock_mono_ms();
    http_call_start(f, &call, &r);
    RUN_UNTIL(f, call.done);

    assert_int_equal(call.result, HTTP_FIRST_BYTE);
    assert_true(clock_mono_ms() - start_ms >= 40);
    assert_true(call.sent);
    RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
}

static void the_idle_limit_does_not_count_before_the_reply(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_request r = {.method = "GET", .first_byte_ms = 120, .idle_ms = 20};
    struct http_call call = {0};
    int64_t start_ms = clock_mono_ms();
    http_call_start(f, &call, &r);
    RUN_UNTIL(f, call.done);

    assert_int_equal(call.result, HTTP_FIRST_BYTE);
    assert_true(clock_mono_ms() - start_ms >= 120);
}

static void a_provider_that_does_not_read_ends_at_the_first_byte_limit(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {{.op = FAKE_DEAF}};
    FAKE_SCRIPT(f->provider, steps);
    char *body = calloc(1, 32 * MIB);
    assert_non_null(body);
    struct http_request r = {
        .method = "POST", .body = body, .body_len = 32 * MIB, .first_byte_ms = 100};
    struct http_call call = {0};
    http_call_start(f, &call, &r);
    RUN_UNTIL(f, call.done);
    free(body);

    assert_int_equal(call.result, HTTP_FIRST_BYTE);
    assert_true(call.sent);
}

static void the_first_byte_limit_counts_from_the_end_of_the_upload(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_STALL}, {.op = FAKE_READ}, {.op = FAKE_STALL}};
    FAKE_SCRIPT(f->provider, steps);
    char *body = calloc(1, 32 * MIB);
    assert_non_null(body);
    struct http_request r = {
        .method = "POST", .body = body, .body_len = 32 * MIB, .first_byte_ms = 1000};
    struct http_call call = {0};
    int64_t start_ms = clock_mono_ms();
    http_call_start(f, &call, &r);
    RUN_UNTIL(f, clock_mono_ms() > start_ms + 400);
    int64_t go_ms = clock_mono_ms();
    fake_provider_go(f->provider);
    RUN_UNTIL(f, call.done);
    free(body);

    assert_int_equal(call.result, HTTP_FIRST_BYTE);
    assert_int_equal(fake_provider_requests(f->provider), 1);
    assert_true(clock_mono_ms() - go_ms >= 1000);
}

static void a_reply_that_stops_ends_at_the_idle_limit(void **state)
{
    struct http_calls *f = *state;
    static const char *const starts[] = {"HTTP/1.1 200 OK\r\nX", HEAD_9, HEAD_9 "abc"};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct fake_step steps[] = {
            {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = starts[i]}, {.op = FAKE_STALL}};
        FAKE_SCRIPT(f->provider, steps);
        struct http_request r = {.method = "GET", .idle_ms = 40};
        struct http_call call = {0};
        http_call_start(f, &call, &r);
        RUN_UNTIL(f, call.done);

        assert_int_equal(call.result, HTTP_IDLE);
        assert_int_equal(call.done_status, 200);
        RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
    }
}

struct gaps {
    int64_t last_ms, longest_ms;
};

static void measure_gap(struct http_call *call)
{
    struct gaps *gaps = call->arg;
    int64_t now_ms = clock_mono_ms();
    if (gaps->last_ms && now_ms - gaps->last_ms > gaps->longest_ms)
        gaps->longest_ms = now_ms - gaps->last_ms;
    gaps->last_ms = now_ms;
}

/* The whole takes longer than the limit and no gap does, unless the machine is that slow. */
static void a_slow_reply_that_goes_on_is_not_idle(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"},
        {.op = FAKE_FILL, .len = 1000, .slice = 1}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_request r = {.method = "GET", .idle_ms = 300};
    struct gaps gaps = {0};
    struct http_call call = {.on_piece = measure_gap, .on_done = measure_gap, .arg = &gaps};
    int64_t start_ms = clock_mono_ms();
    http_call_start(f, &call, &r);
    RUN_UNTIL(f, call.done);

    assert_true(clock_mono_ms() - start_ms > 300);
    if (gaps.longest_ms < 300)
        assert_int_equal(call.result, HTTP_DONE);
}

/* A reply whose head has size bytes, in lines of at most line_bytes. */
static char *head_of(size_t size, size_t line_bytes)
{
    static const char start[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 'h', size);
    memcpy(text, start, sizeof(start) - 1);
    memcpy(text + size - 4, "\r\n\r\n", 5);
    size_t at = sizeof(start) - 1;
    while (size - at > line_bytes + 8) {
        memcpy(text + at, "a:", 2);
        at += line_bytes;
        memcpy(text + at - 2, "\r\n", 2);
    }
    memcpy(text + at, "a:", 2);
    return text;
}

static void a_head_may_have_the_maximum_size_and_no_byte_more(void **state)
{
    struct http_calls *f = *state;
    static const struct {
        size_t size, line;
        enum http_result result;
    } cases[] = {
        {UPSTREAM_MAX_HEADER_BYTES, 1000, HTTP_DONE},
        {UPSTREAM_MAX_HEADER_BYTES, SIZE_MAX / 2, HTTP_DONE}, /* one line */
        {UPSTREAM_MAX_HEADER_BYTES, 8, HTTP_DONE},
        {UPSTREAM_MAX_HEADER_BYTES + 1, 1000, HTTP_TOO_LARGE},
        {UPSTREAM_MAX_HEADER_BYTES + 1, SIZE_MAX / 2, HTTP_TOO_LARGE},
        {MIB, SIZE_MAX / 2, HTTP_TOO_LARGE},
        {MIB, 1000, HTTP_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *head = head_of(cases[i].size, cases[i].line);
        struct fake_step steps[] = {
            {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = head}, {.op = FAKE_CLOSE}};
        FAKE_SCRIPT(f->provider, steps);
        struct http_call call = {0};
        http_call_post(f, &call);
        RUN_UNTIL(f, call.done);
        RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
        if (call.result != cases[i].result)
            fail_msg("case %zu: %s, %s", i, http_result_name(call.result), call.detail);
        assert_int_equal(call.headers, cases[i].result == HTTP_DONE);
        free(head);
    }
}

static void interim_replies_count_against_the_head(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step interim = {.op = FAKE_SEND,
                                             .bytes = "HTTP/1.1 100 Continue\r\n\r\n"};
    enum { COUNT = 4000 };
    struct fake_step *many = calloc(COUNT, sizeof(*many));
    assert_non_null(many);
    for (size_t i = 1; i < COUNT; i++)
        many[i] = interim;
    many[0] = (struct fake_step){.op = FAKE_READ};
    fake_provider_script(f->provider, many, COUNT);
    struct http_call call = {0};
    http_call_post(f, &call);
    RUN_UNTIL(f, call.done);
    RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
    free(many);

    assert_int_equal(call.result, HTTP_TOO_LARGE);
    assert_int_equal(call.headers, 0);
}

static void a_body_may_have_the_maximum_size_and_no_byte_more(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step sized[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n"},
        {.op = FAKE_FILL, .len = 50000},
    };
    static const struct fake_step endless[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 200 OK\r\n\r\n"},
        {.op = FAKE_FILL},
    };
    struct http_request r = {.method = "GET", .max_body_bytes = 50000};
    struct http_call calls[3] = {{0}};
    FAKE_SCRIPT(f->provider, sized);
    http_call_start(f, &calls[0], &r);
    RUN_UNTIL(f, calls[0].done);
    assert_int_equal(calls[0].result, HTTP_DONE);
    assert_int_equal(calls[0].bytes, 50000);

    r.max_body_bytes = 49999;
    http_call_start(f, &calls[1], &r);
    RUN_UNTIL(f, calls[1].done);
    assert_int_equal(calls[1].result, HTTP_TOO_LARGE);
    assert_in_range(calls[1].bytes, 0, 49999);

    FAKE_SCRIPT(f->provider, endless);
    http_call_start(f, &calls[2], &r);
    RUN_UNTIL(f, calls[2].done);
    assert_int_equal(calls[2].result, HTTP_TOO_LARGE);
    assert_in_range(calls[2].bytes, 0, 49999);
    RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
}

static void headers(void *arg, struct http_transfer *t, int status)
{
    (void)arg, (void)t, (void)status;
    fail();
}

static void body(void *arg, struct http_transfer *t, const char *bytes, size_t len)
{
    (void)arg, (void)t, (void)bytes, (void)len;
    fail();
}

static void done(void *arg, struct http_transfer *t, enum http_result result, int status,
                 const char *detail)
{
    (void)arg, (void)t, (void)result, (void)status, (void)detail;
    fail();
}

static void refuse(struct http_calls *f, const char *method, const char *url,
                   const struct http_header *lines, size_t count)
{
    static const struct http_handlers never = {headers, body, done};
    struct http_request r = {.method = method, .url = url, .headers = lines, .header_count = count};
    struct error e = {{0}};
    if (http_transfer_start(f->client, &r, &never, NULL, &e))
        fail_msg("accepted: %s %.60s", method, url);
    assert_string_not_equal(e.text, "");
    assert_null(strstr(e.text, "SECRET"));
    assert_int_equal(http_client_running(f->client), 0);
}

static void wrong_requests_are_refused_at_once_and_without_their_secrets(void **state)
{
    struct http_calls *f = *state;
    static const char *const urls[] = {
        "",
        "nonsense",
        "/v1/chat",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:SECRET@127.0.0.1/",
        "http://127.0.0.1/SECRET\r\nx: y",
        "http://127.0.0.1/a b",
        "http://127.0.0.1:99999/",
    };
    static const struct http_header lines[] = {
        {"x-api-key", "SECRET\r\nx-evil: 1"},
        {"x-api-key", "SECRET\n"},
        {"x-api-key", "SECRET\r"},
        {"x-api-key", "SECRET\x01"},
        {"x-api-key", "SECRET\x7f"},
        {"x: y", "SECRET"},
        {"x\r\ny", "SECRET"},
        {"x y", "SECRET"},
        {"", "SECRET"},
    };
    static const char *const methods[] = {"", "GE T", "GET\r\n"};
    const char *url = fake_provider_url(f->provider);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        refuse(f, "GET", urls[i], NULL, 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        refuse(f, "GET", url, &lines[i], 1);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        refuse(f, methods[i], url, NULL, 0);
    assert_int_equal(fake_provider_connections(f->provider), 0);
}

static void a_request_may_have_the_maximum_size_and_no_byte_more(void **state)
{
    struct http_calls *f = *state;
    static const struct fake_step steps[] = {{.op = FAKE_DEAF}};
    FAKE_SCRIPT(f->provider, steps);
    struct http_header lines[UPSTREAM_MAX_REQUEST_HEADERS + 1];
    for (size_t i = 0; i < UPSTREAM_MAX_REQUEST_HEADERS + 1; i++)
        lines[i] = (struct http_header){"x-line", "v"};
    struct http_request r = {
        .method = "GET", .headers = lines, .header_count = UPSTREAM_MAX_REQUEST_HEADERS};
    struct http_call call = {0};
    http_call_start(f, &call, &r);
    http_call_cancel(&call);
    refuse(f, "GET", fake_provider_url(f->provider), lines, UPSTREAM_MAX_REQUEST_HEADERS + 1);

    /* "x: " value NUL, and "Expect:", "Accept:", "Content-Type:", each with its NUL. */
    size_t most = UPSTREAM_MAX_REQUEST_HEADER_BYTES - 4 - 8 - 8 - 14;
    char *value = calloc(1, most + 2);
    assert_non_null(value);
    memset(value, 'v', most);
    lines[0] = (struct http_header){"x", value};
    r.header_count = 1;
    http_call_start(f, &call, &r);
    http_call_cancel(&call);
    value[most] = 'v';
    refuse(f, "GET", fake_provider_url(f->provider), lines, 1);
    free(value);

    char *url = calloc(1, UPSTREAM_MAX_URL_BYTES + 2);
    assert_non_null(url);
    memset(url, 'u', UPSTREAM_MAX_URL_BYTES);
    memcpy(url, "http://127.0.0.1/", 17);
    r = (struct http_request){.method = "GET", .url = url};
    http_call_start(f, &call, &r);
    http_call_cancel(&call);
    url[UPSTREAM_MAX_URL_BYTES] = 'u';
    refuse(f, "GET", url, NULL, 0);
    free(url);
}

/* One GET to a TLS server whose certificate is for alt_name. */
static void call_tls(struct http_calls *f, const char *alt_name, bool trust, struct http_call *call)
{
    struct tls_server server;
    if (!tls_server_start(&server, alt_name)) {
        print_message("skipped: no openssl program\n");
        skip();
    }
    char url[64];
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", server.port);
    struct http_request r = {.method = "GET", .url = url};
    if (trust)
        assert_int_equal(http_client_trust(f->client, server.cert), 0);
    for (int i = 0; i < (trust ? 2 : 1); i++) { /* the second one resumes the TLS session */
        *call = (struct http_call){0};
        http_call_start(f, call, &r);
        RUN_UNTIL(f, call->done);
    }
    tls_server_stop(&server);
}

static void a_certificate_signed_by_itself_is_refused(void **state)
{
    struct http_calls *f = *state;
    struct http_call call;
    call_tls(f, "IP:127.0.0.1", false, &call);

    assert_int_equal(call.result, HTTP_NOT_SENT);
    assert_false(call.sent);
    assert_non_null(strstr(call.detail, "certificate"));
}

static void a_trusted_certificate_for_another_host_is_refused(void **state)
{
    struct http_calls *f = *state;
    struct http_call call;
    call_tls(f, "DNS:other.example", true, &call);

    assert_int_equal(call.result, HTTP_NOT_SENT);
    assert_false(call.sent);
}

static void a_trusted_certificate_is_accepted(void **state)
{
    struct http_calls *f = *state;
    struct http_call call;
    call_tls(f, "IP:127.0.0.1", true, &call);

    assert_int_equal(call.result, HTTP_DONE);
    assert_int_equal(call.done_status, 200);
    assert_true(call.bytes > 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_calls_setup, http_calls_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_refused_connection_means_not_sent),
        CASE(not_sent_is_said_of_this_request_only),
        CASE(what_breaks_a_reply_is_told),
        CASE(a_request_is_not_sent_again_on_its_own),
        CASE(silence_ends_at_the_first_byte_limit),
        CASE(the_idle_limit_does_not_count_before_the_reply),
        CASE(a_provider_that_does_not_read_ends_at_the_first_byte_limit),
        CASE(the_first_byte_limit_counts_from_the_end_of_the_upload),
        CASE(a_reply_that_stops_ends_at_the_idle_limit),
        CASE(a_slow_reply_that_goes_on_is_not_idle),
        CASE(a_head_may_have_the_maximum_size_and_no_byte_more),
        CASE(interim_replies_count_against_the_head),
        CASE(a_body_may_have_the_maximum_size_and_no_byte_more),
        CASE(wrong_requests_are_refused_at_once_and_without_their_secrets),
        CASE(a_request_may_have_the_maximum_size_and_no_byte_more),
        CASE(a_certificate_signed_by_itself_is_refused),
        CASE(a_trusted_certificate_for_another_host_is_refused),
        CASE(a_trusted_certificate_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
