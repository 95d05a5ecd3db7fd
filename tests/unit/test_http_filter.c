#include "api/http_filter.h"
#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAX_TEXTS 12

struct request {
    const char *method, *uri;
    int minor, status;
    const char *headers[MAX_TEXTS]; /* name, value, ...; NULL ends */
};

static int filtered(const struct request *r, struct http_filter *f)
{
    struct http_request_line line = {r->method, r->uri, 1, r->minor};
    http_filter_init(f);
    for (size_t i = 0; i < MAX_TEXTS && r->headers[i]; i += 2)
        http_filter_header(f, r->headers[i], r->headers[i + 1]);
    return http_filter_end(f, &line);
}

static void check_all(const struct request *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct http_filter f;
        int status = filtered(&cases[i], &f);
        if (status != cases[i].status)
            fail_msg("case %zu: %d, wanted %d (%s)", i, status, cases[i].status,
                     f.why ? f.why : "");
        assert_int_equal(f.why == NULL, status == 0);
    }
}

static void ordinary_requests_pass(void **state)
{
    (void)state;
    static const struct request cases[] = {
        {"GET", "/", 1, 0, {"Host", "a"}},
        {"GET", "/", 0, 0, {NULL}},
        {"GET", "/a%20b?x=%31", 1, 0, {"hOST", ""}},
        {"POST", "/", 1, 0, {"Host", "a", "Content-Length", "12", "Content-Type", "x"}},
        {"POST", "/", 1, 0, {"Host", "a", "Transfer-Encoding", "Chunked"}},
        {"HEAD", "/", 1, 0, {"Host", "a", "Content-Length", "0"}},
        {"POST", "/", 1, 0, {"Host", "a", "Accept", "x", "Accept", "y"}},
        {"POST", "/", 1, 0, {"Host", "a", "Authorization", "x", "x-api-key", "y"}},
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void headers_that_decide_something_come_once(void **state)
{
    (void)state;
    static const char *const names[] = {"Host",        "Content-Length",  "Transfer-Encoding",
                                        "x-api-key",   "Idempotency-Key", "Authorization",
                                        "Content-Type"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = strcmp(names[i], "Content-Length") == 0 ? "5" : "chunked";
        struct http_filter f;
        struct request r = {"POST", "/", 1, 0, {"Host", "a", names[i], value}};
        if (i == 0)
            r.headers[2] = NULL;
        assert_int_equal(filtered(&r, &f), 0);
        size_t at = i == 0 ? 2 : 4;
        r.headers[at] = names[i];
        r.headers[at + 1] = value;
        assert_int_equal(filtered(&r, &f), 400);
    }
}

static void framing_must_be_plain(void **state)
{
    (void)state;
    static const struct request cases[] = {
        {"POST", "/", 1, 400, {NULL}},
        {"POST", "/", 1, 400, {"Host", "a", "Content-Length", "+5"}},
        {"POST", "/", 1, 400, {"Host", "a", "Content-Length", "5,5"}},
        {"POST", "/", 1, 400, {"Host", "a", "Content-Length", ""}},
        {"POST", "/", 1, 400, {"Host", "a", "Transfer-Encoding", "identity"}},
        {"POST", "/", 1, 400, {"Host", "a", "Transfer-Encoding", "gzip, chunked"}},
        {"POST", "/", 1, 400, {"Host", "a", "Transfer-Encoding ", "chunked"}},
        {"POST", "/", 1, 400, {"Host", "a", "Content-Length", "5", "Transfer-Encoding", "chunked"}},
        {"POST", "/", 0, 400, {"Host", "a", "Transfer-Encoding", "chunked"}},
        {"HEAD", "/", 1, 400, {"Host", "a", "Content-Length", "5"}},
        {"HEAD", "/", 1, 400, {"Host", "a", "Transfer-Encoding", "chunked"}},
        {"POST", "/", 1, 400, {"Host", "a", "", "v"}},
        {"POST", "/", 1, 400, {"Host", "a", "X A", "v"}},
        {"POST", "/", 1, 400, {"Host", "a", "X", "a\rb"}},
        {"POST", "/", 2, 505, {"Host", "a"}},
        {"POST", "/", -1, 505, {"Host", "a"}},
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void paths_must_mean_one_thing(void **state)
{
    (void)state;
    static const struct request cases[] = {
        {"GET", "http://evil/x", 1, 400, {"Host", "a"}}, {"GET", "*", 1, 400, {"Host", "a"}},
        {"GET", "/a%00b", 1, 400, {"Host", "a"}},        {"GET", "/a%", 1, 400, {"Host", "a"}},
        {"GET", "/a%4", 1, 400, {"Host", "a"}},          {"GET", "/a%zz", 1, 400, {"Host", "a"}},
        {"GET", "/a b", 1, 400, {"Host", "a"}},          {"GET", "/\x01", 1, 400, {"Host", "a"}},
        {"GET", "/?q=%00", 1, 400, {"Host", "a"}},
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void headers_are_counted(void **state)
{
    (void)state;
    struct http_filter f;
    struct http_request_line line = {"GET", "/", 1, 1};
    http_filter_init(&f);
    http_filter_header(&f, "Host", "a");
    for (int i = 1; i < HTTP_MAX_HEADERS; i++)
        http_filter_header(&f, "a", "b");
    assert_int_equal(http_filter_end(&f, &line), 0);
    http_filter_header(&f, "a", "b");
    assert_int_equal(http_filter_end(&f, &line), 431);
}

static void connection_is_a_list_of_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool close, keep_alive;
    } cases[] = {
        {"close", true, false},       {"Close", true, false},           {"TE, close", true, false},
        {"closed", false, false},     {"keep-alive", false, true},      {"", false, false},
        {" ,, close ,", true, false}, {"keep-alive,Close", true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_filter f;
        http_filter_init(&f);
        http_filter_header(&f, "Connection", cases[i].value);
        assert_int_equal(f.close, cases[i].close);
        assert_int_equal(f.keep_alive, cases[i].keep_alive);
    }
}

static void unescape_decodes_or_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool plus;
        const char *want; /* NULL: refused */
    } cases[] = {
        {"", false, ""},      {"a+b", false, "a+b"},
        {"a+b", true, "a b"}, {"%41%7a%7A", false, "Azz"},
        {"%2B", true, "+"},   {"%00", false, NULL},
        {"%", false, NULL},   {"%4", false, NULL},
        {"%g1", false, NULL}, {"%1g", false, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[16];
        int rc = http_unescape(cases[i].text, strlen(cases[i].text), cases[i].plus, out);
        assert_int_equal(rc, cases[i].want ? 0 : -EINVAL);
        if (cases[i].want)
            assert_string_equal(out, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_requests_pass),
        cmocka_unit_test(headers_that_decide_something_come_once),
        cmocka_unit_test(framing_must_be_plain),
        cmocka_unit_test(paths_must_mean_one_thing),
        cmocka_unit_test(headers_are_counted),
        cmocka_unit_test(connection_is_a_list_of_tokens),
        cmocka_unit_test(unescape_decodes_or_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
