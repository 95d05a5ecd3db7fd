#include "common/json_edit.h"
#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool bit_is_set(void *arg, size_t index, const struct json_iter *item)
{
    (void)item;
    return *(const unsigned *)arg >> index & 1;
}

static char *apply(struct json_edits *e)
{
    struct buf out;
    buf_init(&out, MIB);
    assert_int_equal(json_edits_apply(e, &out), 0);
    json_edits_release(e);
    assert_int_equal(json_scan_check(out.data, out.len, NULL), 0);
    return buf_take(&out);
}

/* Every subset of the items is cut, and what is left is what was to be left. */
static void any_items_may_be_cut(void **state)
{
    (void)state;
    static const char *const texts[] = {"[ 10 ,11, 12 , 13]",
                                        "{\"a\":10,\"b\" : 11 , \"c\":12,\"d\":13}"};
    for (size_t k = 0; k < 2; k++) {
        for (unsigned mask = 0; mask < 16; mask++) {
            struct json_edits e;
            struct json_span all = json_span_of(texts[k], strlen(texts[k]));
            json_edits_init(&e, all.at, all.len);
            json_edit_cut(&e, all, bit_is_set, &mask);
            char *got = apply(&e);
            struct json_iter it = json_iter(json_span_of(got, strlen(got)));
            for (int64_t i = 0; i < 4; i++) {
                int64_t value = 0;
                if (mask >> i & 1)
                    continue;
                assert_true(json_next(&it));
                assert_true(json_int(it.value, &value));
                assert_int_equal(value, 10 + i);
            }
            assert_false(json_next(&it));
            free(got);
        }
    }
}

static void expect_set(const char *text, const char *wanted)
{
    struct json_edits e;
    struct json_span all = json_span_of(text, strlen(text));
    json_edits_init(&e, all.at, all.len);
    json_edit_set(&e, all, "x", "[1]");
    char *got = apply(&e);
    assert_string_equal(got, wanted);
    free(got);
}

static void a_member_is_set_where_it_stands_or_in_front(void **state)
{
    (void)state;
    expect_set("{}", "{\"x\":[1]}");
    expect_set("{ \"a\":1.50}", "{\"x\":[1], \"a\":1.50}");
    expect_set("{\"x\":2,\"a\":1, \"x\" : 3 }", "{\"x\":2,\"a\":1, \"x\" : [1] }");
}

static void edits_may_come_in_any_order_but_not_overlap(void **state)
{
    (void)state;
    const char *text = "[1,2,3]";
    struct json_edits e;
    struct buf out;
    json_edits_init(&e, text, 7);
    json_edit_replace(&e, text + 5, text + 6, "c", 1);
    json_edit_replace(&e, text + 1, text + 2, "a", 1);
    json_edit_push(&e, json_span_of(text, 7), "4");
    buf_init(&out, KIB);
    assert_int_equal(json_edits_apply(&e, &out), 0);
    assert_string_equal(out.data, "[a,2,c,4]");
    json_edit_replace(&e, text + 1, text + 4, "", 0);
    assert_int_equal(json_edits_apply(&e, &out), -EINVAL);
    json_edits_release(&e);
    buf_release(&out);
}

static void every_member_of_a_name_is_removed(void **state)
{
    (void)state;
    const char *text = "{\"x\":1,\"a\":2,\"x\":3}";
    struct json_edits e;
    json_edits_init(&e, text, strlen(text));
    json_edit_remove(&e, json_span_of(text, strlen(text)), "x");
    char *got = apply(&e);
    assert_string_equal(got, "{\"a\":2}");
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_items_may_be_cut),
        cmocka_unit_test(a_member_is_set_where_it_stands_or_in_front),
        cmocka_unit_test(edits_may_come_in_any_order_but_not_overlap),
        cmocka_unit_test(every_member_of_a_name_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
