#include "scheduler/prompt/trim_policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- policies */

static void a_policy_says_what_is_wrong_with_it(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"[]", "expected an object"},
        {"{}", "neither a preset nor stages"},
        {"{\"preset\":\"mild\"}", "aggressive, balanced or conservative"},
        {"{\"stages\":\"window\"}", "expected an array"},
        {"{\"stages\":[\"window\",\"shrink\"]}", "\"shrink\" is none of"},
        {"{\"stages\":[\"window\",\"window\"]}", "window stands twice"},
        {"{\"preset\":\"balanced\",\"keep_turns\":0}", "policy.keep_turns: expected a whole"},
        {"{\"preset\":\"balanced\",\"max_messages\":1.5}", "policy.max_messages"},
        {"{\"preset\":\"balanced\",\"always\":1}", "policy.always: expected true or false"},
        {"{\"preset\":\"balanced\",\"marker\":1}", "policy.marker"},
        {"{\"preset\":\"balanced\",\"keep_tools\":\"x\"}", "policy.keep_tools: expected an array"},
        {"{\"preset\":\"balanced\",\"keepturns\":1}", "policy.keepturns: there is no such"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trim_policy p;
        struct error e = {""};
        struct json_span json = json_span_of(cases[i].json, strlen(cases[i].json));
        assert_int_equal(trim_policy_read(json, &p, &e), -EINVAL);
        if (!strstr(e.text, cases[i].text))
            fail_msg("%s: %s", cases[i].json, e.text);
    }
}

static void a_policy_starts_from_its_preset_wherever_that_stands(void **state)
{
    (void)state;
    static const char json[] = "{\"keep_turns\":7,\"preset\":\"aggressive\",\"always\":false}";
    struct trim_policy p;
    assert_int_equal(trim_policy_read(json_span_of(json, strlen(json)), &p, NULL), 0);
    assert_int_equal(p.keep_turns, 7);
    assert_int_equal(p.max_messages, 20);
    assert_int_equal(p.max_tool_result_chars, 500);
    assert_false(p.always);
    assert_true(p.clear_tool_inputs);
    assert_int_equal(p.stages[0], TRIM_TOOL_RESULTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_says_what_is_wrong_with_it),
        cmocka_unit_test(a_policy_starts_from_its_preset_wherever_that_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
