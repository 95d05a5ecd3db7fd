#include "scheduler/http_header.h"

#include "tests/support/guard.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void tokens_are_those_of_the_standard(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "X-Api-Key", "!#$%&'*+-.^_`|~09AZaz"};
    static const char *const bad[] = {"", " ", "a b", "a:", "a\t", "(a)", "\xC3\xA4", "a\x7f"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(http_is_token(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(http_is_token(bad[i]));
}

static void framing_and_connection_headers_are_ours_in_any_case(void **state)
{
    (void)state;
    static const char *const ours[] = {
        "host",   "Content-Length", "TRANSFER-ENCODING", "connection", "TE", "Upgrade",
        "Expect", "Trailer"};
    static const char *const theirs[] = {"authorization", "content-type", "hosts", "t"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        assert_true(http_header_is_ours(ours[i]));
    for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++)
        assert_false(http_header_is_ours(theirs[i]));
}

static void lines_hold_what_is_sent(void **state)
{
    (void)state;
    static const struct http_header headers[] = {
        {"a", "1"}, {"Host", "h"}, {"b", " \t2 3"}, {"c", ""}, {"d", "  "}};
    static const char want[] = "a: 1\0b: 2 3\0c;\0d;";
    struct buf lines;
    buf_init(&lines, 100);
    assert_int_equal(http_header_lines(headers, 5, &lines, NULL), 4);
    assert_int_equal(lines.len, sizeof(want));
    assert_memory_equal(lines.data, want, sizeof(want));
    buf_release(&lines);
}

/* Also one that would be dropped: a caller who smuggles is told so. */
static void control_bytes_are_refused_and_not_repeated(void **state)
{
    (void)state;
    static const char *const values[] = {"x\r\nSECRET", "\n", "\r", "\x01", "\x1f", "\x7f"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct error e = {{0}};
        struct buf lines;
        buf_init(&lines, 100);
        struct http_header h = {i % 2 ? "host" : "key", values[i]};
        assert_int_equal(http_header_lines(&h, 1, &lines, &e), -EINVAL);
        assert_non_null(strstr(e.text, h.name));
        assert_null(strstr(e.text, "SECRET"));
        buf_release(&lines);
    }
}

static void lines_stop_at_the_maximum(void **state)
{
    (void)state;
    static const struct http_header h = {"a", "12345"};
    struct buf lines;
    buf_init(&lines, 9); /* "a: 12345" NUL */
    assert_int_equal(http_header_lines(&h, 1, &lines, NULL), 1);
    buf_release(&lines);
    buf_init(&lines, 8);
    assert_int_equal(http_header_lines(&h, 1, &lines, NULL), -ENOSPC);
    buf_release(&lines);
}

static void note(void *arg, const char *name, const char *value)
{
    struct buf *seen = arg;
    assert_int_equal(buf_addf(seen, "[%s|%s]", name, value), 0);
}

/* Each line is one call of the store; the guard catches a read past it. */
static void stored(const char *const *lines, size_t count, const char *want)
{
    struct guard g;
    guard_init(&g, 4096);
    struct buf reply, seen;
    buf_init(&reply, 4096);
    buf_init(&seen, 4096);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(lines[i]);
        assert_int_equal(http_header_store(&reply, guard_copy(&g, lines[i], len), len), 0);
    }
    http_header_each(&reply, note, &seen);
    assert_string_equal(seen.data ? seen.data : "", want);
    buf_release(&reply);
    buf_release(&seen);
    guard_release(&g);
}

static void reply_lines_are_read_with_all_their_quirks(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"A: b\r\n", "[A|b]"},
        {"A:b\n", "[A|b]"},
        {"A: \t b \t\r\n", "[A|b]"},
        {"A:\r\n", "[A|]"},
        {"A:b:c\r\n", "[A|b:c]"},
        {"A : b\r\n", "[A|b]"},
        {"no colon\r\n", ""},
        {"\r\n", ""},
        {"", ""},
        {":", "[|]"},
        {" folded first\r\n", ""},
        {"A: \xFF\r\n", "[A|\xFF]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        stored(&cases[i].line, 1, cases[i].want);
    static const char *const folded[] = {"A: b\r\n", "  c \r\n", "\td\r\n", "E: f\r\n"};
    stored(folded, 4, "[A|b c d][E|f]");
}

static void a_nul_in_a_reply_does_not_shift_what_follows(void **state)
{
    (void)state;
    struct buf reply;
    buf_init(&reply, 100);
    assert_int_equal(http_header_store(&reply, "A\0x: b\0c", 8), 0);
    assert_int_equal(http_header_store(&reply, "D: e", 4), 0);
    assert_string_equal(http_header_find(&reply, "a"), "b");
    assert_string_equal(http_header_find(&reply, "d"), "e");
    buf_release(&reply);
}

static void the_last_value_is_found_in_any_case(void **state)
{
    (void)state;
    struct buf reply;
    buf_init(&reply, 100);
    assert_null(http_header_find(&reply, "a"));
    assert_int_equal(http_header_store(&reply, "X-A: 1", 6), 0);
    assert_int_equal(http_header_store(&reply, "x-b: 2", 6), 0);
    assert_int_equal(http_header_store(&reply, "x-a: 3", 6), 0);
    assert_string_equal(http_header_find(&reply, "X-a"), "3");
    assert_string_equal(http_header_find(&reply, "X-B"), "2");
    assert_null(http_header_find(&reply, "2"));
    assert_null(http_header_find(&reply, ""));
    buf_release(&reply);
}

static void a_full_store_keeps_what_it_had(void **state)
{
    (void)state;
    struct buf reply;
    buf_init(&reply, 10);
    assert_int_equal(http_header_store(&reply, "A: b", 4), 0);
    assert_int_equal(http_header_store(&reply, "C: 45678", 8), -ENOSPC);
    assert_string_equal(http_header_find(&reply, "a"), "b");
    assert_null(http_header_find(&reply, "c"));
    buf_release(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_of_the_standard),
        cmocka_unit_test(framing_and_connection_headers_are_ours_in_any_case),
        cmocka_unit_test(lines_hold_what_is_sent),
        cmocka_unit_test(control_bytes_are_refused_and_not_repeated),
        cmocka_unit_test(lines_stop_at_the_maximum),
        cmocka_unit_test(reply_lines_are_read_with_all_their_quirks),
        cmocka_unit_test(a_nul_in_a_reply_does_not_shift_what_follows),
        cmocka_unit_test(the_last_value_is_found_in_any_case),
        cmocka_unit_test(a_full_store_keeps_what_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
