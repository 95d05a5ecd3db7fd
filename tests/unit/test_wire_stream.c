#include "common/limits.h"
#include "scheduler/provider/wire.h"
#include "tests/support/format_rules.h"
#include "tests/support/guard.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct guard guard;

static enum wire_verdict feed(struct wire_stream *s, const char *name, const char *data)
{
    size_t len = strlen(data);
    return wire_stream_event(s, name, guard_copy(&guard, data, len), len);
}

#define CHAT_DELTA(delta)                                                                          \
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}]}"
#define CHAT_USAGE                                                                                 \
    "{\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12}}"

static void a_chat_stream_is_followed_to_its_end(void **state)
{
    (void)state;
    struct wire_stream s;
    wire_stream_init(&s, WIRE_CHAT, true);
    assert_int_equal(feed(&s, "", CHAT_DELTA("{\"role\":\"assistant\",\"content\":\"\"}")),
                     WIRE_PASS);
    assert_false(s.output_seen);
    assert_int_equal(feed(&s, "", CHAT_DELTA("{\"content\":\"Hi\"}")), WIRE_PASS);
    assert_true(s.output_seen);
    assert_int_equal(feed(&s, "", "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}"),
                     WIRE_PASS);
    assert_false(s.usage.known);
    assert_int_equal(feed(&s, "", CHAT_USAGE), WIRE_DROP);
    assert_true(s.usage.known);
    assert_int_equal(s.usage.input, 9);
    assert_int_equal(s.usage.output, 12);
    assert_false(s.finished);
    assert_int_equal(feed(&s, NULL, "[DONE]"), WIRE_PASS);
    assert_true(s.finished);
    assert_false(s.failed);
}

static void usage_that_the_caller_asked_for_is_passed(void **state)
{
    (void)state;
    struct wire_stream s;
    wire_stream_init(&s, WIRE_CHAT, false);
    assert_int_equal(feed(&s, "", CHAT_USAGE), WIRE_PASS);
    assert_true(s.usage.known);
}

static void usage_beside_a_choice_is_never_dropped(void **state)
{
    (void)state;
    struct wire_stream s;
    wire_stream_init(&s, WIRE_CHAT, true);
    assert_int_equal(feed(&s, "",
                          "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],"
                          "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12}}"),
                     WIRE_PASS);
    assert_true(s.usage.known);
    assert_int_equal(s.usage.output, 12);
}

/* Azure's first chunk has no choices either, but no usage: it is the caller's. */
static void a_chunk_without_choices_and_usage_is_passed(void **state)
{
    (void)state;
    struct wire_stream s;
    wire_stream_init(&s, WIRE_CHAT, true);
    assert_int_equal(feed(&s, "", "{\"choices\":[],\"usage\":null,\"prompt_filter_results\":[{}]}"),
                     WIRE_PASS);
    assert_false(s.output_seen);
    assert_false(s.usage.known);
}

static void every_kind_of_delta_is_output(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        bool output;
    } cases[] = {
        {CHAT_DELTA("{\"role\":\"assistant\"}"), false},
        {CHAT_DELTA("{\"role\":\"assistant\",\"content\":null,\"refusal\":null}"), false},
        {CHAT_DELTA("{\"content\":\"\",\"tool_calls\":[]}"), false},
        {CHAT_DELTA("{\"content\":\"x\"}"), true},
        {CHAT_DELTA("{\"refusal\":\"x\"}"), true},
        {CHAT_DELTA("{\"reasoning_content\":\"x\"}"), true},
        {CHAT_DELTA("{\"tool_calls\":[{\"index\":0}]}"), true},
        {CHAT_DELTA("{\"function_call\":{\"name\":\"f\"}}"), true},
        {"{\"choices\":[{\"text\":\"\"}]}", false},
        {"{\"choices\":[{\"text\":\"x\"}]}", true},
        {"{\"choices\":[{\"delta\":{}},{\"delta\":{\"content\":\"x\"}}]}", true},
        {"{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_stream s;
        wire_stream_init(&s, WIRE_CHAT, false);
        assert_int_equal(feed(&s, "", cases[i].data), WIRE_PASS);
        if (s.output_seen != cases[i].output)
            fail_msg("%s", cases[i].data);
    }
}

static void an_error_inside_a_stream_fails_it(void **state)
{
    (void)state;
    static const struct {
        enum wire_endpoint endpoint;
        const char *name, *data;
    } cases[] = {
        {WIRE_CHAT, "", "{\"error\":{\"message\":\"x\",\"type\":\"server_error\"}}"},
        {WIRE_CHAT, "", "{\"error\":\"overloaded\"}"},
        {WIRE_CHAT, "",
         "{\"id\":\"x\",\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":"
         "\"error\"}],\"error\":{\"code\":429,\"message\":\"x\"}}"},
        {WIRE_CHAT, "error", "{\"message\":\"x\"}"},
        {WIRE_CHAT, "error", "not JSON"},
        {WIRE_RESPONSES, "error", "{\"type\":\"error\",\"code\":\"x\",\"message\":\"y\"}"},
        {WIRE_RESPONSES, "", "{\"type\":\"error\",\"code\":\"x\",\"message\":\"y\"}"},
        {WIRE_RESPONSES, "response.failed",
         "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\"}}}"},
        {WIRE_MESSAGES, "error",
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}"
         "}"},
        {WIRE_MESSAGES, "", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_stream s;
        wire_stream_init(&s, cases[i].endpoint, true);
        if (feed(&s, cases[i].name, cases[i].data) != WIRE_FAIL)
            fail_msg("%s", cases[i].data);
        assert_true(s.failed);
        assert_false(s.finished);
        assert_false(s.output_seen);
    }
}

static void an_empty_error_member_is_none(void **state)
{
    (void)state;
    struct wire_stream s;
    wire_stream_init(&s, WIRE_CHAT, false);
    assert_int_equal(feed(&s, "", "{\"error\":null,\"choices\":[]}"), WIRE_PASS);
    assert_int_equal(feed(&s, "", "{\"error\":{},\"choices\":[]}"), WIRE_PASS);
    assert_int_equal(feed(&s, "", "{\"error\":\"\",\"choices\":[]}"), WIRE_PASS);
    assert_false(s.failed);
}

static void what_is_not_understood_is_passed(void **state)
{
    (void)state;
    static const char *const events[] = {"",      " ",  "[",     "[]",        "1",
                                         "\"x\"", "{}", "[DONE", "keep-alive"};
    for (unsigned endpoint = 0; endpoint < WIRE_ENDPOINT_COUNT; endpoint++) {
        for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
            struct wire_stream s;
            wire_stream_init(&s, (enum wire_endpoint)endpoint, true);
            assert_int_equal(feed(&s, "", events[i]), WIRE_PASS);
            assert_false(s.finished || s.failed || s.usage.known);
        }
    }
}

static void an_anthropic_stream_is_followed_to_its_end(void **state)
{
    (void)state;
    struct wire_stream s;
    wire_stream_init(&s, WIRE_MESSAGES, true);
    assert_int_equal(feed(&s, "message_start",
                          "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,"
                          "\"cache_read_input_tokens\":100,\"output_tokens\":1}}}"),
                     WIRE_PASS);
    assert_false(s.usage.known); /* the output is not final */
    assert_int_equal(s.usage.input, 125);
    assert_int_equal(feed(&s, "content_block_start",
                          "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\","
                          "\"text\":\"\"}}"),
                     WIRE_PASS);
    assert_int_equal(feed(&s, "ping", "{\"type\": \"ping\"}"), WIRE_PASS);
    assert_false(s.output_seen);
    assert_int_equal(feed(&s, "content_block_delta",
                          "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\","
                          "\"text\":\"Hello\"}}"),
                     WIRE_PASS);
    assert_true(s.output_seen);
    assert_int_equal(feed(&s, "message_delta",
                          "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
                          "\"usage\":{\"output_tokens\":15}}"),
                     WIRE_PASS);
    assert_true(s.usage.known);
    assert_int_equal(s.usage.input, 125);
    assert_int_equal(s.usage.cache_read, 100);
    assert_int_equal(s.usage.output, 15);
    assert_false(s.finished);
    assert_int_equal(feed(&s, "message_stop", "{\"type\":\"message_stop\"}"), WIRE_PASS);
    assert_true(s.finished);
}

static void the_start_of_a_tool_use_is_output(void **state)
{
    (void)state;
    struct wire_stream s;
    wire_stream_init(&s, WIRE_MESSAGES, false);
    assert_int_equal(
        feed(&s, "content_block_start",
             "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"thinking\","
             "\"thinking\":\"\"}}"),
        WIRE_PASS);
    assert_false(s.output_seen);
    assert_int_equal(
        feed(&s, "content_block_start",
             "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\","
             "\"name\":\"f\",\"input\":{}}}"),
        WIRE_PASS);
    assert_true(s.output_seen);
}

static void a_responses_stream_is_followed_to_its_end(void **state)
{
    (void)state;
    static const char *const ends[] = {"response.completed", "response.incomplete"};
    for (size_t i = 0; i < 2; i++) {
        struct wire_stream s;
        wire_stream_init(&s, WIRE_RESPONSES, true);
        assert_int_equal(feed(&s, "response.created",
                              "{\"type\":\"response.created\",\"response\":{\"error\":null,"
                              "\"usage\":null}}"),
                         WIRE_PASS);
        assert_int_equal(feed(&s, "response.in_progress", "{\"type\":\"response.in_progress\"}"),
                         WIRE_PASS);
        assert_false(s.output_seen);
        assert_int_equal(feed(&s, "response.output_text.delta",
                              "{\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}"),
                         WIRE_PASS);
        assert_true(s.output_seen);
        assert_false(s.finished);
        /* Without a type in the data, the event's name tells. */
        assert_int_equal(
            feed(&s, ends[i],
                 "{\"response\":{\"error\":null,\"usage\":{\"input_tokens\":37,"
                 "\"output_tokens\":11,\"input_tokens_details\":{\"cached_tokens\":7}}}}"),
            WIRE_PASS);
        assert_true(s.finished);
        assert_true(s.usage.known);
        assert_int_equal(s.usage.input, 37);
        assert_int_equal(s.usage.cache_read, 7);
        assert_int_equal(s.usage.output, 11);
    }
}

/* The event must fail the very reader that is used for a provider's events, and classify. */
static void our_own_error_event_is_read_back_as_an_error(void **state)
{
    (void)state;
    static const enum wire_endpoint endpoints[] = {WIRE_CHAT, WIRE_COMPLETIONS, WIRE_RESPONSES,
                                                   WIRE_MESSAGES};
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        struct buf out;
        buf_init(&out, KIB);
        assert_int_equal(wire_stream_error(endpoints[i], "cut \"off\"", &out), 0);
        assert_string_equal(out.data + out.len - 2, "\n\n");
        char *data = strstr(out.data, "data: ") + 6;
        char *end = strchr(data, '\n');
        assert_ptr_equal(end, out.data + out.len - 2);
        size_t len = (size_t)(end - data);
        assert_int_equal(json_scan_check(data, len, NULL), 0);
        assert_non_null(strstr(data, "\"cut \\\"off\\\"\""));

        struct wire_stream s;
        wire_stream_init(&s, endpoints[i], false);
        assert_int_equal(wire_stream_event(&s, "", data, len), WIRE_FAIL);
        struct wire_reply reply = {.status = 200, .body = data, .len = len};
        struct wire_answer answer =
            wire_classify(format_rules(wire_format_of(endpoints[i])), &reply, 0);
        assert_int_equal(answer.failure, WIRE_SERVER);
        buf_release(&out);
    }
}

static void an_error_event_that_does_not_fit_is_told(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 60);
    assert_int_equal(wire_stream_error(WIRE_MESSAGES, "x", &out), -ENOSPC);
    buf_release(&out);
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
        cmocka_unit_test(a_chat_stream_is_followed_to_its_end),
        cmocka_unit_test(usage_that_the_caller_asked_for_is_passed),
        cmocka_unit_test(usage_beside_a_choice_is_never_dropped),
        cmocka_unit_test(a_chunk_without_choices_and_usage_is_passed),
        cmocka_unit_test(every_kind_of_delta_is_output),
        cmocka_unit_test(an_error_inside_a_stream_fails_it),
        cmocka_unit_test(an_empty_error_member_is_none),
        cmocka_unit_test(what_is_not_understood_is_passed),
        cmocka_unit_test(an_anthropic_stream_is_followed_to_its_end),
        cmocka_unit_test(the_start_of_a_tool_use_is_output),
        cmocka_unit_test(a_responses_stream_is_followed_to_its_end),
        cmocka_unit_test(our_own_error_event_is_read_back_as_an_error),
        cmocka_unit_test(an_error_event_that_does_not_fit_is_told),
    };
    return cmocka_run_group_tests(tests, make_guard, drop_guard);
}
