#include "limiter/profile.h"

#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct profile_queue queue = {.bypass_permille = 250,
                                           .max_depth = 100,
                                           .lease_ms = 15000,
                                           .max_losses = 5,
                                           .headroom_ms = 1000};

static struct pool_limits limits_of(const char *profile, const struct profile_rates *rates)
{
    struct pool_limits l;
    struct error e = {.text = ""};
    profile_limits(profile_find(profile), rates, &queue, &l);
    if (pool_limits_check(&l, &e) < 0)
        fail_msg("%s", e.text);
    return l;
}

static size_t at(const struct pool_limits *l, const char *name)
{
    for (size_t i = 0; i < l->dim_count; i++) {
        if (strcmp(l->dims[i].name, name) == 0)
            return i;
    }
    fail_msg("no dimension %s", name);
    return 0;
}

static const struct profile_rates all = {
    .rpm = 10, .tpm = 1000, .itpm = 800, .otpm = 400, .rpd = 100, .tpd = 50000, .max_parallel = 3};

static void only_profiles_that_exist_are_found(void **state)
{
    (void)state;
    assert_non_null(profile_find("openai"));
    assert_non_null(profile_find("anthropic"));
    assert_non_null(profile_find("generic"));
    assert_null(profile_find(""));
    assert_null(profile_find("openai2"));
}

static void a_dimension_stands_for_each_rate_that_is_set(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("generic", &all);
    assert_int_equal(l.dim_count, 6);
    assert_int_equal(l.max_parallel, 3);
    assert_int_equal(l.bypass_permille, 250);
    assert_int_equal(l.max_depth, 100);
    assert_int_equal(l.lease_ms, 15000);
    assert_int_equal(l.max_losses, 5);
    struct pool_limits none = limits_of("generic", &(struct profile_rates){.max_parallel = -1});
    assert_int_equal(none.dim_count, 0);
    assert_int_equal(none.max_parallel, 0);
}

static void minutes_tick_in_milliseconds_and_days_in_seconds(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("generic", &all);
    const struct dim_limit *tpm = &l.dims[at(&l, "tpm")], *tpd = &l.dims[at(&l, "tpd")];
    assert_int_equal(tpm->rate, 1000);
    assert_int_equal(tpm->capacity, 1000);
    assert_int_equal(tpm->period, 60000);
    assert_int_equal(tpm->tick_ms, 1);
    assert_int_equal(tpd->period, 86400);
    assert_int_equal(tpd->tick_ms, 1000);
}

static void headroom_is_a_second_of_refill_and_a_twentieth_at_most(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("generic", &all);
    assert_int_equal(l.dims[at(&l, "tpm")].headroom, 1000 * 1000); /* 1000 units a ms, 1000 ms */
    assert_int_equal(l.dims[at(&l, "tpd")].headroom, 50000);
    struct profile_queue much = queue;
    much.headroom_ms = 60000;
    profile_limits(profile_find("generic"), &all, &much, &l);
    assert_int_equal(l.dims[at(&l, "tpm")].headroom, 1000 * 60000 / 20);
}

static void the_largest_limits_of_a_configuration_pass_the_check(void **state)
{
    (void)state;
    const int64_t most = CONFIG_MAX_LIMIT;
    const struct profile_rates rates = {most, most, most, most, most, most, 1, DIM_BUCKET};
    (void)limits_of("openai", &rates);
    (void)limits_of("anthropic", &rates);
}

static void openai_charges_input_and_the_most_output(void **state)
{
    (void)state;
    int64_t cost[POOL_MAX_DIMS], fair;
    struct pool_limits l = limits_of("openai", &all);
    const struct profile_estimate e = {.input = 50, .output = 20, .max_output = 300};
    profile_reserve(profile_find("openai"), &l, &e, cost, &fair);
    assert_int_equal(cost[at(&l, "rpm")], 1);
    assert_int_equal(cost[at(&l, "rpd")], 1);
    assert_int_equal(cost[at(&l, "tpm")], 350);
    assert_int_equal(cost[at(&l, "tpd")], 350);
    assert_int_equal(cost[at(&l, "itpm")], 50);
    assert_int_equal(cost[at(&l, "otpm")], 20);
    assert_int_equal(fair, 350);
}

static void others_charge_input_and_the_output_foreseen(void **state)
{
    (void)state;
    int64_t cost[POOL_MAX_DIMS], fair;
    struct pool_limits l = limits_of("anthropic", &all);
    const struct profile_estimate e = {.input = 50, .output = 20, .max_output = 300};
    profile_reserve(profile_find("anthropic"), &l, &e, cost, &fair);
    assert_int_equal(cost[at(&l, "tpm")], 70);
    assert_int_equal(fair, 70);
}

static void foreseen_output_alone_never_makes_a_request_too_large(void **state)
{
    (void)state;
    int64_t cost[POOL_MAX_DIMS], fair;
    struct pool_limits l = limits_of("generic", &all);
    struct profile_estimate e = {.input = 600, .output = 5000, .max_output = 9000};
    profile_reserve(profile_find("generic"), &l, &e, cost, &fair);
    assert_int_equal(cost[at(&l, "tpm")], 1000);
    assert_int_equal(cost[at(&l, "otpm")], 400);
    e.input = 1001; /* input does */
    profile_reserve(profile_find("generic"), &l, &e, cost, &fair);
    assert_int_equal(cost[at(&l, "tpm")], 1001);
}

static void the_fair_cost_stays_inside_its_bounds(void **state)
{
    (void)state;
    int64_t cost[POOL_MAX_DIMS], actual[POOL_MAX_DIMS], fair;
    struct pool_limits l = limits_of("openai", &(struct profile_rates){.rpm = 10});
    struct profile_estimate e = {.input = 0};
    profile_reserve(profile_find("openai"), &l, &e, cost, &fair);
    assert_int_equal(fair, 1);
    e.max_output = FAIR_MAX_TOKENS;
    profile_reserve(profile_find("openai"), &l, &e, cost, &fair);
    assert_int_equal(fair, FAIR_MAX_TOKENS);
    e.max_output = WIRE_MAX_TOKENS * INT64_C(128) * 1000000; /* a million prompts, n = 128 */
    profile_reserve(profile_find("openai"), &l, &e, cost, &fair);
    assert_int_equal(fair, FAIR_MAX_TOKENS);
    const struct profile_usage used = {.input = 1, .output = 1};
    assert_int_equal(profile_actual(profile_find("openai"), &l, &e, &used, actual),
                     FAIR_MAX_TOKENS);
}

static void unknown_usage_corrects_nothing_but_requests(void **state)
{
    (void)state;
    int64_t actual[POOL_MAX_DIMS];
    struct pool_limits l = limits_of("generic", &all);
    const struct profile_estimate e = {.input = 50, .output = 20, .max_output = 300};
    assert_int_equal(profile_actual(profile_find("generic"), &l, &e, NULL, actual), -1);
    assert_int_equal(actual[at(&l, "rpm")], 1);
    assert_int_equal(actual[at(&l, "tpm")], -1);
    assert_int_equal(actual[at(&l, "itpm")], -1);
    assert_int_equal(actual[at(&l, "otpm")], -1);
}

static void what_a_cache_gave_is_not_charged_as_input(void **state)
{
    (void)state;
    int64_t actual[POOL_MAX_DIMS];
    struct pool_limits l = limits_of("anthropic", &all);
    const struct profile_estimate e = {.input = 50, .output = 20, .max_output = 300};
    struct profile_usage u = {.input = 90, .cache_read = 60, .output = 7};
    assert_int_equal(profile_actual(profile_find("anthropic"), &l, &e, &u, actual), 97);
    assert_int_equal(actual[at(&l, "itpm")], 30);
    assert_int_equal(actual[at(&l, "otpm")], 7);
    assert_int_equal(actual[at(&l, "tpm")], 97);
    u.cache_read = 91; /* no provider's bug makes it negative */
    (void)profile_actual(profile_find("anthropic"), &l, &e, &u, actual);
    assert_int_equal(actual[at(&l, "itpm")], 0);
}

static void openai_keeps_the_output_that_was_reserved(void **state)
{
    (void)state;
    int64_t actual[POOL_MAX_DIMS];
    struct pool_limits l = limits_of("openai", &all);
    const struct profile_estimate e = {.input = 50, .output = 20, .max_output = 300};
    struct profile_usage u = {.input = 40, .output = 7, .input_bytes = 100};
    assert_int_equal(profile_actual(profile_find("openai"), &l, &e, &u, actual), 340);
    assert_int_equal(actual[at(&l, "tpm")], 340);
    u.input_bytes = 201; /* a quarter of the characters, rounded up, is the least */
    (void)profile_actual(profile_find("openai"), &l, &e, &u, actual);
    assert_int_equal(actual[at(&l, "tpm")], 351);
    u.output = 500;
    (void)profile_actual(profile_find("openai"), &l, &e, &u, actual);
    assert_int_equal(actual[at(&l, "tpm")], 551);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_profiles_that_exist_are_found),
        cmocka_unit_test(a_dimension_stands_for_each_rate_that_is_set),
        cmocka_unit_test(minutes_tick_in_milliseconds_and_days_in_seconds),
        cmocka_unit_test(headroom_is_a_second_of_refill_and_a_twentieth_at_most),
        cmocka_unit_test(the_largest_limits_of_a_configuration_pass_the_check),
        cmocka_unit_test(openai_charges_input_and_the_most_output),
        cmocka_unit_test(others_charge_input_and_the_output_foreseen),
        cmocka_unit_test(foreseen_output_alone_never_makes_a_request_too_large),
        cmocka_unit_test(the_fair_cost_stays_inside_its_bounds),
        cmocka_unit_test(unknown_usage_corrects_nothing_but_requests),
        cmocka_unit_test(what_a_cache_gave_is_not_charged_as_input),
        cmocka_unit_test(openai_keeps_the_output_that_was_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
