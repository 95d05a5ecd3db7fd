#include "common/limits.h"
#include "scheduler/provider/wire.h"
#include "scheduler/provider/wire_usage.h"
#include "tests/support/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct guard guard;

static struct wire_usage read_usage(enum wire_endpoint endpoint, const char *body)
{
    struct wire_usage usage = {.known = true, .input = 99, .output = 99};
    size_t len = strlen(body);
    wire_usage_read(endpoint, guard_copy(&guard, body, len), len, &usage);
    return usage;
}

static void usage_of_each_endpoint_is_read(void **state)
{
    (void)state;
    static const struct {
        enum wire_endpoint endpoint;
        const char *body;
        int64_t input, cache_read, cache_write, output;
    } cases[] = {
        {WIRE_CHAT,
         "{\"id\":\"x\",\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":"
         "29,"
         "\"prompt_tokens_details\":{\"cached_tokens\":8,\"audio_tokens\":0}}}",
         19, 8, 0, 10},
        {WIRE_COMPLETIONS, "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}", 5, 0, 0, 7},
        {WIRE_RESPONSES,
         "{\"error\":null,\"usage\":{\"input_tokens\":36,\"input_tokens_details\":{\"cached_"
         "tokens\":30},"
         "\"output_tokens\":87,\"output_tokens_details\":{\"reasoning_tokens\":3}}}",
         36, 30, 0, 87},
        {WIRE_EMBEDDINGS, "{\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}", 8, 0, 0, 0},
        /* Anthropic's input_tokens leaves the cached ones out. */
        {WIRE_MESSAGES,
         "{\"usage\":{\"input_tokens\":21,\"cache_creation_input_tokens\":188,"
         "\"cache_read_input_tokens\":1000,\"output_tokens\":393}}",
         1209, 1000, 188, 393},
        {WIRE_MESSAGES, "{\"usage\":{\"input_tokens\":21,\"output_tokens\":3}}", 21, 0, 0, 3},
        {WIRE_MESSAGES,
         "{\"usage\":{\"input_tokens\":21,\"cache_read_input_tokens\":null,\"output_tokens\":3}}",
         21, 0, 0, 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_usage usage = read_usage(cases[i].endpoint, cases[i].body);
        assert_true(usage.known);
        assert_int_equal(usage.input, cases[i].input);
        assert_int_equal(usage.cache_read, cases[i].cache_read);
        assert_int_equal(usage.cache_write, cases[i].cache_write);
        assert_int_equal(usage.output, cases[i].output);
    }
}

static void a_body_without_usage_leaves_it_unknown(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "<html>",
        "[]",
        "{}",
        "{\"usage\":null}",
        "{\"usage\":{}}",
        "{\"usage\":[1]}",
        "{\"usage\":{\"prompt_tokens\":\"5\"}}",
        "{\"usage\":{\"prompt_tokens\":-5}}",
        "{\"usage\":{\"prompt_tokens\":1000000001}}",
        "{\"usage\":{\"prompt_tokens\":5}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct wire_usage usage = read_usage(WIRE_CHAT, bodies[i]);
        assert_false(usage.known);
        assert_int_equal(usage.input, 0);
        assert_int_equal(usage.output, 0);
    }
    assert_true(read_usage(WIRE_CHAT, "{\"usage\":{\"prompt_tokens\":1000000000}}").known);
}

static void cached_tokens_are_never_more_than_the_input(void **state)
{
    (void)state;
    struct wire_usage usage = read_usage(
        WIRE_CHAT, "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,"
                   "\"prompt_tokens_details\":{\"cached_tokens\":9,\"cache_write_tokens\":4}}}");
    assert_int_equal(usage.input, 5);
    assert_int_equal(usage.cache_read, 5);
    assert_int_equal(usage.cache_write, 0);
}

static void a_later_object_corrects_only_what_it_tells(void **state)
{
    (void)state;
    static const char start[] =
        "{\"input_tokens\":20,\"cache_read_input_tokens\":100,\"output_tokens\":1}";
    static const char more[] = "{\"output_tokens\":15}";
    static const char last[] = "{\"input_tokens\":25,\"output_tokens\":40}";
    struct wire_usage usage = {0};
    assert_true(wire_usage_object(WIRE_MESSAGES, json_span_of(start, strlen(start)), &usage));
    assert_int_equal(usage.input, 120);
    assert_true(wire_usage_object(WIRE_MESSAGES, json_span_of(more, strlen(more)), &usage));
    assert_int_equal(usage.input, 120);
    assert_int_equal(usage.output, 15);
    assert_true(wire_usage_object(WIRE_MESSAGES, json_span_of(last, strlen(last)), &usage));
    assert_int_equal(usage.input, 125);
    assert_int_equal(usage.cache_read, 100);
    assert_int_equal(usage.output, 40);
}

static int make_guard(void **state)
{
    (void)state;
    guard_init(&guard, 64 * KIB);
    return 0;
}

static int drop_guard(void **state)
{
    (void)state;
    guard_release(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_of_each_endpoint_is_read),
        cmocka_unit_test(a_body_without_usage_leaves_it_unknown),
        cmocka_unit_test(cached_tokens_are_never_more_than_the_input),
        cmocka_unit_test(a_later_object_corrects_only_what_it_tells),
    };
    return cmocka_run_group_tests(tests, make_guard, drop_guard);
}
