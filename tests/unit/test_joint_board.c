#include "scheduler/joint/joint_board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct joint_kind *kind(struct joint_board *b, size_t i)
{
    char key[JOINT_KEY_BYTES];
    (void)snprintf(key, sizeof(key), "%zu", i);
    return joint_board_kind(b, key);
}

static size_t count(const struct joint_board *b)
{
    size_t n = 0, at = 0;
    while (joint_board_next(b, &at))
        n++;
    return n;
}

static void a_new_kind_takes_the_place_of_one_that_is_not_asked_for(void **state)
{
    struct joint_board *b = joint_board_new();
    (void)state;
    assert_non_null(b);
    struct joint_kind *used = kind(b, 0), *again = kind(b, 1), *idle = kind(b, 2);
    joint_board_use(used);
    again->requests = idle->requests = 7;
    for (size_t i = 3; i < JOINT_MAX_KEYS; i++)
        assert_non_null(kind(b, i));
    assert_ptr_equal(kind(b, 1), again);
    assert_non_null(kind(b, JOINT_MAX_KEYS));
    assert_int_equal(count(b), JOINT_MAX_KEYS);
    assert_ptr_equal(kind(b, 0), used);
    assert_int_equal(kind(b, 1)->requests, 7);
    assert_int_equal(kind(b, 2)->requests, 0);
    joint_board_drop(used);
    joint_board_free(b);
}

static void kinds_that_are_used_stay(void **state)
{
    struct joint_board *b = joint_board_new();
    (void)state;
    assert_non_null(b);
    for (size_t i = 0; i < JOINT_MAX_KEYS; i++)
        joint_board_use(kind(b, i));
    assert_null(kind(b, JOINT_MAX_KEYS));
    joint_board_drop(kind(b, 5));
    assert_non_null(kind(b, JOINT_MAX_KEYS));
    joint_board_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_kind_takes_the_place_of_one_that_is_not_asked_for),
        cmocka_unit_test(kinds_that_are_used_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
