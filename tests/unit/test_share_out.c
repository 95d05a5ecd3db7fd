#include "scheduler/batch/share_out.h"

#include "common/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void shares_add_up_to_the_whole(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : rand_system_seed();
    struct rand rand;
    rand_seed(&rand, seed);
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    for (int round = 0; round < 500; round++) {
        int64_t weights[40], shares[40], sum = 0;
        size_t n = 1 + rand_next(&rand) % 40;
        int64_t total = (int64_t)(rand_next(&rand) % 100000);
        for (size_t i = 0; i < n; i++)
            weights[i] = (int64_t)(rand_next(&rand) % 1000);
        assert_int_equal(share_out(total, weights, n, shares), 0);
        for (size_t i = 0; i < n; i++) {
            assert_true(shares[i] >= 0);
            sum += shares[i];
        }
        assert_int_equal(sum, total);
    }
}

static void the_largest_remainders_have_what_is_left(void **state)
{
    (void)state;
    int64_t weights[] = {3, 3, 1}, shares[3];
    assert_int_equal(share_out(10, weights, 3, shares), 0);
    assert_int_equal(shares[0], 4); /* 4.29 */
    assert_int_equal(shares[1], 4); /* 4.29 */
    assert_int_equal(shares[2], 2); /* 1.43: the largest remainder */
    assert_int_equal(share_out(2, (int64_t[]){1, 1, 1}, 3, shares), 0);
    assert_int_equal(shares[0], 1);
    assert_int_equal(shares[1], 1);
    assert_int_equal(shares[2], 0);
}

static void figures_out_of_range_are_bounded(void **state)
{
    (void)state;
    int64_t shares[2];
    assert_int_equal(share_out(-5, (int64_t[]){1, 1}, 2, shares), 0);
    assert_int_equal(shares[0] + shares[1], 0);
    assert_int_equal(share_out(7, (int64_t[]){-3, 0}, 2, shares), 0);
    assert_int_equal(shares[0], 4);
    assert_int_equal(share_out(SHARE_OUT_MAX, (int64_t[]){INT64_MAX, 1}, 2, shares), 0);
    assert_int_equal(shares[0] + shares[1], SHARE_OUT_MAX);
    assert_int_equal(share_out(SHARE_OUT_MAX + 1, (int64_t[]){1}, 1, shares), 0);
    assert_int_equal(shares[0], SHARE_OUT_MAX);
    assert_int_equal(share_out(5, NULL, 0, shares), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_add_up_to_the_whole),
        cmocka_unit_test(the_largest_remainders_have_what_is_left),
        cmocka_unit_test(figures_out_of_range_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
