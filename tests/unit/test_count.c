#include "scheduler/prompt/count.h"

#include "common/limits.h"
#include "tests/support/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    struct counter *c;
    if (counter_new(1, &c) < 0)
        return -1;
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    counter_free(*state);
    return 0;
}

static struct count_total count(struct counter *c, enum wire_endpoint endpoint, const char *body)
{
    struct transcript t;
    struct count_model m;
    struct error e = {""};
    assert_int_equal(json_scan_check(body, strlen(body), &e), 0);
    assert_int_equal(transcript_read(endpoint, body, strlen(body), &t, &e), 0);
    assert_int_equal(counter_model_of(c, t.model, &m), 0);
    struct count_total total = count_transcript(c, &m, &t, NULL);
    transcript_release(&t);
    return total;
}

/* ---- the examples of OpenAI's cookbook, with the numbers that its API answered */

#define JARGON                                                                                     \
    "\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful, pattern-following "       \
    "assistant that translates corporate jargon into plain English.\"},"                           \
    "{\"role\":\"system\",\"name\":\"example_user\",\"content\":\"New synergies will help drive "  \
    "top-line growth.\"},"                                                                         \
    "{\"role\":\"system\",\"name\":\"example_assistant\",\"content\":\"Things working well "       \
    "together will increase revenue.\"},"                                                          \
    "{\"role\":\"system\",\"name\":\"example_user\",\"content\":\"Let's circle back when we have " \
    "more bandwidth to touch base on opportunities for increased leverage.\"},"                    \
    "{\"role\":\"system\",\"name\":\"example_assistant\",\"content\":\"Let's talk later when "     \
    "we're less busy about how to do better.\"},"                                                  \
    "{\"role\":\"user\",\"content\":\"This late pivot means we don't have time to boil the ocean " \
    "for the client deliverable.\"}]}"

static void messages_weigh_what_the_cookbook_says(void **state)
{
    assert_int_equal(count(*state, WIRE_CHAT, "{\"model\":\"gpt-4-0613\"," JARGON).total, 129);
    assert_int_equal(count(*state, WIRE_CHAT, "{\"model\":\"gpt-3.5-turbo\"," JARGON).total, 129);
    assert_int_equal(count(*state, WIRE_CHAT, "{\"model\":\"gpt-4o\"," JARGON).total, 124);
    assert_int_equal(count(*state, WIRE_CHAT, "{\"model\":\"openai/gpt-4o-mini\"," JARGON).total,
                     124);
}

#define WEATHER                                                                                    \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_current_weather\","            \
    "\"description\":\"Get the current weather in a given location\",\"parameters\":{"             \
    "\"type\":\"object\",\"properties\":{\"location\":{\"type\":\"string\",\"description\":"       \
    "\"The city and state, e.g. San Francisco, CA\"},\"unit\":{\"type\":\"string\","               \
    "\"description\":\"The unit of temperature to return\",\"enum\":[\"celsius\","                 \
    "\"fahrenheit\"]}},\"required\":[\"location\"]}}}],"                                           \
    "\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant that can "       \
    "answer to questions about the weather.\"},"                                                   \
    "{\"role\":\"user\",\"content\":\"What's the weather like in San Francisco?\"}]}"

static void tools_weigh_what_the_cookbook_says(void **state)
{
    assert_int_equal(count(*state, WIRE_CHAT, "{\"model\":\"gpt-4o\"," WEATHER).total, 101);
    assert_int_equal(count(*state, WIRE_CHAT, "{\"model\":\"gpt-4\"," WEATHER).total, 105);
}

static void nested_properties_weigh_like_properties(void **state)
{
    static const char one[] =
        "{\"model\":\"gpt-4o\",\"messages\":[],\"tools\":[{\"function\":{\"name\":\"f\","
        "\"parameters\":{\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{\"b\":"
        "{\"type\":\"string\",\"description\":\"c\"}}}}}}}]}";
    static const char none[] =
        "{\"model\":\"gpt-4o\",\"messages\":[],\"tools\":[{\"function\":{\"name\":\"f\","
        "\"parameters\":{\"properties\":{\"a\":{\"type\":\"object\"}}}}}]}";
    int64_t difference = count(*state, WIRE_CHAT, one).total - count(*state, WIRE_CHAT, none).total;
    assert_int_equal(difference, 3 + 3 + 3); /* first property, property, "b:string:c" */
}

/* ---- what is counted */

static void escapes_count_as_what_they_stand_for(void **state)
{
    int64_t plain = count(*state, WIRE_CHAT,
                          "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\","
                          "\"content\":\"naïve \\n\"}]}")
                        .total;
    int64_t escaped = count(*state, WIRE_CHAT,
                            "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\","
                            "\"content\":\"na\\u00efve\\u0020\\u000a\"}]}")
                          .total;
    assert_int_equal(plain, escaped);
}

static void ids_and_markers_are_free(void **state)
{
    static const char bare[] = "{\"model\":\"claude-3-opus\",\"messages\":[{\"role\":\"user\","
                               "\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]}]}";
    static const char more[] =
        "{\"model\":\"claude-3-opus\",\"metadata\":{\"user_id\":\"long text here\"},\"messages\":["
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"cache_control\":{\"type\":"
        "\"ephemeral\"},\"text\":\"hello\"}]}]}";
    assert_int_equal(count(*state, WIRE_MESSAGES, bare).total,
                     count(*state, WIRE_MESSAGES, more).total);
}

static void the_total_is_the_fixed_part_and_all_messages(void **state)
{
    struct counter *c = *state;
    static const char body[] = "{\"model\":\"claude-sonnet-4-5\",\"system\":\"Be brief.\","
                               "\"tools\":[{\"name\":\"f\",\"input_schema\":{}}],\"messages\":["
                               "{\"role\":\"user\",\"content\":\"one two three\"},"
                               "{\"role\":\"assistant\",\"content\":\"four five\"}]}";
    struct transcript t;
    struct count_model m;
    struct count_size sizes[2];
    assert_int_equal(transcript_read(WIRE_MESSAGES, body, strlen(body), &t, NULL), 0);
    assert_int_equal(counter_model_of(c, t.model, &m), 0);
    struct count_total total = count_transcript(c, &m, &t, sizes);
    assert_int_equal(total.total,
                     total.fixed + count_message(&m, sizes[0]) + count_message(&m, sizes[1]));
    assert_int_equal(count_message(&m, sizes[0]), 2 + 4); /* 3 x 1.25, rounded up */
    assert_true(total.fixed > 549 + 53);
    assert_true(total.reserved > total.total);
    assert_false(m.exact);
    transcript_release(&t);
}

static void a_model_decides_the_vocabulary_and_the_ratio(void **state)
{
    struct count_model m;
    assert_int_equal(counter_model(*state, "gpt-4.1-mini-2025-04-14", &m), 0);
    assert_true(m.exact);
    assert_int_equal(m.family->ratio, 1000);
    assert_int_equal(counter_model(*state, "us.anthropic.claude-sonnet-4-5-v1:0", &m), 0);
    assert_int_equal(m.family->ratio, 1250);
    assert_int_equal(counter_model(*state, "claude-opus-4-7", &m), 0);
    assert_int_equal(m.family->ratio, 1550);
    assert_int_equal(counter_model(*state, "demo3-turbo", &m), 0); /* no o3 in it */
    assert_int_equal(m.family->ratio, 1200);
    assert_int_equal(counter_model(*state, "", &m), 0);
    assert_false(m.exact);
}

/* ---- images */

static void images_weigh_by_size_and_detail(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        struct image_size size;
        bool low;
        int64_t tokens;
    } cases[] = {
        {"gpt-4o", {1024, 1024}, false, 765},  /* OpenAI's own examples */
        {"gpt-4o", {2048, 4096}, false, 1105}, /* */
        {"gpt-4o", {4096, 8192}, true, 85},
        {"gpt-4o-mini", {512, 512}, false, 8500},
        {"o4-mini", {1024, 1024}, false, 1024 * 1720 / 1000},
        {"gpt-4.1-mini", {1800, 2400}, false, 1452 * 1620 / 1000},
        {"claude-3-5-sonnet", {1000, 1000}, false, 1334}, /* Anthropic's own example */
        {"claude-3-5-sonnet", {8000, 8000}, false, 1600},
        {"gemini-2.5-pro", {384, 384}, false, 258},
        {"gemini-2.5-pro", {1000, 700}, false, 516},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            count_image(count_family(cases[i].model)->image, &cases[i].size, cases[i].low),
            cases[i].tokens);
    assert_int_equal(count_image(count_family("gpt-4o")->image, NULL, false), 1445);
}

static void the_base64_of_an_image_is_no_text(void **state)
{
    /* The beginning of a PNG of 512 x 512. */
    static const char png[] =
        "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
        "\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,"
        "iVBORw0KGgoAAAANSUhEUgAAAgAAAAIACAYAAAD0eNT6AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}]}]}";
    static const char claude[] =
        "{\"model\":\"claude-3-opus\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
        "\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\""
        "iVBORw0KGgoAAAANSUhEUgAAAgAAAAIACAYAAAD0eNT6AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}]}]}";
    assert_int_equal(count(*state, WIRE_CHAT, png).total, 3 + 4 + 255);
    assert_int_equal(count(*state, WIRE_MESSAGES, claude).total, 6 + 2 + 350);
}

static void sizes_stand_in_the_first_bytes_of_every_kind(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"GIF89a\x2c\x01\xc8\x00", 10},
        {"RIFF....WEBPVP8 ....\x00\x00\x00\x9d\x01\x2a\x2c\x01\xc8\x00", 30},
        {"RIFF....WEBPVP8L....\x2f\x2b\xc1\x31\x00.....", 30},
        {"RIFF....WEBPVP8X....\x00\x00\x00\x00\x2b\x01\x00\xc7\x00\x00", 30},
        {"\xff\xd8\xff\xe0\x00\x04..\xff\xc0\x00\x11\x08\x00\xc8\x01\x2c", 17},
    };
    struct guard guard;
    guard_init(&guard, 64);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct image_size size = {0};
        /* A copy that ends at an unreadable page: a read behind the end dies. */
        for (size_t len = 0; len < cases[i].len; len++)
            (void)image_size_read((unsigned char *)guard_copy(&guard, cases[i].bytes, len), len,
                                  &size);
        assert_true(image_size_read((const unsigned char *)cases[i].bytes, cases[i].len, &size));
        assert_int_equal(size.width, 300);
        assert_int_equal(size.height, 200);
    }
    guard_release(&guard);
    struct image_size size;
    assert_false(image_size_read((const unsigned char *)"GIF89a\0\0\0\0", 10, &size));
    assert_false(image_size_of_base64("!!!!", 4, &size));
}

/* ---- the memo */

static struct content_hash key(uint64_t number)
{
    return content_hash(&number, sizeof(number), 7);
}

static void the_memo_gives_back_what_was_put(void **state)
{
    (void)state;
    struct count_memo *m;
    struct count_size size;
    assert_int_equal(count_memo_new(&m), 0);
    assert_false(count_memo_find(m, key(1), &size));
    count_memo_put(m, key(1), (struct count_size){3, 4});
    assert_true(count_memo_find(m, key(1), &size));
    assert_int_equal(size.text, 3);
    assert_int_equal(size.flat, 4);
    count_memo_put(m, key(1), (struct count_size){5, 6});
    assert_true(count_memo_find(m, key(1), &size));
    assert_int_equal(size.text, 5);
    count_memo_free(m);
}

static struct content_hash in_set(uint64_t number)
{
    return (struct content_hash){.high = number, .low = 9};
}

static void a_full_set_forgets_what_was_used_longest_ago(void **state)
{
    (void)state;
    struct count_memo *m;
    struct count_size size;
    assert_int_equal(count_memo_new(&m), 0);
    for (uint64_t i = 0; i < 4; i++)
        count_memo_put(m, in_set(i), (struct count_size){.text = (uint32_t)i});
    assert_true(count_memo_find(m, in_set(0), &size)); /* the limit: all four are there */
    count_memo_put(m, in_set(4), (struct count_size){.text = 4});
    assert_true(count_memo_find(m, in_set(0), &size));
    assert_false(count_memo_find(m, in_set(1), &size)); /* one past it */
    assert_true(count_memo_find(m, in_set(2), &size));
    count_memo_free(m);
}

static void models_do_not_share_what_is_remembered(void **state)
{
    int64_t old = count(*state, WIRE_CHAT, "{\"model\":\"gpt-4\"," WEATHER).total;
    int64_t new = count(*state, WIRE_CHAT, "{\"model\":\"gpt-4o\"," WEATHER).total;
    int64_t claude = count(*state, WIRE_CHAT, "{\"model\":\"claude-3\"," WEATHER).total;
    assert_int_not_equal(old, new);
    assert_int_not_equal(claude, new);
    assert_int_equal(count(*state, WIRE_CHAT, "{\"model\":\"gpt-4\"," WEATHER).total, old);
    assert_int_equal(count(*state, WIRE_CHAT, "{\"model\":\"claude-3\"," WEATHER).total, claude);
}

static void every_bit_of_a_content_changes_its_hash(void **state)
{
    (void)state;
    unsigned char bytes[100] = {0};
    for (size_t len = 0; len < sizeof(bytes); len++) {
        struct content_hash h = content_hash(bytes, len, 1);
        assert_false(content_hash_same(h, content_hash(bytes, len + 1, 1)));
        assert_false(content_hash_same(h, content_hash(bytes, len, 2)));
        for (size_t bit = 0; bit < len * 8; bit++) {
            bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            struct content_hash other = content_hash(bytes, len, 1);
            bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            assert_true(other.high != h.high && other.low != h.low);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_weigh_what_the_cookbook_says),
        cmocka_unit_test(tools_weigh_what_the_cookbook_says),
        cmocka_unit_test(nested_properties_weigh_like_properties),
        cmocka_unit_test(escapes_count_as_what_they_stand_for),
        cmocka_unit_test(ids_and_markers_are_free),
        cmocka_unit_test(the_total_is_the_fixed_part_and_all_messages),
        cmocka_unit_test(a_model_decides_the_vocabulary_and_the_ratio),
        cmocka_unit_test(images_weigh_by_size_and_detail),
        cmocka_unit_test(the_base64_of_an_image_is_no_text),
        cmocka_unit_test(sizes_stand_in_the_first_bytes_of_every_kind),
        cmocka_unit_test(the_memo_gives_back_what_was_put),
        cmocka_unit_test(a_full_set_forgets_what_was_used_longest_ago),
        cmocka_unit_test(models_do_not_share_what_is_remembered),
        cmocka_unit_test(every_bit_of_a_content_changes_its_hash),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
