#include "scheduler/call_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool ends(enum call_state s, unsigned depth)
{
    if (call_state_is_final(s))
        return true;
    for (int next = 0; next < CALL_STATE_COUNT && depth > 0; next++) {
        if (call_state_may_follow(s, (enum call_state)next) &&
            ends((enum call_state)next, depth - 1))
            return true;
    }
    return false;
}

static void every_state_can_end_and_can_be_cancelled(void **state)
{
    (void)state;
    for (int i = 0; i < CALL_STATE_COUNT; i++) {
        enum call_state s = (enum call_state)i;
        assert_true(ends(s, CALL_STATE_COUNT));
        assert_int_equal(call_state_may_follow(s, CALL_CANCELLED), !call_state_is_final(s));
        assert_int_equal(call_state_may_follow(s, CALL_FAILED), !call_state_is_final(s));
    }
}

static void a_final_state_has_no_way_out(void **state)
{
    (void)state;
    unsigned finals = 0;
    for (int i = 0; i < CALL_STATE_COUNT; i++) {
        enum call_state s = (enum call_state)i;
        finals += call_state_is_final(s);
        for (int k = 0; call_state_is_final(s) && k < CALL_STATE_COUNT; k++)
            assert_false(call_state_may_follow(s, (enum call_state)k));
    }
    assert_int_equal(finals, 3);
    assert_true(call_state_is_final(CALL_DONE));
}

static void nothing_is_tried_again_once_output_is_out(void **state)
{
    (void)state;
    assert_false(call_state_may_follow(CALL_STREAMING, CALL_QUEUED));
    assert_false(call_state_may_follow(CALL_STREAMING, CALL_SENDING));
    assert_true(call_state_may_follow(CALL_SENDING, CALL_QUEUED));
    assert_false(call_state_may_follow(CALL_SUBMITTING, CALL_DONE));
    assert_false(call_state_may_follow(CALL_QUEUED, CALL_STREAMING));
}

static void no_state_follows_itself_and_numbers_beyond_are_no_states(void **state)
{
    (void)state;
    for (int i = 0; i < CALL_STATE_COUNT; i++)
        assert_false(call_state_may_follow((enum call_state)i, (enum call_state)i));
    assert_false(call_state_may_follow(CALL_STATE_COUNT, CALL_DONE));
    assert_false(call_state_may_follow(CALL_QUEUED, CALL_STATE_COUNT));
    assert_false(call_state_is_final(CALL_STATE_COUNT));
    assert_string_equal(call_state_name(CALL_STATE_COUNT), "?");
    assert_string_equal(call_state_name(CALL_QUEUED), "QUEUED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_can_end_and_can_be_cancelled),
        cmocka_unit_test(a_final_state_has_no_way_out),
        cmocka_unit_test(nothing_is_tried_again_once_output_is_out),
        cmocka_unit_test(no_state_follows_itself_and_numbers_beyond_are_no_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
