#include "common/json_scan.h"
#include "common/limits.h"
#include "tests/support/guard.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define GUARD_BYTES (64 * KIB)

static struct guard guard;

static int check(const char *text, size_t len, struct error *e)
{
    return json_scan_check(guard_copy(&guard, text, len), len, e);
}

static struct json_span span(const char *text)
{
    return json_span_of(text, strlen(text));
}

/* A literal with its length, so that a NUL inside counts. */
#define TEXT(literal) literal, sizeof(literal) - 1

static void texts_of_the_grammar_are_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {TEXT("null")},
        {TEXT(" true ")},
        {TEXT("false\n")},
        {TEXT("0")},
        {TEXT("-0")},
        {TEXT("-0.0e-0")},
        {TEXT("123.456E+78")},
        {TEXT("1e999")},
        {TEXT("123456789012345678901234567890")},
        {TEXT("\"\"")},
        {TEXT("\"plain text that is longer than eight bytes\"")},
        {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"")},
        {TEXT("\"\\u0000\"")},
        {TEXT("\"\\ud800\"")},
        {TEXT("\"\x7f\"")},
        {TEXT("\"\xc2\x80\xdf\xbf\"")},
        {TEXT("\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"")},
        {TEXT("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"")},
        {TEXT("[]")},
        {TEXT("{}")},
        {TEXT("\t[ 1 , \"a\" , [ ] , { } , null ]\r\n")},
        {TEXT("{ \"a\" : { \"b\" : [ 1 , 2 ] } , \"a\" : 3 }")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e = {""};
        if (check(cases[i].text, cases[i].len, &e) != 0)
            fail_msg("%s: %s", cases[i].text, e.text);
    }
}

struct text {
    const char *text;
    size_t len;
};

static void refuse_all(const struct text *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct error e = {""};
        if (check(cases[i].text, cases[i].len, &e) != -EINVAL)
            fail_msg("case %zu was not refused: %s", i, cases[i].text);
        assert_true(strlen(e.text) > 0);
        assert_int_equal(json_scan_check(cases[i].text, cases[i].len, NULL), -EINVAL);
    }
}

static void strings_with_bad_bytes_or_escapes_are_refused(void **state)
{
    (void)state;
    static const struct text cases[] = {
        {TEXT("\"")},
        {TEXT("\"abcdefgh")},
        {TEXT("\"\\")},
        {TEXT("\"\\x\"")},
        {TEXT("\"\\\0\"")},
        {TEXT("\"\\u12\"")},
        {TEXT("\"\\u12g4\"")},
        {TEXT("\"\\u123")},
        {TEXT("\"a\nb\"")},
        {TEXT("\"12345678\x1f\"")},
        {TEXT("\"\0\"")},
        {TEXT("\"\x80\"")},
        {TEXT("\"\xc0\x80\"")},
        {TEXT("\"\xc1\xbf\"")},
        {TEXT("\"\xc3\"")},
        {TEXT("\"\xc3")},
        {TEXT("\"\xe0\x9f\xbf\"")},
        {TEXT("\"\xed\xa0\x80\"")},
        {TEXT("\"\xed\xbf\xbf\"")},
        {TEXT("\"\xe2\x82\"")},
        {TEXT("\"\xf0\x8f\xbf\xbf\"")},
        {TEXT("\"\xf4\x90\x80\x80\"")},
        {TEXT("\"\xf5\x80\x80\x80\"")},
        {TEXT("\"\xf0\x9f\x98")},
    };
    refuse_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void numbers_outside_the_grammar_are_refused(void **state)
{
    (void)state;
    static const struct text cases[] = {
        {TEXT("01")}, {TEXT("-")},    {TEXT("-a")}, {TEXT("+1")},  {TEXT(".5")},
        {TEXT("1.")}, {TEXT("1.e5")}, {TEXT("1e")}, {TEXT("1e+")}, {TEXT("0x10")},
    };
    refuse_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const struct text cases[] = {
        {TEXT("")},           {TEXT("   ")},        {TEXT("\xef\xbb\xbf{}")},
        {TEXT("nul")},        {TEXT("nulll")},      {TEXT("True")},
        {TEXT("NaN")},        {TEXT("Infinity")},   {TEXT("'a'")},
        {TEXT("[")},          {TEXT("]")},          {TEXT("[1")},
        {TEXT("[1,")},        {TEXT("[1,]")},       {TEXT("[,1]")},
        {TEXT("[1 2]")},      {TEXT("[1}")},        {TEXT("{")},
        {TEXT("{\"a\"")},     {TEXT("{\"a\":")},    {TEXT("{\"a\":1")},
        {TEXT("{\"a\":1,")},  {TEXT("{\"a\":1,}")}, {TEXT("{\"a\" 1}")},
        {TEXT("{a:1}")},      {TEXT("{1:1}")},      {TEXT("{\"a\":1]")},
        {TEXT("{\"a\"}")},    {TEXT("{} {}")},      {TEXT("1,2")},
        {TEXT("/* no */ 1")}, {TEXT("\v1")},        {TEXT("1\0")},
    };
    refuse_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void an_error_names_the_byte_and_what_was_expected(void **state)
{
    (void)state;
    struct error e;
    assert_int_equal(check(TEXT("{\"a\":1 \"b\":2}"), &e), -EINVAL);
    assert_string_equal(e.text, "not valid JSON: byte 7: expected ',' or '}'");
    assert_int_equal(check(TEXT("[1,2"), &e), -EINVAL);
    assert_string_equal(e.text,
                        "not valid JSON: byte 4: expected more: the text ends inside a value");
}

static void a_byte_of_a_string_is_checked_at_every_place_in_a_word(void **state)
{
    (void)state;
    for (size_t at = 1; at < 40; at++) {
        char text[48];
        memset(text, 'x', sizeof(text));
        text[0] = '"';
        text[42] = '"';
        assert_int_equal(check(text, 43, NULL), 0);
        static const char bad[] = {'\n', '\x1f', '\x80', '\xff', '"', '\\'};
        for (size_t i = 0; i < sizeof(bad); i++) {
            text[at] = bad[i];
            assert_int_equal(check(text, 43, NULL), -EINVAL);
        }
    }
}

static void nest(char *text, size_t depth, char open, char close)
{
    memset(text, open, depth);
    memset(text + depth, close, depth);
}

static void nesting_ends_at_the_maximum(void **state)
{
    (void)state;
    char text[2 * (JSON_MAX_DEPTH + 1)];
    struct error e = {""};
    nest(text, JSON_MAX_DEPTH, '[', ']');
    assert_int_equal(check(text, 2 * JSON_MAX_DEPTH, &e), 0);
    nest(text, JSON_MAX_DEPTH + 1, '[', ']');
    assert_int_equal(check(text, 2 * (JSON_MAX_DEPTH + 1), &e), -E2BIG);
    assert_non_null(strstr(e.text, "64 levels"));
}

/* The kind of each open container is one bit: a wrong bit would take ']' for '}'. */
static void objects_and_arrays_close_as_they_were_opened(void **state)
{
    (void)state;
    assert_int_equal(check(TEXT("[{\"a\":[{\"b\":[[{}]]}]},[{}]]"), NULL), 0);
    assert_int_equal(check(TEXT("[{\"a\":[{\"b\":[[{}]}]}]},[{}]]"), NULL), -EINVAL);
    assert_int_equal(check(TEXT("[[{}],{\"a\":[]]]"), NULL), -EINVAL);
}

static void every_prefix_of_a_text_is_refused_without_reading_past_it(void **state)
{
    (void)state;
    static const char text[] = "{\"model\":\"m\xc3\xa9\\u00e9\\n\",\"n\":[-1.5e+3,true,null,{}],"
                               "\"emoji\":\"\xf0\x9f\x98\x80\"}";
    size_t len = sizeof(text) - 1;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(check(text, cut, NULL), -EINVAL);
    assert_int_equal(check(text, len, NULL), 0);
}

/* The readers promise nothing about the answer here, but they stay inside the text. */
static void reading_a_cut_text_stays_inside_it(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":\"x\\ud83d\\ude00\\n\",\"b\":[1,{\"c\":\"d\"},[2]],\"e\":{}}";
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        struct json_span all = json_span_of(guard_copy(&guard, text, cut), cut);
        struct json_iter it = json_iter(all);
        while (json_next(&it)) {
            struct buf out;
            buf_init(&out, KIB);
            int rc = json_text(it.value, &out);
            assert_true(rc == 0 || rc == -EINVAL);
            (void)json_get(it.value, "c");
            (void)json_equals(it.value, "x\xf0\x9f\x98\x80\n");
            buf_release(&out);
        }
        (void)json_get(all, "e");
    }
}

static void a_span_has_no_blanks_around_it(void **state)
{
    (void)state;
    struct json_span value = span(" \n{ } \t");
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.at, "{ }", 3);
    assert_null(span("  ").at);
    assert_int_equal(json_kind(span(" ")), JSON_NONE);
}

static void kinds_are_told_by_the_first_byte(void **state)
{
    (void)state;
    assert_int_equal(json_kind(span("{}")), JSON_OBJ);
    assert_int_equal(json_kind(span("[]")), JSON_ARR);
    assert_int_equal(json_kind(span("\"\"")), JSON_STR);
    assert_int_equal(json_kind(span("-1")), JSON_NUM);
    assert_int_equal(json_kind(span("true")), JSON_BOOL);
    assert_int_equal(json_kind(span("false")), JSON_BOOL);
    assert_int_equal(json_kind(span("null")), JSON_NUL);
    assert_int_equal(json_kind((struct json_span){0}), JSON_NONE);
}

static void the_last_member_of_a_name_wins(void **state)
{
    (void)state;
    struct json_span obj = span("{\"a\":1,\"b\":{\"a\":2},\"a\" : [3] }");
    struct json_span value = json_get(obj, "a");
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.at, "[3]", 3);
    assert_null(json_get(obj, "c").at);
    assert_null(json_get(span("[1]"), "a").at);
    assert_null(json_get((struct json_span){0}, "a").at);
}

static void a_name_is_found_however_it_is_spelled(void **state)
{
    (void)state;
    struct json_span obj = span("{\"m\\u006fdel\":\"x\",\"mode\":1,\"modell\":2}");
    assert_true(json_equals(json_get(obj, "model"), "x"));
    assert_int_equal(json_get(obj, "mode").len, 1);
    assert_null(json_get(obj, "mod").at);
}

static void iteration_gives_every_value_once(void **state)
{
    (void)state;
    struct json_iter it = json_iter(span("[ 1,\"a,]\\\"\", [2,[3]] ,{\"b\":[4]},true , null]"));
    static const char *const want[] = {"1",           "\"a,]\\\"\"", "[2,[3]]",
                                       "{\"b\":[4]}", "true",        "null"};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_true(json_next(&it));
        assert_null(it.key.at);
        assert_int_equal(it.value.len, strlen(want[i]));
        assert_memory_equal(it.value.at, want[i], it.value.len);
    }
    assert_false(json_next(&it));
    assert_false(json_next(&it));
}

static void iteration_over_an_object_gives_keys_with_quotes(void **state)
{
    (void)state;
    struct json_iter it = json_iter(span("{ \"a\" : 1 , \"b:\" : \"x\" }"));
    assert_true(json_next(&it));
    assert_true(json_equals(it.key, "a"));
    assert_true(json_next(&it));
    assert_memory_equal(it.key.at, "\"b:\"", it.key.len);
    assert_true(json_equals(it.value, "x"));
    assert_false(json_next(&it));

    it = json_iter(span("{ }"));
    assert_false(json_next(&it));
    it = json_iter(span("\"no container\""));
    assert_false(json_next(&it));
}

static void integers_are_whole_and_fit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_int;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
        {"null", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 7;
        assert_int_equal(json_int(span(cases[i].text), &value), cases[i].is_int);
        assert_true(value == (cases[i].is_int ? cases[i].value : 7));
    }
}

static void doubles_are_finite(void **state)
{
    (void)state;
    double value = 7;
    assert_true(json_double(span("-1.5e2"), &value));
    assert_true(value == -150.0);
    assert_true(json_double(span("3"), &value));
    assert_true(value == 3.0);
    assert_false(json_double(span("1e999"), &value));
    assert_false(json_double(span("\"3\""), &value));
    assert_true(value == 3.0);
}

static void a_double_may_have_as_many_digits_as_the_maximum(void **state)
{
    (void)state;
    char text[JSON_NUMBER_BYTES + 1];
    memset(text, '0', sizeof(text));
    memcpy(text, "1.", 2);
    double value = 0;
    assert_true(json_double((struct json_span){text, JSON_NUMBER_BYTES}, &value));
    assert_true(value == 1.0);
    assert_false(json_double((struct json_span){text, JSON_NUMBER_BYTES + 1}, &value));
}

static void booleans_are_no_numbers(void **state)
{
    (void)state;
    bool value = false;
    assert_true(json_bool(span("true"), &value));
    assert_true(value);
    assert_true(json_bool(span("false"), &value));
    assert_false(value);
    assert_false(json_bool(span("1"), &value));
    assert_false(json_bool(span("null"), &value));
}

static void text_is_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *want;
        size_t len;
    } cases[] = {
        {"\"\"", TEXT("")},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tb\"", TEXT("a\"\\/\b\f\n\r\tb")},
        {"\"\\u0041\\u00e9\\u20AC\"", TEXT("A\xc3\xa9\xe2\x82\xac")},
        {"\"\\uD83D\\uDE00!\"", TEXT("\xf0\x9f\x98\x80!")},
        {"\"a\\u0000b\"", TEXT("a\0b")},
        {"\"\\ud83dx\"", TEXT("\xef\xbf\xbdx")},
        {"\"\\ude00\"", TEXT("\xef\xbf\xbd")},
        {"\"\\ud83d\\u0041\"", TEXT("\xef\xbf\xbd"
                                    "A")},
        {"\"\\ud83d\\ud83d\\ude00\"", TEXT("\xef\xbf\xbd\xf0\x9f\x98\x80")},
        {"\"\xe6\x97\xa5\"", TEXT("\xe6\x97\xa5")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        buf_init(&out, 64);
        assert_int_equal(json_text(span(cases[i].json), &out), 0);
        assert_int_equal(out.len, cases[i].len);
        assert_memory_equal(out.len ? out.data : "", cases[i].want, cases[i].len);
        buf_release(&out);
    }
}

static void text_of_no_string_is_refused_and_a_full_buffer_told(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4);
    assert_int_equal(json_text(span("12"), &out), -EINVAL);
    assert_int_equal(json_text(span("\"abcd\""), &out), 0);
    buf_clear(&out);
    assert_int_equal(json_text(span("\"abc\\u00e9\""), &out), -ENOSPC);
    buf_release(&out);
}

static void comparison_looks_through_escapes(void **state)
{
    (void)state;
    assert_true(json_equals(span("\"\""), ""));
    assert_true(json_equals(span("\"stop\""), "stop"));
    assert_true(json_equals(span("\"st\\u006Fp\""), "stop"));
    assert_true(json_equals(span("\"\\u00e9\""), "\xc3\xa9"));
    assert_false(json_equals(span("\"stop\\u0000\""), "stop"));
    assert_false(json_equals(span("\"sto\""), "stop"));
    assert_false(json_equals(span("\"stop!\""), "stop"));
    assert_false(json_equals(span("stop"), "stop"));
    assert_false(json_equals((struct json_span){0}, ""));
}

static int make_guard(void **state)
{
    (void)state;
    guard_init(&guard, GUARD_BYTES);
    return 0;
}

static int drop_guard(void **state)
{
    (void)state;
    guard_release(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_the_grammar_are_accepted),
        cmocka_unit_test(strings_with_bad_bytes_or_escapes_are_refused),
        cmocka_unit_test(numbers_outside_the_grammar_are_refused),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(an_error_names_the_byte_and_what_was_expected),
        cmocka_unit_test(a_byte_of_a_string_is_checked_at_every_place_in_a_word),
        cmocka_unit_test(nesting_ends_at_the_maximum),
        cmocka_unit_test(objects_and_arrays_close_as_they_were_opened),
        cmocka_unit_test(every_prefix_of_a_text_is_refused_without_reading_past_it),
        cmocka_unit_test(reading_a_cut_text_stays_inside_it),
        cmocka_unit_test(a_span_has_no_blanks_around_it),
        cmocka_unit_test(kinds_are_told_by_the_first_byte),
        cmocka_unit_test(the_last_member_of_a_name_wins),
        cmocka_unit_test(a_name_is_found_however_it_is_spelled),
        cmocka_unit_test(iteration_gives_every_value_once),
        cmocka_unit_test(iteration_over_an_object_gives_keys_with_quotes),
        cmocka_unit_test(integers_are_whole_and_fit),
        cmocka_unit_test(doubles_are_finite),
        cmocka_unit_test(a_double_may_have_as_many_digits_as_the_maximum),
        cmocka_unit_test(booleans_are_no_numbers),
        cmocka_unit_test(text_is_decoded),
        cmocka_unit_test(text_of_no_string_is_refused_and_a_full_buffer_told),
        cmocka_unit_test(comparison_looks_through_escapes),
    };
    return cmocka_run_group_tests(tests, make_guard, drop_guard);
}
