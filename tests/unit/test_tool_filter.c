#include "scheduler/provider/tool_filter.h"
#include "tests/support/guard.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOTICE "[The limit of tool calls is reached; no further tool was called.]"

/* ---- whole answers */

static char *whole(enum wire_endpoint endpoint, int64_t left, const char *body,
                   struct tool_filter *f)
{
    struct guard guard;
    struct buf out;
    size_t len = strlen(body);
    guard_init(&guard, 8 * KIB);
    buf_init(&out, MIB);
    tool_filter_init(f, endpoint, left);
    assert_int_equal(tool_filter_body(f, guard_copy(&guard, body, len), len, &out), 0);
    guard_release(&guard);
    tool_filter_release(f);
    if (out.len == 0)
        buf_adds(&out, body);
    assert_int_equal(json_scan_check(out.data, out.len, NULL), 0);
    return buf_take(&out);
}

static void expect_whole(enum wire_endpoint endpoint, int64_t left, const char *body,
                         const char *wanted, int64_t dropped)
{
    struct tool_filter f;
    char *got = whole(endpoint, left, body, &f);
    assert_string_equal(got, wanted);
    assert_int_equal(f.dropped, dropped);
    free(got);
}

#define CHAT(calls, finish)                                                                        \
    "{\"id\":\"c\", \"choices\": [{\"index\":0,\"message\":{\"role\":\"assistant\","               \
    "\"content\":null" calls "},\"finish_reason\":\"" finish "\"}],\"usage\":{\"total\":1.50}}"
#define C1 "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
#define C2 "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"]\"}}"

static void the_first_calls_of_a_chat_answer_stay(void **state)
{
    (void)state;
    const char *two = CHAT(",\"tool_calls\":[" C1 " , " C2 " ]", "tool_calls");
    expect_whole(WIRE_CHAT, 2, two, two, 0);
    expect_whole(WIRE_CHAT, TOOL_FILTER_ALL, two, two, 0);
    expect_whole(WIRE_CHAT, 1, two, CHAT(",\"tool_calls\":[" C1 " ]", "tool_calls"), 1);
}

static void a_chat_answer_without_calls_left_ends_with_a_notice(void **state)
{
    (void)state;
    const char *two = CHAT(",\"tool_calls\":[" C1 "," C2 "]", "tool_calls");
    expect_whole(WIRE_CHAT, 0, two,
                 "{\"id\":\"c\", \"choices\": [{\"index\":0,\"message\":{\"role\":\"assistant\","
                 "\"content\":\"" NOTICE "\"},\"finish_reason\":\"stop\"}],"
                 "\"usage\":{\"total\":1.50}}",
                 2);
    expect_whole(WIRE_CHAT, 0,
                 "{\"choices\":[{\"message\":{\"tool_calls\":[" C1 "],\"content\":\"Hi\"},"
                 "\"finish_reason\":\"length\"}]}",
                 "{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"length\"}]}",
                 1);
    expect_whole(WIRE_CHAT, 0, "{\"choices\":[{\"message\":{\"tool_calls\":[" C1 "]}}]}",
                 "{\"choices\":[{\"message\":{\"content\":\"" NOTICE "\"}}]}", 1);
}

static void each_choice_has_its_own_calls(void **state)
{
    (void)state;
    expect_whole(WIRE_CHAT, 1,
                 "{\"choices\":[{\"message\":{\"tool_calls\":[" C1 "," C2 "]}},"
                 "{\"message\":{\"tool_calls\":[" C2 "," C1 "]}}]}",
                 "{\"choices\":[{\"message\":{\"tool_calls\":[" C1 "]}},"
                 "{\"message\":{\"tool_calls\":[" C2 "]}}]}",
                 2);
}

#define THINK(n) "{\"type\":\"thinking\",\"thinking\":\"" n "\",\"signature\":\"s\"}"
#define USE(n)   "{\"type\":\"tool_use\",\"id\":\"" n "\",\"name\":\"f\",\"input\":{}}"
#define TEXT(t)  "{\"type\":\"text\",\"text\":\"" t "\"}"
#define MSG(content, stop)                                                                         \
    "{\"type\":\"message\",\"content\":[" content "],\"stop_reason\":\"" stop "\"}"

static void blocks_behind_a_removed_call_stay(void **state)
{
    (void)state;
    expect_whole(WIRE_MESSAGES, 1,
                 MSG(TEXT("x") "," USE("1") "," USE("2") "," TEXT("y"), "tool_use"),
                 MSG(TEXT("x") "," USE("1") "," TEXT("y"), "tool_use"), 1);
    expect_whole(WIRE_MESSAGES, 0, MSG(USE("1") "," TEXT("y"), "tool_use"),
                 MSG(TEXT("y"), "end_turn"), 1);
    expect_whole(WIRE_MESSAGES, 0, MSG(THINK("t") "," USE("1") "," USE("2"), "tool_use"),
                 MSG(THINK("t") "," TEXT(NOTICE), "end_turn"), 2);
    expect_whole(WIRE_MESSAGES, 0, MSG(USE("1"), "max_tokens"), MSG(TEXT(NOTICE), "max_tokens"), 1);
}

static void thinking_goes_with_the_surplus_call_behind_it(void **state)
{
    (void)state;
    expect_whole(WIRE_MESSAGES, 1,
                 MSG(THINK("1") "," USE("1") "," THINK("2") "," USE("2"), "tool_use"),
                 MSG(THINK("1") "," USE("1"), "tool_use"), 1);
    const char *text = MSG(USE("1") "," THINK("2") "," TEXT("y"), "end_turn");
    expect_whole(WIRE_MESSAGES, 1, text, text, 0);
}

static void tools_of_the_provider_do_not_count(void **state)
{
    (void)state;
    const char *own = MSG("{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\"},"
                          "{\"type\":\"web_search_tool_result\"}," TEXT("y"),
                          "end_turn");
    expect_whole(WIRE_MESSAGES, 0, own, own, 0);
    const char *items = "{\"output\":[{\"type\":\"web_search_call\",\"id\":\"w\"},"
                        "{\"type\":\"message\",\"content\":[]}]}";
    expect_whole(WIRE_RESPONSES, 0, items, items, 0);
}

#define ITEM(n) "{\"type\":\"function_call\",\"id\":\"fc_" n "\",\"call_id\":\"" n "\"}"

static void surplus_items_of_responses_go(void **state)
{
    (void)state;
    expect_whole(WIRE_RESPONSES, 1,
                 "{\"output\":[{\"type\":\"reasoning\"}," ITEM(
                     "1") ",{\"type\":\"reasoning\"}," ITEM("2") "],\"status\":\"completed\"}",
                 "{\"output\":[{\"type\":\"reasoning\"}," ITEM("1") "],\"status\":\"completed\"}",
                 1);
    expect_whole(WIRE_RESPONSES, 0, "{\"output\":[" ITEM("1") "," ITEM("2") "]}",
                 "{\"output\":[{\"type\":\"message\",\"id\":\"msg_sluice_limit\",\"status\":"
                 "\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
                 "\"text\":\"" NOTICE "\",\"annotations\":[]}]}]}",
                 2);
}

static void what_is_no_answer_passes(void **state)
{
    (void)state;
    static const char *const bodies[] = {"[]",
                                         "7",
                                         "{}",
                                         "{\"choices\":7}",
                                         "{\"choices\":[7]}",
                                         "{\"choices\":[{\"message\":{\"tool_calls\":{}}}]}",
                                         "{\"content\":\"x\"}",
                                         "{\"output\":{}}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        for (enum wire_endpoint e = 0; e < WIRE_ENDPOINT_COUNT; e++)
            expect_whole(e, 0, bodies[i], bodies[i], 0);
}

/* ---- streams */

struct sink {
    struct tool_filter filter;
    struct buf out;
    int rc;
};

static void on_event(void *arg, const struct sse_event *event)
{
    struct sink *s = arg;
    bool pass = false;
    if (s->rc == 0)
        s->rc = tool_filter_event(&s->filter, event, &s->out, &pass);
    if (s->rc == 0 && pass)
        s->rc = buf_add(&s->out, event->raw, event->raw_len);
}

static char *stream(enum wire_endpoint endpoint, int64_t left, const char *text, size_t slice,
                    struct tool_filter *ret)
{
    struct sink s = {.rc = 0};
    struct sse sse;
    size_t len = strlen(text);
    buf_init(&s.out, MIB);
    tool_filter_init(&s.filter, endpoint, left);
    sse_init(&sse);
    for (size_t at = 0; at < len; at += slice)
        assert_int_equal(
            sse_feed(&sse, text + at, len - at < slice ? len - at : slice, on_event, &s), 0);
    assert_int_equal(sse_finish(&sse, on_event, &s), 0);
    assert_int_equal(s.rc, 0);
    sse_release(&sse);
    tool_filter_release(&s.filter);
    *ret = s.filter;
    assert_int_equal(buf_add(&s.out, "", 0), 0);
    return buf_take(&s.out);
}

static void expect_stream(enum wire_endpoint endpoint, int64_t left, const char *text,
                          const char *wanted, int64_t dropped)
{
    struct tool_filter f;
    for (size_t slice = 1; slice < 400; slice = slice * 2 + 1) {
        char *got = stream(endpoint, left, text, slice, &f);
        assert_string_equal(got, wanted);
        assert_int_equal(f.dropped, dropped);
        free(got);
    }
}

#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish  \
    "}]}\n\n"
#define CALL_HEAD(i, id)                                                                           \
    "{\"tool_calls\":[{\"index\":" i ",\"id\":\"" id                                               \
    "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}"
#define CALL_MORE(i) "{\"tool_calls\":[{\"index\":" i ",\"function\":{\"arguments\":\"{}\"}}]}"
#define FIRST        CHUNK("{\"role\":\"assistant\",\"content\":null}", "null")
#define ONE          CHUNK(CALL_HEAD("0", "a"), "null") CHUNK(CALL_MORE("0"), "null")
#define TWO          CHUNK(CALL_HEAD("1", "b"), "null") CHUNK(CALL_MORE("1"), "null")
#define DONE         "data: [DONE]\n\n"

static void surplus_calls_of_a_chat_stream_go(void **state)
{
    (void)state;
    const char *all = ": hi\n\n" FIRST ONE TWO CHUNK("{}", "\"tool_calls\"") DONE;
    expect_stream(WIRE_CHAT, 2, all, all, 0);
    expect_stream(WIRE_CHAT, 1, all, ": hi\n\n" FIRST ONE CHUNK("{}", "\"tool_calls\"") DONE, 1);
    expect_stream(WIRE_CHAT, 0, all,
                  ": hi\n\n" FIRST CHUNK("{\"content\":\"" NOTICE "\"}", "\"stop\"") DONE, 2);
}

static void the_role_of_a_chunk_that_also_brings_a_call_stays(void **state)
{
    (void)state;
    expect_stream(WIRE_CHAT, 0,
                  CHUNK("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" C1 "]}", "null")
                      CHUNK("{}", "\"tool_calls\""),
                  CHUNK("{\"role\":\"assistant\",\"content\":null}", "null")
                      CHUNK("{\"content\":\"" NOTICE "\"}", "\"stop\""),
                  1);
    expect_stream(
        WIRE_CHAT, 0,
        CHUNK("{\"role\":\"assistant\",\"tool_calls\":[" C1 "," C2 "]}", "\"tool_calls\""),
        CHUNK("{\"role\":\"assistant\",\"content\":\"" NOTICE "\"}", "\"stop\""), 2);
}

static void calls_that_all_have_one_index_are_told_apart_by_id(void **state)
{
    (void)state;
    const char *all = CHUNK(CALL_HEAD("0", "a"), "null") CHUNK(CALL_MORE("0"), "null")
        CHUNK(CALL_HEAD("0", "b"), "null") CHUNK(CALL_MORE("0"), "null");
    expect_stream(WIRE_CHAT, 2, all, all, 0);
    expect_stream(WIRE_CHAT, 1, all,
                  CHUNK(CALL_HEAD("0", "a"), "null") CHUNK(CALL_MORE("0"), "null"), 1);
}

static void usage_in_a_chunk_with_a_surplus_call_stays(void **state)
{
    (void)state;
    expect_stream(WIRE_CHAT, 0,
                  "id: 7\r\ndata:{\"choices\":[{\"delta\":{\"tool_calls\":[" C1
                  "]}}],\"usage\":{\"a\":1}}\r\n\r\n",
                  "id: 7\r\ndata:{\"choices\":[{\"delta\":{}}],\"usage\":{\"a\":1}}\r\n\r\n", 1);
}

static void data_of_many_lines_keep_their_frame(void **state)
{
    (void)state;
    expect_stream(WIRE_CHAT, 0,
                  "\xEF\xBB\xBF"
                  "data: {\"choices\":[{\"delta\":{\"role\":\"a\",\n"
                  "data: \"tool_calls\":[" C1 "]},\n: note\ndata: \"x\":1}]}\n\n",
                  "\xEF\xBB\xBF"
                  "data: {\"choices\":[{\"delta\":{\"role\":\"a\"},\n"
                  "data: \"x\":1}]}\n: note\n\n",
                  1);
}

#define EV(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define BLOCK(i, block)                                                                            \
    EV("content_block_start", ",\"index\":" i ",\"content_block\":" block)                         \
    EV("content_block_delta", ",\"index\":" i ",\"delta\":{\"type\":\"d\"}")                       \
    EV("content_block_stop", ",\"index\":" i)
#define TEXTS(i, t)                                                                                \
    EV("content_block_start",                                                                      \
       ",\"index\":" i ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}")                     \
    EV("content_block_delta",                                                                      \
       ",\"index\":" i ",\"delta\":{\"type\":\"text_delta\",\"text\":\"" t "\"}")                  \
    EV("content_block_stop", ",\"index\":" i)
#define END(reason)                                                                                \
    EV("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\"},\"usage\":{}")                \
    EV("message_stop", "")
#define HEAD EV("message_start", ",\"message\":{}")
#define PING EV("ping", "")

static void blocks_of_a_stream_close_up(void **state)
{
    (void)state;
    const char *all = HEAD TEXTS("0", "x") BLOCK("1", USE("1")) PING BLOCK("2", USE("2"))
        TEXTS("3", "y") END("tool_use");
    expect_stream(WIRE_MESSAGES, 2, all, all, 0);
    expect_stream(WIRE_MESSAGES, 1, all,
                  HEAD TEXTS("0", "x") BLOCK("1", USE("1")) PING TEXTS("2", "y") END("tool_use"),
                  1);
    expect_stream(WIRE_MESSAGES, 0, all, HEAD TEXTS("0", "x") PING TEXTS("1", "y") END("end_turn"),
                  2);
}

static void a_stream_without_any_block_left_gets_the_notice(void **state)
{
    (void)state;
    expect_stream(WIRE_MESSAGES, 0,
                  HEAD BLOCK("0", THINK("t")) BLOCK("1", USE("1")) END("tool_use"),
                  HEAD BLOCK("0", THINK("t")) TEXTS("1", NOTICE) END("end_turn"), 1);
}

static void thinking_behind_the_last_call_waits_for_what_follows(void **state)
{
    (void)state;
    const char *think = HEAD BLOCK("0", USE("1")) BLOCK("1", THINK("t")) PING;
    char text[4096], wanted[4096];
    (void)snprintf(text, sizeof(text), "%s%s%s", think, BLOCK("2", USE("2")) BLOCK("3", TEXT("x")),
                   END("tool_use"));
    expect_stream(WIRE_MESSAGES, 1, text,
                  HEAD BLOCK("0", USE("1")) PING BLOCK("1", TEXT("x")) END("tool_use"), 1);
    (void)snprintf(text, sizeof(text), "%s%s%s", think, TEXTS("2", "x"), END("tool_use"));
    (void)snprintf(wanted, sizeof(wanted), "%s%s%s%s", HEAD BLOCK("0", USE("1")) PING,
                   BLOCK("1", THINK("t")), TEXTS("2", "x"), END("tool_use"));
    expect_stream(WIRE_MESSAGES, 1, text, wanted, 0);
    (void)snprintf(text, sizeof(text), "%s%s", think, END("tool_use"));
    (void)snprintf(wanted, sizeof(wanted), "%s%s%s", HEAD BLOCK("0", USE("1")) PING,
                   BLOCK("1", THINK("t")), END("tool_use"));
    expect_stream(WIRE_MESSAGES, 1, text, wanted, 0);
}

#define SEQ(type, seq, rest) EV(type, ",\"sequence_number\":" seq rest)
#define ITEMS(seq1, seq2, seq3, i, item)                                                           \
    SEQ("response.output_item.added", seq1, ",\"output_index\":" i ",\"item\":" item)              \
    SEQ("response.function_call_arguments.delta", seq2, ",\"output_index\":" i)                    \
    SEQ("response.output_item.done", seq3, ",\"output_index\":" i ",\"item\":" item)
#define MESSAGE_ITEM "{\"type\":\"message\",\"content\":[]}"
#define CREATED      SEQ("response.created", "0", ",\"response\":{\"output\":[]}")

static void items_and_sequence_numbers_of_responses_close_up(void **state)
{
    (void)state;
    const char *all = CREATED ITEMS("1", "2", "3", "0", ITEM("1"))
        ITEMS("4", "5", "6", "1", ITEM("2")) ITEMS("7", "8", "9", "2", MESSAGE_ITEM)
            SEQ("response.completed", "10",
                ",\"response\":{\"output\":[" ITEM("1") "," ITEM("2") "," MESSAGE_ITEM "]}");
    expect_stream(WIRE_RESPONSES, 2, all, all, 0);
    expect_stream(WIRE_RESPONSES, 1, all,
                  CREATED ITEMS("1", "2", "3", "0", ITEM("1"))
                      ITEMS("4", "5", "6", "1", MESSAGE_ITEM)
                          SEQ("response.completed", "7",
                              ",\"response\":{\"output\":[" ITEM("1") "," MESSAGE_ITEM "]}"),
                  1);
}

static void responses_without_a_call_left_get_a_message(void **state)
{
    (void)state;
    struct tool_filter f;
    const char *all = CREATED ITEMS("1", "2", "3", "0", ITEM("1"))
        SEQ("response.completed", "4", ",\"response\":{\"output\":[" ITEM("1") "]}");
    char *got = stream(WIRE_RESPONSES, 0, all, 7, &f);
    assert_int_equal(f.dropped, 1);
    assert_null(strstr(got, "function_call"));
    assert_non_null(strstr(got, "\"type\":\"response.output_item.added\",\"sequence_number\":1,"
                                "\"output_index\":0"));
    assert_non_null(strstr(got, "\"type\":\"response.output_item.done\",\"sequence_number\":6"));
    assert_non_null(strstr(got, "\"type\":\"response.completed\",\"sequence_number\":7"));
    assert_non_null(strstr(got, "\"output\":[{\"type\":\"message\",\"id\":\"msg_sluice_limit\""));
    free(got);
}

static void more_removed_blocks_than_the_maximum_are_refused(void **state)
{
    (void)state;
    for (int past = 0; past < 2; past++) {
        struct tool_filter f;
        int rc = 0;
        tool_filter_init(&f, WIRE_MESSAGES, 0);
        for (int i = 0; i < TOOL_FILTER_MAX_BLOCKS + past; i++) {
            char data[200];
            struct buf out;
            bool pass = true;
            int len = snprintf(data, sizeof(data),
                               "{\"type\":\"content_block_start\",\"index\":%d,"
                               "\"content_block\":" USE("x") "}",
                               i);
            struct sse_event event = {.name = "",
                                      .data = data,
                                      .data_len = (size_t)len,
                                      .has_data = true,
                                      .raw = data,
                                      .raw_len = (size_t)len};
            buf_init(&out, KIB);
            assert_int_equal(rc, 0);
            rc = tool_filter_event(&f, &event, &out, &pass);
            buf_release(&out);
        }
        assert_int_equal(rc, past ? -E2BIG : 0);
        tool_filter_release(&f);
    }
}

static void more_choices_than_the_maximum_are_refused(void **state)
{
    (void)state;
    for (int past = 0; past < 2; past++) {
        struct tool_filter f;
        char data[100];
        bool pass;
        struct buf out;
        int len = snprintf(data, sizeof(data), "{\"choices\":[{\"index\":%d,\"delta\":{}}]}",
                           (int)TOOL_FILTER_MAX_CHOICES - 1 + past);
        struct sse_event event = {.name = "",
                                  .data = data,
                                  .data_len = (size_t)len,
                                  .has_data = true,
                                  .raw = data,
                                  .raw_len = (size_t)len};
        buf_init(&out, KIB);
        tool_filter_init(&f, WIRE_CHAT, 0);
        assert_int_equal(tool_filter_event(&f, &event, &out, &pass), past ? -E2BIG : 0);
        tool_filter_release(&f);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_calls_of_a_chat_answer_stay),
        cmocka_unit_test(a_chat_answer_without_calls_left_ends_with_a_notice),
        cmocka_unit_test(each_choice_has_its_own_calls),
        cmocka_unit_test(blocks_behind_a_removed_call_stay),
        cmocka_unit_test(thinking_goes_with_the_surplus_call_behind_it),
        cmocka_unit_test(tools_of_the_provider_do_not_count),
        cmocka_unit_test(surplus_items_of_responses_go),
        cmocka_unit_test(what_is_no_answer_passes),
        cmocka_unit_test(surplus_calls_of_a_chat_stream_go),
        cmocka_unit_test(the_role_of_a_chunk_that_also_brings_a_call_stays),
        cmocka_unit_test(calls_that_all_have_one_index_are_told_apart_by_id),
        cmocka_unit_test(usage_in_a_chunk_with_a_surplus_call_stays),
        cmocka_unit_test(data_of_many_lines_keep_their_frame),
        cmocka_unit_test(blocks_of_a_stream_close_up),
        cmocka_unit_test(a_stream_without_any_block_left_gets_the_notice),
        cmocka_unit_test(thinking_behind_the_last_call_waits_for_what_follows),
        cmocka_unit_test(items_and_sequence_numbers_of_responses_close_up),
        cmocka_unit_test(responses_without_a_call_left_get_a_message),
        cmocka_unit_test(more_removed_blocks_than_the_maximum_are_refused),
        cmocka_unit_test(more_choices_than_the_maximum_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
