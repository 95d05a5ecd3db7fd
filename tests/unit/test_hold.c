#include "limiter/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MINUTE 60000
#define T0     INT64_C(1760000000000)

static struct dim empty(int64_t rate, int64_t capacity)
{
    struct dim_limit limit = {
        .name = "tpm", .rate = rate, .period = MINUTE, .tick_ms = 1, .capacity = capacity};
    struct dim d;
    assert_int_equal(dim_init(&d, &limit, false, T0), 0);
    return d;
}

static void the_allowance_is_a_share_of_the_refill_of_one_period_at_most(void **state)
{
    (void)state;
    struct dim d = empty(60, 60);
    assert_int_equal(hold_allowance(&d, 250, 0), 0);
    assert_int_equal(hold_allowance(&d, 250, 1), 15);
    assert_int_equal(hold_allowance(&d, 3, 1), 0); /* 0.18 units */
    assert_int_equal(hold_allowance(&d, 3, 6), 1);
    assert_int_equal(hold_allowance(&d, 250, MINUTE), 15 * MINUTE);
    assert_int_equal(hold_allowance(&d, 250, MINUTE + 1), 15 * MINUTE);
}

static void ticks_are_the_least_after_which_the_allowance_is_enough(void **state)
{
    (void)state;
    static const int64_t rates[] = {1, 3, 60, 997, 1000003, DIM_MAX_UNITS / MINUTE};
    static const int64_t shares[] = {1, 3, 250, 999, 1000};
    for (size_t r = 0; r < 6; r++) {
        struct dim d = empty(rates[r], rates[r]);
        for (size_t s = 0; s < 5; s++) {
            int64_t most = hold_allowance(&d, shares[s], MINUTE);
            const int64_t units[] = {1, 2, most / 3 + 1, most};
            for (size_t u = 0; u < 4 && most > 2; u++) {
                int64_t n = hold_ticks(&d, shares[s], units[u]);
                assert_true(hold_allowance(&d, shares[s], n) >= units[u]);
                assert_true(hold_allowance(&d, shares[s], n - 1) < units[u]);
            }
            assert_true(hold_ticks(&d, shares[s], most + 1) == DIM_NEVER);
        }
        assert_true(hold_ticks(&d, 0, 1) == DIM_NEVER);
    }
}

/* Head needs 50 of 60 and waits; R = 60 a minute: one token a second, a quarter of it to pass. */
static void a_cost_passes_when_its_share_has_come_in(void **state)
{
    (void)state;
    struct dim d = empty(60, 60);
    struct hold h = {.ticket = &d, .since_ms = T0, .permille = 250};
    assert_int_equal(hold_wait_ms(&h, &d, 0, 50, 1, T0), 4000);
    dim_refill(&d, T0 + 3999);
    assert_int_equal(hold_wait_ms(&h, &d, 0, 50, 1, T0 + 3999), 1);
    dim_refill(&d, T0 + 4000);
    assert_int_equal(hold_wait_ms(&h, &d, 0, 50, 1, T0 + 4000), 0);

    hold_pass(&h, &d, 0, 50, 1);
    dim_take(&d, 1, T0 + 4000);
    assert_int_equal(h.used[0], MINUTE);
    assert_int_equal(hold_wait_ms(&h, &d, 0, 50, 1, T0 + 4000), 4000); /* the next at 8 s */
}

static void what_the_head_does_not_need_is_free(void **state)
{
    (void)state;
    struct dim d = empty(60, 60);
    struct hold h = {.ticket = &d, .since_ms = T0, .permille = 0};
    d.level = 12 * MINUTE;
    assert_int_equal(hold_wait_ms(&h, &d, 0, 10, 2, T0), 0);
    assert_int_equal(hold_wait_ms(&h, &d, 0, 0, 12, T0), 0); /* the head costs nothing here */
    assert_int_equal(hold_wait_ms(&h, &d, 0, 10, 3, T0), 1000);
    hold_pass(&h, &d, 0, 10, 2);
    assert_int_equal(h.used[0], 0); /* not out of the allowance */
    assert_true(hold_wait_ms(&h, &d, 0, 10, 51, T0) == DIM_NEVER);
    assert_int_equal(hold_wait_ms(&h, &d, 0, 10, 0, T0), 0);
}

static void the_sooner_of_the_two_ways_counts(void **state)
{
    (void)state;
    struct dim d = empty(60, 60);
    struct hold h = {.ticket = &d, .since_ms = T0, .permille = 250};
    d.level = 10 * MINUTE;
    /* 10 + 1 tokens are there after 1 s; the share of 1 token after 4 s */
    assert_int_equal(hold_wait_ms(&h, &d, 0, 10, 1, T0), 1000);
    /* 40 + 1 after 31 s */
    assert_int_equal(hold_wait_ms(&h, &d, 0, 40, 1, T0), 4000);
    d.paused_ms = T0 + 9000;
    assert_int_equal(hold_wait_ms(&h, &d, 0, 40, 1, T0), 9000);
}

static void a_clock_behind_the_hold_gives_no_share(void **state)
{
    (void)state;
    struct dim d = empty(60, 60);
    struct hold h = {.ticket = &d, .since_ms = T0, .permille = 250};
    d.level = 10 * MINUTE;
    assert_int_equal(hold_wait_ms(&h, &d, 0, 50, 1, T0 - 2000), 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_allowance_is_a_share_of_the_refill_of_one_period_at_most),
        cmocka_unit_test(ticks_are_the_least_after_which_the_allowance_is_enough),
        cmocka_unit_test(a_cost_passes_when_its_share_has_come_in),
        cmocka_unit_test(what_the_head_does_not_need_is_free),
        cmocka_unit_test(the_sooner_of_the_two_ways_counts),
        cmocka_unit_test(a_clock_behind_the_hold_gives_no_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
