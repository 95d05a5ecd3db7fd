#include "scheduler/batch/embed_answer.h"

#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ANSWER                                                                                     \
    "{\n \"object\": \"list\", \"data\": ["                                                        \
    "{\"index\": 1, \"embedding\": [0.10, -1e-7], \"object\": \"embedding\"},"                     \
    "{\"object\":\"embedding\",\"embedding\":\"AAAA\",\"index\":0} ],"                             \
    "\"model\":\"m-1\",\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7,\"x\":null},\"id\":"      \
    "\"e\"}"

static int read_answer(const char *text, size_t count, struct json_span *items,
                       struct embed_answer *ret)
{
    return embed_answer_read(text, strlen(text), count, items, ret);
}

static void vectors_are_found_by_their_index_and_kept_byte_for_byte(void **state)
{
    (void)state;
    struct json_span items[2];
    struct embed_answer answer;
    struct buf all, out;
    buf_init(&all, 4 * KIB);
    buf_init(&out, 4 * KIB);
    assert_int_equal(read_answer(ANSWER, 2, items, &answer), 0);
    assert_int_equal(embed_usage_of(&answer.usage, "prompt_tokens"), 7);
    assert_int_equal(embed_usage_of(&answer.usage, "x"), -1);
    assert_int_equal(embed_answer_item(items[1], 0, &all), 0);
    (void)buf_adds(&all, ",");
    assert_int_equal(embed_answer_item(items[0], 12, &all), 0);
    answer.usage.of[0].value = 3;
    answer.usage.of[1].value = 4;
    assert_int_equal(embed_answer_write(&answer, &all, &answer.usage, &out), 0);
    assert_string_equal(
        out.data,
        "{\"object\":\"list\",\"data\":["
        "{\"index\": 0, \"embedding\": [0.10, -1e-7], \"object\": \"embedding\"},"
        "{\"object\":\"embedding\",\"embedding\":\"AAAA\",\"index\":12}],"
        "\"model\":\"m-1\",\"usage\":{\"prompt_tokens\":3,\"total_tokens\":4},\"id\":\"e\"}");
    buf_release(&all);
    buf_release(&out);
}

static void items_without_an_index_are_in_order(void **state)
{
    (void)state;
    struct json_span items[2];
    struct embed_answer answer;
    struct buf out;
    buf_init(&out, KIB);
    assert_int_equal(
        read_answer("{\"data\":[{\"embedding\":[1]},{\"embedding\":[2]}]}", 2, items, &answer), 0);
    assert_int_equal(answer.usage.count, 0);
    assert_int_equal(embed_answer_item(items[1], 0, &out), 0);
    assert_string_equal(out.data, "{\"embedding\":[2]}");
    buf_release(&out);
}

static void an_answer_without_one_vector_for_each_input_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"data\":[]}",
        "{\"data\":{}}",
        "{\"data\":[{\"index\":0}]}",
        "{\"data\":[{\"index\":0},{\"index\":0}]}",
        "{\"data\":[{\"index\":0},{\"index\":2}]}",
        "{\"data\":[{\"index\":0},{\"index\":-1}]}",
        "{\"data\":[{\"index\":0},{}]}",
        "{\"data\":[{\"index\":0},5]}",
        "{\"data\":[{\"index\":0},{\"index\":1},{\"index\":1}]}",
        "{\"data\":[{},{},{}]}",
        "{\"data\":[{\"index\":0},{\"index\":1}]",
    };
    struct json_span items[2];
    struct embed_answer answer;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_answer(bad[i], 2, items, &answer), -EINVAL);
}

static void usage_is_shared_and_added_up_by_name(void **state)
{
    (void)state;
    struct embed_usage all = {.of = {{"prompt_tokens", 10}, {"total_tokens", 11}}, .count = 2};
    struct embed_usage shares[3], sum = {.count = 0};
    assert_int_equal(embed_usage_share(&all, (int64_t[]){5, 3, 1}, 3, shares), 0);
    for (size_t i = 0; i < 3; i++)
        embed_usage_add(&sum, &shares[i]);
    assert_int_equal(embed_usage_of(&sum, "prompt_tokens"), 10);
    assert_int_equal(embed_usage_of(&sum, "total_tokens"), 11);
    assert_true(embed_usage_of(&shares[0], "prompt_tokens") >
                embed_usage_of(&shares[2], "prompt_tokens"));
}

static void no_more_figures_of_usage_are_kept_than_there_is_room_for(void **state)
{
    (void)state;
    struct json_span items[1];
    struct embed_answer answer;
    assert_int_equal(
        read_answer("{\"data\":[{}],\"usage\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,"
                    "\"f\":6,\"g\":7}}",
                    1, items, &answer),
        0);
    assert_int_equal(answer.usage.count, EMBED_USAGE_MAX);
    struct embed_usage more = {.of = {{"h", 1}}, .count = 1};
    embed_usage_add(&answer.usage, &more);
    assert_int_equal(answer.usage.count, EMBED_USAGE_MAX);
    assert_int_equal(embed_usage_of(&answer.usage, "f"), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_found_by_their_index_and_kept_byte_for_byte),
        cmocka_unit_test(items_without_an_index_are_in_order),
        cmocka_unit_test(an_answer_without_one_vector_for_each_input_is_none),
        cmocka_unit_test(usage_is_shared_and_added_up_by_name),
        cmocka_unit_test(no_more_figures_of_usage_are_kept_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
