#include "scheduler/pool_details.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_number_has_a_field_that_leads_back_to_it(void **state)
{
    char room[DETAIL_FIELD_BYTES];
    (void)state;
    for (size_t i = 0; i < DETAILS; i++)
        assert_int_equal(detail_number(detail_field(i, room)), i);
    assert_int_equal(detail_number("d:99999"), DETAILS);
    assert_int_equal(detail_number("delayed"), DETAILS);
    assert_int_equal(detail_number("w:1"), DETAILS);
}

static void no_two_parts_of_a_row_overlap(void **state)
{
    char seen[DETAILS] = {0};
    (void)state;
    for (size_t t = 0; t < TIME_MAX; t++)
        for (size_t i = 0; i <= STEP_BUCKETS; i++)
            seen[detail_time_at(t, i)]++;
    for (size_t i = 0; i < ERROR_NUMBERS; i++)
        seen[DETAILS_ERRORS + i]++;
    for (int d = 0; d < DECISION_MAX; d++)
        for (int l = 0; l < BOUND_MAX; l++)
            seen[detail_bound_at((enum detail_decision)d, (enum detail_limit)l)]++;
    for (size_t i = 0; i < DETAILS; i++)
        assert_int_equal(seen[i], 1);
}

static void a_ratio_is_in_the_bucket_of_its_percent(void **state)
{
    static const struct {
        int64_t reserved, used;
        size_t bucket;
        int64_t percent;
    } rows[] = {{50, 100, 0, 50},
                {51, 100, 1, 51},
                {100, 100, 3, 100},
                {101, 100, 4, 101},
                {1000, 100, 10, 1000},
                {1001, 100, 11, 1001},
                {INT64_MAX / 100, 1, 11, 1000000},
                {0, 5, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pool_details p = {.number = {0}};
        pool_details_error(&p, rows[i].reserved, rows[i].used);
        assert_int_equal(p.number[DETAILS_ERRORS + rows[i].bucket], 1);
        assert_int_equal(p.unsent[DETAILS_ERRORS + ERROR_BOUNDS + 1], rows[i].percent);
    }
    struct pool_details none = {.number = {0}};
    pool_details_error(&none, 5, 0);
    pool_details_error(&none, 5, -1);
    for (size_t i = 0; i < DETAILS; i++)
        assert_int_equal(none.number[i], 0);
}

static void a_binding_is_one_of_few_limits(void **state)
{
    (void)state;
    assert_int_equal(detail_limit_of(""), BOUND_none);
    assert_int_equal(detail_limit_of("tpm"), BOUND_tpm);
    assert_int_equal(detail_limit_of("max_parallel_requests"), BOUND_max_parallel_requests);
    assert_int_equal(detail_limit_of("tenant:tpm"), BOUND_tenant);
    assert_int_equal(detail_limit_of("whatever comes"), BOUND_other);
    assert_string_equal(detail_limit_name(BOUND_itpm), "itpm");
    assert_string_equal(detail_decision_name(DECISION_shrunk), "shrunk");
}

static void a_time_is_counted_and_summed(void **state)
{
    struct pool_details p = {.number = {0}};
    (void)state;
    pool_details_time(&p, TIME_FIRST_TOKEN, 100);
    pool_details_time(&p, TIME_FIRST_TOKEN, -5);
    assert_int_equal(p.number[detail_time_at(TIME_FIRST_TOKEN, step_bucket(100))], 1);
    assert_int_equal(p.number[detail_time_at(TIME_FIRST_TOKEN, 0)], 1);
    assert_int_equal(p.number[detail_time_at(TIME_FIRST_TOKEN, STEP_BUCKETS)], 100);
    assert_int_equal(p.number[detail_time_at(TIME_UPSTREAM, STEP_BUCKETS)], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_has_a_field_that_leads_back_to_it),
        cmocka_unit_test(no_two_parts_of_a_row_overlap),
        cmocka_unit_test(a_ratio_is_in_the_bucket_of_its_percent),
        cmocka_unit_test(a_binding_is_one_of_few_limits),
        cmocka_unit_test(a_time_is_counted_and_summed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
