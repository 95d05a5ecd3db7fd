/* The simulated provider's limits, with the time as an argument. */
#include "api/simulate/sim_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/rand.h"

#define SECOND INT64_C(1000000)
#define MINUTE SIM_MINUTE_US

static void setup(struct sim_limit *l, enum sim_algorithm algorithm, int64_t limit)
{
    sim_limit_init(l, MINUTE);
    sim_limit_set(l, algorithm, limit, 0, 0);
}

static bool take(struct sim_limit *l, int64_t amount, int64_t now_us)
{
    if (sim_limit_wait_us(l, amount, now_us) != 0)
        return false;
    sim_limit_charge(l, amount, now_us);
    return true;
}

static void exactly_the_limit_fits_and_one_more_does_not(void **state)
{
    (void)state;
    for (enum sim_algorithm a = 0; a < SIM_ALGORITHMS; a++) {
        struct sim_limit l;
        setup(&l, a, 60);
        for (int i = 0; i < 60; i++)
            assert_true(take(&l, 1, 5));
        assert_false(take(&l, 1, 5));
        assert_int_equal(sim_limit_remaining(&l, 5), 0);
        assert_int_equal(sim_limit_used(&l, 5), 60);
        sim_limit_release(&l);
    }
}

/* Just before the wait that was told it is refused, at it accepted. */
static void the_wait_that_is_told_is_exact(void **state)
{
    (void)state;
    static const struct {
        enum sim_algorithm algorithm;
        int64_t limit, amount, want_us;
    } cases[] = {
        {SIM_BUCKET, 60, 1, SECOND},
        {SIM_BUCKET, 7, 1, 8571429}, /* 60e6 / 7, rounded up */
        {SIM_BUCKET, 30000, 385, 770000},
        {SIM_BUCKET, 60, 61, SIM_NEVER},
        {SIM_BUCKET, 1000000007, 1000000007, MINUTE},
        {SIM_SLIDING_WINDOW, 60, 1, MINUTE},
        {SIM_SLIDING_WINDOW, 60, 61, SIM_NEVER},
        {SIM_FIXED_WINDOW, 60, 60, MINUTE},
        {SIM_FIXED_WINDOW, 60, 61, SIM_NEVER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sim_limit l;
        setup(&l, cases[i].algorithm, cases[i].limit);
        sim_limit_charge(&l, cases[i].limit, 0);

        int64_t wait_us = sim_limit_wait_us(&l, cases[i].amount, 0);

        assert_int_equal(wait_us, cases[i].want_us);
        if (wait_us != SIM_NEVER) {
            assert_false(take(&l, cases[i].amount, wait_us - 1));
            assert_true(take(&l, cases[i].amount, wait_us));
        }
        sim_limit_release(&l);
    }
}

/* Limit 30000, Used 29937, Requested 385: public messages say 644ms. */
static void the_wait_is_what_public_messages_say(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, used, requested, want_ms;
    } cases[] = {{10000, 8554, 3082, 9816}, {30000, 14567, 24754, 18642}, {30000, 29937, 385, 644}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sim_limit l;
        setup(&l, SIM_BUCKET, cases[i].limit);
        sim_limit_charge(&l, cases[i].used, 0);
        int64_t wait_us = sim_limit_wait_us(&l, cases[i].requested, 0);
        assert_int_equal((wait_us + 500) / 1000, cases[i].want_ms);
        sim_limit_release(&l);
    }
}

static void a_sliding_window_forgets_each_charge_at_its_own_time(void **state)
{
    (void)state;
    struct sim_limit l;
    setup(&l, SIM_SLIDING_WINDOW, 10);
    assert_true(take(&l, 6, 0));
    assert_true(take(&l, 4, 10 * SECOND));

    assert_int_equal(sim_limit_wait_us(&l, 6, 10 * SECOND), 50 * SECOND);
    assert_int_equal(sim_limit_wait_us(&l, 7, 10 * SECOND), 60 * SECOND);
    assert_false(take(&l, 1, MINUTE - 1));
    assert_true(take(&l, 6, MINUTE));
    assert_false(take(&l, 1, MINUTE));
    assert_int_equal(sim_limit_reset_us(&l, MINUTE), MINUTE);
    sim_limit_release(&l);
}

static void a_fixed_window_starts_again_at_its_boundary(void **state)
{
    (void)state;
    struct sim_limit l;
    setup(&l, SIM_FIXED_WINDOW, 10);
    assert_true(take(&l, 10, MINUTE - 1));
    assert_true(take(&l, 10, MINUTE)); /* twice the limit within a microsecond: as Azure does */
    assert_false(take(&l, 1, MINUTE));
    sim_limit_release(&l);
}

static void produced_output_may_leave_a_debt(void **state)
{
    (void)state;
    struct sim_limit l;
    setup(&l, SIM_BUCKET, 60);
    sim_limit_charge(&l, 90, 0);

    assert_int_equal(sim_limit_remaining(&l, 0), 0);
    assert_int_equal(sim_limit_used(&l, 0), 90);
    assert_int_equal(sim_limit_wait_us(&l, 1, 0), 31 * SECOND);
    sim_limit_release(&l);
}

static void a_refund_never_fills_above_the_capacity(void **state)
{
    (void)state;
    for (enum sim_algorithm a = 0; a < SIM_ALGORITHMS; a++) {
        struct sim_limit l;
        setup(&l, a, 100);
        assert_true(take(&l, 80, 0));
        sim_limit_refund(&l, 50, 0, SECOND / 10);
        assert_true(take(&l, 70, SECOND / 10));
        assert_false(take(&l, 1, SECOND / 10));
        sim_limit_release(&l);
    }
    struct sim_limit l;
    setup(&l, SIM_BUCKET, 100);
    assert_true(take(&l, 80, 0));
    sim_limit_refund(&l, 80, 0, 2 * MINUTE);
    assert_int_equal(sim_limit_remaining(&l, 2 * MINUTE), 100);
    sim_limit_release(&l);
}

static void a_refund_after_the_window_changes_nothing(void **state)
{
    (void)state;
    struct sim_limit l;
    setup(&l, SIM_SLIDING_WINDOW, 100);
    assert_true(take(&l, 80, 0));
    assert_true(take(&l, 100, MINUTE));
    sim_limit_refund(&l, 80, 0, MINUTE);
    assert_false(take(&l, 1, MINUTE));
    sim_limit_release(&l);
}

static void a_changed_limit_keeps_what_is_used(void **state)
{
    (void)state;
    struct sim_limit l;
    setup(&l, SIM_BUCKET, 100);
    assert_true(take(&l, 80, 0));
    sim_limit_set(&l, SIM_BUCKET, 200, 0, 0);
    assert_int_equal(sim_limit_remaining(&l, 0), 120);
    sim_limit_set(&l, SIM_BUCKET, 50, 0, 0);
    assert_int_equal(sim_limit_remaining(&l, 0), 0);
    assert_int_equal(sim_limit_wait_us(&l, 1, 0), 31 * MINUTE / 50);
    sim_limit_release(&l);
}

static void a_slice_holds_less_than_a_minute(void **state)
{
    (void)state;
    struct sim_limit l;
    sim_limit_init(&l, MINUTE);
    sim_limit_set(&l, SIM_BUCKET, 600, 10, 0); /* 600 a minute as 10 a second */
    for (int i = 0; i < 10; i++)
        assert_true(take(&l, 1, 0));
    assert_false(take(&l, 1, 0));
    assert_true(take(&l, 10, SECOND));
    assert_false(take(&l, 1, SECOND));
    sim_limit_release(&l);
}

static void the_offer_is_capacity_and_rate_since_the_first_charge(void **state)
{
    (void)state;
    struct sim_limit l;
    setup(&l, SIM_BUCKET, 60);
    assert_int_equal(sim_limit_offered(&l, 100 * SECOND), 0);
    assert_true(take(&l, 1, 100 * SECOND));
    assert_int_equal(sim_limit_offered(&l, 100 * SECOND), 60);
    assert_int_equal(sim_limit_offered(&l, 130 * SECOND), 90);
    sim_limit_set(&l, SIM_BUCKET, 120, 0, 130 * SECOND); /* 60 more at once, then 2 a second */
    assert_int_equal(sim_limit_offered(&l, 140 * SECOND), 170);
    sim_limit_release(&l);

    setup(&l, SIM_SLIDING_WINDOW, 60);
    assert_true(take(&l, 1, 0));
    assert_int_equal(sim_limit_offered(&l, MINUTE - 1), 60);
    assert_int_equal(sim_limit_offered(&l, MINUTE), 120);
    sim_limit_release(&l);
}

static void the_peak_is_that_of_the_busiest_window(void **state)
{
    (void)state;
    struct sim_log log;
    sim_log_init(&log, MINUTE);
    sim_log_add(&log, 5, 0);
    sim_log_add(&log, 7, 30 * SECOND);
    sim_log_add(&log, 4, MINUTE); /* the 5 of time 0 has left */
    assert_int_equal(log.peak, 12);
    sim_log_add(&log, 4, MINUTE + 1);
    assert_int_equal(log.peak, 15);
    assert_int_equal(sim_log_sum(&log, 10 * MINUTE), 0);
    assert_int_equal(log.peak, 15);
    sim_log_release(&log);
}

static void a_full_log_tells_too_much_and_never_too_little(void **state)
{
    (void)state;
    struct sim_log log;
    sim_log_init(&log, 1000 * MINUTE);
    for (int64_t i = 0; i <= SIM_MAX_LOG_ENTRIES; i++)
        sim_log_add(&log, 1, i + 1);
    assert_int_equal(log.count, SIM_MAX_LOG_ENTRIES);
    assert_int_equal(log.sum, SIM_MAX_LOG_ENTRIES + 1);
    /* The last two are one entry, of the later time. */
    assert_int_equal(sim_log_sum(&log, SIM_MAX_LOG_ENTRIES + 1000 * MINUTE), 2);
    sim_log_release(&log);
}

static struct sim_cost cost_of(int64_t tokens)
{
    struct sim_cost cost = {.need = {[SIM_RPM] = 1, [SIM_TPM] = tokens}};
    memcpy(cost.charge, cost.need, sizeof(cost.charge));
    return cost;
}

static void a_request_is_charged_in_all_scopes_or_in_none(void **state)
{
    (void)state;
    struct sim_scope model, key;
    struct sim_scope *scopes[] = {&model, &key};
    struct sim_refused why;
    sim_scope_init(&model, "m");
    sim_scope_init(&key, "k");
    sim_limit_set(&model.limits[SIM_TPM], SIM_BUCKET, 100, 0, 0);
    sim_limit_set(&key.limits[SIM_RPM], SIM_BUCKET, 2, 0, 0);
    struct sim_cost forty = cost_of(40), hundred_one = cost_of(101);

    assert_true(sim_admit(scopes, 2, &forty, 0, &why));
    assert_true(sim_admit(scopes, 2, &forty, 0, &why));
    assert_false(sim_admit(scopes, 2, &forty, 0, &why)); /* both refuse; the key for longer */
    assert_int_equal(why.dim, SIM_RPM);
    assert_ptr_equal(why.scope, &key);
    assert_int_equal(why.wait_us, 30 * SECOND);
    assert_int_equal(sim_limit_used(&model.limits[SIM_TPM], 0), 80);
    assert_int_equal(model.in_flight, 2);

    assert_false(sim_admit(scopes, 2, &hundred_one, 0, &why));
    assert_int_equal(why.dim, SIM_TPM);
    assert_int_equal(why.wait_us, SIM_NEVER);
    sim_leave(scopes, 2);
    assert_int_equal(model.in_flight, 1);
    assert_int_equal(model.peak_in_flight, 2);
    sim_scope_release(&model);
    sim_scope_release(&key);
}

static void concurrency_counts_what_has_not_left(void **state)
{
    (void)state;
    struct sim_scope s;
    struct sim_scope *scopes[] = {&s};
    struct sim_refused why;
    struct sim_cost cost = cost_of(1);
    sim_scope_init(&s, "m");
    s.concurrency = 2;
    assert_true(sim_admit(scopes, 1, &cost, 0, &why));
    assert_true(sim_admit(scopes, 1, &cost, 0, &why));
    assert_false(sim_admit(scopes, 1, &cost, 0, &why));
    assert_int_equal(why.dim, SIM_CONCURRENCY);
    sim_leave(scopes, 1);
    assert_true(sim_admit(scopes, 1, &cost, 0, &why));
    sim_scope_release(&s);
}

/* The use of every window of a random run, summed up again from a plain list. */
static void no_run_goes_over_the_limit_of_any_window(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : rand_system_seed();
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    struct rand r;
    rand_seed(&r, seed);
    for (int run = 0; run < 200; run++) {
        struct sim_limit l;
        int64_t at[200], amount[200], count = 0, now_us = 0, peak = 0;
        int64_t limit = 1 + rand_below(&r, 5000);
        setup(&l, SIM_SLIDING_WINDOW, limit);
        for (int step = 0; step < 200; step++) {
            now_us += rand_below(&r, 20 * SECOND);
            int64_t tokens = 1 + rand_below(&r, limit);
            if (!take(&l, tokens, now_us))
                continue;
            at[count] = now_us;
            amount[count++] = tokens;
            int64_t sum = 0;
            for (int64_t i = 0; i < count; i++)
                sum += now_us - at[i] < MINUTE ? amount[i] : 0;
            assert_in_range(sum, 0, limit);
            assert_int_equal(sum, sim_limit_used(&l, now_us));
            peak = sum > peak ? sum : peak;
        }
        assert_int_equal(l.log.peak, peak);
        sim_limit_release(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_limit_fits_and_one_more_does_not),
        cmocka_unit_test(the_wait_that_is_told_is_exact),
        cmocka_unit_test(the_wait_is_what_public_messages_say),
        cmocka_unit_test(a_sliding_window_forgets_each_charge_at_its_own_time),
        cmocka_unit_test(a_fixed_window_starts_again_at_its_boundary),
        cmocka_unit_test(produced_output_may_leave_a_debt),
        cmocka_unit_test(a_refund_never_fills_above_the_capacity),
        cmocka_unit_test(a_refund_after_the_window_changes_nothing),
        cmocka_unit_test(a_changed_limit_keeps_what_is_used),
        cmocka_unit_test(a_slice_holds_less_than_a_minute),
        cmocka_unit_test(the_offer_is_capacity_and_rate_since_the_first_charge),
        cmocka_unit_test(the_peak_is_that_of_the_busiest_window),
        cmocka_unit_test(a_full_log_tells_too_much_and_never_too_little),
        cmocka_unit_test(a_request_is_charged_in_all_scopes_or_in_none),
        cmocka_unit_test(concurrency_counts_what_has_not_left),
        cmocka_unit_test(no_run_goes_over_the_limit_of_any_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
