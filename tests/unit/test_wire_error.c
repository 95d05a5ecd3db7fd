#include "common/limits.h"
#include "scheduler/provider/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect(enum wire_format format, const struct wire_error *error, const char *want)
{
    struct buf out;
    buf_init(&out, KIB);
    assert_int_equal(wire_error(format, error, &out), 0);
    assert_string_equal(out.data, want);
    assert_int_equal(json_scan_check(out.data, out.len, NULL), 0);
    buf_release(&out);
}

static void an_openai_error_has_all_four_members(void **state)
{
    (void)state;
    struct wire_error error = {.status = 400, .message = "no"};
    expect(WIRE_OPENAI, &error,
           "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"param\":null,"
           "\"code\":null}}");
    error = (struct wire_error){
        .status = 429, .type = "t", .code = "c", .param = "p", .message = "a \"b\"\n\xc3\xa9"};
    expect(WIRE_OPENAI, &error,
           "{\"error\":{\"message\":\"a \\\"b\\\"\\n\xc3\xa9\",\"type\":\"t\",\"param\":\"p\","
           "\"code\":\"c\"}}");
}

static void an_anthropic_error_has_its_own_shape(void **state)
{
    (void)state;
    struct wire_error error = {.status = 429, .code = "not shown", .message = "wait"};
    expect(WIRE_ANTHROPIC, &error,
           "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"wait\"}}");
}

static void the_status_gives_the_type(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *openai, *anthropic;
    } cases[] = {
        {400, "invalid_request_error", "invalid_request_error"},
        {401, "authentication_error", "authentication_error"},
        {403, "permission_error", "permission_error"},
        {404, "not_found_error", "not_found_error"},
        {413, "invalid_request_error", "request_too_large"},
        {418, "invalid_request_error", "invalid_request_error"},
        {429, "rate_limit_error", "rate_limit_error"},
        {500, "server_error", "api_error"},
        {502, "server_error", "api_error"},
        {503, "service_unavailable_error", "overloaded_error"},
        {504, "timeout_error", "timeout_error"},
        {529, "service_unavailable_error", "overloaded_error"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(wire_error_type(WIRE_OPENAI, cases[i].status), cases[i].openai);
        assert_string_equal(wire_error_type(WIRE_ANTHROPIC, cases[i].status), cases[i].anthropic);
    }
}

static void an_error_that_does_not_fit_is_told(void **state)
{
    (void)state;
    struct wire_error error = {.status = 400, .message = "no"};
    for (size_t room = 0; room < 80; room++) {
        struct buf out;
        buf_init(&out, room);
        assert_int_equal(wire_error(WIRE_OPENAI, &error, &out), -ENOSPC);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_openai_error_has_all_four_members),
        cmocka_unit_test(an_anthropic_error_has_its_own_shape),
        cmocka_unit_test(the_status_gives_the_type),
        cmocka_unit_test(an_error_that_does_not_fit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
