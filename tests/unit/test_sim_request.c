/* What the simulated provider reads from a request, what it charges, what it refuses. */
#include "api/simulate/sim_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sim_options options;

static int fresh_options(void **state)
{
    (void)state;
    sim_options_init(&options);
    return 0;
}

static bool reads(enum sim_endpoint endpoint, const char *json, struct sim_request *q,
                  struct sim_refusal *r)
{
    *q = (struct sim_request){.endpoint = endpoint};
    *r = (struct sim_refusal){.status = 0};
    return sim_request_read(q, &options, json, strlen(json), NULL, r);
}

static void accepts(enum sim_endpoint endpoint, const char *json)
{
    struct sim_request q;
    struct sim_refusal r;
    bool ok = reads(endpoint, json, &q, &r);
    sim_request_release(&q);
    if (!ok)
        fail_msg("%s refused: %s", json, r.message);
}

static void refuses(enum sim_endpoint endpoint, const char *json, const char *text)
{
    struct sim_request q;
    struct sim_refusal r;
    bool ok = reads(endpoint, json, &q, &r);
    sim_request_release(&q);
    if (ok || !strstr(r.message, text))
        fail_msg("%s: wanted \"%s\", got \"%s\"", json, text, r.message);
}

#define CHAT(turns) "{\"model\":\"m\",\"messages\":[" turns "]}"
#define USER        "{\"role\":\"user\",\"content\":\"hi\"}"
#define CALLS                                                                                      \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\"},{\"id\":\"b\"}]}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"ok\"}"

static void openai_refuses_broken_transcripts(void **state)
{
    (void)state;
    accepts(SIM_CHAT, CHAT(USER));
    accepts(SIM_CHAT, CHAT(USER "," CALLS "," RESULT("b") "," RESULT("a") "," USER));
    refuses(SIM_CHAT, CHAT(), "Invalid 'messages': empty array.");
    refuses(SIM_CHAT, "{\"model\":\"m\"}", "Missing required parameter: 'messages'.");
    refuses(SIM_CHAT, "{\"messages\":[" USER "]}", "you must provide a model parameter");
    refuses(SIM_CHAT, "{\"model\":", "We could not parse the JSON body");
    refuses(SIM_CHAT, CHAT(USER "," RESULT("a")),
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'.");
    refuses(SIM_CHAT, CHAT(USER "," CALLS "," RESULT("a") "," USER),
            "The following tool_call_ids did not have response messages: b");
    refuses(SIM_CHAT, CHAT(USER "," CALLS), "did not have response messages: a, b");
    refuses(SIM_CHAT, CHAT(USER "," CALLS "," RESULT("a") "," RESULT("b") "," RESULT("c")),
            "'tool_call_id' of 'c' not found");
    refuses(SIM_CHAT, CHAT("{\"role\":\"user\",\"content\":null}"), "expected a string, got null");
    refuses(SIM_CHAT, CHAT("{\"role\":\"user\",\"content\":[]}"), "[0].content': empty array");
    refuses(SIM_CHAT, CHAT("{\"role\":\"robot\",\"content\":\"x\"}"), "Invalid value: 'robot'.");
    refuses(SIM_CHAT, "{\"model\":\"m\",\"max_tokens\":0,\"messages\":[" USER "]}",
            "Expected a value >= 1, but got 0 instead.");
}

#define MESSAGES(turns) "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" turns "]}"
#define USE             "{\"type\":\"tool_use\",\"id\":\"t\"}"
#define USES            "{\"role\":\"assistant\",\"content\":[" USE "]}"
#define ANSWER(id)                                                                                 \
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\"}]}"

static void anthropic_refuses_broken_transcripts(void **state)
{
    (void)state;
    accepts(SIM_MESSAGES, MESSAGES(USER));
    accepts(SIM_MESSAGES, MESSAGES(USER "," USER)); /* merged by the API */
    accepts(SIM_MESSAGES, MESSAGES(USER "," USES "," ANSWER("t")));
    accepts(SIM_MESSAGES, MESSAGES(USER ",{\"role\":\"assistant\",\"content\":\"\"}"));
    refuses(SIM_MESSAGES, "{\"model\":\"m\",\"messages\":[" USER "]}",
            "max_tokens: Field required");
    refuses(SIM_MESSAGES, MESSAGES(), "messages: at least one message is required");
    refuses(SIM_MESSAGES, MESSAGES("{\"role\":\"assistant\",\"content\":\"x\"}"),
            "first message must use the \"user\" role");
    refuses(SIM_MESSAGES, MESSAGES(USER ",{\"role\":\"system\",\"content\":\"x\"}"),
            "Unexpected role \"system\".");
    refuses(SIM_MESSAGES, MESSAGES("{\"role\":\"user\",\"content\":\"\"}"),
            "messages.0: all messages must have non-empty content");
    refuses(SIM_MESSAGES,
            MESSAGES("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"}]}"),
            "text content blocks must be non-empty");
    refuses(SIM_MESSAGES, MESSAGES(USER "," USES "," USER),
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately "
            "after: t.");
    refuses(SIM_MESSAGES, MESSAGES(USER "," USES), "immediately after: t.");
    refuses(SIM_MESSAGES, MESSAGES(USER "," USES "," ANSWER("t") "," ANSWER("u")),
            "messages.3.content.0: unexpected `tool_use_id` found in `tool_result` blocks: u.");
    refuses(SIM_MESSAGES, MESSAGES(USER ",{\"role\":\"assistant\",\"content\":\"x \"}"),
            "trailing whitespace");
    options.strict_roles = true;
    refuses(SIM_MESSAGES, MESSAGES(USER "," USER), "multiple \"user\" roles in a row");
}

#define CALL_ITEM   "{\"type\":\"function_call\",\"call_id\":\"c\"}"
#define OUTPUT_ITEM "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"\"}"

static void responses_refuses_halves_of_a_call(void **state)
{
    (void)state;
    accepts(SIM_RESPONSES, "{\"model\":\"m\",\"input\":\"hi\"}");
    accepts(SIM_RESPONSES, "{\"model\":\"m\",\"input\":[" CALL_ITEM "," OUTPUT_ITEM "]}");
    accepts(SIM_RESPONSES,
            "{\"model\":\"m\",\"previous_response_id\":\"r\",\"input\":[" OUTPUT_ITEM "]}");
    refuses(SIM_RESPONSES, "{\"model\":\"m\",\"input\":[" OUTPUT_ITEM "]}",
            "No tool call found for function call output with call_id c.");
    refuses(SIM_RESPONSES, "{\"model\":\"m\",\"input\":[" CALL_ITEM "]}",
            "No tool output found for function call c.");
}

static char *inputs(int count)
{
    char *json = malloc((size_t)count * 4 + 64);
    assert_non_null(json);
    char *at = json + sprintf(json, "{\"model\":\"m\",\"input\":[");
    for (int i = 0; i < count; i++)
        at += sprintf(at, "%s\"a\"", i ? "," : "");
    (void)strcpy(at, "]}");
    return json;
}

static void embeddings_take_2048_inputs_and_no_empty_ones(void **state)
{
    (void)state;
    char *most = inputs(SIM_MAX_EMBEDDING_INPUTS), *more = inputs(SIM_MAX_EMBEDDING_INPUTS + 1);
    accepts(SIM_EMBEDDINGS, most);
    refuses(SIM_EMBEDDINGS, more, "maximum length 2048, but got an array with length 2049");
    refuses(SIM_EMBEDDINGS, "{\"model\":\"m\",\"input\":[]}", "Invalid 'input': empty array.");
    refuses(SIM_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"\"}", "cannot be an empty string");
    refuses(SIM_EMBEDDINGS, "{\"model\":\"m\",\"input\":[\"a\",\"\"]}", "'input[1]'");
    accepts(SIM_EMBEDDINGS, "{\"model\":\"m\",\"input\":[1,2,3]}");
    free(most);
    free(more);
}

static void tokens_are_bytes_by_four_and_four_for_a_message(void **state)
{
    (void)state;
    static const struct {
        enum sim_endpoint endpoint;
        const char *json;
        int64_t want;
    } cases[] = {
        {SIM_CHAT, CHAT("{\"role\":\"user\",\"content\":\"12345\"}"), 2 + 4},
        {SIM_CHAT, CHAT(USER "," USER), 1 + 8},
        {SIM_RESPONSES, "{\"model\":\"m\",\"input\":\"12345678\",\"instructions\":\"1\"}", 3 + 4},
        {SIM_COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"12345678\"}", 2},
        {SIM_EMBEDDINGS, "{\"model\":\"m\",\"input\":[\"12345\",\"1\"]}", 2 + 1},
        {SIM_EMBEDDINGS, "{\"model\":\"m\",\"input\":[1,2,3]}", 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sim_request q;
        struct sim_refusal r;
        assert_true(reads(cases[i].endpoint, cases[i].json, &q, &r));
        assert_int_equal(q.input_tokens, cases[i].want);
        sim_request_release(&q);
    }
}

static struct sim_cost cost_of(enum sim_endpoint endpoint, const char *json)
{
    struct sim_request q;
    struct sim_refusal r;
    assert_true(reads(endpoint, json, &q, &r));
    struct sim_cost cost = sim_request_cost(&q, &options);
    sim_request_release(&q);
    return cost;
}

static void openai_charges_the_maximum_output_and_anthropic_does_not(void **state)
{
    (void)state;
    static const char chat[] =
        "{\"model\":\"m\",\"max_completion_tokens\":100,\"n\":2,\"messages\":[" USER "]}";
    assert_int_equal(cost_of(SIM_CHAT, chat).charge[SIM_TPM], 5 + 200);
    assert_int_equal(cost_of(SIM_CHAT, CHAT(USER)).charge[SIM_TPM], 5 + 16);
    options.cost_rule = SIM_COST_MAX;
    assert_int_equal(cost_of(SIM_CHAT, chat).charge[SIM_TPM], 200);
    options.cost_rule = SIM_COST_INPUT;
    assert_int_equal(cost_of(SIM_CHAT, chat).charge[SIM_TPM], 5);
    options.cost_rule = SIM_COST_SUM;
    struct sim_cost cost = cost_of(SIM_MESSAGES, MESSAGES(USER));
    assert_int_equal(cost.charge[SIM_TPM], 5);
    assert_int_equal(cost.charge[SIM_ITPM], 5);
    assert_int_equal(cost.charge[SIM_OTPM], 0);
    assert_int_equal(cost.need[SIM_OTPM], 1);
    assert_int_equal(cost_of(SIM_COUNT_TOKENS, MESSAGES(USER)).charge[SIM_RPM], 0);
}

static void a_prompt_above_the_context_window_is_refused(void **state)
{
    (void)state;
    options.context_window = 5;
    accepts(SIM_CHAT, CHAT(USER));
    options.context_window = 4;
    refuses(SIM_CHAT, CHAT(USER),
            "maximum context length is 4 tokens. However, your messages "
            "resulted in 5 tokens.");
    refuses(SIM_MESSAGES, MESSAGES(USER), "prompt is too long: 5 tokens > 4 maximum");
}

static void a_call_is_steered_by_its_last_user_text(void **state)
{
    (void)state;
    struct sim_request q;
    struct sim_refusal r;
    assert_true(reads(SIM_CHAT,
                      CHAT("{\"role\":\"user\",\"content\":\"[[sim status=500]]\"},"
                           "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
                           "\"a [[sim latency_ms=7, output=9;cut_after=3 stall id=job-1]] b\"}]}"),
                      &q, &r));
    assert_int_equal(q.steer.status, -1);
    assert_int_equal(q.steer.latency_ms, 7);
    assert_int_equal(q.steer.output, 9);
    assert_int_equal(q.steer.cut_after, 3);
    assert_true(q.steer.stall);
    assert_false(q.steer.disconnect);
    assert_string_equal(q.id, "job-1");
    sim_request_release(&q);
}

static void unknown_steering_words_are_told(void **state)
{
    (void)state;
    struct sim_steer s;
    sim_steer_init(&s);
    assert_true(sim_steer_words(&s, "status=503 disconnect", 21));
    assert_int_equal(s.status, 503);
    assert_false(sim_steer_words(&s, "latency=3 output=4", 18));
    assert_int_equal(s.output, 4); /* the others count */
    assert_false(sim_steer_words(&s, "output=x", 8));
    assert_false(sim_steer_text(&s, "[[sim output=3", 14));
}

static void embeddings_depend_on_the_input_alone(void **state)
{
    (void)state;
    float a[8], again[8], b[8];
    double square = 0;
    sim_embedding(sim_hash("a", 1), a, 8);
    sim_embedding(sim_hash("a", 1), again, 8);
    sim_embedding(sim_hash("b", 1), b, 8);
    assert_memory_equal(a, again, sizeof(a));
    assert_memory_not_equal(a, b, sizeof(a));
    for (int i = 0; i < 8; i++)
        square += (double)a[i] * (double)a[i];
    assert_true(square > 0.9999 && square < 1.0001);
}

static void the_longest_matching_rule_gives_the_limits(void **state)
{
    (void)state;
    struct error e;
    assert_int_equal(sim_options_set(&options, "rpm", "1", &e), 0);
    assert_int_equal(sim_options_set(&options, "limit", "model=gpt-*,rpm=2", &e), 0);
    assert_int_equal(sim_options_set(&options, "limit", "model=gpt-4*,rpm=3", &e), 0);
    assert_int_equal(sim_options_set(&options, "limit", "model=gpt-4o,rpm=4", &e), 0);
    assert_int_equal(sim_options_set(&options, "limit", "key=k,rpm=5", &e), 0);
    assert_int_equal(sim_options_model_rule(&options, "x")->limits[SIM_RPM], 1);
    assert_int_equal(sim_options_model_rule(&options, "gpt-3")->limits[SIM_RPM], 2);
    assert_int_equal(sim_options_model_rule(&options, "gpt-4")->limits[SIM_RPM], 3);
    assert_int_equal(sim_options_model_rule(&options, "gpt-4o")->limits[SIM_RPM], 4);
    assert_int_equal(sim_options_key_rule(&options, "x", "k")->limits[SIM_RPM], 5);
    assert_null(sim_options_key_rule(&options, "x", "other"));
}

static void wrong_options_are_told(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"rpm", "-1"},
        {"rpm", "1x"},
        {"limit", "rpm"},
        {"limit", "speed=1"},
        {"error", "2:500"},
        {"error", "0.1:fire"},
        {"error", "0.1:200"},
        {"algorithm", "leaky"},
        {"output-tokens", "9-3"},
        {"embedding-dims", "3073"},
        {"speed", "1"},
        {"ms-per-token", "-1"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error e;
        if (sim_options_set(&options, wrong[i][0], wrong[i][1], &e) == 0)
            fail_msg("--%s %s was taken", wrong[i][0], wrong[i][1]);
    }
}

static void there_is_room_for_all_rules_and_no_more(void **state)
{
    (void)state;
    struct error e;
    char spec[32];
    for (int i = 1; i <= SIM_MAX_RULES; i++) {
        (void)snprintf(spec, sizeof(spec), "model=m%d,rpm=1", i);
        int rc = sim_options_set(&options, "limit", spec, &e);
        assert_int_equal(rc < 0, i == SIM_MAX_RULES); /* the default is one of them */
    }
}

#define TEST(name) cmocka_unit_test_setup(name, fresh_options)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(openai_refuses_broken_transcripts),
        TEST(anthropic_refuses_broken_transcripts),
        TEST(responses_refuses_halves_of_a_call),
        TEST(embeddings_take_2048_inputs_and_no_empty_ones),
        TEST(tokens_are_bytes_by_four_and_four_for_a_message),
        TEST(openai_charges_the_maximum_output_and_anthropic_does_not),
        TEST(a_prompt_above_the_context_window_is_refused),
        TEST(a_call_is_steered_by_its_last_user_text),
        TEST(unknown_steering_words_are_told),
        TEST(embeddings_depend_on_the_input_alone),
        TEST(the_longest_matching_rule_gives_the_limits),
        TEST(wrong_options_are_told),
        TEST(there_is_room_for_all_rules_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
