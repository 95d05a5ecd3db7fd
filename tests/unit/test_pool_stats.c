#include "scheduler/pool_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_counter_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT_MAX; i++) {
        const char *name = pool_counter_name((enum pool_counter)i);
        assert_true(strlen(name) > 0 && strcmp(name, "?") != 0);
        assert_int_not_equal(strncmp(name, "w:", 2), 0); /* of the waits, in the same hash */
        for (int k = 0; k < i; k++)
            assert_string_not_equal(name, pool_counter_name((enum pool_counter)k));
    }
    assert_string_equal(pool_counter_name(COUNT_MAX), "?");
}

static void what_is_counted_is_kept_and_told_once(void **state)
{
    (void)state;
    struct pool_stats s = {.count = {0}};
    pool_stats_add(&s, COUNT_tokens_input, 40);
    pool_stats_add(&s, COUNT_tokens_input, 2);
    assert_int_equal(s.count[COUNT_tokens_input], 42);
    assert_int_equal(s.unsent[COUNT_tokens_input], 42);
    assert_int_equal(s.count[COUNT_tokens_output], 0);
}

static void buckets_strictly_grow_and_leave_no_gap(void **state)
{
    (void)state;
    assert_int_equal(wait_bucket_top_ms(0), 0);
    for (size_t i = 1; i < WAIT_BUCKETS; i++) {
        int64_t below = wait_bucket_top_ms(i - 1), top = wait_bucket_top_ms(i);
        assert_true(top > below);
        assert_int_equal(wait_bucket(top), i);
        assert_int_equal(wait_bucket(below + 1), i);
        /* the error of a percentile: a bucket is at most a quarter of what it holds */
        if (below >= 4)
            assert_true((top - below) * 4 <= below + 1);
    }
    assert_true(wait_bucket_top_ms(WAIT_BUCKETS - 1) > INT64_C(9) * 3600 * 1000);
}

static void waits_outside_of_all_buckets_count_at_the_ends(void **state)
{
    (void)state;
    struct pool_stats s = {.count = {0}};
    assert_int_equal(wait_bucket(-1), 0);
    assert_int_equal(wait_bucket(INT64_MAX), WAIT_BUCKETS - 1);
    pool_stats_wait(&s, INT64_MAX);
    pool_stats_wait(&s, 0);
    assert_int_equal(s.waits[WAIT_BUCKETS - 1], 1);
    assert_int_equal(s.waits_unsent[WAIT_BUCKETS - 1], 1);
    assert_int_equal(s.waits[0], 1);
}

static void percentiles_are_tops_of_buckets(void **state)
{
    (void)state;
    struct pool_stats s = {.count = {0}};
    assert_int_equal(wait_percentile(s.waits, 500), 0);
    for (int64_t ms = 1; ms <= 100; ms++)
        pool_stats_wait(&s, ms);
    const struct {
        int permille;
        int64_t exact;
    } rows[] = {{500, 50}, {950, 95}, {990, 99}, {1000, 100}, {10, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t told = wait_percentile(s.waits, rows[i].permille);
        assert_int_equal(told, wait_bucket_top_ms(wait_bucket(rows[i].exact)));
        assert_in_range(told, rows[i].exact, rows[i].exact + rows[i].exact / 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_counter_has_a_name_of_its_own),
        cmocka_unit_test(what_is_counted_is_kept_and_told_once),
        cmocka_unit_test(buckets_strictly_grow_and_leave_no_gap),
        cmocka_unit_test(waits_outside_of_all_buckets_count_at_the_ends),
        cmocka_unit_test(percentiles_are_tops_of_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
