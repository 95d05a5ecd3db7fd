#include "limiter/window.h"

#include "limiter/dim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define T0     INT64_C(1760000000000)
#define MINUTE 60000

static struct window log_of(size_t entries)
{
    struct window w;
    assert_int_equal(window_init(&w), 0);
    for (size_t i = 0; i < entries; i++)
        window_add(&w, T0 + (int64_t)i, 1, MINUTE);
    return w;
}

static void a_full_log_is_exact_and_one_more_entry_merges_it(void **state)
{
    (void)state;
    struct window w = log_of(WINDOW_MAX_ENTRIES);
    assert_int_equal(w.count, WINDOW_MAX_ENTRIES);
    assert_int_equal(window_at(&w, 0)->at_ms, T0);
    window_add(&w, T0 + WINDOW_MAX_ENTRIES, 1, MINUTE);
    assert_true(w.count < WINDOW_MAX_ENTRIES / 2);
    assert_int_equal(window_sum(&w), WINDOW_MAX_ENTRIES + 1);
    assert_null(window_check(&w));
    window_release(&w);
}

/* An entry that would leave earlier than one of its charges admits too much. */
static void a_merged_log_never_lets_go_earlier_than_an_exact_one(void **state)
{
    (void)state;
    struct window w = log_of(WINDOW_MAX_ENTRIES + 1);
    const int64_t quantum = (MINUTE + WINDOW_QUANTA - 1) / WINDOW_QUANTA;
    for (int64_t n = 1; n <= WINDOW_MAX_ENTRIES + 1; n++) {
        int64_t exact = T0 + n - 1, merged = window_reach(&w, n);
        assert_true(merged >= exact);
        assert_true(merged < exact + quantum);
    }
    assert_true(window_reach(&w, WINDOW_MAX_ENTRIES + 2) == WINDOW_NEVER);
    window_release(&w);
}

static void a_log_stays_bounded_however_much_is_charged(void **state)
{
    (void)state;
    struct window w = log_of(0);
    for (int64_t t = 0; t < 3 * MINUTE; t += 3) {
        (void)window_drop(&w, T0 + t - MINUTE);
        window_add(&w, T0 + t, 1, MINUTE);
        assert_true(w.count <= WINDOW_MAX_ENTRIES);
        assert_true(window_sum(&w) <= MINUTE / 3 + MINUTE / WINDOW_QUANTA);
    }
    assert_null(window_check(&w));
    window_release(&w);
}

static void a_charge_comes_back_from_its_own_entry_until_it_has_left(void **state)
{
    (void)state;
    struct window w = log_of(0);
    window_add(&w, T0, 10, MINUTE);
    window_add(&w, T0 + 5, 20, MINUTE);
    assert_int_equal(window_take_back(&w, T0 + 5, 15), 15);
    assert_int_equal(window_at(&w, 0)->tokens, 10);
    assert_int_equal(window_at(&w, 1)->tokens, 5);
    assert_int_equal(window_drop(&w, T0), 10);
    assert_int_equal(window_take_back(&w, T0, 10), 0);
    assert_int_equal(window_sum(&w), 5);
    window_release(&w);
}

static void a_clock_that_steps_back_adds_to_the_last_entry(void **state)
{
    (void)state;
    struct window w = log_of(0);
    window_add(&w, T0, 10, MINUTE);
    window_add(&w, T0 - 1000, 5, MINUTE);
    assert_int_equal(w.count, 1);
    assert_int_equal(window_at(&w, 0)->at_ms, T0);
    assert_int_equal(window_take_back(&w, T0 - 1000, 5), 5);
    window_release(&w);
}

/* ---- a dimension of it */

static struct dim dim_of(enum dim_rule rule, int64_t headroom)
{
    struct dim_limit l = {.name = "tpm",
                          .rate = 60,
                          .period = MINUTE,
                          .tick_ms = 1,
                          .capacity = 60,
                          .headroom = headroom,
                          .rule = rule,
                          .algorithm = DIM_WINDOW};
    struct dim d;
    assert_int_equal(dim_init(&d, &l, true, T0 - 1), 0);
    return d;
}

static void headroom_is_time_that_an_entry_stays_longer(void **state)
{
    (void)state;
    struct dim d = dim_of(DIM_REFUND, 60 * 1000);
    dim_take(&d, 60, T0);
    assert_int_equal(dim_wait_ms(&d, 1, T0), MINUTE + 1000);
    dim_refill(&d, T0 + MINUTE + 999);
    assert_int_equal(d.level, 0);
    dim_refill(&d, T0 + MINUTE + 1000);
    assert_int_equal(d.level, 60 * MINUTE);
    dim_release(&d);
}

static void what_was_used_beyond_the_cost_leaves_a_period_after_the_settlement(void **state)
{
    (void)state;
    struct dim d = dim_of(DIM_KEEP, 0);
    struct dim_charge charge = {.cost = 60, .at_ms = T0};
    dim_take(&d, 60, T0);
    dim_settle(&d, &charge, 70, false, T0 + 500);
    assert_int_equal(d.level, -10 * MINUTE); /* debt */
    dim_refill(&d, T0 + MINUTE);
    assert_int_equal(d.level, 50 * MINUTE);
    dim_refill(&d, T0 + MINUTE + 500);
    assert_int_equal(d.level, 60 * MINUTE);
    dim_release(&d);
}

static void accrued_output_counts_from_the_settlement_on(void **state)
{
    (void)state;
    struct dim d = dim_of(DIM_ACCRUE, 0);
    struct dim_charge charge = {.cost = 40, .at_ms = T0};
    dim_take(&d, 40, T0);
    dim_settle(&d, &charge, 30, false, T0 + 500);
    assert_int_equal(d.level, 30 * MINUTE);
    dim_refill(&d, T0 + MINUTE + 499);
    assert_int_equal(d.level, 30 * MINUTE);
    dim_refill(&d, T0 + MINUTE + 500);
    assert_int_equal(d.level, 60 * MINUTE);
    dim_release(&d);
}

static void a_change_of_algorithm_keeps_what_was_charged(void **state)
{
    (void)state;
    struct dim d = dim_of(DIM_REFUND, 0);
    struct dim_limit bucket = d.limit, window = d.limit;
    bucket.algorithm = DIM_BUCKET;
    dim_take(&d, 45, T0);
    assert_int_equal(dim_relimit(&d, &bucket, T0 + 1), 0);
    assert_int_equal(d.level, 15 * MINUTE);
    assert_int_equal(dim_relimit(&d, &window, T0 + 2), 0);
    assert_int_equal(d.level, 15 * MINUTE);
    assert_int_equal(dim_wait_ms(&d, 16, T0 + 2), MINUTE);
    window.capacity = 20;
    assert_int_equal(dim_relimit(&d, &window, T0 + 3), 0);
    assert_int_equal(d.level, -25 * MINUTE);
    dim_release(&d);
}

static void a_window_that_starts_empty_grants_nothing_for_a_period(void **state)
{
    (void)state;
    struct dim d = dim_of(DIM_REFUND, 0);
    struct dim_limit l = d.limit;
    dim_release(&d);
    assert_int_equal(dim_init(&d, &l, false, T0), 0);
    assert_int_equal(dim_wait_ms(&d, 1, T0), MINUTE);
    dim_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_log_is_exact_and_one_more_entry_merges_it),
        cmocka_unit_test(a_merged_log_never_lets_go_earlier_than_an_exact_one),
        cmocka_unit_test(a_log_stays_bounded_however_much_is_charged),
        cmocka_unit_test(a_charge_comes_back_from_its_own_entry_until_it_has_left),
        cmocka_unit_test(a_clock_that_steps_back_adds_to_the_last_entry),
        cmocka_unit_test(headroom_is_time_that_an_entry_stays_longer),
        cmocka_unit_test(what_was_used_beyond_the_cost_leaves_a_period_after_the_settlement),
        cmocka_unit_test(accrued_output_counts_from_the_settlement_on),
        cmocka_unit_test(a_change_of_algorithm_keeps_what_was_charged),
        cmocka_unit_test(a_window_that_starts_empty_grants_nothing_for_a_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
