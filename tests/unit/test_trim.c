#include "tests/support/trim_rig.h"

#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the stages */

static void window_keeps_the_last_messages(void **state)
{
    struct trim_rig *g = *state;
    talk_system(&g->talk, "rules");
    trim_rig_add_turns(g, 0, 10);
    trim_rig_run(g, "{\"stages\":[\"window\"],\"max_messages\":20,\"keep_turns\":1}");
    assert_int_equal(g->r.after.messages, 21);
    assert_true(trim_rig_holds(g, "rules"));
    assert_false(trim_rig_holds(g, "reply4"));
    assert_true(trim_rig_holds(g, "ask5"));
    assert_string_equal(g->r.actions[0].stage, "window");
    assert_int_equal(g->r.actions[0].message, 1);
}

static void window_never_takes_the_turns_that_are_kept(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 5);
    trim_rig_run(g, "{\"stages\":[\"window\"],\"max_messages\":1,\"keep_turns\":3}");
    assert_int_equal(g->r.after.messages, 12);
    assert_true(trim_rig_holds(g, "ask2"));
}

static void window_drops_what_is_too_old(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 3);
    int64_t times[12];
    for (int i = 0; i < 12; i++)
        times[i] = i * 1000;
    g->in.message_ms = times;
    g->in.message_ms_count = 12;
    g->in.now_ms = 12000;
    trim_rig_run(g, "{\"stages\":[\"window\"],\"max_age_ms\":9000,\"keep_turns\":1}");
    assert_int_equal(g->r.action_count, 0); /* the last of the turn is just 9 s old */
    trim_rig_run(g, "{\"stages\":[\"window\"],\"max_age_ms\":8999,\"keep_turns\":1}");
    assert_int_equal(g->r.after.messages, 8);
    assert_false(trim_rig_holds(g, "reply0"));
    g->in.message_ms_count = 11; /* not as many as messages: nobody knows whose they are */
    trim_rig_run(g, "{\"stages\":[\"window\"],\"max_age_ms\":1,\"keep_turns\":1}");
    assert_int_equal(g->r.action_count, 0);
}

static void old_results_become_a_note(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 5);
    trim_rig_run(g, "{\"stages\":[\"tool_results\"]}");
    assert_int_equal(g->r.action_count, 2);
    assert_false(trim_rig_holds(g, "result1"));
    assert_true(trim_rig_holds(g, "result2"));
    assert_true(
        trim_rig_holds(g, "\"tool_call_id\":\"call_1\",\"content\":\"[tool result cleared: "));
    assert_true(trim_rig_holds(g, "number 1")); /* arguments stay */
    assert_int_equal(g->r.after.messages, g->r.before.messages);
}

static void old_results_of_a_long_loop_become_notes(void **state)
{
    struct trim_rig *g = *state;
    char result[64];
    talk_user(&g->talk, "go on until it is done");
    for (int i = 0; i < 8; i++) {
        (void)snprintf(result, sizeof(result), "result%d one two three four five six seven nine",
                       i);
        talk_call(&g->talk, "search", result);
    }
    trim_rig_run(g, "{\"stages\":[\"tool_results\"],\"keep_steps\":3}");
    assert_int_equal(g->r.action_count, 3); /* five are old, three go at a time */
    assert_false(trim_rig_holds(g, "result2"));
    assert_true(trim_rig_holds(g, "result3"));
    trim_rig_run(g, "{\"stages\":[\"tool_results\"]}");
    assert_int_equal(g->r.action_count, 0);
}

static void arguments_of_cleared_calls_can_go_too(void **state)
{
    struct trim_rig *g = *state;
    static const char call[] =
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"w\",\"type\":"
        "\"function\",\"function\":{\"name\":\"write\",\"arguments\":\"{\\\"text\\\":\\\"one two "
        "three four five six seven eight nine ten eleven twelve thirteen\\\"}\"}}]}";
    talk_user(&g->talk, "write it");
    talk_raw(&g->talk, call);
    talk_raw(&g->talk, "{\"role\":\"tool\",\"tool_call_id\":\"w\",\"content\":\"it was written "
                       "to the file as it was asked for, and all is well now, dear reader\"}");
    talk_answer(&g->talk, "done");
    talk_user(&g->talk, "more");
    trim_rig_run(g, "{\"stages\":[\"tool_results\"],\"keep_turns\":1,\"clear_tool_inputs\":true}");
    assert_int_equal(g->r.action_count, 2);
    assert_true(trim_rig_holds(g, "\"name\":\"write\",\"arguments\":\"{}\""));
    trim_rig_run(g, "{\"stages\":[\"tool_results\"],\"keep_turns\":1,\"keep_tools\":[\"write\"],"
                    "\"clear_tool_inputs\":true}");
    assert_int_equal(g->r.action_count, 0);
}

static void results_are_not_cleared_for_a_few_tokens(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 5);
    trim_rig_run(g, "{\"stages\":[\"tool_results\"],\"min_saving_tokens\":100000}");
    assert_int_equal(g->r.action_count, 0);
    /* A result that is shorter than its note stays, also beside one that is not. */
    talk_release(&g->talk);
    for (int i = 0; i < 5; i++) {
        talk_user(&g->talk, "ask");
        talk_call(&g->talk, "search", "ok");
        talk_answer(&g->talk, "reply");
    }
    trim_rig_run(g, "{\"stages\":[\"tool_results\"]}");
    assert_int_equal(g->r.action_count, 0);
    assert_int_equal(g->r.body.len, 0);
    trim_rig_add_turns(g, 0, 4);
    trim_rig_run(g, "{\"stages\":[\"tool_results\"]}");
    assert_int_equal(g->r.action_count, 1);
}

/* The length in characters of the content of the only tool message. */
static size_t result_chars(const struct trim_rig *g)
{
    struct json_span body = json_span_of(g->r.body.data, g->r.body.len);
    struct json_iter it = json_iter(json_get(body, "messages"));
    struct buf text;
    size_t chars = 0;
    buf_init(&text, (size_t)MIB);
    while (json_next(&it))
        if (json_equals(json_get(it.value, "role"), "tool"))
            assert_int_equal(json_text(json_get(it.value, "content"), &text), 0);
    for (size_t i = 0; i < text.len; i++)
        chars += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    buf_release(&text);
    return chars;
}

static void long_results_keep_their_beginning_and_end(void **state)
{
    struct trim_rig *g = *state;
    char text[3000] = "first \"line\"\n";
    for (size_t len = strlen(text); len < 2900; len = strlen(text))
        (void)snprintf(text + len, sizeof(text) - len, "Größe %zu\n", len);
    (void)snprintf(text + strlen(text), 20, "last line");
    talk_user(&g->talk, "look");
    talk_call(&g->talk, "search", text);
    trim_rig_run(g, "{\"stages\":[\"truncate\"],\"max_tool_result_chars\":500}");
    assert_int_equal(g->r.action_count, 1);
    assert_true(trim_rig_holds(g, "\"content\":\"first \\\"line\\\"\\n"));
    assert_true(trim_rig_holds(g, " characters cut]\\n"));
    assert_true(trim_rig_holds(g, "last line\"}"));
    assert_in_range(result_chars(g), 460, 500);
    trim_rig_run(g, "{\"stages\":[\"truncate\"],\"max_tool_result_chars\":500,\"keep_results\":1}");
    assert_int_equal(g->r.action_count, 0);
    trim_rig_run(g, "{\"stages\":[\"truncate\"],\"max_tool_result_chars\":10}");
    assert_int_equal(result_chars(g), 10);
}

static void a_result_at_the_limit_stays(void **state)
{
    struct trim_rig *g = *state;
    char text[300] = "";
    for (int i = 0; i < 50; i++)
        (void)snprintf(text + strlen(text), 10, "ä%c, ", 'a' + i % 26);
    talk_user(&g->talk, "look");
    talk_call(&g->talk, "search", text); /* 200 characters, 250 bytes */
    trim_rig_run(g, "{\"stages\":[\"truncate\"],\"max_tool_result_chars\":200}");
    assert_int_equal(g->r.action_count, 0);
    trim_rig_run(g, "{\"stages\":[\"truncate\"],\"max_tool_result_chars\":199}");
    assert_int_equal(g->r.action_count, 1);
    assert_in_range(result_chars(g), 160, 199);
}

static void only_the_texts_of_a_list_are_cut(void **state)
{
    struct trim_rig *g = *state;
    g->talk.endpoint = WIRE_MESSAGES;
    g->talk.model = "claude-sonnet-4-5";
    talk_user(&g->talk, "look");
    talk_raw(&g->talk, "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"1\","
                       "\"name\":\"f\",\"input\":{}}]}");
    talk_raw(
        &g->talk,
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"1\","
        "\"content\":[{\"type\":\"text\", \"text\":\"one two three four five six seven eight\","
        "\"x\": 1.50},{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"AAAA\"}},"
        "{\"text\":\"nine ten eleven twelve thirteen\",\"type\":\"text\"}]}]}");
    trim_rig_run(g, "{\"stages\":[\"truncate\"],\"max_tool_result_chars\":20}");
    assert_true(
        trim_rig_holds(g, "[{\"type\":\"text\", \"text\":\"one two th\",\"x\": 1.50},{\"type\":"
                          "\"image\",\"source\":{\"type\":\"base64\",\"data\":\"AAAA\"}},"
                          "{\"text\":\"nine ten e\",\"type\":\"text\"}]"));
}

static void deletion_takes_the_oldest_turns_until_it_fits(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 10);
    trim_rig_run(g, "{\"stages\":[\"deletion\"],\"max_context_tokens\":100000}");
    assert_int_equal(g->r.action_count, 0);
    int64_t half = g->r.before.tokens / 2;
    char policy[100];
    (void)snprintf(policy, sizeof(policy),
                   "{\"stages\":[\"deletion\"],\"max_context_tokens\":%lld}", (long long)half);
    trim_rig_run(g, policy);
    assert_true(g->r.fits);
    assert_true(g->r.after.tokens <= half);
    assert_false(trim_rig_holds(g, "reply4"));
    assert_true(trim_rig_holds(g, "ask9"));
}

static void deletion_takes_kept_turns_when_it_must_but_never_the_last(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 4);
    trim_rig_run(g, "{\"stages\":[\"deletion\"],\"max_context_tokens\":1}");
    assert_false(g->r.fits);
    assert_int_equal(g->r.after.messages, 4);
    assert_true(trim_rig_holds(g, "ask3"));
    trim_rig_run(g,
                 "{\"stages\":[\"deletion\"],\"max_context_tokens\":1,\"keep_first_turn\":true}");
    assert_int_equal(g->r.after.messages, 8);
    assert_true(trim_rig_holds(g, "ask0"));
}

static void selective_keeps_tools_errors_and_marks(void **state)
{
    struct trim_rig *g = *state;
    static const char *const talks[][2] = {
        {"small talk", "yes"},
        {"what went wrong", "Error: no such file"},
        {"more small talk", "indeed"},
        {"[keep] my name is Ada", "noted"},
    };
    for (size_t i = 0; i < 4; i++) {
        talk_user(&g->talk, talks[i][0]);
        talk_answer(&g->talk, talks[i][1]);
    }
    trim_rig_add_turns(g, 0, 1);
    talk_user(&g->talk, "now");
    trim_rig_run(g, "{\"stages\":[\"selective\"],\"keep_turns\":1}");
    assert_int_equal(g->r.action_count, 4);
    assert_false(trim_rig_holds(g, "small talk"));
    assert_true(trim_rig_holds(g, "no such file") && trim_rig_holds(g, "Ada") &&
                trim_rig_holds(g, "ask0"));
}

static void relevant_keeps_what_the_question_is_about(void **state)
{
    struct trim_rig *g = *state;
    static const char *const topics[] = {"cats and their whiskers", "trains to Vienna",
                                         "cooking of lentils", "the price of copper",
                                         "Trains, and their delays"};
    for (size_t i = 0; i < 5; i++) {
        talk_user(&g->talk, topics[i]);
        talk_answer(&g->talk, "I see");
    }
    talk_user(&g->talk, "Which trains did we talk about?");
    trim_rig_run(g, "{\"stages\":[\"relevant\"],\"keep_turns\":1,\"max_messages\":20}");
    assert_int_equal(g->r.after.messages, 5);
    assert_true(trim_rig_holds(g, "Vienna") && trim_rig_holds(g, "delays"));
    trim_rig_run(g, "{\"stages\":[\"relevant\"],\"keep_turns\":1,\"max_messages\":3}");
    assert_int_equal(g->r.after.messages, 3);
}

static void reset_keeps_the_last_turns_above_its_threshold(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 10);
    trim_rig_run(g, "{\"stages\":[\"reset\"]}");
    assert_int_equal(g->r.action_count, 0);
    char policy[100];
    int64_t tokens = g->r.before.tokens;
    (void)snprintf(policy, sizeof(policy), "{\"stages\":[\"reset\"],\"reset_threshold\":%lld}",
                   (long long)tokens);
    trim_rig_run(g, policy);
    assert_int_equal(g->r.action_count, 0); /* at the threshold */
    (void)snprintf(policy, sizeof(policy), "{\"stages\":[\"reset\"],\"reset_threshold\":%lld}",
                   (long long)tokens - 1);
    trim_rig_run(g, policy);
    assert_int_equal(g->r.after.messages, 8);
    assert_true(trim_rig_holds(g, "ask8"));
}

static void nothing_happens_while_it_fits_unless_always(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 8);
    trim_rig_run(g, "{\"preset\":\"aggressive\",\"always\":false,\"max_context_tokens\":100000}");
    assert_int_equal(g->r.action_count, 0);
    char policy[100];
    (void)snprintf(policy, sizeof(policy),
                   "{\"preset\":\"aggressive\",\"always\":false,\"max_context_tokens\":%lld}",
                   (long long)g->r.before.tokens - 1);
    trim_rig_run(g, policy);
    assert_true(g->r.fits);
    for (size_t i = 0; i < g->r.action_count; i++)
        assert_string_equal(g->r.actions[i].stage, "tool_results"); /* the first stage was enough */
}

/* ---- summaries */

struct summarizer {
    int answer;
    uint32_t from, to;
    struct content_hash key;
};

static int summarize(void *arg, const struct trim_summary_ask *ask, struct buf *out)
{
    struct summarizer *s = arg;
    s->from = ask->from;
    s->to = ask->to;
    s->key = ask->key;
    return s->answer < 0 ? s->answer : buf_adds(out, "They \"searched\".");
}

static void old_turns_become_their_summary(void **state)
{
    struct trim_rig *g = *state;
    struct summarizer s = {0};
    const struct trim_summarizer hook = {summarize, &s};
    g->in.summarizer = &hook;
    talk_system(&g->talk, "rules");
    trim_rig_add_turns(g, 0, 6);
    trim_rig_run(g, "{\"stages\":[\"summarize\"]}");
    assert_int_equal(s.from, 1);
    assert_int_equal(s.to, 13);
    assert_int_equal(g->r.after.messages, 1 + 2 + 12);
    assert_true(
        trim_rig_holds(g, "{\"role\":\"user\",\"content\":\"[Summary of the earlier conversation]"
                          "\\nThey \\\"searched\\\".\"},{\"role\":\"assistant\",\"content\":"
                          "\"Understood.\"},{\"role\":\"user\",\"content\":\"ask3\"}"));
    assert_true(trim_rig_holds(g, "rules"));
    /* The same turns have the same key when the conversation is longer. */
    struct content_hash key = s.key;
    trim_rig_add_turns(g, 6, 7);
    trim_rig_run(g, "{\"stages\":[\"summarize\"]}");
    assert_true(content_hash_same(key, s.key));
}

static void without_a_summary_results_are_cleared(void **state)
{
    struct trim_rig *g = *state;
    struct summarizer s = {.answer = -EAGAIN};
    const struct trim_summarizer hook = {summarize, &s};
    g->in.summarizer = &hook;
    trim_rig_add_turns(g, 0, 6);
    trim_rig_run(g, "{\"stages\":[\"summarize\"]}");
    assert_int_equal(g->r.action_count, 3);
    assert_string_equal(g->r.actions[0].stage, "tool_results");
    g->in.summarizer = NULL;
    trim_rig_run(g, "{\"stages\":[\"summarize\"]}");
    assert_int_equal(g->r.action_count, 3);
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, trim_rig_set_up, trim_rig_tear_down)
    const struct CMUnitTest tests[] = {
        RIG(window_keeps_the_last_messages),
        RIG(window_never_takes_the_turns_that_are_kept),
        RIG(window_drops_what_is_too_old),
        RIG(old_results_become_a_note),
        RIG(old_results_of_a_long_loop_become_notes),
        RIG(arguments_of_cleared_calls_can_go_too),
        RIG(results_are_not_cleared_for_a_few_tokens),
        RIG(long_results_keep_their_beginning_and_end),
        RIG(a_result_at_the_limit_stays),
        RIG(only_the_texts_of_a_list_are_cut),
        RIG(deletion_takes_the_oldest_turns_until_it_fits),
        RIG(deletion_takes_kept_turns_when_it_must_but_never_the_last),
        RIG(selective_keeps_tools_errors_and_marks),
        RIG(relevant_keeps_what_the_question_is_about),
        RIG(reset_keeps_the_last_turns_above_its_threshold),
        RIG(nothing_happens_while_it_fits_unless_always),
        RIG(old_turns_become_their_summary),
        RIG(without_a_summary_results_are_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
