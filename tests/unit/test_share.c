#include "limiter/share.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MINUTE 60000
#define DAY    86400

static struct pool_limits whole(int64_t rate, bool daily)
{
    return (struct pool_limits){
        .dims = {{.name = "tpm",
                  .rate = rate,
                  .period = daily ? DAY : MINUTE,
                  .tick_ms = daily ? 1000 : 1,
                  .capacity = rate,
                  .headroom = rate}},
        .dim_count = 1,
        .max_depth = 100,
        .lease_ms = 1000,
    };
}

static struct share share_of(const struct pool_limits *l, int64_t instances)
{
    struct share s;
    assert_int_equal(share_init(&s, l, instances), 0);
    assert_int_equal(pool_limits_check(&s.limits, NULL), 0);
    return s;
}

/* Tokens that a share earns in so many ms. */
static int64_t earned(const struct share *s, int64_t ms)
{
    const struct dim_limit *d = &s->limits.dims[0];
    return ms / d->tick_ms * d->rate / d->period;
}

static void all_instances_together_earn_half_of_the_limit(void **state)
{
    static const int64_t instances[] = {1, 3, 4, 7, 360, 720, 721, 1000};
    static const int64_t rates[] = {1000, 6007, 30000, 90000000, INT64_C(10000000000)};
    (void)state;
    for (size_t i = 0; i < sizeof(instances) / sizeof(instances[0]); i++) {
        for (size_t k = 0; k < sizeof(rates) / sizeof(rates[0]); k++) {
            struct pool_limits l = whole(rates[k], false);
            struct share s = share_of(&l, instances[i]);
            int64_t hour = earned(&s, 3600000), half = rates[k] * 60 / (2 * instances[i]);
            assert_in_range(hour, half - half / 1000 - 1, half);
        }
    }
}

static void a_small_limit_keeps_its_exact_share(void **state)
{
    (void)state;
    struct pool_limits l = whole(10, false);
    struct share s = share_of(&l, 4); /* 1.25 a minute */
    assert_int_equal(earned(&s, 48000), 1);
    assert_int_equal(earned(&s, 47999), 0);
    assert_int_equal(earned(&s, 240000), 5);
    assert_int_equal(s.limits.dims[0].capacity, 1);
}

static void a_daily_limit_is_shared_too(void **state)
{
    (void)state;
    struct pool_limits l = whole(100000, true);
    struct share s = share_of(&l, 4);
    assert_int_equal(earned(&s, DAY * INT64_C(1000)), 12500);
    s = share_of(&l, 1000);
    assert_in_range(earned(&s, DAY * INT64_C(1000)), 49, 50);
}

static void a_burst_is_ten_seconds_of_the_share(void **state)
{
    (void)state;
    struct pool_limits l = whole(48000, false);
    struct share s = share_of(&l, 4); /* 6000 a minute */
    assert_int_equal(s.limits.dims[0].capacity, 1000);
    assert_int_equal(s.limits.dims[0].headroom, 0);
    assert_int_equal(s.most[0], 6000);
}

static void a_large_cost_raises_the_burst_up_to_one_period_of_the_share(void **state)
{
    (void)state;
    struct pool_limits l = whole(48000, false);
    struct share s = share_of(&l, 4);
    assert_int_equal(share_raise(&s, (int64_t[]){1000}), SHARE_FITS);
    assert_int_equal(share_raise(&s, (int64_t[]){1001}), SHARE_RAISED);
    assert_int_equal(s.limits.dims[0].capacity, 1001);
    assert_int_equal(share_raise(&s, (int64_t[]){6000}), SHARE_RAISED);
    assert_int_equal(share_raise(&s, (int64_t[]){6001}), SHARE_TOO_LARGE);
    assert_int_equal(s.limits.dims[0].capacity, 6000);
    assert_int_equal(share_raise(&s, (int64_t[]){1}), SHARE_FITS);
    assert_int_equal(s.limits.dims[0].capacity, 6000);
}

static void a_cost_too_large_in_one_dimension_raises_none(void **state)
{
    (void)state;
    struct pool_limits l = whole(48000, false);
    l.dims[1] = l.dims[0];
    l.dims[1].name[0] = 'r';
    l.dim_count = 2;
    struct share s = share_of(&l, 4);
    assert_int_equal(share_raise(&s, (int64_t[]){2000, 6001}), SHARE_TOO_LARGE);
    assert_int_equal(s.limits.dims[0].capacity, 1000);
}

static void bursts_of_all_instances_fit_the_whole_capacity(void **state)
{
    (void)state;
    for (int64_t instances = 1; instances <= SHARE_MAX_INSTANCES; instances++) {
        struct pool_limits l = whole(1000, false);
        struct share s = share_of(&l, instances);
        assert_true(s.most[0] * instances <= 1000);
        assert_in_range(s.limits.dims[0].capacity, 1, s.most[0]);
    }
}

static void a_limit_below_one_token_for_each_instance_cannot_be_shared(void **state)
{
    (void)state;
    struct share s;
    struct pool_limits l = whole(4, false);
    assert_int_equal(share_init(&s, &l, 4), 0);
    assert_int_equal(share_init(&s, &l, 5), -ERANGE);
}

static void slots_are_shared_with_one_at_least(void **state)
{
    (void)state;
    struct pool_limits l = whole(1000, false);
    struct share s = share_of(&l, 4);
    assert_int_equal(s.limits.max_parallel, 0); /* no limit stays none */
    l.max_parallel = 64;
    assert_int_equal(share_of(&l, 4).limits.max_parallel, 8);
    l.max_parallel = 7;
    assert_int_equal(share_of(&l, 4).limits.max_parallel, 1);
}

static void the_queue_of_a_share_is_bounded(void **state)
{
    (void)state;
    struct pool_limits l = whole(1000, false);
    assert_int_equal(share_of(&l, 4).limits.max_depth, 100);
    l.max_depth = SHARE_MAX_DEPTH + 1;
    assert_int_equal(share_of(&l, 4).limits.max_depth, SHARE_MAX_DEPTH);
}

static void a_window_stays_one_with_half_of_the_limit_for_all(void **state)
{
    (void)state;
    struct pool_limits l = whole(1000, false);
    l.dims[0].algorithm = DIM_WINDOW;
    struct share s = share_of(&l, 4);
    const struct dim_limit *d = &s.limits.dims[0];
    assert_int_equal(d->algorithm, DIM_WINDOW);
    assert_int_equal(d->capacity, 125);
    assert_int_equal(dim_window_ms(d), dim_window_ms(&l.dims[0]));
    int64_t cost[POOL_MAX_DIMS] = {126};
    assert_int_equal(share_raise(&s, cost), SHARE_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_stays_one_with_half_of_the_limit_for_all),
        cmocka_unit_test(all_instances_together_earn_half_of_the_limit),
        cmocka_unit_test(a_small_limit_keeps_its_exact_share),
        cmocka_unit_test(a_daily_limit_is_shared_too),
        cmocka_unit_test(a_burst_is_ten_seconds_of_the_share),
        cmocka_unit_test(a_large_cost_raises_the_burst_up_to_one_period_of_the_share),
        cmocka_unit_test(a_cost_too_large_in_one_dimension_raises_none),
        cmocka_unit_test(bursts_of_all_instances_fit_the_whole_capacity),
        cmocka_unit_test(a_limit_below_one_token_for_each_instance_cannot_be_shared),
        cmocka_unit_test(slots_are_shared_with_one_at_least),
        cmocka_unit_test(the_queue_of_a_share_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
