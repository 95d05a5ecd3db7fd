#include "tests/support/trim_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what holds for all */

static void what_is_not_touched_stays_byte_for_byte(void **state)
{
    struct trim_rig *g = *state;
    static const char *const odd[] = {
        "{ \"role\" : \"user\" , \"content\" : \"\\u0041sk\\/one\", \"x\": 1.0e+2 }",
        "{\"content\":\"reply\",\"role\":\"assistant\",\"unknown\":[ ]}",
        ("{ \"content\" :null, \"role\":\"assistant\",\"tool_calls\" : [ {\"id\":\"1\",\"type\":"
         "\"function\",\"function\":{\"arguments\": \"{ \\\"a\\\": 1 }\",\"name\":\"f\"} } ] }"),
    };
    talk_user(&g->talk, "gone");
    talk_answer(&g->talk, "gone");
    talk_raw(&g->talk, odd[0]);
    talk_raw(&g->talk, odd[2]);
    talk_raw(&g->talk, "{\"tool_call_id\":\"1\",\"content\" : \"one two three four five six seven "
                       "eight nine ten eleven\" , \"role\":\"tool\"}");
    talk_raw(&g->talk, odd[1]);
    trim_rig_run(
        g, "{\"stages\":[\"truncate\",\"window\"],\"max_tool_result_chars\":8,\"keep_turns\":1,"
           "\"max_messages\":5}");
    char wanted[1200];
    (void)snprintf(wanted, sizeof(wanted),
                   "{\"model\":\"gpt-4o\",\n\"messages\": [%s,\n %s,\n {\"tool_call_id\":\"1\","
                   "\"content\" : \"one two \" , \"role\":\"tool\"},\n %s], \"temperature\":0.10}",
                   odd[0], odd[2], odd[1]);
    assert_int_equal(g->r.body.len, strlen(wanted));
    assert_memory_equal(g->r.body.data, wanted, g->r.body.len);
}

/* Bytes that two bodies have in common from their beginning, of the list of messages on. */
static size_t common_prefix(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

static void check_sticky(struct trim_rig *g, const char *policy, int most_moves)
{
    char *last = NULL;
    int moves = 0;
    for (int turn = 0; turn < 30; turn++) {
        trim_rig_add_turns(g, turn, turn + 1);
        trim_rig_run(g, policy);
        const char *body = g->r.body.len ? g->r.body.data : g->body.data;
        /* All but the end of the body before must be the beginning of the next one. */
        size_t tail = strlen("], \"temperature\":0.10}");
        if (last && common_prefix(last, body) < strlen(last) - tail)
            moves++;
        free(last);
        last = strdup(body);
        assert_non_null(last);
    }
    free(last);
    assert_in_range(moves, 1, most_moves);
}

static void a_window_moves_in_big_steps(void **state)
{
    check_sticky(*state, "{\"stages\":[\"window\"],\"max_messages\":40}", 10);
}

static void deletion_moves_in_big_steps(void **state)
{
    check_sticky(*state, "{\"stages\":[\"deletion\"],\"max_context_tokens\":1500}", 8);
}

static void a_reset_stays_where_it_was(void **state)
{
    check_sticky(*state, "{\"stages\":[\"reset\"],\"reset_threshold\":1500}", 3);
}

static void a_breakpoint_moves_to_a_block_that_stays(void **state)
{
    struct trim_rig *g = *state;
    g->talk.endpoint = WIRE_MESSAGES;
    g->talk.model = "claude-sonnet-4-5";
    talk_raw(&g->talk, "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"old\","
                       "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}");
    talk_raw(&g->talk, "{\"role\":\"assistant\",\"content\":\"reply\"}");
    talk_raw(&g->talk, "{\"role\":\"user\",\"content\":\"plain\"}");
    talk_raw(&g->talk, "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
                       "\"t\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"kept\"}]}");
    talk_raw(&g->talk, "{\"role\":\"user\",\"content\":\"now\"}");
    trim_rig_run(g, "{\"stages\":[\"window\"],\"max_messages\":3,\"keep_turns\":1}");
    assert_int_equal(g->r.after.messages, 3);
    assert_true(trim_rig_holds(g,
                               "{\"type\":\"text\",\"text\":\"kept\",\"cache_control\":{\"type\":"
                               "\"ephemeral\",\"ttl\":\"1h\"}}"));
}

static void a_breakpoint_inside_a_cleared_result_moves_to_the_result(void **state)
{
    struct trim_rig *g = *state;
    g->talk.endpoint = WIRE_MESSAGES;
    g->talk.model = "claude-sonnet-4-5";
    talk_raw(&g->talk, "{\"role\":\"user\",\"content\":\"look\"}");
    talk_raw(&g->talk, "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"1\","
                       "\"name\":\"f\",\"input\":{}}]}");
    talk_raw(&g->talk,
             "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"1\","
             "\"content\":[{\"type\":\"text\",\"text\":\"one two three four five six seven eight "
             "nine ten eleven twelve\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}");
    talk_raw(&g->talk, "{\"role\":\"assistant\",\"content\":\"seen\"}");
    talk_raw(&g->talk, "{\"role\":\"user\",\"content\":\"now\"}");
    trim_rig_run(g, "{\"stages\":[\"tool_results\"],\"keep_turns\":1}");
    assert_true(trim_rig_holds(g, "tokens]\",\"cache_control\":{\"type\":\"ephemeral\"}}]"));
}

/* ---- repair */

static void a_broken_history_is_mended(void **state)
{
    struct trim_rig *g = *state;
    talk_raw(&g->talk, "{\"role\":\"tool\",\"tool_call_id\":\"lost\",\"content\":\"r\"}");
    talk_user(&g->talk, "ask");
    talk_raw(&g->talk, "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\","
                       "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
                       "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                       "\"arguments\":\"{}\"}}]}");
    talk_raw(&g->talk, "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"r\"}");
    talk_user(&g->talk, "well?");
    trim_rig_run(g, "{\"preset\":\"conservative\"}");
    assert_false(trim_rig_holds(g, "lost"));
    assert_true(trim_rig_holds(g, "\"tool_call_id\":\"a\",\"content\":\"r\"},\n {\"role\":\"tool\","
                                  "\"tool_call_id\":\"b\",\"content\":\"[no result]\"},"
                                  "{\"role\":\"user\",\"content\":\"well?\"}"));
    assert_string_equal(g->r.actions[0].stage, "repair");
    assert_string_equal(g->r.refused.text, "");
}

static void system_messages_stay_where_turns_go(void **state)
{
    struct trim_rig *g = *state;
    trim_rig_add_turns(g, 0, 2);
    talk_system(&g->talk, "the rules have changed");
    trim_rig_add_turns(g, 2, 4);
    trim_rig_run(g, "{\"stages\":[\"deletion\"],\"max_context_tokens\":1}");
    assert_int_equal(g->r.after.messages, 5);
    assert_true(trim_rig_holds(g, "the rules have changed"));
}

static void without_repair_a_broken_history_is_given_back(void **state)
{
    struct trim_rig *g = *state;
    talk_raw(&g->talk, "{\"role\":\"tool\",\"tool_call_id\":\"lost\",\"content\":\"r\"}");
    trim_rig_add_turns(g, 0, 6);
    trim_rig_run(g, "{\"preset\":\"aggressive\",\"repair\":false}");
    assert_int_equal(g->r.action_count, 0);
    assert_int_equal(g->r.body.len, 0);
    assert_int_equal(g->r.after.tokens, g->r.before.tokens);
    assert_non_null(strstr(g->r.refused.text, "lost"));
}

static void what_cannot_be_mended_is_given_back(void **state)
{
    struct trim_rig *g = *state;
    talk_raw(&g->talk, "{\"role\":\"robot\",\"content\":\"x\"}");
    trim_rig_add_turns(g, 0, 6);
    trim_rig_run(g, "{\"preset\":\"aggressive\"}");
    assert_int_equal(g->r.action_count, 0);
    assert_string_not_equal(g->r.refused.text, "");
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, trim_rig_set_up, trim_rig_tear_down)
    const struct CMUnitTest tests[] = {
        RIG(what_is_not_touched_stays_byte_for_byte),
        RIG(a_window_moves_in_big_steps),
        RIG(deletion_moves_in_big_steps),
        RIG(a_reset_stays_where_it_was),
        RIG(a_breakpoint_moves_to_a_block_that_stays),
        RIG(a_breakpoint_inside_a_cleared_result_moves_to_the_result),
        RIG(a_broken_history_is_mended),
        RIG(system_messages_stay_where_turns_go),
        RIG(without_repair_a_broken_history_is_given_back),
        RIG(what_cannot_be_mended_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
