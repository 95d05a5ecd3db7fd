#include "common/nearest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *nearest(const char *given)
{
    static const char *const words[] = {"rpm", "tpm", "models", "max_output_tokens", "max_depth"};
    struct nearest n;
    nearest_init(&n, given);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        nearest_offer(&n, words[i]);
    return n.best;
}

static void a_slip_of_the_finger_is_recognised(void **state)
{
    (void)state;
    assert_string_equal(nearest("rmp"), "rpm"); /* swapped */
    assert_string_equal(nearest("modle"), "models");
    assert_string_equal(nearest("modells"), "models");
    assert_string_equal(nearest("max_ouput_token"), "max_output_tokens");
    assert_string_equal(nearest("maxdepth"), "max_depth");
}

static void a_word_that_is_far_from_all_gets_no_suggestion(void **state)
{
    (void)state;
    assert_null(nearest("zebra"));
    assert_null(nearest("temperature"));
}

static void a_swap_counts_as_one_and_not_as_two(void **state)
{
    (void)state;
    struct nearest n;
    nearest_init(&n, "abcdef");
    nearest_offer(&n, "abdcef");
    assert_int_equal(n.distance, 1);
}

static void words_past_the_maximum_are_not_offered(void **state)
{
    (void)state;
    char word[NEAREST_MAX_BYTES + 2], given[NEAREST_MAX_BYTES + 2];
    struct nearest n;
    memset(word, 'a', sizeof(word));
    memset(given, 'a', sizeof(given));
    word[NEAREST_MAX_BYTES] = given[NEAREST_MAX_BYTES] = '\0';
    given[0] = 'b';
    nearest_init(&n, given);
    nearest_offer(&n, word);
    assert_ptr_equal(n.best, word);

    word[NEAREST_MAX_BYTES] = 'a';
    word[NEAREST_MAX_BYTES + 1] = '\0';
    nearest_init(&n, given);
    nearest_offer(&n, word);
    assert_null(n.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slip_of_the_finger_is_recognised),
        cmocka_unit_test(a_word_that_is_far_from_all_gets_no_suggestion),
        cmocka_unit_test(a_swap_counts_as_one_and_not_as_two),
        cmocka_unit_test(words_past_the_maximum_are_not_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
