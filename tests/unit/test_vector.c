#include "scheduler/vector.h"

#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ITEM "{\"index\" : 1 ,\n\"embedding\": [0.10, -1e-7]}"
#define ONE  "{\"object\":\"list\",\"data\":[{\"index\":0}],\"model\":\"m\",\"usage\":{\"x\":7}}"

static void write(const char *item, struct buf *envelope, struct buf *out)
{
    struct embed_answer answer;
    struct json_span none[1];
    buf_init(envelope, 4 * KIB);
    buf_init(out, 4 * KIB);
    assert_int_equal(embed_answer_read(ONE, strlen(ONE), 1, none, &answer), 0);
    assert_int_equal(vector_envelope(&answer, envelope), 0);
    assert_int_equal(vector_write(json_span_of(item, strlen(item)), envelope, out), 0);
}

static void an_item_keeps_its_bytes_but_for_its_index(void **state)
{
    struct buf envelope, kept, out;
    struct vector v;
    (void)state;
    write(ITEM, &envelope, &kept);
    assert_true(vector_read(kept.data, kept.len, &v));
    buf_init(&out, 4 * KIB);
    assert_int_equal(vector_put(&v, 120, &out), 0);
    assert_string_equal(out.data, "{\"index\" : 120 ,\n\"embedding\": [0.10, -1e-7]}");
    struct buf items = out;
    buf_init(&out, 4 * KIB);
    assert_int_equal(vector_answer(&v, &items, &out), 0);
    assert_string_equal(out.data,
                        "{\"object\":\"list\",\"data\":[{\"index\" : 120 ,\n\"embedding\": "
                        "[0.10, -1e-7]}],\"model\":\"m\",\"usage\":{\"x\":0}}");
    buf_release(&items);
    buf_release(&out);
    buf_release(&envelope);
    buf_release(&kept);
}

static void an_item_without_an_index_is_given_none(void **state)
{
    struct buf envelope, kept, out;
    struct vector v;
    (void)state;
    write("{\"embedding\":\"AAAA\"}", &envelope, &kept);
    assert_true(vector_read(kept.data, kept.len, &v));
    buf_init(&out, KIB);
    assert_int_equal(vector_put(&v, 3, &out), 0);
    assert_string_equal(out.data, "{\"embedding\":\"AAAA\"}");
    buf_release(&out);
    buf_release(&envelope);
    buf_release(&kept);
}

static void what_is_cut_off_or_none_is_not_read(void **state)
{
    static const char *const none[] = {
        "",           "\n",         "1 1\nab",     "1 1 1\na",    "0 1 1\na",
        "1 1 1 \nab", "1 1 1x\nab", "-1 1 1\nabc", "1 -1 1\nabc", "9 9 9 and no end"};
    struct vector v;
    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(vector_read(none[i], strlen(none[i]), &v));
    assert_true(vector_read("1 1 1\nab", 8, &v));
    assert_int_equal(v.envelope.len, 0);
}

static void an_envelope_that_is_none_is_told(void **state)
{
    struct vector v;
    struct buf out, items;
    (void)state;
    buf_init(&out, KIB);
    buf_init(&items, KIB);
    assert_int_equal(buf_adds(&items, "{}"), 0);
    assert_true(vector_read("1 1 1\nab{\"data\":", 16, &v));
    assert_int_equal(vector_answer(&v, &items, &out), -EINVAL);
    buf_release(&out);
    buf_release(&items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_keeps_its_bytes_but_for_its_index),
        cmocka_unit_test(an_item_without_an_index_is_given_none),
        cmocka_unit_test(what_is_cut_off_or_none_is_not_read),
        cmocka_unit_test(an_envelope_that_is_none_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
