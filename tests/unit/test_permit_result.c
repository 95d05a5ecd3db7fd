/* What a worker tells of the provider's answer. */
#include "scheduler/permit_result.h"

#include "scheduler/provider/wire_rules.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct permit_result read_ok(const char *text)
{
    struct permit_result r;
    struct error e;
    if (permit_result_read(text, strlen(text), &r, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    return r;
}

static struct wire_answer answer(struct permit_result *r, enum wire_endpoint endpoint,
                                 struct wire_usage *usage)
{
    const char *profile = endpoint == WIRE_MESSAGES ? "anthropic" : "openai";
    return permit_result_answer(r, wire_rules_find(profile), endpoint, 0, usage);
}

static void an_error_means_what_its_provider_means(void **state)
{
    static const char busy[] = "{\"status\":429,\"body\":{\"error\":{\"message\":\"The engine is "
                               "currently overloaded, try again\"}}}";
    struct permit_result r = read_ok("{\"status\":403}");
    struct wire_usage usage;
    (void)state;
    assert_int_equal(answer(&r, WIRE_CHAT, &usage).failure, WIRE_AUTH);
    const struct wire_rules *rules = wire_rules_find("openrouter");
    assert_int_equal(permit_result_answer(&r, rules, WIRE_CHAT, 0, &usage).failure, WIRE_CLIENT);
    r = read_ok(busy);
    rules = wire_rules_find("azure");
    assert_int_equal(permit_result_answer(&r, rules, WIRE_CHAT, 0, &usage).failure, WIRE_OVERLOAD);
}

static void nothing_told_is_a_success_of_unknown_size(void **state)
{
    struct permit_result r = read_ok("{}");
    struct wire_usage usage;
    (void)state;
    assert_int_equal(r.status, 200);
    assert_int_equal(answer(&r, WIRE_CHAT, &usage).failure, WIRE_OK);
    assert_false(usage.known);
    r = read_ok("{\"usage\":null,\"status\":null,\"headers\":null,\"body\":null}");
    assert_int_equal(r.status, 200);
}

static void usage_that_is_told_holds_against_the_body(void **state)
{
    struct permit_result r =
        read_ok("{\"usage\":{\"input_tokens\":9,\"output_tokens\":2,\"cache_read_tokens\":9},"
                "\"body\":{\"usage\":{\"prompt_tokens\":70,\"completion_tokens\":8}}}");
    struct wire_usage usage;
    (void)state;
    (void)answer(&r, WIRE_CHAT, &usage);
    assert_true(usage.known);
    assert_int_equal(usage.input, 9);
    assert_int_equal(usage.output, 2);
    assert_int_equal(usage.cache_read, 9);
}

static void a_body_may_be_a_string(void **state)
{
    struct permit_result r = read_ok(
        "{\"status\":529,\"body\":\"{\\\"error\\\":{\\\"type\\\":\\\"overloaded_error\\\"}}\"}");
    struct wire_usage usage;
    (void)state;
    assert_int_equal(answer(&r, WIRE_MESSAGES, &usage).failure, WIRE_OVERLOAD);
    r = read_ok("{\"body\":\"<html>\"}");
    assert_int_equal(answer(&r, WIRE_CHAT, &usage).failure, WIRE_OK);
    assert_false(usage.known);
}

static void headers_are_found_in_any_case(void **state)
{
    struct permit_result r =
        read_ok("{\"status\":429,\"headers\":{\"Retry-After\":\"7\",\"a\":\"\\u00e9\"}}");
    struct wire_usage usage;
    (void)state;
    assert_string_equal(permit_result_header(&r, "retry-after"), "7");
    assert_string_equal(permit_result_header(&r, "a"), "\xc3\xa9");
    assert_null(permit_result_header(&r, "b"));
    assert_int_equal(answer(&r, WIRE_CHAT, &usage).retry_after_ms, 7000);
}

static void a_header_is_read_up_to_its_bound(void **state)
{
    char text[PERMIT_MAX_HEADER_BYTES + 64], value[PERMIT_MAX_HEADER_BYTES + 1];
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        size_t len = PERMIT_MAX_HEADER_BYTES - 1 + over;
        memset(value, 'x', len);
        value[len] = '\0';
        (void)snprintf(text, sizeof(text), "{\"headers\":{\"a\":\"%s\"}}", value);
        struct permit_result r = read_ok(text);
        if (over)
            assert_null(permit_result_header(&r, "a"));
        else
            assert_string_equal(permit_result_header(&r, "a"), value);
    }
}

static void there_are_at_most_so_many_headers(void **state)
{
    char text[PERMIT_MAX_HEADERS * 16 + 64];
    struct permit_result r;
    struct error e;
    (void)state;
    for (int count = PERMIT_MAX_HEADERS; count <= PERMIT_MAX_HEADERS + 1; count++) {
        size_t used = (size_t)snprintf(text, sizeof(text), "{\"headers\":{");
        for (int i = 0; i < count; i++)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\"h%d\":\"\"",
                                     i ? "," : "", i);
        (void)snprintf(text + used, sizeof(text) - used, "}}");
        assert_int_equal(permit_result_read(text, strlen(text), &r, &e),
                         count > PERMIT_MAX_HEADERS ? -EINVAL : 0);
    }
    assert_non_null(strstr(e.text, "129"));
}

static void what_is_wrong_is_named_with_its_value_and_the_bound(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "The body is"},
        {"[]", "object"},
        {"{\"status\":99}", "status is 99; it must be"},
        {"{\"status\":600}", "600"},
        {"{\"status\":\"200\"}", "\"200\""},
        {"{\"usage\":7}", "usage must be an object"},
        {"{\"usage\":{}}", "usage.input_tokens is missing"},
        {"{\"usage\":{\"output_tokens\":1}}", "usage.input_tokens is missing"},
        {"{\"usage\":{\"input_tokens\":-1}}", "usage.input_tokens is -1; it must be"},
        {"{\"usage\":{\"input_tokens\":1.5}}", "1.5"},
        {"{\"usage\":{\"input_tokens\":1000000001}}", "0 to 1000000000"},
        {"{\"usage\":{\"input_tokens\":1,\"output_tokens\":\"2\"}}", "usage.output_tokens"},
        {"{\"usage\":{\"input_tokens\":1,\"cache_read_tokens\":2}}", "more than the 1"},
        {"{\"headers\":[]}", "headers must be an object"},
        {"{\"headers\":{\"retry-after\":7}}", "headers.retry-after must be a string"},
    };
    struct permit_result r;
    struct error e;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(permit_result_read(cases[i].text, strlen(cases[i].text), &r, &e), -EINVAL);
        if (!strstr(e.text, cases[i].says))
            fail_msg("%s: %s", cases[i].text, e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_means_what_its_provider_means),
        cmocka_unit_test(nothing_told_is_a_success_of_unknown_size),
        cmocka_unit_test(usage_that_is_told_holds_against_the_body),
        cmocka_unit_test(a_body_may_be_a_string),
        cmocka_unit_test(headers_are_found_in_any_case),
        cmocka_unit_test(a_header_is_read_up_to_its_bound),
        cmocka_unit_test(there_are_at_most_so_many_headers),
        cmocka_unit_test(what_is_wrong_is_named_with_its_value_and_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
