#include "scheduler/provider/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_output(enum wire_endpoint endpoint, const char *body, int64_t tokens,
                          const char *wanted)
{
    struct wire_request r;
    struct error e;
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(wire_request_read(endpoint, body, strlen(body), &r, &e), 0);
    assert_int_equal(wire_request_set_output(endpoint, &r, tokens, &out), 0);
    assert_string_equal(out.data, wanted);
    assert_int_equal(wire_request_read(endpoint, out.data, out.len, &r, &e), 0);
    assert_true(r.max_output_tokens <= tokens);
    buf_release(&out);
}

static void the_maximum_is_replaced_where_it_stands(void **state)
{
    (void)state;
    assert_output(WIRE_CHAT, "{\"model\":\"m\", \"max_tokens\" : 900 ,\"messages\":[]}", 50,
                  "{\"model\":\"m\", \"max_tokens\" : 50 ,\"messages\":[]}");
    assert_output(WIRE_RESPONSES, "{\"model\":\"m\",\"input\":\"x\",\"max_output_tokens\":900}", 50,
                  "{\"model\":\"m\",\"input\":\"x\",\"max_output_tokens\":50}");
    assert_output(WIRE_MESSAGES, "{\"max_tokens\":900,\"model\":\"m\",\"messages\":[]}", 50,
                  "{\"max_tokens\":50,\"model\":\"m\",\"messages\":[]}");
    assert_output(WIRE_COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":900}", 50,
                  "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":50}");
}

static void one_that_is_absent_is_put_in_by_the_models_own_name_for_it(void **state)
{
    (void)state;
    assert_output(WIRE_CHAT, "{\"model\":\"gpt-4o\",\"messages\":[]}", 50,
                  "{\"max_tokens\":50,\"model\":\"gpt-4o\",\"messages\":[]}");
    assert_output(WIRE_CHAT, "{\"model\":\"o3-mini\",\"messages\":[]}", 50,
                  "{\"max_completion_tokens\":50,\"model\":\"o3-mini\",\"messages\":[]}");
    assert_output(WIRE_CHAT, "{\"model\":\"m\",\"max_tokens\":null,\"messages\":[]}", 50,
                  "{\"model\":\"m\",\"max_tokens\":50,\"messages\":[]}");
}

static void of_two_names_only_the_larger_one_goes_down(void **state)
{
    (void)state;
    assert_output(
        WIRE_CHAT,
        "{\"max_tokens\":20,\"max_completion_tokens\":900,\"model\":\"m\",\"messages\":[]}", 50,
        "{\"max_tokens\":20,\"max_completion_tokens\":50,\"model\":\"m\",\"messages\":[]}");
    assert_output(
        WIRE_CHAT,
        "{\"max_tokens\":null,\"max_completion_tokens\":900,\"model\":\"m\",\"messages\":[]}", 50,
        "{\"max_tokens\":null,\"max_completion_tokens\":50,\"model\":\"m\",\"messages\":[]}");
}

static void a_thinking_budget_is_told(void **state)
{
    static const char *const body = "{\"model\":\"m\",\"max_tokens\":9000,\"messages\":[],"
                                    "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4096}}";
    static const char *const without = "{\"model\":\"m\",\"max_tokens\":9000,\"messages\":[],"
                                       "\"thinking\":{\"type\":\"disabled\"}}";
    struct wire_request r;
    struct error e;
    (void)state;
    assert_int_equal(wire_request_read(WIRE_MESSAGES, body, strlen(body), &r, &e), 0);
    assert_int_equal(wire_request_thinking(WIRE_MESSAGES, &r), 4096);
    assert_int_equal(wire_request_thinking(WIRE_CHAT, &r), 0);
    assert_int_equal(wire_request_read(WIRE_MESSAGES, without, strlen(without), &r, &e), 0);
    assert_int_equal(wire_request_thinking(WIRE_MESSAGES, &r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_maximum_is_replaced_where_it_stands),
        cmocka_unit_test(one_that_is_absent_is_put_in_by_the_models_own_name_for_it),
        cmocka_unit_test(of_two_names_only_the_larger_one_goes_down),
        cmocka_unit_test(a_thinking_budget_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
