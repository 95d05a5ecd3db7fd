#include "common/limits.h"
#include "scheduler/prompt/tool_cap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOTICE "Tool budget exhausted; answer with what you have."

static struct config_tool_calls caps_of(const char *words)
{
    struct config_tool_calls caps;
    struct error e;
    assert_int_equal(tool_caps_read(words, &caps, &e), 0);
    return caps;
}

/* ---- caps */

static void every_word_of_the_header_is_read(void **state)
{
    (void)state;
    struct config_tool_calls c =
        caps_of("response=1, turn=2;session=3 iterations=4\tidentical=1000000 mode=answer");
    assert_int_equal(c.max_per_response, 1);
    assert_int_equal(c.max_per_turn, 2);
    assert_int_equal(c.max_per_session, 3);
    assert_int_equal(c.max_iterations, 4);
    assert_int_equal(c.max_identical, TOOL_CAP_MAX);
    assert_int_equal(c.mode, CONFIG_TOOLS_ANSWER);
    c = caps_of("conservative");
    assert_int_equal(c.max_per_turn, 3);
    assert_int_equal(c.max_per_session, CONFIG_ABSENT);
    c = caps_of("");
    assert_false(tool_caps_any(&c));
}

static void what_is_no_cap_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"turn",    "turn=",     "turn=x", "turn=-1", "turn=1000001",
                                      "turns=1", "mode=none", "=1",     "turn=1x"};
    struct config_tool_calls caps;
    struct error e;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(tool_caps_read(bad[i], &caps, &e), -EINVAL);
        assert_non_null(strstr(e.text, "x-sluice-tool-calls"));
    }
}

static void a_header_at_its_maximum_is_read_and_one_past_it_is_not(void **state)
{
    (void)state;
    char text[TOOL_CAP_HEADER_BYTES + 2];
    struct config_tool_calls caps;
    struct error e;
    memset(text, ' ', sizeof(text));
    memcpy(text, "turn=7", 6);
    text[TOOL_CAP_HEADER_BYTES] = '\0';
    assert_int_equal(tool_caps_read(text, &caps, &e), 0);
    text[TOOL_CAP_HEADER_BYTES] = ' ';
    text[TOOL_CAP_HEADER_BYTES + 1] = '\0';
    assert_int_equal(tool_caps_read(text, &caps, &e), -EINVAL);
}

static void the_least_of_all_caps_holds(void **state)
{
    (void)state;
    struct config_tool_calls c = caps_of("turn=5 response=2 mode=error"),
                             more = caps_of("turn=9 session=4"), less = caps_of("turn=1 mode=drop");
    tool_caps_tighten(&c, &more);
    assert_int_equal(c.max_per_turn, 5);
    assert_int_equal(c.max_per_response, 2);
    assert_int_equal(c.max_per_session, 4);
    assert_int_equal(c.mode, CONFIG_TOOLS_ERROR);
    tool_caps_tighten(&c, &less);
    assert_int_equal(c.max_per_turn, 1);
    assert_int_equal(c.mode, CONFIG_TOOLS_DROP);
}

/* ---- counting */

#define CHAT(messages)                                                                             \
    "{\"model\":\"m\",\"messages\":[" messages "],\"tools\":[{\"type\":\"function\"}]}"
#define USER(t)      "{\"role\":\"user\",\"content\":\"" t "\"}"
#define CALLED(list) "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" list "]}"
#define CALL(id, args)                                                                             \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"" args  \
    "\"}}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"ok\"}"

/* An old turn with one call; then one of two rounds with three calls, two of them the same. */
static const char conversation[] =
    CHAT(USER("a") "," CALLED(CALL("1", "x")) "," RESULT("1") "," USER("b") "," CALLED(
        CALL("2", "x") "," CALL(
            "3", "y")) "," RESULT("2") "," RESULT("3") "," CALLED(CALL("4", "x")) "," RESULT("4"));

static void read(enum wire_endpoint endpoint, const char *body, struct transcript *t)
{
    struct error e;
    assert_int_equal(json_scan_check(body, strlen(body), NULL), 0);
    assert_int_equal(transcript_read(endpoint, body, strlen(body), t, &e), 0);
}

static struct tool_left left_of(const char *body, const char *words, const struct tool_past *past)
{
    struct transcript t;
    struct tool_left left;
    struct config_tool_calls caps = caps_of(words);
    read(WIRE_CHAT, body, &t);
    assert_int_equal(tool_cap_left(&t, &caps, past, &left), 0);
    transcript_release(&t);
    return left;
}

static void calls_rounds_and_likes_are_counted(void **state)
{
    (void)state;
    struct transcript t;
    struct tool_count n;
    read(WIRE_CHAT, conversation, &t);
    assert_int_equal(tool_count(&t, NULL, &n), 0);
    assert_int_equal(n.calls, 4);
    assert_int_equal(n.turn_calls, 3);
    assert_int_equal(n.iterations, 2);
    assert_int_equal(n.identical, 2);
    assert_true(n.turn != 0);
    transcript_release(&t);
}

static void the_nearest_cap_says_how_many_are_left(void **state)
{
    (void)state;
    assert_true(left_of(conversation, "", NULL).calls == INT64_MAX);
    assert_int_equal(left_of(conversation, "turn=5", NULL).calls, 2);
    assert_int_equal(left_of(conversation, "turn=3", NULL).calls, 0);
    assert_int_equal(left_of(conversation, "turn=2", NULL).calls, 0);
    assert_int_equal(left_of(conversation, "session=5", NULL).calls, 1);
    assert_int_equal(left_of(conversation, "response=7", NULL).calls, 7);
    assert_int_equal(left_of(conversation, "iterations=2", NULL).calls, 0);
    assert_true(left_of(conversation, "iterations=3", NULL).calls == INT64_MAX);
    assert_int_equal(left_of(conversation, "identical=2", NULL).calls, 0);
    assert_true(left_of(conversation, "identical=3", NULL).calls == INT64_MAX);
    struct tool_left left = left_of(conversation, "turn=9 session=5 response=8", NULL);
    assert_string_equal(left.cap, "max_calls_per_session");
    assert_int_equal(left.most, 5);
}

static void the_past_counts_when_it_is_more_than_the_request_shows(void **state)
{
    (void)state;
    struct tool_past past = {.calls = 9};
    assert_int_equal(left_of(conversation, "session=10", &past).calls, 1);
    past.calls = 2;
    assert_int_equal(left_of(conversation, "session=10", &past).calls, 6);
}

static void rounds_of_the_same_turn_count_when_its_history_is_cut(void **state)
{
    (void)state;
    struct transcript t;
    struct tool_count n;
    struct tool_past past = {.iterations = 7};
    read(WIRE_CHAT, conversation, &t);
    assert_int_equal(tool_count(&t, NULL, &n), 0);
    past.turn = n.turn;
    transcript_release(&t);
    assert_int_equal(left_of(conversation, "iterations=7", &past).calls, 0);
    past.turn++;
    assert_true(left_of(conversation, "iterations=7", &past).calls == INT64_MAX);
    /* The same words in a turn that has just begun are another turn. */
    read(WIRE_CHAT, CHAT(USER("b")), &t);
    assert_int_equal(tool_count(&t, NULL, &n), 0);
    past.turn = n.turn;
    transcript_release(&t);
    assert_true(left_of(CHAT(USER("b")), "iterations=7", &past).calls == INT64_MAX);
}

static void only_what_is_past_a_cap_is_an_error(void **state)
{
    (void)state;
    assert_false(left_of(conversation, "turn=3 mode=error", NULL).exceeded);
    struct tool_left left = left_of(conversation, "turn=2 mode=error", NULL);
    assert_true(left.exceeded);
    assert_string_equal(left.cap, "max_calls_per_turn");
    assert_true(left_of(conversation, "response=1 mode=error", NULL).exceeded);
    assert_true(left_of(conversation, "iterations=1 mode=error", NULL).exceeded);
    assert_true(left_of(conversation, "identical=1 mode=error", NULL).exceeded);
    assert_false(left_of(conversation, "turn=2", NULL).exceeded);
}

/* ---- the request */

static void expect(enum wire_endpoint endpoint, const char *words, const char *body,
                   const char *wanted)
{
    struct transcript t;
    struct tool_left left;
    struct buf out;
    struct config_tool_calls caps = caps_of(words);
    read(endpoint, body, &t);
    buf_init(&out, MIB);
    assert_int_equal(tool_cap_left(&t, &caps, NULL, &left), 0);
    assert_int_equal(tool_cap_request(&t, &caps, NULL, &left, &out), 0);
    transcript_release(&t);
    if (wanted) {
        assert_non_null(out.data);
        assert_string_equal(out.data, wanted);
        assert_int_equal(json_scan_check(out.data, out.len, NULL), 0);
    } else {
        assert_int_equal(out.len, 0);
    }
    buf_release(&out);
}

#define TOOLS "\"tools\":[{\"type\":\"function\"}]"

static void when_nothing_is_left_the_choice_is_none_and_the_model_is_told(void **state)
{
    (void)state;
    expect(WIRE_CHAT, "turn=0", "{\"model\":\"m\"," TOOLS ",\"messages\":[" USER("a") " ]}",
           "{\"tool_choice\":\"none\",\"model\":\"m\"," TOOLS
           ",\"messages\":[" USER("a") " ,{\"role\":\"system\",\"content\":\"" NOTICE "\"}]}");
    expect(WIRE_CHAT, "turn=0",
           "{\"tool_choice\": \"required\"," TOOLS ",\"messages\":[" USER("a") "]}",
           "{\"tool_choice\": \"none\"," TOOLS
           ",\"messages\":[" USER("a") ",{\"role\":\"system\",\"content\":\"" NOTICE "\"}]}");
    expect(WIRE_MESSAGES, "turn=0", "{\"messages\":[" USER("a") "],\"tools\":[{\"name\":\"f\"}]}",
           "{\"tool_choice\":{\"type\":\"none\"},\"messages\":[{\"role\":\"user\",\"content\":"
           "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"" NOTICE "\"}]}],"
           "\"tools\":[{\"name\":\"f\"}]}");
    expect(WIRE_RESPONSES, "turn=0", "{\"input\":\"a\"," TOOLS "}",
           "{\"tool_choice\":\"none\",\"input\":[{\"role\":\"user\",\"content\":\"a\"},"
           "{\"role\":\"developer\",\"content\":\"" NOTICE "\"}]," TOOLS "}");
}

static void without_tools_or_with_none_chosen_nothing_is_changed(void **state)
{
    (void)state;
    expect(WIRE_CHAT, "turn=0", "{\"messages\":[" USER("a") "]}", NULL);
    expect(WIRE_CHAT, "turn=0", "{\"messages\":[" USER("a") "],\"tools\":[]}", NULL);
    expect(WIRE_CHAT, "turn=0", "{\"tool_choice\":\"none\"," TOOLS ",\"messages\":[" USER("a") "]}",
           NULL);
    expect(WIRE_CHAT, "turn=2", "{" TOOLS ",\"messages\":[" USER("a") "]}", NULL);
}

static void tools_of_the_provider_may_go_on(void **state)
{
    (void)state;
    const char *tools = "\"tools\":[{\"name\":\"f\"},{\"type\":\"web_search_20250305\"}]";
    char body[300], wanted[400];
    (void)snprintf(body, sizeof(body), "{%s,\"messages\":[{\"role\":\"user\",\"content\":[]}]}",
                   tools);
    (void)snprintf(wanted, sizeof(wanted),
                   "{%s,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
                   "\"" NOTICE "\"}]}]}",
                   tools);
    expect(WIRE_MESSAGES, "turn=0", body, wanted);
}

static void one_call_is_asked_for_by_the_providers_own_means(void **state)
{
    (void)state;
    expect(WIRE_CHAT, "turn=1", "{\"model\":\"gpt-4o\"," TOOLS ",\"messages\":[" USER("a") "]}",
           "{\"parallel_tool_calls\":false,\"model\":\"gpt-4o\"," TOOLS
           ",\"messages\":[" USER("a") "]}");
    expect(WIRE_CHAT, "turn=1", "{\"model\":\"o3-mini\"," TOOLS ",\"messages\":[" USER("a") "]}",
           NULL);
    expect(WIRE_MESSAGES, "turn=1",
           "{\"messages\":[" USER("a") "],\"tool_choice\":{\"type\":\"any\"},\"tools\":[{}]}",
           "{\"messages\":[" USER("a") "],\"tool_choice\":{\"disable_parallel_tool_use\":true,"
                                       "\"type\":\"any\"},\"tools\":[{}]}");
}

static void models_that_refuse_the_parameter_are_known(void **state)
{
    (void)state;
    static const char *const refusing[] = {
        "\"o1\"",        "\"o3\"", "\"o3-mini\"", "\"o4-mini\"", "\"openai/o4-mini-2025-04-16\"",
        "\"o1-preview\""};
    static const char *const taking[] = {"\"gpt-4o\"", "\"o4\"", "\"o10\"", "\"o33-x\"", "\"\""};
    for (size_t i = 0; i < sizeof(refusing) / sizeof(refusing[0]); i++)
        assert_false(tool_cap_takes_parallel(json_span_of(refusing[i], strlen(refusing[i]))));
    for (size_t i = 0; i < sizeof(taking) / sizeof(taking[0]); i++)
        assert_true(tool_cap_takes_parallel(json_span_of(taking[i], strlen(taking[i]))));
}

static void results_of_surplus_calls_say_so(void **state)
{
    (void)state;
    expect(
        WIRE_CHAT, "response=1 mode=answer",
        "{\"model\":\"o1\",\"messages\":[" USER("b") "," CALLED(
            CALL("2", "x") "," CALL("3", "y")) "," RESULT("2") "," RESULT("3") "]}",
        "{\"model\":\"o1\",\"messages\":[" USER("b") "," CALLED(CALL("2", "x") "," CALL(
            "3", "y")) "," RESULT("2") ",{\"role\":\"tool\","
                                       "\"tool_call_id\":\"3\",\"content\":\"Tool call limit "
                                       "exceeded (max_calls_per_response: "
                                       "1). Do not call f again; answer with what you have.\"}]}");
    expect(
        WIRE_MESSAGES, "turn=0 mode=answer",
        "{\"messages\":[" USER("b") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
                                    "\"id\":\"1\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
                                    "\"user\",\"content\":[{\"type\":"
                                    "\"tool_result\",\"tool_use_id\":\"1\"}]}]}",
        "{\"messages\":[" USER(
            "b") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
                 "\"id\":\"1\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{"
                 "\"content\":\"Tool call limit exceeded (max_calls_per_turn: 0). Do not call f "
                 "again; "
                 "answer with what you have.\",\"is_error\":true,\"type\":\"tool_result\","
                 "\"tool_use_id\":\"1\"}]}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word_of_the_header_is_read),
        cmocka_unit_test(what_is_no_cap_is_refused),
        cmocka_unit_test(a_header_at_its_maximum_is_read_and_one_past_it_is_not),
        cmocka_unit_test(the_least_of_all_caps_holds),
        cmocka_unit_test(calls_rounds_and_likes_are_counted),
        cmocka_unit_test(the_nearest_cap_says_how_many_are_left),
        cmocka_unit_test(the_past_counts_when_it_is_more_than_the_request_shows),
        cmocka_unit_test(rounds_of_the_same_turn_count_when_its_history_is_cut),
        cmocka_unit_test(only_what_is_past_a_cap_is_an_error),
        cmocka_unit_test(when_nothing_is_left_the_choice_is_none_and_the_model_is_told),
        cmocka_unit_test(without_tools_or_with_none_chosen_nothing_is_changed),
        cmocka_unit_test(tools_of_the_provider_may_go_on),
        cmocka_unit_test(one_call_is_asked_for_by_the_providers_own_means),
        cmocka_unit_test(models_that_refuse_the_parameter_are_known),
        cmocka_unit_test(results_of_surplus_calls_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
