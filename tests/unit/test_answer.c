#include "api/answer.h"

#include <event2/buffer.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void durations_are_written_as_go_writes_them(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "0ms"},
        {1, "1ms"},
        {999, "999ms"},
        {1000, "1s"},
        {1500, "1.5s"},
        {1001, "1.001s"},
        {59999, "59.999s"},
        {60000, "1m0s"},
        {360000, "6m0s"},
        {61001, "1m1.001s"},
        {3599999, "59m59.999s"},
        {3600000, "1h0m0s"},
        {3661500, "1h1m1.5s"},
        {86400000, "24h0m0s"},
        {INT64_C(2764800000), "768h0m0s"},
    };
    char out[ANSWER_DURATION_BYTES];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(answer_duration(rows[i].ms, out), rows[i].text);
    assert_true(strlen(answer_duration(INT64_MAX, out)) < ANSWER_DURATION_BYTES);
}

static void the_format_follows_the_path(void **state)
{
    (void)state;
    assert_int_equal(answer_format("/v1/messages"), WIRE_ANTHROPIC);
    assert_int_equal(answer_format("/v1/messages/count_tokens"), WIRE_ANTHROPIC);
    assert_int_equal(answer_format("/v1/chat/completions"), WIRE_OPENAI);
    assert_int_equal(answer_format("/v1/message"), WIRE_OPENAI);
    assert_int_equal(answer_format(""), WIRE_OPENAI);
}

static void errors_of_the_server_speak_the_dialect_of_their_path(void **state)
{
    (void)state;
    struct evbuffer *out = evbuffer_new();
    answer_write_error("/v1/messages", 413, "too \"large\"", out);
    (void)evbuffer_add(out, "", 1);
    json_t *e = json_loads((const char *)evbuffer_pullup(out, -1), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(e, "type")), "error");
    json_decref(e);
    (void)evbuffer_drain(out, evbuffer_get_length(out));
    answer_write_error("/v1/chat/completions", 413, "too \"large\"", out);
    (void)evbuffer_add(out, "", 1);
    e = json_loads((const char *)evbuffer_pullup(out, -1), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json_object_get(e, "error"), "message")),
                        "too \"large\"");
    json_decref(e);
    evbuffer_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_written_as_go_writes_them),
        cmocka_unit_test(the_format_follows_the_path),
        cmocka_unit_test(errors_of_the_server_speak_the_dialect_of_their_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
