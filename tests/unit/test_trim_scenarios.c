/*
 * The conversations that trimming was asked for, with the sizes they had: system prompt and
 * tools 5,059 tokens, a turn 744 (user, call, result, answer), a document search 590, a call
 * transcript 442, a document list 411. Three turns are kept, results are cut to 500 characters.
 */
#include "tests/support/trim_rig.h"

#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIXED      5059
#define TURN       744
#define SEARCH     590
#define TRANSCRIPT 442
#define LIST       411

#define POLICY                                                                                     \
    "{\"stages\":[\"tool_results\",\"truncate\",\"window\"],\"keep_turns\":3,"                     \
    "\"max_tool_result_chars\":500,\"max_messages\":12}"

#define TOOLS                                                                                      \
    "[{\"type\":\"function\",\"function\":{\"name\":\"document_search\",\"description\":\"Finds "  \
    "documents\",\"parameters\":{\"type\":\"object\",\"properties\":{\"query\":{\"type\":"         \
    "\"string\",\"description\":\"What to look for\"}}}}}]"

static int64_t tokens_of(struct trim_rig *g, const char *text)
{
    struct count_model m;
    assert_int_equal(counter_model(g->counter, g->talk.model, &m), 0);
    return count_tokens(&m, count_text(g->counter, &m, text, strlen(text)));
}

/* A text of exactly that many tokens; to be freed. */
static char *text_of(struct trim_rig *g, int64_t tokens)
{
    static const char *const words[] = {"the ",    "contract ", "of ",   "supply ", "ends ",  "in ",
                                        "March, ", "unless ",   "(12) ", "both ",   "agree. "};
    struct buf b;
    buf_init(&b, (size_t)MIB);
    /* A part of what is missing at a time: a word is one token or a few. */
    for (int64_t missing = tokens; missing > 0; missing = tokens - tokens_of(g, b.data))
        for (int64_t i = 0; i <= missing / 4; i++)
            assert_int_equal(buf_adds(&b, words[rand_below(&g->talk.rand, 11)]), 0);
    /* The last word may have brought more than one: give back what is too much. */
    while (tokens_of(g, b.data) > tokens)
        b.data[--b.len] = '\0';
    assert_int_equal(tokens_of(g, b.data), tokens);
    return buf_take(&b);
}

static int64_t weigh(struct trim_rig *g)
{
    return trim_rig_run(g, "{\"stages\":[\"deletion\"]}")->before.tokens;
}

/* System prompt and tools of 5,059 tokens, the frame of the request included. */
static void begin(struct trim_rig *g)
{
    g->talk.tools = strdup(TOOLS);
    assert_non_null(g->talk.tools);
    int64_t rest = weigh(g) + 4;
    char *text = text_of(g, FIXED - rest);
    talk_system(&g->talk, text);
    free(text);
    assert_int_equal(weigh(g), FIXED);
}

static void use_tool(struct trim_rig *g, const char *tool, int64_t tokens)
{
    char *result = text_of(g, tokens);
    talk_call(&g->talk, tool, result);
    free(result);
}

/* What a turn has beside its results: question, call and answer. */
static void ask(struct trim_rig *g)
{
    char *text = text_of(g, 50);
    talk_user(&g->talk, text);
    free(text);
}

static void answer(struct trim_rig *g)
{
    char *text = text_of(g, TURN - SEARCH - 50 - 25);
    talk_answer(&g->talk, text);
    free(text);
}

static void turn(struct trim_rig *g, const char *tool, int64_t tokens)
{
    ask(g);
    use_tool(g, tool, tokens);
    answer(g);
}

static void a_turn_has_the_size_it_should_have(void **state)
{
    struct trim_rig *g = *state;
    begin(g);
    turn(g, "document_search", SEARCH);
    assert_in_range(weigh(g), FIXED + TURN - 4, FIXED + TURN + 4);
    assert_int_equal(g->r.before.messages, 5);
}

static void five_searches_in_one_turn_fit(void **state)
{
    struct trim_rig *g = *state;
    begin(g);
    ask(g);
    for (int i = 0; i < 5; i++)
        use_tool(g, "document_search", SEARCH);
    trim_rig_run(g, POLICY);
    assert_in_range(g->r.before.tokens, 8000, 8300);
    assert_in_range(g->r.after.tokens, FIXED, 6750);
}

static void five_searches_in_a_turn_each_fit(void **state)
{
    struct trim_rig *g = *state;
    begin(g);
    for (int i = 0; i < 5; i++)
        turn(g, "document_search", SEARCH);
    trim_rig_run(g, POLICY);
    assert_in_range(g->r.before.tokens, 8000, 8900);
    assert_in_range(g->r.after.tokens, FIXED, 6750);
}

static void searches_calls_and_a_list_fit(void **state)
{
    struct trim_rig *g = *state;
    begin(g);
    ask(g);
    for (int i = 0; i < 3; i++)
        use_tool(g, "document_search", SEARCH);
    for (int i = 0; i < 2; i++)
        use_tool(g, "call_transcript", TRANSCRIPT);
    use_tool(g, "document_list", LIST);
    trim_rig_run(g, POLICY);
    assert_in_range(g->r.before.tokens, 8100, 8450);
    assert_in_range(g->r.after.tokens, FIXED, 6800);
}

static void twenty_turns_fit(void **state)
{
    struct trim_rig *g = *state;
    begin(g);
    for (int i = 0; i < 20; i++) {
        turn(g, "document_search", SEARCH);
        trim_rig_run(g, POLICY);
        assert_in_range(g->r.after.tokens, FIXED, 6400);
    }
    assert_in_range(g->r.before.tokens, 18000, 20000);
}

static void fifty_messages_stay_below_twenty_thousand_tokens(void **state)
{
    struct trim_rig *g = *state;
    begin(g);
    for (int i = 0; i < 13; i++) {
        ask(g);
        use_tool(g, "read_file", 3000);
        answer(g);
        trim_rig_run(g, "{\"preset\":\"conservative\",\"always\":false,"
                        "\"max_context_tokens\":19999}");
        assert_true(g->r.fits);
        assert_in_range(g->r.after.tokens, FIXED, 19999);
    }
    assert_int_equal(g->r.before.messages, 53);
    assert_true(g->r.before.tokens > 40000);
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, trim_rig_set_up, trim_rig_tear_down)
    const struct CMUnitTest tests[] = {
        RIG(a_turn_has_the_size_it_should_have),
        RIG(five_searches_in_one_turn_fit),
        RIG(five_searches_in_a_turn_each_fit),
        RIG(searches_calls_and_a_list_fit),
        RIG(twenty_turns_fit),
        RIG(fifty_messages_stay_below_twenty_thousand_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
