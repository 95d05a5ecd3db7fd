#include "limiter/dim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE 60000
#define DAY    86400
#define T0     INT64_C(1760000000000)

static struct dim_limit minute(int64_t rate, int64_t capacity)
{
    return (struct dim_limit){
        .name = "tpm", .rate = rate, .period = MINUTE, .tick_ms = 1, .capacity = capacity};
}

static struct dim full(struct dim_limit limit)
{
    struct dim d;
    assert_int_equal(dim_init(&d, &limit, true, T0), 0);
    return d;
}

static struct dim empty(struct dim_limit limit)
{
    struct dim d;
    assert_int_equal(dim_init(&d, &limit, false, T0), 0);
    return d;
}

static void settle(struct dim *d, int64_t cost, int64_t actual, bool always)
{
    struct dim_charge charge = {.cost = cost, .at_ms = T0};
    dim_settle(d, &charge, actual, always, T0);
}

static void refill_adds_the_rate_each_tick_without_rounding(void **state)
{
    (void)state;
    /* 997 a minute is 16.6 tokens a second: whole only in units */
    struct dim d = empty(minute(997, 997));
    for (int64_t ms = 1; ms <= MINUTE; ms++) {
        dim_refill(&d, T0 + ms);
        assert_int_equal(d.level, 997 * ms);
    }
    dim_refill(&d, T0 + MINUTE + 1);
    assert_int_equal(d.level, 997 * MINUTE); /* full: no further */
}

static void a_daily_tick_keeps_the_part_of_a_second(void **state)
{
    (void)state;
    struct dim_limit limit = {
        .name = "rpd", .rate = 10, .period = DAY, .tick_ms = 1000, .capacity = 10};
    struct dim d = empty(limit);
    dim_refill(&d, T0 + 999);
    assert_int_equal(d.level, 0);
    dim_refill(&d, T0 + 1999);
    assert_int_equal(d.level, 10);
    assert_int_equal(d.refilled_ms, T0 + 1000);
    dim_refill(&d, T0 + 2000);
    assert_int_equal(d.level, 20);
}

static void a_clock_that_steps_back_and_returns_earns_nothing(void **state)
{
    (void)state;
    struct dim d = empty(minute(600, 600));
    dim_refill(&d, T0 + 100);
    dim_refill(&d, T0 - 10000);
    assert_int_equal(d.level, 60000);
    dim_refill(&d, T0 + 100);
    assert_int_equal(d.level, 60000);
    dim_refill(&d, T0 + 101);
    assert_int_equal(d.level, 60600);
}

static void a_very_long_pause_fills_without_overflow(void **state)
{
    (void)state;
    struct dim d = empty(minute(DIM_MAX_UNITS / MINUTE, DIM_MAX_UNITS / MINUTE));
    dim_refill(&d, INT64_MAX / 2);
    assert_int_equal(d.level, DIM_MAX_UNITS / MINUTE * MINUTE);
}

static void need_is_the_cost_and_the_headroom_up_to_a_full_bucket(void **state)
{
    (void)state;
    struct dim_limit limit = minute(100, 100);
    limit.headroom = 5 * MINUTE;
    struct dim d = full(limit);
    static const struct {
        int64_t cost, need;
    } rows[] = {{0, 0}, {1, 6}, {94, 99}, {95, 100}, {96, 100}, {100, 100}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(dim_need(&d, rows[i].cost), rows[i].need * MINUTE);
}

/* The wait is exact: not one ms earlier, and then indeed. */
static void a_cost_fits_at_its_wait_and_not_before(void **state)
{
    (void)state;
    static const struct {
        int64_t rate, capacity, spent, cost, headroom, tick_ms;
    } rows[] = {
        {60, 60, 60, 1, 0, 1},    {997, 997, 997, 500, 0, 1},        {7, 1, 1, 1, 0, 1},
        {3, 100, 99, 50, 0, 1},   {1000003, 5000, 5000, 4000, 0, 1}, {60, 60, 30, 31, 1234, 1},
        {60, 60, 1, 60, 5000, 1}, {10, 10, 10, 3, 0, 1000},          {997, 500, 123, 400, 7, 1000},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dim_limit limit = minute(rows[i].rate, rows[i].capacity);
        limit.headroom = rows[i].headroom;
        limit.tick_ms = rows[i].tick_ms;
        struct dim d = full(limit);
        dim_take(&d, rows[i].spent, T0);

        int64_t now = T0 + 17;
        dim_refill(&d, now);
        int64_t wait = dim_wait_ms(&d, rows[i].cost, now);
        assert_true(wait > 0);
        dim_refill(&d, now + wait - 1);
        assert_true(dim_wait_ms(&d, rows[i].cost, now + wait - 1) == 1);
        dim_refill(&d, now + wait);
        assert_int_equal(dim_wait_ms(&d, rows[i].cost, now + wait), 0);
    }
}

static void nothing_is_cheaper_than_a_cost_of_nothing(void **state)
{
    (void)state;
    struct dim d = empty(minute(60, 60));
    d.paused_ms = T0 + 5000;
    d.level = -1000;
    assert_int_equal(dim_wait_ms(&d, 0, T0), 0);
}

static void a_pause_holds_back_until_its_last_ms(void **state)
{
    (void)state;
    struct dim d = full(minute(60, 60));
    d.paused_ms = T0 + 5000;
    assert_int_equal(dim_wait_ms(&d, 1, T0), 5000);
    assert_int_equal(dim_wait_ms(&d, 1, T0 + 4999), 1);
    assert_int_equal(dim_wait_ms(&d, 1, T0 + 5000), 0);

    dim_take(&d, 60, T0); /* a longer wait for tokens wins */
    assert_int_equal(dim_wait_ms(&d, 10, T0), 10000);
}

static void a_wait_counts_from_the_last_refill_while_the_clock_is_behind(void **state)
{
    (void)state;
    struct dim d = empty(minute(60, 60));
    dim_refill(&d, T0 - 500);
    assert_int_equal(dim_wait_ms(&d, 1, T0 - 500), 1500);
}

static void levels_above_the_capacity_are_never_reached(void **state)
{
    (void)state;
    struct dim d = empty(minute(60, 60));
    assert_int_equal(dim_reach_ms(&d, 60 * MINUTE, T0), 60000);
    assert_true(dim_reach_ms(&d, 60 * MINUTE + 1, T0) == DIM_NEVER);
}

static void a_surplus_comes_back_by_the_rule(void **state)
{
    (void)state;
    static const struct {
        enum dim_rule rule;
        bool unsent;
        int64_t back;
    } rows[] = {
        {DIM_REFUND, false, 30}, {DIM_ACCRUE, false, 30}, {DIM_KEEP, false, 0},
        {DIM_KEEP, true, 30},    {DIM_REFUND, true, 30},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dim_limit limit = minute(100, 100);
        limit.rule = rows[i].rule;
        struct dim d = full(limit);
        dim_take(&d, 50, T0);
        settle(&d, 50, 20, rows[i].unsent);
        assert_int_equal(d.level, (50 + rows[i].back) * MINUTE);
    }
}

static void a_surplus_fills_no_further_than_the_capacity(void **state)
{
    (void)state;
    struct dim d = full(minute(100, 100));
    dim_take(&d, 50, T0);
    dim_refill(&d, T0 + 6000); /* +10 */
    settle(&d, 50, 9, false);
    assert_int_equal(d.level, 100 * MINUTE);
    settle(&d, INT64_MAX, 0, false);
    assert_int_equal(d.level, 100 * MINUTE);
}

static void a_shortfall_is_a_debt_that_refill_pays(void **state)
{
    (void)state;
    struct dim_limit limit = minute(60, 60);
    limit.rule = DIM_KEEP; /* whatever the rule */
    struct dim d = full(limit);
    dim_take(&d, 60, T0);
    settle(&d, 60, 70, false);
    assert_int_equal(d.level, -10 * MINUTE);
    assert_int_equal(dim_wait_ms(&d, 1, T0), 11000);
}

static void a_debt_stops_at_its_limit(void **state)
{
    (void)state;
    struct dim d = full(minute(60, 60));
    int64_t most = (60 * MINUTE + DIM_MAX_UNITS) / MINUTE;
    settle(&d, 0, most, false);
    assert_true(d.level >= -DIM_MAX_UNITS && d.level < -DIM_MAX_UNITS + MINUTE);
    settle(&d, 0, 1, false);
    assert_true(d.level == -DIM_MAX_UNITS);
    settle(&d, 0, INT64_MAX, false);
    assert_true(d.level == -DIM_MAX_UNITS);
    assert_true(dim_wait_ms(&d, 1, T0) > 0);
}

static void a_new_limit_keeps_the_level_and_never_adds(void **state)
{
    (void)state;
    struct dim d = full(minute(60, 60));
    dim_take(&d, 20, T0);
    struct dim_limit larger = minute(600, 600), smaller = minute(6, 6);
    assert_int_equal(dim_relimit(&d, &larger, T0 + 5000), 0); /* 5 earned at the old rate */
    assert_int_equal(d.level, 45 * MINUTE);
    assert_int_equal(dim_relimit(&d, &smaller, T0 + 5000), 0);
    assert_int_equal(d.level, 6 * MINUTE);
    assert_int_equal(dim_relimit(&d, &larger, T0 + 5000), 0);
    assert_int_equal(d.level, 6 * MINUTE);

    struct dim_limit other_unit = larger;
    other_unit.period = 1000;
    assert_int_equal(dim_relimit(&d, &other_unit, T0 + 5000), 0);
    assert_int_equal(d.level, 0);
}

static void assert_refused(struct dim_limit limit, const char *why)
{
    struct error e = {""};
    assert_int_equal(dim_limit_check(&limit, &e), -EINVAL);
    if (!strstr(e.text, why))
        fail_msg("\"%s\" does not say \"%s\"", e.text, why);
}

static void limits_are_checked_at_each_edge(void **state)
{
    (void)state;
    const struct dim_limit good = minute(60, 60);
    assert_int_equal(dim_limit_check(&good, NULL), 0);

    struct dim_limit l = good;
    l.capacity = l.rate = DIM_MAX_UNITS / MINUTE;
    l.headroom = l.capacity * MINUTE - 1;
    assert_int_equal(dim_limit_check(&l, NULL), 0);
    l.headroom++;
    assert_refused(l, "headroom");
    l = good;
    l.capacity = DIM_MAX_UNITS / MINUTE + 1;
    assert_refused(l, "capacity");
    l = good;
    l.rate = DIM_MAX_UNITS / MINUTE + 1;
    assert_refused(l, "rate");
    l.rate = 0;
    assert_refused(l, "rate");
    l = good;
    l.period = DIM_MAX_TICKS;
    assert_int_equal(dim_limit_check(&l, NULL), 0);
    l.period++;
    assert_refused(l, "period");
    l = good;
    l.tick_ms = DIM_MAX_TICK;
    assert_int_equal(dim_limit_check(&l, NULL), 0);
    l.tick_ms++;
    assert_refused(l, "tick");
    l = good;
    memcpy(l.name, "12345678", sizeof(l.name)); /* no room for the NUL */
    assert_refused(l, "name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refill_adds_the_rate_each_tick_without_rounding),
        cmocka_unit_test(a_daily_tick_keeps_the_part_of_a_second),
        cmocka_unit_test(a_clock_that_steps_back_and_returns_earns_nothing),
        cmocka_unit_test(a_very_long_pause_fills_without_overflow),
        cmocka_unit_test(need_is_the_cost_and_the_headroom_up_to_a_full_bucket),
        cmocka_unit_test(a_cost_fits_at_its_wait_and_not_before),
        cmocka_unit_test(nothing_is_cheaper_than_a_cost_of_nothing),
        cmocka_unit_test(a_pause_holds_back_until_its_last_ms),
        cmocka_unit_test(a_wait_counts_from_the_last_refill_while_the_clock_is_behind),
        cmocka_unit_test(levels_above_the_capacity_are_never_reached),
        cmocka_unit_test(a_surplus_comes_back_by_the_rule),
        cmocka_unit_test(a_surplus_fills_no_further_than_the_capacity),
        cmocka_unit_test(a_shortfall_is_a_debt_that_refill_pays),
        cmocka_unit_test(a_debt_stops_at_its_limit),
        cmocka_unit_test(a_new_limit_keeps_the_level_and_never_adds),
        cmocka_unit_test(limits_are_checked_at_each_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
