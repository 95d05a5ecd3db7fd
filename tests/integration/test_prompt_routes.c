/* Counting and trimming over HTTP, and `sluice trim`. */
#include "tests/support/api_kit.h"
#include "tests/support/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#define COUNT    "/v1/tokens/count"
#define MESSAGES "/v1/messages/count_tokens"
#define TRIM     "/v1/context/trim"

#define LONG "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
#define TOOL_TURN(id)                                                                              \
    "{\"role\":\"user\",\"content\":\"ask\"},"                                                     \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"" id "\",\"type\":"        \
    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"                          \
    "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" LONG "\"},"                    \
    "{\"role\":\"assistant\",\"content\":\"reply\"}"
#define TALK                                                                                       \
    "{\"model\":\"gpt-4o\",\"temperature\":0.10,\"messages\":[" TOOL_TURN("a") "," TOOL_TURN(      \
        "b") ",{\"role\":\"user\",\"content\":\"now\"}]}"

static struct api_kit kit;

static int start(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1", NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

static int64_t number_at(const json_t *value, const char *key)
{
    assert_true(json_is_integer(json_object_get(value, key)));
    return json_integer_value(json_object_get(value, key));
}

static void check_count(const char *body, int64_t tokens, const char *method)
{
    json_t *answer = api_kit_json(&kit, "POST", COUNT, body, 200);
    assert_int_equal(number_at(answer, "input_tokens"), tokens);
    assert_string_equal(json_text_at(answer, "method"), method);
    assert_true(number_at(answer, "reserved") >= tokens);
    json_decref(answer);
}

static void requests_and_texts_are_counted(void **state)
{
    (void)state;
    check_count("{\"model\":\"gpt-4o\",\"text\":\"hello world\"}", 2, "exact");
    check_count("{\"text\":\"hello world\"}", 3, "estimated");
    check_count("{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
                3 + 4 + 1, "exact");
    check_count("{\"model\":\"gpt-4o\",\"input\":\"hello\"}", 3 + 4 + 1, "exact");
    check_count("{\"model\":\"text-embedding-3-small\",\"input\":[\"hello\",\"world\"]}", 2,
                "exact");
    check_count("{\"model\":\"davinci-002\",\"prompt\":\"hello\"}", 1, "exact");
    check_count("{\"model\":\"claude-3-opus\",\"system\":\"hello\",\"messages\":[]}", 6 + 2,
                "estimated");
}

static void anthropic_counts_have_their_own_shape(void **state)
{
    (void)state;
    json_t *answer = api_kit_json(&kit, "POST", MESSAGES,
                                  "{\"model\":\"claude-sonnet-4-5\",\"messages\":[{\"role\":"
                                  "\"user\",\"content\":\"hello\"}]}",
                                  200);
    assert_int_equal(number_at(answer, "input_tokens"), 6 + 2 + 2);
    assert_int_equal(json_object_size(answer), 1);
    json_decref(answer);
    answer = api_kit_json(&kit, "POST", MESSAGES, "{\"messages\":[]}", 400);
    assert_string_equal(json_text_at(answer, "type"), "error");
    json_decref(answer);
}

static void what_cannot_be_counted_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         "[]",
                                         "{}",
                                         "{\"messages\":[]}",
                                         "{\"model\":\"x\"",
                                         "{\"model\":\"x\",\"messages\":{}}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        api_kit_refused(&kit, "POST", COUNT, bodies[i], 400, "invalid_request");
}

static void a_preview_tells_what_would_be_cut(void **state)
{
    (void)state;
    json_t *r = api_kit_json(&kit, "POST", TRIM,
                             "{\"policy\":{\"stages\":[\"tool_results\"],\"keep_turns\":2},"
                             "\"body\":" TALK "}",
                             200);
    const json_t *actions = json_object_get(r, "actions");
    assert_int_equal(json_array_size(actions), 1);
    const json_t *action = json_array_get(actions, 0);
    assert_string_equal(json_text_at(action, "stage"), "tool_results");
    assert_int_equal(number_at(action, "message"), 2);
    assert_int_equal(number_at(json_object_get(r, "before"), "tokens") -
                         number_at(json_object_get(r, "after"), "tokens"),
                     number_at(action, "saved_tokens"));
    assert_int_equal(number_at(json_object_get(r, "after"), "messages"), 9);
    assert_true(json_is_true(json_object_get(r, "fits")));
    json_decref(r);
}

static void bytes_that_are_not_cut_come_back_as_they_were(void **state)
{
    (void)state;
    struct http_answer a =
        api_kit_ask(&kit, "POST", TRIM, "{\"preset\":\"conservative\",\"body\":" TALK "}");
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body.data, "{\"body\":" TALK ",\"before\":"));
    http_answer_release(&a);
}

static void a_limit_that_cannot_be_met_is_told(void **state)
{
    (void)state;
    json_t *r =
        api_kit_json(&kit, "POST", TRIM,
                     "{\"preset\":\"balanced\",\"max_context_tokens\":1,\"body\":" TALK "}", 200);
    assert_true(json_is_false(json_object_get(r, "fits")));
    assert_int_equal(number_at(json_object_get(r, "after"), "messages"), 1);
    json_decref(r);
}

static void a_wrong_preview_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{}",
        "{\"body\":[]}",
        "{\"body\":{}}",
        "{\"body\":" TALK ",\"preset\":\"mild\"}",
        "{\"body\":" TALK ",\"preset\":1}",
        "{\"body\":" TALK ",\"preset\":\"balanced\",\"policy\":{\"preset\":\"balanced\"}}",
        "{\"body\":" TALK ",\"policy\":{}}",
        "{\"body\":" TALK ",\"format\":\"gemini\"}",
        "{\"body\":" TALK ",\"max_context_tokens\":-1}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        api_kit_refused(&kit, "POST", TRIM, bodies[i], 400, "invalid_request");
}

/* ---- the command */

static struct command done;

static void the_command_prints_the_smaller_request(void **state)
{
    (void)state;
    COMMAND(&done, TALK, "trim", "--max-tokens", "20", "-");
    assert_int_equal(done.code, 0);
    assert_string_equal(done.out, "{\"model\":\"gpt-4o\",\"temperature\":0.10,\"messages\":["
                                  "{\"role\":\"user\",\"content\":\"now\"}]}");
    assert_true(command_told(&done, "now 8 in 1;"));
}

static void the_command_prints_a_report(void **state)
{
    (void)state;
    COMMAND(&done, TALK, "trim", "--json", "--policy",
            "{\"stages\":[\"tool_results\"],\"keep_turns\":1}", "-");
    assert_int_equal(done.code, 0);
    json_t *r = json_loads(done.out, 0, NULL);
    assert_non_null(r);
    assert_int_equal(json_array_size(json_object_get(r, "actions")), 2);
    json_decref(r);
}

static void the_command_fails_when_it_does_not_fit(void **state)
{
    (void)state;
    COMMAND(&done, TALK, "trim", "--max-tokens", "1", "-");
    assert_int_equal(done.code, 1);
    assert_true(command_told(&done, "does not fit"));
}

static void the_command_gives_back_what_it_may_not_cut(void **state)
{
    (void)state;
    static const char body[] = "{\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}";
    COMMAND(&done, body, "trim", "-");
    assert_int_equal(done.code, 1);
    assert_string_equal(done.out, body);
    assert_true(command_told(&done, "given back as it was"));
}

static void the_command_says_what_is_wrong_with_its_use(void **state)
{
    (void)state;
    COMMAND(&done, NULL, "trim");
    assert_int_equal(done.code, 2);
    COMMAND(&done, NULL, "trim", "--preset", "mild", "-");
    assert_int_equal(done.code, 2);
    COMMAND(&done, NULL, "trim", "--policy", "{", "-");
    assert_int_equal(done.code, 2);
    COMMAND(&done, NULL, "trim", "--format", "gemini", "-");
    assert_int_equal(done.code, 2);
    COMMAND(&done, NULL, "trim", "/nonexistent/file");
    assert_int_equal(done.code, 1);
    COMMAND(&done, "not JSON", "trim", "-");
    assert_int_equal(done.code, 1);
    COMMAND(&done, "{}", "trim", "-");
    assert_int_equal(done.code, 1);
    assert_true(command_told(&done, "neither messages nor input"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_texts_are_counted),
        cmocka_unit_test(anthropic_counts_have_their_own_shape),
        cmocka_unit_test(what_cannot_be_counted_is_refused),
        cmocka_unit_test(a_preview_tells_what_would_be_cut),
        cmocka_unit_test(bytes_that_are_not_cut_come_back_as_they_were),
        cmocka_unit_test(a_limit_that_cannot_be_met_is_told),
        cmocka_unit_test(a_wrong_preview_is_refused),
        cmocka_unit_test(the_command_prints_the_smaller_request),
        cmocka_unit_test(the_command_prints_a_report),
        cmocka_unit_test(the_command_fails_when_it_does_not_fit),
        cmocka_unit_test(the_command_gives_back_what_it_may_not_cut),
        cmocka_unit_test(the_command_says_what_is_wrong_with_its_use),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
