#include "scheduler/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void names_past_the_maximum_are_one(void **state)
{
    struct tally t;
    char name[16];
    (void)state;
    tally_init(&t, 1);
    for (int i = 0; i < STATS_MAX_TENANTS + 2; i++) {
        (void)snprintf(name, sizeof(name), "t%d", i);
        struct tally_row *row = tally_of(&t, TALLY_TENANT, name);
        assert_non_null(row);
        assert_string_equal(row->name, i < STATS_MAX_TENANTS ? name : TALLY_OTHER);
        tally_add(row, TALLY_requests, 1);
    }
    assert_int_equal(tally_of(&t, TALLY_TENANT, "other")->number[TALLY_requests], 2);
    assert_string_equal(tally_of(&t, TALLY_TENANT, "t0")->name, "t0");
    assert_int_equal(t.rows[TALLY_TENANT].count, STATS_MAX_TENANTS + 1);
    for (int i = 0; i < STATS_MAX_MODELS + 1; i++) {
        (void)snprintf(name, sizeof(name), "m%d", i);
        assert_non_null(tally_of(&t, TALLY_MODEL, name));
    }
    assert_int_equal(t.rows[TALLY_MODEL].count, STATS_MAX_MODELS + 1);
    tally_release(&t);
}

static void every_number_has_a_field_that_leads_back_to_it(void **state)
{
    char room[TALLY_FIELD_BYTES];
    (void)state;
    for (size_t i = 0; i < TALLY_NUMBERS; i++)
        assert_int_equal(tally_number(tally_field(i, room)), i);
    assert_int_equal(tally_number("nothing"), TALLY_NUMBERS);
    assert_int_equal(tally_number("w:24"), TALLY_NUMBERS);
    assert_int_equal(tally_number("x:1"), TALLY_NUMBERS);
    assert_int_equal(tally_number(""), TALLY_NUMBERS);
}

static void without_a_tally_nothing_is_counted(void **state)
{
    (void)state;
    assert_null(tally_of(NULL, TALLY_MODEL, "m"));
    tally_add(NULL, TALLY_requests, 1);
    tally_wait(NULL, 1);
    tally_upstream(NULL, 1);
}

static void a_step_holds_a_power_of_two(void **state)
{
    int64_t steps[STEP_BUCKETS] = {0};
    (void)state;
    assert_int_equal(step_percentile(steps, 500), 0);
    for (size_t i = 0; i < STEP_BUCKETS; i++) {
        assert_int_equal(step_top_ms(i), (INT64_C(4) << i) - 1);
        assert_int_equal(step_bucket(step_top_ms(i)), i);
        if (i + 1 < STEP_BUCKETS)
            assert_int_equal(step_bucket(step_top_ms(i) + 1), i + 1);
    }
    steps[step_bucket(100)] = 99;
    steps[step_bucket(5000)] = 1;
    assert_in_range(step_percentile(steps, 500), 64, 127);
    assert_in_range(step_percentile(steps, 990), 64, 127);
    assert_in_range(step_percentile(steps, 1000), 4096, 8191);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_past_the_maximum_are_one),
        cmocka_unit_test(every_number_has_a_field_that_leads_back_to_it),
        cmocka_unit_test(without_a_tally_nothing_is_counted),
        cmocka_unit_test(a_step_holds_a_power_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
