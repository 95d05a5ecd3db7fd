#include "scheduler/provider/tool_filter.h"

#include "common/rand.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALLS_MAX 8

/* Kinds of calls, each told in two ways that come to the same. */
static const struct {
    const char *name, *ways[2];
} kinds[] = {
    {"f", {"{\"a\":\"x y\"}", "{ \"a\" : \"x y\" }"}},
    {"f", {"{\"a\":\"xy\"}", "{\"a\":\n\"xy\"}"}},
    {"g", {"{\"a\":\"x y\"}", "{\"a\": \"x y\"}"}},
    {"h", {"{}", "{ }"}},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct talk {
    int kind[CALLS_MAX], way[CALLS_MAX];
    size_t count;
};

static void quote(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            assert_int_equal(buf_adds(out, "\\n"), 0);
        else
            assert_int_equal(buf_addf(out, "%s%c", strchr("\"\\", text[i]) ? "\\" : "", text[i]),
                             0);
    }
}

#define ADD(out, ...) assert_int_equal(buf_addf(out, __VA_ARGS__), 0)

/* ---- whole answers */

static void add_call(enum wire_endpoint endpoint, const struct talk *t, size_t i, struct buf *out)
{
    const char *name = kinds[t->kind[i]].name, *arguments = kinds[t->kind[i]].ways[t->way[i]];
    if (endpoint == WIRE_MESSAGES) {
        ADD(out, "{\"type\":\"tool_use\",\"id\":\"c%zu\",\"name\":\"%s\",\"input\":%s}", i, name,
            arguments);
        return;
    }
    if (endpoint == WIRE_CHAT)
        ADD(out, "{\"id\":\"c%zu\",\"type\":\"function\",\"function\":{\"name\":\"%s\",", i, name);
    else
        ADD(out, "{\"type\":\"function_call\",\"id\":\"c%zu\",\"name\":\"%s\",", i, name);
    ADD(out, "\"arguments\":\"");
    quote(arguments, strlen(arguments), out);
    ADD(out, endpoint == WIRE_CHAT ? "\"}}" : "\"}");
}

static void add_list(enum wire_endpoint endpoint, const struct talk *t, struct buf *out)
{
    for (size_t i = 0; i < t->count; i++) {
        ADD(out, "%s", i ? "," : "");
        add_call(endpoint, t, i, out);
    }
}

static void add_body(enum wire_endpoint endpoint, const struct talk *t, struct buf *out)
{
    static const char *const open[] = {
        [WIRE_CHAT] = "{\"choices\":[{\"index\":0,\"finish_reason\":\"tool_calls\",\"message\":"
                      "{\"content\":null,\"tool_calls\":[",
        [WIRE_MESSAGES] = "{\"stop_reason\":\"tool_use\",\"content\":[",
        [WIRE_RESPONSES] = "{\"status\":\"completed\",\"output\":[",
    };
    ADD(out, "%s", open[endpoint]);
    add_list(endpoint, t, out);
    ADD(out, endpoint == WIRE_CHAT ? "]}}]}" : "]}");
}

/* ---- streams: the arguments in two parts, at any place */

static void add_part(enum wire_endpoint endpoint, size_t i, const char *text, size_t len,
                     struct buf *out)
{
    static const char *const open[] = {
        [WIRE_CHAT] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%zu,"
                      "\"function\":{\"arguments\":\"",
        [WIRE_MESSAGES] = "data: {\"type\":\"content_block_delta\",\"index\":%zu,\"delta\":"
                          "{\"type\":\"input_json_delta\",\"partial_json\":\"",
        [WIRE_RESPONSES] = "data: {\"type\":\"response.function_call_arguments.delta\","
                           "\"output_index\":%zu,\"delta\":\"",
    };
    char line[200];
    (void)snprintf(line, sizeof(line), "%s", open[endpoint]);
    char *at = strstr(line, "%zu");
    *at = '\0';
    ADD(out, "%s%zu%s", line, i, at + 3);
    quote(text, len, out);
    ADD(out, endpoint == WIRE_CHAT       ? "\"}}]}}]}\n\n"
             : endpoint == WIRE_MESSAGES ? "\"}}\n\n"
                                         : "\"}\n\n");
}

static void add_events(enum wire_endpoint endpoint, const struct talk *t, size_t i, size_t cut,
                       struct buf *out)
{
    const char *name = kinds[t->kind[i]].name, *arguments = kinds[t->kind[i]].ways[t->way[i]];
    if (endpoint == WIRE_CHAT)
        ADD(out,
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%zu,\"id\":"
            "\"c%zu\",\"function\":{\"name\":\"%s\",\"arguments\":\"\"}}]}}]}\n\n",
            i, i, name);
    else if (endpoint == WIRE_MESSAGES)
        ADD(out,
            "data: {\"type\":\"content_block_start\",\"index\":%zu,\"content_block\":{\"type\":"
            "\"tool_use\",\"id\":\"c%zu\",\"name\":\"%s\",\"input\":{}}}\n\n",
            i, i, name);
    else
        ADD(out,
            "data: {\"type\":\"response.output_item.added\",\"output_index\":%zu,\"item\":{"
            "\"type\":\"function_call\",\"id\":\"c%zu\",\"name\":\"%s\",\"arguments\":\"\"}}\n\n",
            i, i, name);
    cut %= strlen(arguments);
    add_part(endpoint, i, arguments, cut, out);
    add_part(endpoint, i, arguments + cut, strlen(arguments) - cut, out);
    if (endpoint == WIRE_MESSAGES)
        ADD(out, "data: {\"type\":\"content_block_stop\",\"index\":%zu}\n\n", i);
    if (endpoint != WIRE_RESPONSES)
        return;
    ADD(out, "data: {\"type\":\"response.output_item.done\",\"output_index\":%zu,\"item\":", i);
    add_call(endpoint, t, i, out);
    ADD(out, "}\n\n");
}

static void add_stream(enum wire_endpoint endpoint, const struct talk *t, size_t cut,
                       struct buf *out)
{
    for (size_t i = 0; i < t->count; i++)
        add_events(endpoint, t, i, cut + i, out);
    if (endpoint == WIRE_CHAT) {
        ADD(out, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}"
                 "\n\ndata: [DONE]\n\n");
    } else if (endpoint == WIRE_MESSAGES) {
        ADD(out, "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}\n\n"
                 "data: {\"type\":\"message_stop\"}\n\n");
    } else {
        ADD(out, "data: {\"type\":\"response.completed\",\"response\":{\"output\":[");
        add_list(endpoint, t, out);
        ADD(out, "]}}\n\n");
    }
}

/* ---- filtered */

struct sink {
    struct tool_filter filter;
    struct buf out;
};

static void on_event(void *arg, const struct sse_event *event)
{
    struct sink *s = arg;
    bool pass = false;
    assert_int_equal(tool_filter_event(&s->filter, event, &s->out, &pass), 0);
    if (pass)
        assert_int_equal(buf_add(&s->out, event->raw, event->raw_len), 0);
}

static void begin(struct sink *s, enum wire_endpoint endpoint, int64_t most, uint64_t before)
{
    tool_filter_init(&s->filter, endpoint, TOOL_FILTER_ALL);
    tool_filter_limit_repeats(&s->filter, most, &before, before ? 1 : 0);
    buf_init(&s->out, MIB);
}

static char *end(struct sink *s)
{
    tool_filter_release(&s->filter);
    assert_int_equal(buf_add(&s->out, "", 0), 0);
    return buf_take(&s->out);
}

static char *streamed(enum wire_endpoint endpoint, int64_t most, uint64_t before,
                      const struct buf *text, size_t slice)
{
    struct sink s;
    struct sse sse;
    begin(&s, endpoint, most, before);
    sse_init(&sse);
    for (size_t at = 0; at < text->len; at += slice) {
        size_t len = text->len - at < slice ? text->len - at : slice;
        assert_int_equal(sse_feed(&sse, text->data + at, len, on_event, &s), 0);
    }
    assert_int_equal(sse_finish(&sse, on_event, &s), 0);
    sse_release(&sse);
    return end(&s);
}

static char *whole(enum wire_endpoint endpoint, int64_t most, uint64_t before,
                   const struct buf *text)
{
    struct sink s;
    begin(&s, endpoint, most, before);
    assert_int_equal(tool_filter_body(&s.filter, text->data, text->len, &s.out), 0);
    if (s.out.len == 0)
        assert_int_equal(buf_add(&s.out, text->data, text->len), 0);
    return end(&s);
}

/* ---- what is to be left */

static struct talk leave(const struct talk *t, int64_t most, bool first_was, bool kept[CALLS_MAX])
{
    int64_t had[KINDS] = {first_was ? 1 : 0};
    struct talk left = {.count = 0};
    for (size_t i = 0; i < t->count; i++) {
        kept[i] = had[t->kind[i]]++ < most;
        left.count += kept[i];
    }
    return left;
}

static void expect(const char *got, const struct talk *t, const bool kept[CALLS_MAX])
{
    for (size_t i = 0; i < t->count; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "\"c%zu\"", i);
        assert_int_equal(strstr(got, id) != NULL, kept[i]);
    }
}

/* Their places in the stream are 0, 1, 2, ... */
static void expect_places(enum wire_endpoint endpoint, const char *got, size_t count)
{
    static const char *const marks[] = {
        [WIRE_CHAT] = "\"tool_calls\":[{\"index\":%zu,\"id\":",
        [WIRE_MESSAGES] = "\"index\":%zu,\"content_block\":",
        [WIRE_RESPONSES] = "\"response.output_item.added\",\"output_index\":%zu,",
    };
    for (size_t i = 0; i <= count; i++) {
        char mark[200], before[100], number[32];
        (void)snprintf(before, sizeof(before), "%s", marks[endpoint]);
        char *at = strstr(before, "%zu");
        *at = '\0';
        (void)snprintf(number, sizeof(number), "%zu", i);
        (void)snprintf(mark, sizeof(mark), "%s%.20s%.40s", before, number, at + 3);
        assert_int_equal(strstr(got, mark) != NULL, i < count);
    }
}

static void check(enum wire_endpoint endpoint, const struct talk *t, int64_t most, bool first_was,
                  size_t cut)
{
    bool kept[CALLS_MAX];
    struct buf text;
    uint64_t print = 0;
    const char *name = "\"f\"", *way = kinds[0].ways[1];
    if (first_was)
        assert_int_equal(
            tool_call_print(json_span_of(name, 3), json_span_of(way, strlen(way)), &print), 0);
    struct talk left = leave(t, most, first_was, kept);
    buf_init(&text, MIB);
    add_body(endpoint, t, &text);
    char *got = whole(endpoint, most, print, &text);
    assert_int_equal(json_scan_check(got, strlen(got), NULL), 0);
    expect(got, t, kept);
    free(got);

    buf_clear(&text);
    add_stream(endpoint, t, cut, &text);
    char *first = streamed(endpoint, most, print, &text, text.len);
    expect(first, t, kept);
    expect_places(endpoint, first, left.count);
    if (left.count == t->count)
        assert_string_equal(first, text.data);
    for (size_t slice = 1; slice < 100; slice = slice * 3 + 1) {
        got = streamed(endpoint, most, print, &text, slice);
        assert_string_equal(got, first);
        free(got);
    }
    free(first);
    buf_release(&text);
}

static const enum wire_endpoint endpoints[] = {WIRE_CHAT, WIRE_MESSAGES, WIRE_RESPONSES};

static void the_same_call_twice_in_an_answer_is_made_once(void **state)
{
    (void)state;
    struct talk t = {.kind = {0, 1, 0, 2}, .way = {0, 0, 1, 0}, .count = 4};
    for (size_t e = 0; e < 3; e++)
        check(endpoints[e], &t, 1, false, 3);
}

static void calls_that_the_turn_had_before_count(void **state)
{
    (void)state;
    struct talk t = {.kind = {1, 0, 0}, .count = 3};
    for (size_t e = 0; e < 3; e++)
        check(endpoints[e], &t, 2, true, 5);
}

static void any_calls_in_any_slices_leave_the_first_of_each_kind(void **state)
{
    (void)state;
    struct rand r;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : rand_system_seed();
    print_message("seed %" PRIu64 "\n", seed);
    rand_seed(&r, seed);
    for (int round = 0; round < 150; round++) {
        struct talk t = {.count = (size_t)rand_below(&r, CALLS_MAX + 1)};
        for (size_t i = 0; i < t.count; i++) {
            t.kind[i] = (int)rand_below(&r, KINDS);
            t.way[i] = (int)rand_below(&r, 2);
        }
        int64_t most = 1 + (int64_t)rand_below(&r, 2);
        bool before = most == 2 && rand_below(&r, 2) == 1;
        check(endpoints[rand_below(&r, 3)], &t, most, before, (size_t)rand_below(&r, 20));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_call_twice_in_an_answer_is_made_once),
        cmocka_unit_test(calls_that_the_turn_had_before_count),
        cmocka_unit_test(any_calls_in_any_slices_leave_the_first_of_each_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
