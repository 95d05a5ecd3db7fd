#include "limiter/quota.h"

#include "limiter/pool.h"

#include "tests/support/pool_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* 60 tokens a minute for all, and 30 for "a". */
static struct pool_limits limits_with(const struct pool_tenant *tenant)
{
    struct pool_limits l = kit_one_a_second();
    l.tenants = tenant;
    l.tenant_count = 1;
    return l;
}

static struct pool_tenant half(void)
{
    return (struct pool_tenant){.name = "a", .rate = {30}, .capacity = {30}};
}

static void a_tenant_at_its_limit_lets_others_pass_and_wakes_when_it_fits(void **state)
{
    (void)state;
    struct pool_tenant a = half();
    struct pool_limits l = limits_with(&a);
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a1", "a", 30, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "a2", "a", 5, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_dispatch(p, KIT_T0).wait_ms, 10000); /* 5 of 30 a minute */
    struct pool_turn turn;
    struct ticket b = kit_ticket("b1", "b", 20);
    assert_int_equal(kit_submit(p, &b, KIT_T0, &turn), SUBMIT_QUEUED);
    kit_assert_granted(&turn, 0, "b1", 1);
    kit_assert_granted_exactly_after(p, 10000, KIT_T0, "a2");
    pool_free(p);
}

static void more_than_a_tenant_may_have_at_once_is_its_own_refusal(void **state)
{
    (void)state;
    struct pool_tenant a = half();
    struct pool_limits l = limits_with(&a);
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket t = kit_ticket("a1", "a", 31);
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_TOO_LARGE);
    assert_true(turn.own);
    assert_int_equal(turn.binding, 0);
    t = kit_ticket("b1", "b", 61);
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_TOO_LARGE);
    assert_false(turn.own);
    pool_free(p);
}

static void as_many_wait_as_may_and_one_more_is_refused(void **state)
{
    (void)state;
    struct pool_tenant a = {.name = "a", .max_parallel = 1, .max_depth = 2};
    struct pool_limits l = limits_with(&a);
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a1", "a", 1, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "a2", "a", 1, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "a3", "a", 1, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "a4", "a", 1, KIT_T0), SUBMIT_TENANT_FULL);
    assert_int_equal(kit_dispatch(p, KIT_T0).wait_ms, POOL_WAIT_SLOTS);
    pool_free(p);
}

static void a_settlement_frees_a_tenants_slot_and_corrects_its_bucket(void **state)
{
    (void)state;
    struct pool_tenant a = half();
    a.max_parallel = 1;
    struct pool_limits l = limits_with(&a);
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct pool_outcome done = kit_outcome(TICKET_DONE);
    done.actual[0] = 10;
    assert_int_equal(kit_put(p, "a1", "a", 30, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "a2", "a", 20, KIT_T0), SUBMIT_QUEUED);
    assert_true(kit_settle_turn(p, "a1", 1, &done, KIT_T0, &turn));
    kit_assert_granted(&turn, 0, "a2", 1);
    assert_int_equal(pool_quota(p, "a")->dims[0].level, 0);
    pool_free(p);
}

static void a_tenant_gains_no_credit_while_it_may_not_run(void **state)
{
    (void)state;
    struct pool_tenant a = {.name = "a", .rate = {6}, .capacity = {6}};
    struct pool_limits l = limits_with(&a);
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "x", "x", 54, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "a0", "a", 6, KIT_T0), SUBMIT_GRANTED); /* both are empty now */
    for (int i = 0; i < 3; i++) {
        const char *const as[] = {"a1", "a2", "a3"};
        assert_int_equal(kit_put(p, as[i], "a", 1, KIT_T0), SUBMIT_QUEUED);
    }
    char ids[60][4];
    for (int i = 0; i < 20; i++) {
        ids[i][0] = 'b', ids[i][1] = (char)('a' + i), ids[i][2] = '\0';
        assert_int_equal(kit_put(p, ids[i], "b", 3, KIT_T0), SUBMIT_QUEUED);
    }
    /* 10 s: one token of a's, ten of the pool's. Between two of b's at most one of a's comes. */
    size_t in_a_row = 0, granted = 0;
    for (int64_t s = 1; s <= 60; s++) {
        struct pool_turn turn = kit_dispatch(p, KIT_T0 + s * 1000);
        for (size_t i = 0; i < turn.grant_count; i++) {
            in_a_row = turn.grants[i].id[0] == 'a' ? in_a_row + 1 : 0;
            assert_true(in_a_row <= 1);
            granted++;
        }
    }
    assert_true(granted > 15);
    pool_free(p);
}

static void a_reload_takes_a_tenants_limit_away_from_what_waits(void **state)
{
    (void)state;
    struct pool_tenant a = half();
    struct pool_limits l = limits_with(&a);
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a1", "a", 30, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "a2", "a", 30, KIT_T0), SUBMIT_QUEUED);
    l.tenant_count = 0;
    assert_int_equal(pool_configure(p, &l, KIT_T0), 0);
    struct pool_turn turn = kit_dispatch(p, KIT_T0);
    kit_assert_granted(&turn, 0, "a2", 1);
    assert_null(pool_quota(p, "a"));
    pool_free(p);
}

static void a_cost_above_a_lowered_limit_runs_when_its_bucket_is_full(void **state)
{
    (void)state;
    struct pool_tenant a = half();
    struct pool_limits l = limits_with(&a);
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a1", "a", 30, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "a2", "a", 20, KIT_T0), SUBMIT_QUEUED);
    a.rate[0] = a.capacity[0] = 10;
    assert_int_equal(pool_configure(p, &l, KIT_T0), 0);
    kit_assert_granted_exactly_after(p, 60000, KIT_T0, "a2");
    assert_int_equal(pool_quota(p, "a")->dims[0].level, -10 * KIT_MINUTE);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_at_its_limit_lets_others_pass_and_wakes_when_it_fits),
        cmocka_unit_test(more_than_a_tenant_may_have_at_once_is_its_own_refusal),
        cmocka_unit_test(as_many_wait_as_may_and_one_more_is_refused),
        cmocka_unit_test(a_settlement_frees_a_tenants_slot_and_corrects_its_bucket),
        cmocka_unit_test(a_tenant_gains_no_credit_while_it_may_not_run),
        cmocka_unit_test(a_reload_takes_a_tenants_limit_away_from_what_waits),
        cmocka_unit_test(a_cost_above_a_lowered_limit_runs_when_its_bucket_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
