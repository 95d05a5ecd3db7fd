#include "api/http_guard.h"
#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_BODY 1000
#define POST     "POST /p HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED  POST "Transfer-Encoding: chunked\r\n\r\n"

/* Fed in pieces of step bytes; what is given back is left in *ret_used. */
static struct http_guard fed(const char *bytes, size_t len, size_t step, size_t *ret_used)
{
    struct http_guard g;
    http_guard_init(&g, MAX_BODY);
    size_t at = 0;
    while (at < len && http_guard_phase(&g) < HTTP_GUARD_DONE) {
        size_t n = step < len - at ? step : len - at;
        size_t skipped = http_guard_skip(&g, n);
        at += skipped ? skipped : http_guard_feed(&g, bytes + at, n);
    }
    *ret_used = at;
    return g;
}

struct verdict {
    const char *bytes;
    size_t len;
    int status; /* 0: passed */
};

#define CASE(text, status)                                                                         \
    {                                                                                              \
        text, sizeof(text) - 1, status                                                             \
    }

static void check_all(const struct verdict *cases, size_t count)
{
    static const size_t steps[] = {1, 2, 3, 7, 4096};
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
            size_t used;
            struct http_guard g = fed(cases[i].bytes, cases[i].len, steps[s], &used);
            bool is_whole = cases[i].status || used == cases[i].len;
            if (g.status != cases[i].status || !is_whole ||
                (!g.status && http_guard_phase(&g) != HTTP_GUARD_DONE))
                fail_msg("case %zu in steps of %zu: %u (%s), used %zu: %s", i, steps[s],
                         (unsigned)g.status, g.why ? g.why : "", used, cases[i].bytes);
        }
    }
}

static void requests_that_mean_one_thing_pass(void **state)
{
    (void)state;
    static const struct verdict cases[] = {
        CASE("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        CASE("GET / HTTP/1.0\r\n\r\n", 0),
        CASE("GET /a%20b?x=[1]&y=~!$'()*+,;:@-._ HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        CASE("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 0),
        CASE("DELETE / HTTP/1.1\r\nHost:a\r\nX-Empty:\r\nX-Tab:\ta\tb \r\n\r\n", 0),
        CASE(POST "Content-Length: 5\r\n\r\nhello", 0),
        CASE(POST "content-LENGTH: \t 5 \t\r\n\r\nhello", 0),
        CASE(POST "X-Utf: \xc3\xa9\r\nContent-Length: 0\r\n\r\n", 0),
        CASE(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx", 0),
        CASE(CHUNKED "5\r\nhello\r\n0\r\n\r\n", 0),
        CASE(CHUNKED "005\r\nhello\r\nA\r\n0123456789\r\nb\r\n0123456789a\r\n000\r\n\r\n", 0),
        CASE(CHUNKED "0\r\nX-Trailer: 1\r\n\r\n", 0),
        CASE(POST "transfer-encoding: CHUNKED \r\n\r\n0\r\n\r\n", 0),
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void heads_that_could_mean_two_things_are_refused(void **state)
{
    (void)state;
    static const struct verdict cases[] = {
        CASE(POST "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello", 400),
        CASE(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        CASE(POST "Content-Length: +5\r\n\r\nhello", 400),
        CASE(POST "Content-Length: -1\r\n\r\n", 400),
        CASE(POST "Content-Length: 0x5\r\n\r\nhello", 400),
        CASE(POST "Content-Length: 5,5\r\n\r\nhello", 400),
        CASE(POST "Content-Length: 5 5\r\n\r\nhello", 400),
        CASE(POST "Content-Length: \r\n\r\n", 400),
        CASE(POST "Content-Length: 9223372036854775808\r\n\r\n", 400),
        CASE(POST "Content-Length: 00000000000000000000000000005\r\n\r\nhello", 400),
        CASE(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        CASE(POST "Transfer-Encoding : chunked\r\n\r\n", 400),
        CASE(POST "Transfer-Encoding: identity\r\n\r\n", 400),
        CASE(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        CASE(POST "Transfer-Encoding: \x0b"
                  "chunked\r\n\r\n",
             400),
        CASE(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        CASE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        CASE("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400),
        CASE("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\nHost: a\n\n", 400),
        CASE("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\nX: 1\rY: 2\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\nX: 1\0002\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\nX\000: 1\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\n: v\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\nX A: v\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\nnocolon\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\r\nX: \x7f\r\n\r\n", 400),
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void request_lines_that_are_not_ours_are_refused(void **state)
{
    (void)state;
    static const struct verdict cases[] = {
        CASE("\r\nGET / HTTP/1.1\r\n\r\n", 400),
        CASE(" GET / HTTP/1.1\r\n\r\n", 400),
        CASE("GET http://evil/x HTTP/1.1\r\n\r\n", 400),
        CASE("GET //evil/x HTTP/1.1\r\n\r\n", 400),
        CASE("OPTIONS * HTTP/1.1\r\n\r\n", 400),
        CASE("GET  / HTTP/1.1\r\n\r\n", 400),
        CASE("GET /a b HTTP/1.1\r\n\r\n", 400),
        CASE("GET /a\000b HTTP/1.1\r\n\r\n", 400),
        CASE("GET /a#b HTTP/1.1\r\n\r\n", 400),
        CASE("GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400),
        CASE("GET /\r\n\r\n", 400),
        CASE("GET / HTTP/1.1 \r\n\r\n", 505),
        CASE("GET / http/1.1\r\n\r\n", 400),
        CASE("GET / HTTP/1.1\rX\r\n\r\n", 400),
        CASE("GET / HTTP/1.2\r\n\r\n", 505),
        CASE("GET / HTTP/2.0\r\n\r\n", 505),
        CASE("GET / HTTP/1.999999\r\n\r\n", 505),
        CASE("GET / HTTP/1.99999999999999999999999999\r\n\r\n", 400),
        CASE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501),
        CASE("BREW / HTTP/1.1\r\n\r\n", 501),
        CASE("CONNECT a:1 HTTP/1.1\r\n\r\n", 501),
        CASE("TRACE / HTTP/1.1\r\n\r\n", 501),
        CASE("get / HTTP/1.1\r\n\r\n", 501),
        CASE("AMETHODTHATISMUCHLONGERTHANANY / HTTP/1.1\r\n\r\n", 501),
        CASE("\x16\x03\x01\x00\xc8\x01", 400),
        CASE(POST "Expect: xyz\r\nContent-Length: 5\r\n\r\nhello", 417),
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void chunks_have_one_spelling(void **state)
{
    (void)state;
    static const struct verdict cases[] = {
        CASE(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED "+5\r\nhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED " 5\r\nhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED "5 junk\r\nhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED "5;a=b\r\nhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED "-5\r\nhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED "\r\nhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED "5\nhello\n0\n\n", 400),
        CASE(CHUNKED "5\rXhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED "5\r\nhello0\r\n\r\n", 400),
        CASE(CHUNKED "5\r\nhello\n0\r\n\r\n", 400),
        CASE(CHUNKED "5\r\nhello\rX0\r\n\r\n", 400),
        CASE(CHUNKED "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", 400),
        CASE(CHUNKED "0\r\nContent-Length: 5\r\n\r\n", 400),
        CASE(CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        CASE(CHUNKED "0\r\nX A: 1\r\n\r\n", 400),
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static int status_of(const char *bytes, size_t len)
{
    size_t used;
    struct http_guard g = fed(bytes, len, 512, &used);
    return g.status ? g.status : http_guard_phase(&g) == HTTP_GUARD_DONE ? 0 : -1;
}

static void a_body_may_have_the_maximum_and_not_one_byte_more(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int status; /* -1: passed, waiting for the body */
    } cases[] = {
        {POST "Content-Length: 1000\r\n\r\n", -1},
        {POST "Content-Length: 1001\r\n\r\n", 413},
        {POST "Content-Length: 999999999999999999\r\n\r\n", 413},
        {CHUNKED "3e8\r\n", -1},
        {CHUNKED "3e9\r\n", 413},
        {CHUNKED "fffffffffffffff\r\n", 413},
        {CHUNKED "1\r\nx\r\n3e7\r\n", -1},
        {CHUNKED "1\r\nx\r\n3e8\r\n", 413},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(status_of(cases[i].head, strlen(cases[i].head)), cases[i].status);
}

/* A request with count headers, and one more of extra bytes when that is above 0. */
static int status_with(size_t uri_bytes, size_t count, size_t extra)
{
    char *text = calloc(1, 64 * KIB);
    assert_non_null(text);
    int n = sprintf(text, "GET /%0*d HTTP/1.1\r\n", (int)uri_bytes - 1, 0);
    for (size_t i = 0; i < count; i++)
        n += sprintf(text + n, "a: b\r\n");
    if (extra)
        n += sprintf(text + n, "X: %0*d\r\n", (int)extra - 5, 0);
    n += sprintf(text + n, "\r\n");
    int status = status_of(text, (size_t)n);
    free(text);
    return status;
}

static void heads_have_limits(void **state)
{
    (void)state;
    assert_int_equal(status_with(HTTP_MAX_URI_BYTES, 1, 0), 0);
    assert_int_equal(status_with(HTTP_MAX_URI_BYTES + 1, 1, 0), 414);
    assert_int_equal(status_with(10, HTTP_MAX_HEADERS, 0), 0);
    assert_int_equal(status_with(10, HTTP_MAX_HEADERS + 1, 0), 431);
    /* The empty line at the end counts too. */
    assert_int_equal(status_with(10, 0, HTTP_MAX_HEADER_BYTES - 2), 0);
    assert_int_equal(status_with(10, 0, HTTP_MAX_HEADER_BYTES - 1), 431);
}

static void the_next_message_is_not_touched(void **state)
{
    (void)state;
    static const char two[] = POST "Content-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\n\r\n";
    const char *second = strstr(two, "GET");
    size_t used;
    struct http_guard g = fed(two, sizeof(two) - 1, 4096, &used);

    assert_int_equal(http_guard_phase(&g), HTTP_GUARD_DONE);
    assert_ptr_equal(two + used, second);
    assert_int_equal(http_guard_feed(&g, second, strlen(second)), 0);
    http_guard_next(&g);
    assert_int_equal(http_guard_phase(&g), HTTP_GUARD_START);
    assert_int_equal(http_guard_feed(&g, second, strlen(second)), strlen(second));
    assert_int_equal(http_guard_phase(&g), HTTP_GUARD_DONE);
    assert_string_equal(g.target, "/2");
}

static void phases_follow_the_bytes(void **state)
{
    (void)state;
    struct http_guard g;
    http_guard_init(&g, MAX_BODY);
    assert_int_equal(http_guard_phase(&g), HTTP_GUARD_START);
    (void)http_guard_feed(&g, "P", 1);
    assert_int_equal(http_guard_phase(&g), HTTP_GUARD_HEAD);
    static const char rest[] = "OST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
    (void)http_guard_feed(&g, rest, sizeof(rest) - 1);
    assert_int_equal(http_guard_phase(&g), HTTP_GUARD_BODY);
    assert_int_equal(http_guard_skip(&g, 2), 2);
    assert_int_equal(http_guard_phase(&g), HTTP_GUARD_BODY);
    assert_int_equal(http_guard_skip(&g, 2), 1);
    assert_int_equal(http_guard_phase(&g), HTTP_GUARD_DONE);
}

static void check_key(const char *headers, const char *key)
{
    char text[512];
    int n =
        snprintf(text, sizeof(text), "POST /up HTTP/1.1\r\n%sContent-Length: 9\r\n\r\n", headers);
    for (size_t step = 1; step < 4; step++) {
        struct http_guard g;
        http_guard_init(&g, MAX_BODY);
        g.large_target = "/up";
        g.max_large_bytes = MAX_BODY;
        for (size_t at = 0; at < (size_t)n;)
            at += http_guard_feed(&g, text + at, step < (size_t)n - at ? step : (size_t)n - at);
        assert_true(http_guard_is_large(&g));
        assert_string_equal(http_guard_key(&g), key);
        http_guard_next(&g);
        assert_string_equal(http_guard_key(&g), "");
    }
}

static void the_key_of_an_upload_is_read(void **state)
{
    (void)state;
    char line[2 * HTTP_GUARD_KEY_BYTES], longest[HTTP_GUARD_KEY_BYTES];
    check_key("", "");
    check_key("Authorization: Bearer Ab-1 \r\n", "Ab-1");
    check_key("authorization:bearer Ab-1\r\nX-Api-Key: \tKey\r\n", "Key");
    check_key("x-api-key: Key\r\nAuthorization: Bearer Ab-1\r\n", "Key");
    check_key("Authorization: Basic dXNlcg==\r\n", "");
    check_key("Authorization: Bearer\r\n", "");
    memset(longest, 'k', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    (void)snprintf(line, sizeof(line), "x-api-key: %s\r\n", longest);
    check_key(line, longest);
    (void)snprintf(line, sizeof(line), "x-api-key: %sk\r\n", longest);
    check_key(line, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_mean_one_thing_pass),
        cmocka_unit_test(heads_that_could_mean_two_things_are_refused),
        cmocka_unit_test(request_lines_that_are_not_ours_are_refused),
        cmocka_unit_test(chunks_have_one_spelling),
        cmocka_unit_test(a_body_may_have_the_maximum_and_not_one_byte_more),
        cmocka_unit_test(heads_have_limits),
        cmocka_unit_test(the_next_message_is_not_touched),
        cmocka_unit_test(phases_follow_the_bytes),
        cmocka_unit_test(the_key_of_an_upload_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
