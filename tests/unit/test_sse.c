#include "scheduler/provider/sse.h"

#include "common/limits.h"
#include "tests/support/guard.h"
#include "tests/support/sse_log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MOST_EVENTS 8
#define BOM         "\xEF\xBB\xBF"
#define TEXT(s)     (s), sizeof(s) - 1

struct seen {
    size_t count;
    char name[MOST_EVENTS][64], data[MOST_EVENTS][64], raw[MOST_EVENTS][64];
    bool has_data[MOST_EVENTS];
};

static void see(void *arg, const struct sse_event *event)
{
    struct seen *seen = arg;
    size_t n = seen->count++;
    assert_in_range(n, 0, MOST_EVENTS - 1);
    assert_int_equal(strlen(event->data), event->data_len);
    (void)snprintf(seen->name[n], sizeof(seen->name[n]), "%s", event->name);
    (void)snprintf(seen->data[n], sizeof(seen->data[n]), "%s", event->data);
    (void)snprintf(seen->raw[n], sizeof(seen->raw[n]), "%.*s", (int)event->raw_len, event->raw);
    seen->has_data[n] = event->has_data;
}

/* Reads text in one slice; the stream has not ended. Returns what is unfinished. */
static size_t read_all(struct seen *seen, const char *text, size_t len)
{
    *seen = (struct seen){0};
    struct sse s;
    sse_init(&s);
    assert_int_equal(sse_feed(&s, text, len, see, seen), 0);
    size_t rest = sse_unfinished(&s);
    sse_release(&s);
    return rest;
}

/* Each case is one event with its name and data. */
static void fields_are_read_as_the_standard_says(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *name, *data;
        bool has_data;
    } cases[] = {
        {"data: a\n\n", "", "a", true},
        {"data:a\n\n", "", "a", true},
        {"data:  a\n\n", "", " a", true}, /* one space is dropped, not two */
        {"data\n\n", "", "", true},
        {"data:\n\n", "", "", true},
        {"data\ndata\n\n", "", "\n", true},
        {"data: a\ndata: b\ndata:\n\n", "", "a\nb\n", true},
        {"event: ping\ndata: {}\n\n", "ping", "{}", true},
        {"event: a\nevent: b\ndata: x\n\n", "b", "x", true}, /* the last one counts */
        {"event: a\nevent:\ndata: x\n\n", "", "x", true},
        {"data: x\nevent\n\n", "", "x", true},
        {"id: 7\nretry: 10\ndata: x\n\n", "", "x", true},
        {": comment\n\n", "", "", false},
        {": c\ndata: x\n: d\n\n", "", "x", true},
        {"Data: x\n\n", "", "", false}, /* names are case-sensitive */
        {" data: x\n\n", "", "", false},
        {"datax: x\n\n", "", "", false},
        {"dat: x\n\n", "", "", false},
        {"data: a:b: c\n\n", "", "a:b: c", true},
        {"\n", "", "", false},
        {"data: a\r\n\r\n", "", "a", true},
        {"data: a\r\n\n", "", "a", true},
        {"data: a\ndata: b\rdata: c\r\ndata: d\n\r\n", "", "a\nb\nc\nd", true},
        {BOM "data: a\n\n", "", "a", true},
        {BOM "\n", "", "", false},
        {BOM BOM "data: a\n\n", "", "", false}, /* only one BOM is skipped */
        {"\xEF\xBB"
         "data: a\n\n",
         "", "", false},
        {"data: \xF0\x9F\x90\x8C\n\n", "", "\xF0\x9F\x90\x8C", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen seen;
        size_t rest = read_all(&seen, cases[i].raw, strlen(cases[i].raw));
        if (seen.count != 1 || rest != 0)
            fail_msg("case %zu: %zu events, %zu bytes left", i, seen.count, rest);
        assert_string_equal(seen.name[0], cases[i].name);
        assert_string_equal(seen.data[0], cases[i].data);
        assert_string_equal(seen.raw[0], cases[i].raw);
        assert_int_equal(seen.has_data[0], cases[i].has_data);
    }
}

static void names_and_data_do_not_leak_into_the_next_event(void **state)
{
    (void)state;
    struct seen seen;
    size_t rest = read_all(&seen, TEXT("event: a\ndata: 1\n\n\ndata: 2\n\n: x\n\nda"));

    assert_int_equal(rest, 2);
    assert_int_equal(seen.count, 4);
    assert_string_equal(seen.raw[1], "\n"); /* a second blank line is an event of its own */
    assert_string_equal(seen.name[2], "");
    assert_string_equal(seen.data[2], "2");
    assert_string_equal(seen.raw[3], ": x\n\n");
    assert_string_equal(seen.data[3], "");
}

static void a_bom_counts_only_at_the_start_of_the_stream(void **state)
{
    (void)state;
    struct seen seen;
    (void)read_all(&seen, TEXT(BOM "data: a\n\n" BOM "data: b\n\ndata: c\n\n"));

    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.data[0], "a");
    assert_false(seen.has_data[1]);
    assert_string_equal(seen.data[2], "c");
}

static void a_nul_is_data(void **state)
{
    (void)state;
    struct sse_log log;
    assert_int_equal(sse_log_read(&log, TEXT("data: a\0b\n\n"), NULL, NULL), 0);
    static const char want[] = "event  data 1 3 a\0b\0 raw 11 data: a\0b\n\nend 0 unfinished 0";
    assert_int_equal(log.text.len, sizeof(want) - 1);
    assert_memory_equal(log.text.data, want, sizeof(want) - 1);
    sse_log_release(&log);
}

static void a_blank_line_that_ends_in_cr_waits_for_its_lf(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct sse s;
    sse_init(&s);

    assert_int_equal(sse_feed(&s, TEXT("data: a\r\n\r"), see, &seen), 0);
    assert_int_equal(seen.count, 0);
    assert_int_equal(sse_feed(&s, TEXT("\n"), see, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.raw[0], "data: a\r\n\r\n");

    assert_int_equal(sse_feed(&s, TEXT("data: b\r\r"), see, &seen), 0);
    assert_int_equal(sse_feed(&s, TEXT("d"), see, &seen), 0);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.raw[1], "data: b\r\r"); /* the d belongs to the next one */
    assert_int_equal(sse_unfinished(&s), 1);
    sse_release(&s);
}

static void the_end_of_the_stream_completes_a_blank_line_of_cr(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct sse s;
    sse_init(&s);

    assert_int_equal(sse_feed(&s, TEXT("data: a\r\r"), see, &seen), 0);
    assert_int_equal(sse_finish(&s, see, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(sse_unfinished(&s), 0);

    assert_int_equal(sse_feed(&s, TEXT("data: cut\r"), see, &seen), 0);
    assert_int_equal(sse_finish(&s, see, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(sse_unfinished(&s), 10);
    sse_release(&s);
}

static const char *const corpus[] = {
    "data: a\n\ndata: b\n\n",
    "data: a\r\n\r\ndata: b\r\n\r\n",
    "data: a\r\rdata: b\r\r",
    "data: a\r\n\n\r\r\n\n\r\n\rdata: b\n\r",
    "\r\n\r\n\r\r\n\n",
    BOM "data: a\n\n",
    BOM "\r\n\r" BOM "\r",
    "\xEF\xBB\n\n",
    "\xEF\r\xBB\r\r",
    ": ping\n\n: ping\r\n\r\nevent: x\r: y\rdata:z\r\r",
    "event: content_block_delta\ndata: {\"t\":\"\xE2\x82\xAC \xF0\x9F\x90\x8C\"}\n\n",
    "data: cut",
    "data: [DONE]\n",
    "data\n\ndata:\n\n:\n\n\n\n",
};

static size_t one(void *arg)
{
    (void)arg;
    return 1;
}

/* Cuts at the set bits of a mask, one bit for each place between two bytes. */
struct cuts {
    uint64_t mask;
    unsigned at;
};

static size_t next_cut(void *arg)
{
    struct cuts *cuts = arg;
    size_t n = 1;
    while (cuts->at < 64 && !(cuts->mask >> cuts->at++ & 1))
        n++;
    return n;
}

static void check_slicing(size_t entry, const struct sse_log *whole, sse_slice_fn slice, void *arg)
{
    struct sse_log log;
    (void)sse_log_read(&log, corpus[entry], strlen(corpus[entry]), slice, arg);
    if (!sse_log_equal(&log, whole))
        fail_msg("corpus %zu: slices gave %s, the whole gave %s", entry, log.text.data,
                 whole->text.data);
    sse_log_release(&log);
}

static void every_cut_in_two_or_three_gives_the_same_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(corpus) / sizeof(corpus[0]); i++) {
        struct sse_log whole;
        (void)sse_log_read(&whole, corpus[i], strlen(corpus[i]), NULL, NULL);
        check_slicing(i, &whole, one, NULL);
        unsigned places = (unsigned)strlen(corpus[i]);
        for (unsigned a = 0; a < places && a < 64; a++)
            for (unsigned b = a; b < places && b < 64; b++) {
                struct cuts cuts = {.mask = UINT64_C(1) << a | UINT64_C(1) << b};
                check_slicing(i, &whole, next_cut, &cuts);
            }
        sse_log_release(&whole);
    }
}

/* All 2^(n-1) slicings of each short stream of line ends, text and BOM bytes. */
static void every_slicing_of_every_short_stream_gives_the_same_events(void **state)
{
    (void)state;
    static const char letters[] = {'\n', '\r', 'x', '\xEF'};
    enum { LENGTH = 6, STREAMS = 1 << (2 * LENGTH) };
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        char text[LENGTH];
        for (unsigned i = 0; i < LENGTH; i++)
            text[i] = letters[stream >> (2 * i) & 3];
        struct sse_log whole, log;
        (void)sse_log_read(&whole, text, LENGTH, NULL, NULL);
        for (uint64_t mask = 1; mask < 1U << (LENGTH - 1); mask++) {
            struct cuts cuts = {.mask = mask};
            (void)sse_log_read(&log, text, LENGTH, next_cut, &cuts);
            if (!sse_log_equal(&log, &whole))
                fail_msg("stream %u, cuts %u", stream, (unsigned)mask);
            sse_log_release(&log);
        }
        sse_log_release(&whole);
    }
}

static void raw_bytes_and_the_rest_are_the_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(corpus) / sizeof(corpus[0]); i++) {
        struct sse_log log;
        assert_int_equal(sse_log_read(&log, corpus[i], strlen(corpus[i]), one, NULL), 0);
        assert_in_range(log.raw.len, 0, strlen(corpus[i]));
        if (log.raw.len)
            assert_memory_equal(log.raw.data, corpus[i], log.raw.len);
        char end[64];
        (void)snprintf(end, sizeof(end), "end 0 unfinished %zu", strlen(corpus[i]) - log.raw.len);
        assert_string_equal(log.text.data + log.text.len - strlen(end), end);
        sse_log_release(&log);
    }
}

static void nothing_is_read_past_the_input(void **state)
{
    (void)state;
    struct guard g;
    guard_init(&g, 4096);
    for (size_t i = 0; i < sizeof(corpus) / sizeof(corpus[0]); i++)
        for (size_t len = 1; len <= strlen(corpus[i]); len++) {
            struct sse_log log;
            assert_int_equal(sse_log_read(&log, guard_copy(&g, corpus[i], len), len, NULL, NULL),
                             0);
            sse_log_release(&log);
        }
    guard_release(&g);
}

/* "data:" + filler + two LF, size bytes in all. */
static char *big_event(size_t size)
{
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "data:", 5);
    memcpy(text + size - 2, "\n\n", 2);
    return text;
}

static void count(void *arg, const struct sse_event *event)
{
    (void)event;
    ++*(size_t *)arg;
}

static int feed_in(const char *text, size_t len, size_t slice, size_t *events)
{
    struct sse s;
    sse_init(&s);
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0; at += slice)
        rc = sse_feed(&s, text + at, len - at < slice ? len - at : slice, count, events);
    if (rc < 0) /* it refuses from then on */
        assert_int_equal(sse_feed(&s, TEXT("data: x\n\n"), count, events), rc);
    sse_release(&s);
    return rc;
}

static void an_event_may_have_the_maximum_size_and_no_byte_more(void **state)
{
    (void)state;
    static const size_t slices[] = {SIZE_MAX / 2, 65536, 4095};
    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++) {
        size_t events = 0;
        char *text = big_event(SSE_MAX_EVENT_BYTES);
        assert_int_equal(feed_in(text, SSE_MAX_EVENT_BYTES, slices[i], &events), 0);
        assert_int_equal(events, 1);
        free(text);

        text = big_event(SSE_MAX_EVENT_BYTES + 1);
        assert_int_equal(feed_in(text, SSE_MAX_EVENT_BYTES + 1, slices[i], &events), -ENOSPC);
        assert_int_equal(events, 1);
        free(text);
    }
}

/* Would take hours if each byte made the reader look at the event again. */
static void the_largest_event_may_come_byte_by_byte(void **state)
{
    (void)state;
    size_t events = 0;
    char *text = big_event(SSE_MAX_EVENT_BYTES);
    assert_int_equal(feed_in(text, SSE_MAX_EVENT_BYTES, 1, &events), 0);
    assert_int_equal(events, 1);
    free(text);
}

static void memory_of_a_large_event_is_given_back(void **state)
{
    (void)state;
    size_t events = 0;
    struct sse s;
    sse_init(&s);
    char *text = big_event(MIB);
    assert_int_equal(sse_feed(&s, text, 100, count, &events), 0);
    assert_int_equal(sse_feed(&s, text + 100, MIB - 100, count, &events), 0);
    assert_int_equal(events, 1);
    assert_in_range(s.pending.room + s.data.room, 0, 128 * KIB);
    free(text);
    sse_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_as_the_standard_says),
        cmocka_unit_test(names_and_data_do_not_leak_into_the_next_event),
        cmocka_unit_test(a_bom_counts_only_at_the_start_of_the_stream),
        cmocka_unit_test(a_nul_is_data),
        cmocka_unit_test(a_blank_line_that_ends_in_cr_waits_for_its_lf),
        cmocka_unit_test(the_end_of_the_stream_completes_a_blank_line_of_cr),
        cmocka_unit_test(every_cut_in_two_or_three_gives_the_same_events),
        cmocka_unit_test(every_slicing_of_every_short_stream_gives_the_same_events),
        cmocka_unit_test(raw_bytes_and_the_rest_are_the_input),
        cmocka_unit_test(nothing_is_read_past_the_input),
        cmocka_unit_test(an_event_may_have_the_maximum_size_and_no_byte_more),
        cmocka_unit_test(the_largest_event_may_come_byte_by_byte),
        cmocka_unit_test(memory_of_a_large_event_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
