/* Sums of money as whole numbers: their texts, their rounding and their end. */
#include "common/money.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t parsed(const char *text)
{
    int64_t nano = -1;
    assert_int_equal(money_parse(text, &nano), 0);
    return nano;
}

static void dollars_are_read_to_the_last_nano(void **state)
{
    (void)state;
    assert_int_equal(parsed("0"), 0);
    assert_int_equal(parsed("12"), 12 * MONEY_DOLLAR);
    assert_int_equal(parsed("0.50"), MONEY_DOLLAR / 2);
    assert_int_equal(parsed("0.000000001"), 1);
    assert_int_equal(parsed("1.234567891"), 1234567891);
    assert_int_equal(parsed("1000000000"), MONEY_MAX);
}

static void what_is_no_amount_is_refused(void **state)
{
    static const char *const bad[] = {"",     ".5",  "5.",   "-1",   "+1",           "1e3",
                                      "1,50", "0x1", " 1",   "1 ",   "0.0000000001", "1.2.3",
                                      "$1",   "nan", "1.5x", "infty"};
    int64_t nano = 77;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(money_parse(bad[i], &nano), -EINVAL);
    assert_int_equal(money_parse("1000000000.000000001", &nano), -ERANGE);
    assert_int_equal(money_parse("1000000001", &nano), -ERANGE);
    assert_int_equal(money_parse("99999999999999999999999", &nano), -ERANGE);
    assert_int_equal(nano, 77);
}

static void an_amount_is_written_with_cents_and_no_zeros_behind(void **state)
{
    char out[MONEY_TEXT_BYTES];
    (void)state;
    assert_string_equal(money_text(0, out), "0.00");
    assert_string_equal(money_text(MONEY_DOLLAR / 2, out), "0.50");
    assert_string_equal(money_text(1, out), "0.000000001");
    assert_string_equal(money_text(123000, out), "0.000123");
    assert_string_equal(money_text(-1, out), "-0.000000001");
    assert_string_equal(money_text(INT64_MAX, out), "9223372036.854775807");
    assert_string_equal(money_text(INT64_MIN, out), "-9223372036.854775808");
}

static void a_sum_that_does_not_fit_stays_at_the_largest(void **state)
{
    (void)state;
    assert_int_equal(money_add(1, 2), 3);
    assert_int_equal(money_add(INT64_MAX - 1, 1), INT64_MAX);
    assert_int_equal(money_add(INT64_MAX, 1), INT64_MAX);
    assert_int_equal(money_add(INT64_MAX, INT64_MAX), INT64_MAX);
}

static void pico_dollars_are_rounded_to_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(money_of_pico(0), 0);
    assert_int_equal(money_of_pico(499), 0);
    assert_int_equal(money_of_pico(500), 1);
    assert_int_equal(money_of_pico(1499), 1);
    assert_int_equal(money_of_pico(INT64_MAX), INT64_MAX / 1000 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dollars_are_read_to_the_last_nano),
        cmocka_unit_test(what_is_no_amount_is_refused),
        cmocka_unit_test(an_amount_is_written_with_cents_and_no_zeros_behind),
        cmocka_unit_test(a_sum_that_does_not_fit_stays_at_the_largest),
        cmocka_unit_test(pico_dollars_are_rounded_to_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
