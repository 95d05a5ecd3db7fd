/* rand_hex() only: the generator itself is judged by what uses it with a seed. */
#include "common/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MOST_DIGITS 100
#define SAMPLES     400

static void as_many_hex_digits_as_asked_and_no_byte_more(void **state)
{
    (void)state;
    for (size_t n = 0; n <= MOST_DIGITS; n++) {
        char text[MOST_DIGITS + 2];
        memset(text, '#', sizeof(text));
        rand_hex(text, n);
        assert_int_equal(strspn(text, "0123456789abcdef"), n);
        assert_int_equal(text[n], '\0');
        assert_int_equal(text[n + 1], '#');
    }
}

/* A digit that never changes, or never takes some value, would show here but for chance 1e-8. */
static void every_digit_takes_every_value(void **state)
{
    static const char digits[] = "0123456789abcdef";
    unsigned seen[MOST_DIGITS] = {0};
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        char text[MOST_DIGITS + 1];
        rand_hex(text, MOST_DIGITS);
        for (size_t k = 0; k < MOST_DIGITS; k++)
            seen[k] |= 1U << (unsigned)(strchr(digits, text[k]) - digits);
    }
    for (size_t k = 0; k < MOST_DIGITS; k++)
        assert_int_equal(seen[k], 0xffff);
}

/* Blocks of random bytes inside are drawn anew, not used again. */
static void blocks_do_not_repeat(void **state)
{
    char text[MOST_DIGITS + 1];
    (void)state;
    rand_hex(text, MOST_DIGITS);
    assert_memory_not_equal(text, text + 32, 32);
    assert_memory_not_equal(text + 32, text + 64, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_hex_digits_as_asked_and_no_byte_more),
        cmocka_unit_test(every_digit_takes_every_value),
        cmocka_unit_test(blocks_do_not_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
