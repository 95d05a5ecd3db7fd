#include "limiter/quantile.h"

#include "common/rand.h"

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed(void)
{
    const char *text = getenv("TEST_SEED");
    uint64_t value = text ? strtoull(text, NULL, 10) : rand_system_seed();
    print_message("TEST_SEED=%llu\n", (unsigned long long)value);
    return value;
}

static void it_begins_with_the_guess(void **state)
{
    (void)state;
    struct quantile q;
    quantile_init(&q, 0.95, 512);
    assert_int_equal(quantile_value(&q), 512);
    quantile_init(&q, 0.95, 0);
    assert_int_equal(quantile_value(&q), 1);
    quantile_init(&q, 0.95, -5);
    assert_int_equal(quantile_value(&q), 1);
}

static void it_follows_what_it_is_shown(void **state)
{
    (void)state;
    struct quantile q;
    struct rand r;
    rand_seed(&r, seed());
    quantile_init(&q, 0.9, 1);
    for (int i = 0; i < 20000; i++)
        quantile_add(&q, 1 + rand_below(&r, 1000));
    assert_in_range(quantile_value(&q), 750, 1100); /* true: 900 */
    for (int i = 0; i < 20000; i++)
        quantile_add(&q, 1 + rand_below(&r, 10));
    assert_in_range(quantile_value(&q), 6, 13); /* and it forgets; true: 9 */
}

static void it_stays_at_one_or_above_whatever_comes(void **state)
{
    (void)state;
    struct quantile q;
    quantile_init(&q, 0.5, 2);
    for (int i = 0; i < 10000; i++)
        quantile_add(&q, i % 2 ? 0 : -7);
    assert_int_equal(quantile_value(&q), 1);
    quantile_add(&q, INT64_MAX);
    assert_in_range(quantile_value(&q), 1, 3); /* one wild answer moves it by a step */
    for (int i = 0; i < 100000; i++)
        quantile_add(&q, INT64_MAX);
    assert_true(quantile_value(&q) > 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_the_guess),
        cmocka_unit_test(it_follows_what_it_is_shown),
        cmocka_unit_test(it_stays_at_one_or_above_whatever_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
