/* What is learned of a limit, by hand and in a closed loop with a provider's bucket. */
#include "limiter/adapt.h"

#include "api/simulate/sim_limit.h"
#include "common/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define T0 INT64_C(1767225600000)
#define P  INT64_C(60000)

static const struct dim_limit tpm = {.name = "tpm",
                                     .rate = 120000,
                                     .period = P,
                                     .tick_ms = 1,
                                     .capacity = 120000,
                                     .headroom = 120000 * 1000};

static struct dim full(void)
{
    struct dim d;
    assert_int_equal(dim_init(&d, &tpm, true, T0), 0); /* a bucket allocates nothing */
    return d;
}

static int64_t tokens(const struct dim *d)
{
    return d->level / P;
}

static void a_told_limit_is_believed_down_and_up_but_not_above_the_configured(void **state)
{
    struct dim d = full();
    struct adapt a = {0};
    struct adapt_news n = {.limit = 60000, .remaining = -1, .seq = 1, .granted_ms = T0};
    (void)state;
    adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(d.limit.rate, 60000);
    assert_int_equal(d.limit.capacity, 60000);
    assert_int_equal(tokens(&d), 60000); /* cut to the capacity */
    n.limit = 90000;
    n.seq = 2;
    adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(d.limit.rate, 90000);
    assert_int_equal(tokens(&d), 60000); /* and never scaled up */
    n.limit = 500000;
    n.seq = 3;
    adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(d.limit.rate, tpm.rate);
    assert_int_equal(adapt_largest(&a, &tpm), tpm.capacity);
    n.limit = 1000;
    n.seq = 2; /* of an older grant */
    adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(d.limit.rate, tpm.rate);
}

static void what_remains_counts_less_what_was_charged_since(void **state)
{
    struct dim d = full();
    struct adapt a = {0};
    struct adapt_news n = {.limit = -1,
                           .remaining = 50000,
                           .grain = 1000,
                           .seq = 5,
                           .granted_ms = T0,
                           .charged = 7000};
    (void)state;
    dim_refill(&d, T0 + 1000);
    adapt_hint(&a, &tpm, &d, &n, T0 + 1000);
    assert_int_equal(tokens(&d), 50000 - 500 - 7000 + 2000); /* a second refills 2000 */
    n.seq = 6;
    n.debt = 9000;
    n.remaining = 0;
    adapt_hint(&a, &tpm, &d, &n, T0 + 1000);
    assert_int_equal(tokens(&d), -9000 - 500 - 7000 + 2000);
}

static void a_snapshot_older_than_a_period_says_nothing(void **state)
{
    struct dim d = full();
    struct adapt a = {0};
    struct adapt_news n = {.limit = -1, .remaining = 0, .seq = 1, .granted_ms = T0};
    (void)state;
    adapt_hint(&a, &tpm, &d, &n, T0 + P + 1);
    assert_int_equal(tokens(&d), 120000);
    n.seq = 2;
    adapt_hint(&a, &tpm, &d, &n, T0 + P);
    assert_int_equal(tokens(&d), 120000); /* it is full again by now */
    n.seq = 3;
    adapt_hint(&a, &tpm, &d, &n, T0 + P / 2);
    assert_int_equal(tokens(&d), 60000);
}

static void a_level_is_raised_by_a_quarter_after_three_snapshots_in_a_row(void **state)
{
    struct dim d = full();
    struct adapt a = {0};
    struct adapt_news n = {.limit = -1, .remaining = 80000, .granted_ms = T0};
    (void)state;
    d.level = 0;
    for (n.seq = 1; n.seq <= 2; n.seq++)
        adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(tokens(&d), 0);
    n.charged = 100000; /* one that shows less breaks the row (and lowers) */
    adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(tokens(&d), -20000);
    n.charged = 0;
    for (n.seq = 4; n.seq <= 6; n.seq++)
        adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(tokens(&d), 5000);
    a.refused_ms = T0 - 59999; /* not while refusals are young */
    for (n.seq = 7; n.seq <= 12; n.seq++)
        adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(tokens(&d), 5000);
}

static void a_provider_that_allows_more_than_is_configured_raises_nothing(void **state)
{
    struct dim d = full();
    struct adapt a = {0};
    struct adapt_news n = {.limit = tpm.rate * 10, .remaining = tpm.rate * 10, .granted_ms = T0};
    (void)state;
    d.level = 0;
    for (n.seq = 1; n.seq <= 30; n.seq++)
        adapt_hint(&a, &tpm, &d, &n, T0);
    assert_int_equal(tokens(&d), 0);
    n.limit = tpm.rate; /* the very bucket */
    for (; n.seq <= 33; n.seq++)
        adapt_hint(&a, &tpm, &d, &n, T0);
    assert_true(tokens(&d) > 0);
}

static void one_wave_of_refusals_cuts_once_and_not_where_a_limit_is_told(void **state)
{
    struct dim d = full();
    struct adapt a = {0};
    struct adapt_refusal r = {.seq = 10, .last_seq = 20};
    (void)state;
    adapt_refused(&a, &tpm, &d, &r, T0);
    assert_int_equal(d.limit.rate, 96000);
    assert_int_equal(d.level, 0);
    assert_int_equal(adapt_largest(&a, &tpm), 120000); /* larger requests are still taken */
    r.seq = 20;
    adapt_refused(&a, &tpm, &d, &r, T0);
    assert_int_equal(d.limit.rate, 96000);
    r.seq = 21;
    r.last_seq = 30;
    adapt_refused(&a, &tpm, &d, &r, T0 + 1000);
    assert_int_equal(d.limit.rate, 76800);

    struct adapt told = {.told = 100000, .told_ms = T0};
    d = full();
    adapt_limit(&told, &tpm, &d.limit);
    adapt_refused(&told, &tpm, &d, &r, T0 + 59999);
    assert_int_equal(d.limit.rate, 100000);
    adapt_refused(&told, &tpm, &d, &r, T0 + 60000);
    assert_int_equal(d.limit.rate, 80000);
    r = (struct adapt_refusal){.ramp = true, .seq = 40, .last_seq = 40};
    adapt_refused(&told, &tpm, &d, &r, T0 + 60000);
    assert_int_equal(d.limit.rate, 40000);
    for (r.seq = 41; r.seq < 60; r.seq = r.last_seq + 1) {
        r.last_seq = r.seq;
        adapt_refused(&told, &tpm, &d, &r, T0 + 60000);
    }
    assert_int_equal(d.limit.rate, 12000); /* a tenth is the least */
}

static void after_a_ramp_it_grows_by_half_in_fifteen_minutes(void **state)
{
    struct dim d = full();
    struct adapt a = {0};
    struct adapt_refusal r = {.ramp = true, .seq = 1, .last_seq = 1};
    (void)state;
    adapt_refused(&a, &tpm, &d, &r, T0);
    for (int64_t ms = T0; ms <= T0 + 15 * P; ms += 1000) {
        d.level = 0;
        adapt_passed(&a, &tpm, &d, 100, ms);
    }
    assert_in_range(d.limit.rate, 60000 * 145 / 100, 60000 * 151 / 100);
}

static void slots_shrink_once_a_wave_and_come_back_one_by_one(void **state)
{
    struct adapt_slots s = {0};
    struct adapt_refusal r = {.seq = 3, .last_seq = 9};
    (void)state;
    assert_int_equal(adapt_slots_now(&s, 10), 10);
    adapt_slots_overload(&s, 10, 10, &r);
    adapt_slots_overload(&s, 10, 10, &r);
    assert_int_equal(adapt_slots_now(&s, 10), 7);
    for (int i = 0; i < 7; i++)
        adapt_slots_good(&s, 10, 3); /* less than half of them in use */
    assert_int_equal(adapt_slots_now(&s, 10), 7);
    for (int i = 0; i < 7 + 8 + 9; i++)
        adapt_slots_good(&s, 10, 7);
    assert_int_equal(s.limit, 0);
    assert_int_equal(adapt_slots_now(&s, 10), 10);
    r.seq = r.last_seq = 10;
    adapt_slots_overload(&s, 0, 10, &r); /* without a limit: of what runs */
    assert_int_equal(adapt_slots_now(&s, 0), 7);
}

/* ---- in a loop with a bucket that is half of what is configured, in virtual time */

struct loop {
    struct dim d;
    struct adapt a;
    struct sim_limit provider;
    struct rand rand;
    int64_t now_ms, seq, refused;
};

/* One saturated stretch without headers: what fits goes out and is answered at once; a refusal is
 * repeated after the wait that the provider tells. */
static void saturate(struct loop *l, int64_t ms)
{
    for (int64_t end = l->now_ms + ms; l->now_ms < end;) {
        int64_t cost = 100 + rand_below(&l->rand, 1500);
        dim_refill(&l->d, l->now_ms);
        int64_t wait_ms = dim_wait_ms(&l->d, cost, l->now_ms);
        if (wait_ms > 0) {
            l->now_ms += wait_ms;
            continue;
        }
        dim_take(&l->d, cost, l->now_ms);
        l->seq++;
        int64_t refused_us = sim_limit_wait_us(&l->provider, cost, l->now_ms * 1000);
        if (refused_us == 0) {
            sim_limit_charge(&l->provider, cost, l->now_ms * 1000);
            adapt_passed(&l->a, &tpm, &l->d, cost, l->now_ms);
            continue;
        }
        struct adapt_refusal r = {.seq = l->seq, .last_seq = l->seq};
        adapt_refused(&l->a, &tpm, &l->d, &r, l->now_ms);
        l->d.paused_ms = l->now_ms + refused_us / 1000 + 1;
        l->refused++;
    }
}

static void allow(struct loop *l, int64_t rate)
{
    sim_limit_set(&l->provider, SIM_BUCKET, rate, 0, l->now_ms * 1000);
}

static void expect_within(const struct loop *l, int64_t percent, int64_t real, const char *when)
{
    int64_t off = llabs(l->d.limit.rate - real);
    if (off * 100 > real * percent)
        fail_msg("%s: learned %lld of %lld, %lld refused", when, (long long)l->d.limit.rate,
                 (long long)real, (long long)l->refused);
}

static void without_headers_the_real_limit_is_learned_within_five_minutes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct loop l = {.d = full(), .now_ms = T0};
        rand_seed(&l.rand, seed);
        sim_limit_init(&l.provider, SIM_MINUTE_US);
        allow(&l, 60000);
        saturate(&l, 300000);
        expect_within(&l, 10, 60000, "from the start");
        allow(&l, 30000);
        saturate(&l, 300000);
        expect_within(&l, 10, 30000, "halved");
        allow(&l, 60000);
        saturate(&l, 300000);
        /* Its bucket is full by then, and hides for a while that the rate is too high. */
        expect_within(&l, 10, 60000, "restored");
        assert_in_range(l.refused, 0, 15); /* one a minute */
        saturate(&l, 600000);
        assert_in_range(l.refused, 0, 25);
        sim_limit_release(&l.provider);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_told_limit_is_believed_down_and_up_but_not_above_the_configured),
        cmocka_unit_test(what_remains_counts_less_what_was_charged_since),
        cmocka_unit_test(a_snapshot_older_than_a_period_says_nothing),
        cmocka_unit_test(a_provider_that_allows_more_than_is_configured_raises_nothing),
        cmocka_unit_test(a_level_is_raised_by_a_quarter_after_three_snapshots_in_a_row),
        cmocka_unit_test(one_wave_of_refusals_cuts_once_and_not_where_a_limit_is_told),
        cmocka_unit_test(after_a_ramp_it_grows_by_half_in_fifteen_minutes),
        cmocka_unit_test(slots_shrink_once_a_wave_and_come_back_one_by_one),
        cmocka_unit_test(without_headers_the_real_limit_is_learned_within_five_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
