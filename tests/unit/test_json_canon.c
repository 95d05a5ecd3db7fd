/* One spelling of a JSON value. */
#include "common/json_canon.h"
#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const left_out[] = {"user", NULL};
static const char *const in_order[] = {"tools", NULL};
static const struct json_canon_rules rules = {
    .most_members = 4, .left_out = left_out, .in_order = in_order};

static int canon(const char *text, struct buf *out)
{
    struct error e;
    buf_init(out, 64 * KIB);
    assert_int_equal(json_scan_check(text, strlen(text), &e), 0);
    return json_canon(json_span_of(text, strlen(text)), &rules, out);
}

static void becomes(const char *text, const char *wanted)
{
    struct buf out;
    int rc = canon(text, &out);
    if (rc < 0)
        fail_msg("%s has no canonical form (%d)", text, rc);
    assert_string_equal(out.data, wanted);
    buf_release(&out);
}

static void has_none(const char *text, int why)
{
    struct buf out;
    int rc = canon(text, &out);
    if (rc != why)
        fail_msg("%s: %d, not %d", text, rc, why);
    buf_release(&out);
}

static void equal_values_have_one_spelling(void **state)
{
    static const char *const same[] = {
        "{\"b\":[1,{\"d\":null,\"c\":\"x/y\"}],\"a\":true}",
        " { \"a\" : true , \"b\" : [ 1 , { \"c\" : \"x\\/y\", \"d\": null } ] } ",
        "{\"\\u0061\":true,\"b\":[1,{\"c\":\"\\u0078/y\",\"d\":null}]}",
        "{\"b\":[1,{\"c\":\"x/y\",\"d\":null}],\n\t\"a\":true,\"user\":\"me\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        becomes(same[i], "{\"a\":true,\"b\":[1,{\"c\":\"x/y\",\"d\":null}]}");
    becomes("{\"\":1,\"a\":2,\"aa\":3}", "{\"\":1,\"a\":2,\"aa\":3}");
    becomes("\"\\uD83D\\ude00\\n\"", "\"\xF0\x9F\x98\x80\\n\"");
    becomes("\"\xF0\x9F\x98\x80\\u000a\"", "\"\xF0\x9F\x98\x80\\n\"");
    becomes("[]", "[]");
    becomes("{}", "{}");
}

static void different_values_differ(void **state)
{
    (void)state;
    becomes("[1,1.0,10,\"1\",true,\"true\",null,0.5]", "[1,1.0,10,\"1\",true,\"true\",null,0.5]");
    becomes("{\"a\":{\"user\":1}}", "{\"a\":{\"user\":1}}");
    becomes("[[1],2]", "[[1],2]");
    becomes("\"\\\"\\\\\"", "\"\\\"\\\\\"");
}

static void what_may_be_read_in_two_ways_has_no_form(void **state)
{
    static const char *const texts[] = {
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"b\":{\"a\":1,\"c\":2,\"a\":1}}",
        "{\"user\":1,\"user\":2}",
        "{\"tools\":[{\"a\":1,\"a\":1}]}",
        "1e3",
        "[1E3]",
        "-0",
        "-0.00",
        "123456789012345678",
        "0.1234567890123456",
        "\"\\ud800\"",
        "\"\\uDC00x\"",
        "{\"\\ud800\":1}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        has_none(texts[i], -EINVAL);
    becomes("12345678901234567", "12345678901234567");
    becomes("-0.5", "-0.5");
}

static void schemas_keep_their_order(void **state)
{
    (void)state;
    becomes("{\"tools\":[{\"b\":1,\"a\":{\"d\":1,\"c\":2}}],\"m\":{\"b\":1,\"a\":2}}",
            "{\"m\":{\"a\":2,\"b\":1},\"tools\":[{\"b\":1,\"a\":{\"d\":1,\"c\":2}}]}");
}

static void an_object_has_a_most(void **state)
{
    (void)state;
    becomes("{\"a\":1,\"b\":1,\"c\":1,\"d\":1}", "{\"a\":1,\"b\":1,\"c\":1,\"d\":1}");
    has_none("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1}", -E2BIG);
}

static void what_has_no_room_is_told(void **state)
{
    struct buf out;
    static const char text[] = "{\"a\":\"long enough\"}";
    (void)state;
    for (size_t room = 0; room < sizeof(text) - 1; room++) {
        buf_init(&out, room);
        assert_int_equal(json_canon(json_span_of(text, sizeof(text) - 1), &rules, &out), -ENOSPC);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_values_have_one_spelling),
        cmocka_unit_test(different_values_differ),
        cmocka_unit_test(what_may_be_read_in_two_ways_has_no_form),
        cmocka_unit_test(schemas_keep_their_order),
        cmocka_unit_test(an_object_has_a_most),
        cmocka_unit_test(what_has_no_room_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
