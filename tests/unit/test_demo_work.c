/* How much the agents of the demo do, and how they retry. */
#include "api/demo/demo_agent.h"
#include "api/demo/demo_work.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t total(const struct demo_work *w)
{
    int64_t sum = 0;
    for (int64_t turn = 1; turn <= w->turns; turn++)
        sum += demo_work_cost(w, turn);
    return sum * w->agents;
}

static void the_work_is_more_than_a_full_bucket_and_fits_the_time(void **state)
{
    (void)state;
    static const struct demo_work cases[] = {
        {.agents = 20, .seconds = 30, .rpm = 600, .tpm = 60000},
        {.agents = 40, .seconds = 60, .rpm = 600, .tpm = 90000},
        {.agents = 4, .seconds = 5, .rpm = 100, .tpm = 6000},
        {.agents = 100, .seconds = 120, .rpm = 300, .tpm = 100000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct demo_work w = cases[i];
        struct error e;
        assert_int_equal(demo_work_plan(&w, &e), 0);
        assert_in_range(w.turns, 1, DEMO_MAX_TURNS);
        assert_in_range(total(&w), w.tpm, w.tpm + w.tpm * w.seconds / 60);
        assert_true(w.agents * w.turns <= w.rpm + w.rpm * w.seconds / 60);
        assert_true(demo_work_cost(&w, w.turns) <= w.tpm);
    }
}

static void a_turn_costs_more_than_the_one_before_it(void **state)
{
    (void)state;
    const struct demo_work w = {.agents = 1, .turns = 3, .text_tokens = 10};
    assert_int_equal(demo_work_cost(&w, 1), 14 + DEMO_OUTPUT_TOKENS);
    assert_int_equal(demo_work_cost(&w, 2), 28 + 44 + DEMO_OUTPUT_TOKENS);
    assert_int_equal(demo_work_cost(&w, 3), 42 + 88 + DEMO_OUTPUT_TOKENS);
}

static void limits_that_are_too_small_are_told(void **state)
{
    (void)state;
    struct error e;
    struct demo_work no_requests = {.agents = 100, .seconds = 30, .rpm = 10, .tpm = 60000};
    struct demo_work no_tokens = {.agents = 100, .seconds = 30, .rpm = 600, .tpm = 100};
    assert_int_equal(demo_work_plan(&no_requests, &e), -EINVAL);
    assert_int_equal(demo_work_plan(&no_tokens, &e), -EINVAL);
}

static void agents_wait_as_the_official_sdks_do(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 1);
    assert_int_equal(demo_retry_ms(&rand, 0, "644", "1"), 644);
    assert_int_equal(demo_retry_ms(&rand, 0, NULL, "7"), 7000);
    for (int i = 0; i < 200; i++) {
        assert_in_range(demo_retry_ms(&rand, 0, NULL, "61"), 375, 500); /* above a minute */
        assert_in_range(demo_retry_ms(&rand, 1, NULL, NULL), 750, 1000);
        assert_in_range(demo_retry_ms(&rand, 9, NULL, NULL), 6000, 8000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_work_is_more_than_a_full_bucket_and_fits_the_time),
        cmocka_unit_test(a_turn_costs_more_than_the_one_before_it),
        cmocka_unit_test(limits_that_are_too_small_are_told),
        cmocka_unit_test(agents_wait_as_the_official_sdks_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
