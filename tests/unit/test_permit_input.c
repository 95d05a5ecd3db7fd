/* What a body of /v1/permits asks for. */
#include "api/permit_input.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "providers:\n"
                           "- name: openai\n"
                           "  format: openai\n"
                           "  models: [{name: gpt-4o}, {name: both}, {name: '*'}]\n"
                           "- name: anthropic\n"
                           "  format: anthropic\n"
                           "  models: [{name: 'claude-*'}, {name: both}]\n";

static struct config *config;

static int load(void **state)
{
    struct error e = {.text = ""};
    (void)state;
    return config_parse("t", text, strlen(text), &config, &e);
}

static int unload(void **state)
{
    (void)state;
    config_free(config);
    return 0;
}

static int read_input(const char *body, struct permit_input *in, struct call_failure *f)
{
    return permit_input_read(body, strlen(body), config, in, f);
}

static void expect(const char *asked, enum wire_endpoint endpoint, const char *body)
{
    struct permit_input in;
    struct call_failure f;
    if (read_input(asked, &in, &f) < 0)
        fail_msg("%s: %s", asked, f.message);
    assert_int_equal(in.endpoint, endpoint);
    assert_string_equal(in.body, body);
    assert_int_equal(in.body_len, strlen(body));
    permit_input_release(&in);
}

static void a_request_is_stated_in_one_of_three_ways(void **state)
{
    (void)state;
    expect("{\"model\":\"gpt-4o\",\"input_tokens\":5}", WIRE_CHAT,
           "{\"messages\":[],\"model\":\"gpt-4o\"}");
    expect("{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\"}]}", WIRE_CHAT,
           "{\"messages\":[{\"role\":\"user\"}],\"model\":\"gpt-4o\"}");
    expect("{\"body\":{\"model\":\"gpt-4o\", \"x\":1.50}}", WIRE_CHAT,
           "{\"model\":\"gpt-4o\", \"x\":1.50}");
    expect("{\"endpoint\":\"/v1/embeddings\",\"model\":\"e\",\"input_tokens\":5}", WIRE_EMBEDDINGS,
           "{\"input\":\"\",\"model\":\"e\"}");
    expect("{\"endpoint\":\"/v1/responses\",\"model\":\"e\",\"input_tokens\":5}", WIRE_RESPONSES,
           "{\"input\":[],\"model\":\"e\"}");
}

static void the_format_follows_from_what_is_told(void **state)
{
    static const char claude[] = "{\"messages\":[],\"model\":\"claude-x\"}";
    (void)state;
    expect("{\"model\":\"claude-x\",\"input_tokens\":5}", WIRE_MESSAGES, claude);
    expect("{\"model\":\"claude-x\",\"input_tokens\":5,\"format\":\"openai\"}", WIRE_CHAT, claude);
    expect("{\"model\":\"claude-x\",\"input_tokens\":5,\"provider\":\"openai\"}", WIRE_CHAT,
           claude);
    expect("{\"model\":\"claude-x\",\"input_tokens\":5,\"endpoint\":\"/v1/chat/completions\"}",
           WIRE_CHAT, claude);
    expect("{\"model\":\"both\",\"input_tokens\":5,\"provider\":\"anthropic\"}", WIRE_MESSAGES,
           "{\"messages\":[],\"model\":\"both\"}");
    expect("{\"model\":\"anthropic/both\",\"input_tokens\":5}", WIRE_MESSAGES,
           "{\"messages\":[],\"model\":\"anthropic/both\"}");
}

static void numbers_are_taken_at_their_bounds(void **state)
{
    struct permit_input in;
    struct call_failure f;
    (void)state;
    assert_int_equal(read_input("{\"model\":\"m\",\"input_tokens\":1000000000,"
                                "\"max_output_tokens\":1000000000,\"wait_ms\":600000,"
                                "\"ttl_ms\":21600000,\"priority\":-2147483648}",
                                &in, &f),
                     0);
    assert_int_equal(in.input_tokens, 1000000000);
    assert_int_equal(in.max_output_tokens, 1000000000);
    assert_int_equal(in.wait_ms, 600000);
    assert_int_equal(in.ttl_ms, 21600000);
    assert_int_equal(in.class, CLASS_INTERACTIVE);
    assert_true(in.class_given);
    permit_input_release(&in);

    assert_int_equal(read_input("{\"model\":\"m\",\"input_tokens\":1,\"wait_ms\":0,\"ttl_ms\":1000,"
                                "\"priority\":null,\"messages\":null}",
                                &in, &f),
                     0);
    assert_int_equal(in.wait_ms, 0);
    assert_int_equal(in.ttl_ms, 1000);
    assert_false(in.class_given);
    permit_input_release(&in);

    assert_int_equal(read_input("{\"model\":\"m\",\"input_tokens\":1}", &in, &f), 0);
    assert_int_equal(in.wait_ms, -1);
    assert_int_equal(in.ttl_ms, 0);
    assert_null(in.provider);
    permit_input_release(&in);
}

static void what_is_wrong_is_named_with_its_value_and_the_bound(void **state)
{
#define M "\"model\":\"gpt-4o\","
    static const struct {
        const char *body, *param, *says;
    } cases[] = {
        {"", "", "body"},
        {"[]", "", "object"},
        {"{\"input_tokens\":1}", "model", "name of a model"},
        {"{\"model\":\"\",\"input_tokens\":1}", "model", "name of a model"},
        {"{\"model\":7,\"input_tokens\":1}", "model", "name of a model"},
        {"{\"body\":{}}", "body.model", "name of a model"},
        {"{\"body\":[]}", "body", "[]"},
        {"{" M "\"messages\":{}}", "messages", "an array"},
        {"{" M "\"x\":1}", "input_tokens", "Found 0"},
        {"{" M "\"input_tokens\":1,\"messages\":[]}", "input_tokens", "Found 2"},
        {"{" M "\"input_tokens\":1,\"messages\":[],\"body\":{\"model\":\"m\"}}", "input_tokens",
         "Found 3"},
        {"{" M "\"input_tokens\":0}", "input_tokens", "0; it must be a whole number from 1 to"},
        {"{" M "\"input_tokens\":1000000001}", "input_tokens", "1000000001"},
        {"{" M "\"input_tokens\":1.5}", "input_tokens", "1.5"},
        {"{" M "\"input_tokens\":\"9\"}", "input_tokens", "\"9\""},
        {"{" M "\"input_tokens\":1,\"max_output_tokens\":0}", "max_output_tokens", "from 1"},
        {"{" M "\"input_tokens\":1,\"max_output_tokens\":1000000001}", "max_output_tokens", "to"},
        {"{" M "\"input_tokens\":1,\"wait_ms\":-1}", "wait_ms", "-1; it must be a whole number"},
        {"{" M "\"input_tokens\":1,\"wait_ms\":600001}", "wait_ms", "0 to 600000"},
        {"{" M "\"input_tokens\":1,\"ttl_ms\":999}", "ttl_ms", "1000 to 21600000"},
        {"{" M "\"input_tokens\":1,\"ttl_ms\":21600001}", "ttl_ms", "21600001"},
        {"{" M "\"input_tokens\":1,\"priority\":\"high\"}", "priority", "\"high\""},
        {"{" M "\"input_tokens\":1,\"priority\":2147483648}", "priority", "2147483647"},
        {"{" M "\"input_tokens\":1,\"provider\":\"nobody\"}", "provider", "\"nobody\""},
        {"{" M "\"input_tokens\":1,\"format\":\"gemini\"}", "format", "anthropic"},
        {"{" M "\"input_tokens\":1,\"endpoint\":\"/v1/x\"}", "endpoint", "/v1/messages"},
        {"{" M "\"messages\":[],\"endpoint\":\"/v1/embeddings\"}", "endpoint", "body"},
        {"{\"model\":\"both\",\"input_tokens\":1}", "format", "both"},
    };
    struct permit_input in;
    struct call_failure f;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_input(cases[i].body, &in, &f), -EINVAL);
        permit_input_release(&in);
        if (f.status != 400 || strcmp(f.param, cases[i].param) != 0 ||
            !strstr(f.message, cases[i].says))
            fail_msg("%s: %d %s: %s", cases[i].body, f.status, f.param, f.message);
    }
}

static void of_two_patterns_that_fit_alike_the_models_name_decides(void **state)
{
    static const char stars[] =
        "providers:\n- {name: a, format: anthropic, models: [{name: '*'}]}\n"
        "- {name: o, format: openai, models: [{name: '*'}]}\n";
    static const char claude[] = "{\"model\":\"claude-x\",\"input_tokens\":1}";
    static const char other[] = "{\"model\":\"gpt-4o\",\"input_tokens\":1}";
    struct config *c = NULL;
    struct permit_input in;
    struct call_failure f;
    struct error e;
    (void)state;
    assert_int_equal(config_parse("t", stars, strlen(stars), &c, &e), 0);
    assert_int_equal(permit_input_read(claude, strlen(claude), c, &in, &f), 0);
    assert_int_equal(in.endpoint, WIRE_MESSAGES);
    permit_input_release(&in);
    assert_int_equal(permit_input_read(other, strlen(other), c, &in, &f), 0);
    assert_int_equal(in.endpoint, WIRE_CHAT);
    permit_input_release(&in);
    config_free(c);
}

static void a_model_that_nobody_serves_is_not_found(void **state)
{
    static const char one[] = "providers: [{name: a, format: anthropic, models: [{name: x}]}]\n";
    struct config *c = NULL;
    struct permit_input in;
    struct call_failure f;
    struct error e;
    static const char ask[] = "{\"model\":\"y\",\"input_tokens\":1}";
    (void)state;
    assert_int_equal(config_parse("t", one, strlen(one), &c, &e), 0);
    assert_int_equal(permit_input_read(ask, strlen(ask), c, &in, &f), -ENOENT);
    assert_int_equal(f.status, 404);
    permit_input_release(&in);
    config_free(c);
}

static void a_renewal_may_be_empty(void **state)
{
    int64_t ttl_ms = 1;
    struct call_failure f;
    (void)state;
    assert_int_equal(permit_renewal_read("", 0, &ttl_ms, &f), 0);
    assert_int_equal(ttl_ms, 0);
    assert_int_equal(permit_renewal_read("{}", 2, &ttl_ms, &f), 0);
    assert_int_equal(ttl_ms, 0);
    assert_int_equal(permit_renewal_read("{\"ttl_ms\":1000}", 15, &ttl_ms, &f), 0);
    assert_int_equal(ttl_ms, 1000);
    assert_int_equal(permit_renewal_read("{\"ttl_ms\":999}", 14, &ttl_ms, &f), -EINVAL);
    assert_int_equal(permit_renewal_read("[]", 2, &ttl_ms, &f), -EINVAL);
    assert_int_equal(permit_renewal_read("{", 1, &ttl_ms, &f), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_stated_in_one_of_three_ways),
        cmocka_unit_test(the_format_follows_from_what_is_told),
        cmocka_unit_test(numbers_are_taken_at_their_bounds),
        cmocka_unit_test(what_is_wrong_is_named_with_its_value_and_the_bound),
        cmocka_unit_test(of_two_patterns_that_fit_alike_the_models_name_decides),
        cmocka_unit_test(a_model_that_nobody_serves_is_not_found),
        cmocka_unit_test(a_renewal_may_be_empty),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
