/* What a server lets in, and how it answers: raw bytes against api/server.h. */
#include "common/limits.h"
#include "tests/support/http_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#define POST    "POST /p HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define EVIL    "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"

static int start(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct server_options options = rig_options();
    rig_start(rig, &options);
    *state = rig;
    return 0;
}

static int stop(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

struct refusal {
    const char *bytes;
    size_t len;
    int status;
};

#define REFUSED(text, status)                                                                      \
    {                                                                                              \
        text, sizeof(text) - 1, status                                                             \
    }

static const struct refusal hostile[] = {
    REFUSED(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" EVIL, 400),
    REFUSED(POST "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello" EVIL, 400),
    REFUSED(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    REFUSED(POST "Content-Length: +5\r\n\r\nhello", 400),
    REFUSED(POST "Content-Length: 5,5\r\n\r\nhello", 400),
    REFUSED(POST "Content-Length: -1\r\n\r\nhello", 400),
    REFUSED(POST "Content-Length: 0x5\r\n\r\nhello", 400),
    REFUSED(POST "Content-Length: 9223372036854775808\r\n\r\nhello", 400),
    REFUSED(POST "Content-Length: \r\n\r\nhello", 400),
    REFUSED(POST "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400),
    REFUSED(POST "Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400),
    REFUSED(POST "Transfer-Encoding: identity\r\n\r\n" EVIL, 400),
    REFUSED(POST "Transfer-Encoding: xchunked\r\n\r\n" EVIL, 400),
    REFUSED(POST "Transfer-Encoding: \x0b"
                 "chunked\r\n\r\n" EVIL,
            400),
    REFUSED(POST "Transfer-Encoding : chunked\r\n\r\n" EVIL, 400),
    REFUSED(POST "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello", 400),
    REFUSED("POST /p HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    REFUSED("HEAD /p HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n" EVIL, 400),
    REFUSED(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n" EVIL, 400),
    REFUSED(CHUNKED "+5\r\nhello\r\n0\r\n\r\n" EVIL, 400),
    REFUSED(CHUNKED " 5\r\nhello\r\n0\r\n\r\n" EVIL, 400),
    REFUSED(CHUNKED "5 junk\r\nhello\r\n0\r\n\r\n" EVIL, 400),
    REFUSED(CHUNKED "5;a=b\r\nhello\r\n0\r\n\r\n", 400),
    REFUSED(CHUNKED "5\r\nhello0\r\n\r\n" EVIL, 400),
    REFUSED(CHUNKED "5\nhello\n0\n\n" EVIL, 400),
    REFUSED(CHUNKED "-5\r\nhello\r\n0\r\n\r\n", 400),
    REFUSED(CHUNKED "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", 400),
    REFUSED("GET /f HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n", 400),
    REFUSED("GET /lf HTTP/1.1\nHost: a\n\n", 400),
    REFUSED("GET /cr HTTP/1.1\r\nHost: a\r\nX-A: 1\rX-B: 2\r\n\r\n", 400),
    REFUSED("GET /nul HTTP/1.1\r\nHost: a\r\nX-A: 1\0002\r\nX-C: 3\r\n\r\n", 400),
    REFUSED("GET /nul2 HTTP/1.1\r\nHost: a\r\nX\000A: 1\r\n\r\n", 400),
    REFUSED("GET /e HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n", 400),
    REFUSED("GET /e HTTP/1.1\r\nHost: a\r\nX A: v\r\n\r\n", 400),
    REFUSED("GET /e HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", 400),
    REFUSED("GET /nohost HTTP/1.1\r\n\r\n", 400),
    REFUSED("GET /2host HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    REFUSED("GET http://evil/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    REFUSED("GET /a\000b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    REFUSED("GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    REFUSED("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    REFUSED("GET /\r\n\r\n", 400),
    REFUSED("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    REFUSED("GET / HTTP/1.99999999999\r\nHost: a\r\n\r\n", 505),
    REFUSED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501),
    REFUSED("\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03", 400),
    REFUSED("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    REFUSED("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    REFUSED(POST "Expect: xyz\r\nContent-Length: 5\r\n\r\nhello", 417),
    REFUSED(POST "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n", 413),
    REFUSED(POST "Authorization: a\r\nauthorization: b\r\n\r\n", 400),
    REFUSED(POST "x-api-key: a\r\nX-API-Key: a\r\n\r\n", 400),
    REFUSED(POST "Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n", 400),
    REFUSED(POST "Content-Type: a\r\nContent-Type: b\r\n\r\n", 400),
};

/* Each is refused in JSON with one answer, closed, and reaches no handler. */
static void check_refused(struct rig *rig, const struct refusal *r, size_t i)
{
    struct client c;
    char want[32];
    client_open(&c, rig);
    client_send_bytes(&c, r->bytes, r->len);
    client_until_end(&c);
    (void)snprintf(want, sizeof(want), "HTTP/1.1 %d ", r->status);
    if (strncmp(c.in, want, strlen(want)) != 0 || client_count(&c, "\r\nDate: ") != 1 ||
        rig->requests != 0)
        fail_msg("case %zu (%s): %zu handled, answer: %s", i, r->bytes, rig->requests, c.in);
    assert_int_equal(client_count(&c, "Content-Type: application/json\r\n"), 1);
    assert_int_equal(client_count(&c, "Connection: close\r\n"), 1);
    bool is_head = strncmp(r->bytes, "HEAD", 4) == 0;
    assert_int_equal(client_count(&c, "\r\n\r\n{\"error\":{\"message\":\""), !is_head);
    assert_int_equal(client_count(&c, "<"), 0);
    assert_false(c.reset);
    client_close(&c);
}

static void hostile_requests_are_refused_in_json_and_never_run_twice(void **state)
{
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
        check_refused(*state, &hostile[i], i);
}

static void a_bad_request_after_a_good_one_is_refused_after_its_answer(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nX A: v\r\n\r\n" EVIL);
    client_until_end(&c);
    assert_int_equal(rig->requests, 1);
    assert_int_equal(client_count(&c, "HTTP/1.1 200 OK\r\n"), 1);
    assert_int_equal(client_count(&c, "HTTP/1.1 400 Bad Request\r\n"), 1);
    assert_true(strstr(c.in, "200 OK") < strstr(c.in, "400 Bad"));
    client_close(&c);
}

static void a_body_that_looks_like_a_request_is_a_body(void **state)
{
    struct rig *rig = *state;
    static const char *const methods[] = {"GET", "DELETE", "POST", "PUT", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        struct client c;
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "%s /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n" EVIL,
                       methods[i], strlen(EVIL));
        client_open(&c, rig);
        client_send(&c, text);
        client_until(&c, "\r\n\r\n" EVIL);
        assert_int_equal(rig->requests, i + 1);
        client_close(&c);
    }
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\ntw\r\n1\r\no\r\n0\r\nX-Trailer: 1\r\n\r\n"
                    "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client_until_end(&c);
    assert_int_equal(rig->requests, 3);
    char *one = strstr(c.in, "\r\n\r\none"), *two = strstr(c.in, "\r\n\r\ntwo");
    assert_non_null(one);
    assert_non_null(two);
    assert_true(one < two && two < strstr(c.in, "\r\n\r\nhello"));
    assert_int_equal(client_count(&c, "oneHTTP/1.1 "), 1); /* and nothing between them */
    assert_int_equal(client_count(&c, "twoHTTP/1.1 "), 1);
    assert_int_equal(client_count(&c, "Connection: close\r\n"), 1);
    client_close(&c);
}

static void a_request_may_come_one_byte_at_a_time(void **state)
{
    struct rig *rig = *state;
    static const char text[] = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                               "\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    struct client c;
    client_open(&c, rig);
    for (int round = 1; round <= 2; round++) {
        for (const char *at = text; *at; at++) {
            client_send_bytes(&c, at, 1);
            rig_turn(rig);
        }
        rig_until(rig, &rig->requests, (size_t)round);
    }
    client_until_bytes(&c, 1);
    while (client_count(&c, "\r\n\r\nabcde") < 2)
        client_until_bytes(&c, c.len + 1);
    client_close(&c);
}

static void post_body(struct client *c, const char *path, size_t len, bool chunked)
{
    char head[160];
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, 'x', len);
    int n = chunked
                ? snprintf(head, sizeof(head),
                           "POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "%zx\r\n",
                           path, len)
                : snprintf(head, sizeof(head),
                           "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", path, len);
    client_send_bytes(c, head, (size_t)n);
    client_send_bytes(c, body, len);
    if (chunked)
        client_send(c, "\r\n0\r\n\r\n");
    free(body);
}

static void a_body_of_the_maximum_passes_and_one_byte_more_is_413(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 4; i++) {
        struct client c;
        bool chunked = i % 2;
        client_open(&c, rig);
        post_body(&c, i < 2 ? "/echo" : "/take", RIG_MAX_BODY, chunked);
        client_until(&c, "\r\n\r\n");
        client_until_bytes(&c, (size_t)(strstr(c.in, "\r\n\r\n") + 4 - c.in) + RIG_MAX_BODY);
        assert_int_equal(strspn(strstr(c.in, "\r\n\r\n") + 4, "x"), RIG_MAX_BODY);
        /* and the connection serves on */
        client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client_until(&c, "\r\n\r\nhello");
        post_body(&c, "/hello", RIG_MAX_BODY, chunked);
        while (client_count(&c, "\r\n\r\nhello") < 2)
            client_until_bytes(&c, c.len + 1);
        client_close(&c);
    }
    size_t handled = rig->requests;
    for (int chunked = 0; chunked < 2; chunked++) {
        struct client c;
        client_open(&c, rig);
        post_body(&c, "/echo", RIG_MAX_BODY + 1, chunked);
        client_until_end(&c);
        assert_int_equal(strncmp(c.in, "HTTP/1.1 413 ", 13), 0);
        assert_int_equal(client_count(&c, "{\"error\":"), 1);
        assert_false(c.reset);
        client_close(&c);
    }
    assert_int_equal(rig->requests, handled);
}

static void a_huge_body_is_told_413_though_the_client_sends_it_all(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    post_body(&c, "/echo", 16 * MIB, false);
    client_until_end(&c);
    assert_int_equal(strncmp(c.in, "HTTP/1.1 413 ", 13), 0);
    assert_false(c.reset);
    assert_int_equal(rig->requests, 0);
    client_close(&c);
}

static void a_refused_client_cannot_send_for_ever(void **state)
{
    struct rig *rig = *state;
    struct client c;
    static char block[256 * KIB];
    size_t pushed = 0;
    client_open(&c, rig);
    client_send(&c, POST "Content-Length: 999999999999\r\n\r\n");
    client_until(&c, "HTTP/1.1 413 ");
    client_stop_reading(&c); /* the end that the server sent is not to be looked at */
    while (pushed < HTTP_LINGER_BYTES + 64 * MIB && server_connections(rig->server) == 1) {
        pushed += client_push(&c, block, sizeof(block));
        rig_turn(rig);
    }
    rig_until_connections(rig, 0);
    assert_in_range(pushed, 0, HTTP_LINGER_BYTES + 32 * MIB);
    client_close(&c);
}

static void header_lines_have_a_maximum_count_and_size(void **state)
{
    struct rig *rig = *state;
    for (int over = 0; over < 2; over++) {
        struct client c;
        char *text = calloc(1, HTTP_MAX_HEADER_BYTES * 2);
        assert_non_null(text);
        int n = sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 1; i < HTTP_MAX_HEADERS + over; i++)
            n += sprintf(text + n, "a: b\r\n");
        (void)sprintf(text + n, "\r\n");
        client_open(&c, rig);
        client_send(&c, text);
        client_until(&c, over ? "HTTP/1.1 431 " : "HTTP/1.1 200 ");
        client_close(&c);

        int room = HTTP_MAX_HEADER_BYTES - (int)strlen("Host: a\r\nX: \r\n\r\n") + over;
        (void)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\nX: %0*d\r\n\r\n", room, 0);
        client_open(&c, rig);
        client_send(&c, text);
        client_until(&c, over ? "HTTP/1.1 431 " : "HTTP/1.1 200 ");
        client_close(&c);
        free(text);
    }
    assert_int_equal(rig->requests, 2);
}

static void expect_100_is_answered_before_the_body(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                    "Content-Length: 5\r\n\r\n");
    client_until(&c, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(&c, "hello");
    client_until(&c, "\r\n\r\nhello");
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client_until_end(&c);
    assert_int_equal(rig->requests, 2);
    client_close(&c);
}

static void head_has_the_length_and_no_body(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /x HTTP/1.1\r\nHost: a\r\n"
                    "Connection: close\r\n\r\n");
    client_until_end(&c);
    assert_int_equal(client_count(&c, "Content-Length: 5\r\n"), 2);
    assert_int_equal(client_count(&c, "hello"), 0);
    client_close(&c);
}

static void http_1_0_is_closed_unless_it_asks_to_keep(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_until(&c, "\r\n\r\nhello");
    assert_int_equal(client_count(&c, "Connection: keep-alive\r\n"), 1);
    client_send(&c, "GET / HTTP/1.0\r\n\r\n");
    client_until_end(&c);
    assert_int_equal(client_count(&c, "Connection: close\r\n"), 1);
    assert_int_equal(client_count(&c, "\r\n\r\nhello"), 2);
    client_close(&c);
}

static void note(void *arg, const char *name, const char *value)
{
    struct rig *rig = arg;
    size_t len = strlen(rig->seen);
    (void)snprintf(rig->seen + len, sizeof(rig->seen) - len, "%s=%s;", name, value);
}

static void look_at_everything(struct rig *rig, struct exchange *x)
{
    char value[8];
    size_t len;
    assert_string_equal(exchange_method(x), "PUT");
    assert_string_equal(exchange_path(x), "/a b/c");
    assert_string_equal(exchange_header(x, "x-one"), "1");
    assert_null(exchange_header(x, "X-Two"));
    assert_string_equal(exchange_peer(x), "127.0.0.1");
    assert_true(exchange_started_us(x) > 0);
    assert_int_equal(exchange_query(x, "q", value, sizeof(value)), 0);
    assert_string_equal(value, "1 2&3");
    assert_int_equal(exchange_query(x, "full", value, sizeof(value)), 0);
    assert_string_equal(value, "seven77");
    assert_int_equal(exchange_query(x, "over", value, sizeof(value)), -ENOSPC);
    assert_int_equal(exchange_query(x, "flag", value, sizeof(value)), 0);
    assert_string_equal(value, "");
    assert_int_equal(exchange_query(x, "fla", value, sizeof(value)), -ENOENT);
    assert_int_equal(exchange_query(x, "nul", value, sizeof(value)), -ENOENT);
    assert_string_equal(exchange_body(x, &len), "hi");
    assert_int_equal(len, 2);
    exchange_headers(x, note, rig);
    assert_int_equal(exchange_set_header(x, "x-good", "yes"), 0);
    assert_int_equal(exchange_set_header(x, "x-bad", "a\r\nb: c"), -EINVAL);
    assert_int_equal(exchange_set_header(x, "x bad", "a"), -EINVAL);
    assert_int_equal(exchange_set_header(x, "Content-Length", "7"), -EINVAL);
    char *huge = calloc(1, HTTP_REPLY_HEADER_BYTES + 1);
    assert_non_null(huge);
    memset(huge, 'x', HTTP_REPLY_HEADER_BYTES);
    assert_int_equal(exchange_set_header(x, "x-huge", huge), -ENOSPC);
    free(huge);
}

static void the_handler_sees_the_request_and_sets_headers(void **state)
{
    struct rig *rig = *state;
    struct client c;
    rig->observe = look_at_everything;
    client_open(&c, rig);
    client_send(&c, "PUT /a%20b/c?x&q=1+2%263&flag&full=seven77&over=eight888 HTTP/1.1\r\n"
                    "Host: a\r\nX-One: 1\r\nContent-Length: 2\r\n\r\nhi");
    client_until(&c, "\r\n\r\nhello");
    assert_string_equal(rig->seen, "Host=a;X-One=1;Content-Length=2;");
    assert_int_equal(client_count(&c, "\r\nx-good: yes\r\n"), 1);
    assert_int_equal(client_count(&c, "x-bad"), 0);
    assert_int_equal(client_count(&c, "\r\nDate: "), 1);
    client_close(&c);
}

static void write_dialect(const char *path, int status, const char *message, struct evbuffer *out)
{
    (void)evbuffer_add_printf(out, "[%s|%d|%s]", path, status, message);
}

static void errors_are_written_in_the_dialect_of_the_path(void **state)
{
    (void)state;
    struct rig rig;
    struct client c;
    struct server_options options = rig_options();
    options.write_error = write_dialect;
    rig_start(&rig, &options);
    client_open(&c, &rig);
    client_send(&c, "POST /v1/messages?beta=true HTTP/1.1\r\nX A: 1\r\n\r\n");
    client_until_end(&c);
    assert_int_equal(client_count(&c, "[/v1/messages|400|A header name"), 1);
    client_close(&c);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)
        WITH_SERVER(hostile_requests_are_refused_in_json_and_never_run_twice),
        WITH_SERVER(a_bad_request_after_a_good_one_is_refused_after_its_answer),
        WITH_SERVER(a_body_that_looks_like_a_request_is_a_body),
        WITH_SERVER(pipelined_requests_are_answered_in_order),
        WITH_SERVER(a_request_may_come_one_byte_at_a_time),
        WITH_SERVER(a_body_of_the_maximum_passes_and_one_byte_more_is_413),
        WITH_SERVER(a_huge_body_is_told_413_though_the_client_sends_it_all),
        WITH_SERVER(a_refused_client_cannot_send_for_ever),
        WITH_SERVER(header_lines_have_a_maximum_count_and_size),
        WITH_SERVER(expect_100_is_answered_before_the_body),
        WITH_SERVER(head_has_the_length_and_no_body),
        WITH_SERVER(http_1_0_is_closed_unless_it_asks_to_keep),
        WITH_SERVER(the_handler_sees_the_request_and_sets_headers),
        cmocka_unit_test(errors_are_written_in_the_dialect_of_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
