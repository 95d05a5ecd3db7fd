#include "scheduler/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct rand rnd;

static struct retry_case answer(enum wire_failure failure, int64_t retry_after_ms)
{
    return (struct retry_case){
        .result = HTTP_DONE,
        .answer = {.failure = failure,
                   .may_retry = wire_failure_may_retry(failure),
                   .retry_after_ms = retry_after_ms},
        .attempts = 1,
        .max_attempts = 3,
        .refusals = 1,
        .wait_left_ms = INT64_C(1) << 40,
    };
}

static int set_up(void **state)
{
    (void)state;
    rand_seed(&rnd, 7);
    return 0;
}

static void a_rate_refusal_waits_without_counting(void **state)
{
    (void)state;
    struct retry_case c = answer(WIRE_RATE, 2000);
    c.attempts = 99; /* whatever else was tried */
    (void)strcpy(c.answer.dimension, "tpm");
    struct retry_plan p = retry_decide(&c, &rnd);
    assert_true(p.again);
    assert_false(p.counts);
    assert_false(p.unsent);
    assert_int_equal(p.delay_ms, 0); /* its old place, the pause holds it */
    assert_string_equal(p.pause_dim, "tpm");
    assert_in_range(p.pause_ms, 2000, 2200);
}

static void a_pause_that_nobody_named_grows_to_a_minute(void **state)
{
    (void)state;
    const struct {
        int64_t refusals, ms;
    } rows[] = {{1, 1000}, {2, 2000}, {3, 4000}, {7, 60000}, {1000000, 60000}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct retry_case c = answer(WIRE_RATE, -1);
        c.refusals = rows[i].refusals;
        struct retry_plan p = retry_decide(&c, &rnd);
        assert_string_equal(p.pause_dim, "*");
        assert_in_range(p.pause_ms, rows[i].ms, rows[i].ms + rows[i].ms / 10);
    }
    struct retry_case now = answer(WIRE_RATE, 0);
    assert_int_equal(retry_decide(&now, &rnd).pause_ms, 1);
}

static void a_ramp_pauses_everything(void **state)
{
    (void)state;
    struct retry_case c = answer(WIRE_RAMP, -1);
    (void)strcpy(c.answer.dimension, "rpm");
    struct retry_plan p = retry_decide(&c, &rnd);
    assert_string_equal(p.pause_dim, "*");
    assert_in_range(p.pause_ms, 15000, 16500);
}

static void faults_are_tried_again_a_bounded_number_of_times(void **state)
{
    (void)state;
    const enum http_result faults[] = {HTTP_NOT_SENT, HTTP_BROKEN, HTTP_FIRST_BYTE, HTTP_IDLE};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct retry_case c = answer(WIRE_SERVER, -1);
        c.result = faults[i];
        for (c.attempts = 1; c.attempts < 3; c.attempts++) {
            struct retry_plan p = retry_decide(&c, &rnd);
            assert_true(p.again && p.counts);
            assert_int_equal(p.unsent, faults[i] == HTTP_NOT_SENT);
            assert_in_range(p.delay_ms, 1, 500 << (c.attempts - 1));
            assert_string_equal(p.pause_dim, "");
        }
        struct retry_plan last = retry_decide(&c, &rnd);
        assert_false(last.again || last.counts);
        assert_int_equal(last.unsent, faults[i] == HTTP_NOT_SENT); /* what is reserved comes back */
    }
}

static void a_backoff_has_full_jitter_and_a_top(void **state)
{
    (void)state;
    struct retry_case c = answer(WIRE_SERVER, -1);
    int64_t least = INT64_MAX, most = 0;
    c.attempts = 1000;
    c.max_attempts = 1001;
    for (int i = 0; i < 2000; i++) {
        int64_t ms = retry_decide(&c, &rnd).delay_ms;
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_in_range(least, 1, 3000);
    assert_in_range(most, 27000, 30000);
}

static void a_server_that_names_a_time_is_obeyed(void **state)
{
    (void)state;
    struct retry_case c = answer(WIRE_OVERLOAD, 45000);
    struct retry_plan p = retry_decide(&c, &rnd);
    assert_in_range(p.delay_ms, 45000, 49500);
    c.result = HTTP_BROKEN; /* what an earlier answer said does not count for a fault */
    assert_in_range(retry_decide(&c, &rnd).delay_ms, 1, 500);
}

static void what_waiting_cannot_mend_is_not_repeated(void **state)
{
    (void)state;
    const enum wire_failure never[] = {WIRE_LIMIT_SIZE, WIRE_QUOTA, WIRE_AUTH, WIRE_CLIENT};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        struct retry_case c = answer(never[i], -1);
        struct retry_plan p = retry_decide(&c, &rnd);
        assert_false(p.again || p.counts || p.unsent);
        assert_string_equal(p.pause_dim, "");
    }
    struct retry_case too_large = answer(WIRE_SERVER, -1);
    too_large.result = HTTP_TOO_LARGE;
    assert_false(retry_decide(&too_large, &rnd).again);
    struct retry_case told_not_to = answer(WIRE_RATE, 10); /* x-should-retry: false */
    told_not_to.answer.may_retry = false;
    assert_false(retry_decide(&told_not_to, &rnd).again);
}

static void nothing_is_repeated_once_output_was_given(void **state)
{
    (void)state;
    struct retry_case c = answer(WIRE_RATE, 10);
    c.output_given = true;
    assert_false(retry_decide(&c, &rnd).again);
    c.result = HTTP_BROKEN;
    assert_false(retry_decide(&c, &rnd).again);
}

static void a_wait_beyond_the_callers_own_is_not_begun(void **state)
{
    (void)state;
    struct retry_case c = answer(WIRE_RATE, 5000);
    c.wait_left_ms = 5000;
    struct retry_plan p = retry_decide(&c, &rnd);
    assert_false(p.again);
    assert_in_range(p.pause_ms, 5000, 5500); /* but the others are held back */
    c.wait_left_ms = 5501;
    assert_true(retry_decide(&c, &rnd).again);
    c = answer(WIRE_OVERLOAD, 5000);
    c.wait_left_ms = 5000;
    p = retry_decide(&c, &rnd);
    assert_false(p.again || p.counts);
    c.wait_left_ms = 5501;
    assert_true(retry_decide(&c, &rnd).again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RETRY_TEST(f) cmocka_unit_test_setup(f, set_up)
        RETRY_TEST(a_rate_refusal_waits_without_counting),
        RETRY_TEST(a_pause_that_nobody_named_grows_to_a_minute),
        RETRY_TEST(a_ramp_pauses_everything),
        RETRY_TEST(faults_are_tried_again_a_bounded_number_of_times),
        RETRY_TEST(a_backoff_has_full_jitter_and_a_top),
        RETRY_TEST(a_server_that_names_a_time_is_obeyed),
        RETRY_TEST(what_waiting_cannot_mend_is_not_repeated),
        RETRY_TEST(nothing_is_repeated_once_output_was_given),
        RETRY_TEST(a_wait_beyond_the_callers_own_is_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
