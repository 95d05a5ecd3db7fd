#include "limiter/pool.h"

#include "tests/support/pool_kit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- submit */

static void a_ticket_that_fits_runs_at_once(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket t = kit_ticket("a", "x", 40);
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_GRANTED);
    kit_assert_granted(&turn, 0, "a", 1);
    assert_int_equal(turn.grants[0].seq, 1);
    assert_int_equal(turn.wait_ms, POOL_WAIT_KEEP);
    assert_int_equal(pool_level(p, 0, KIT_T0), 20 * KIT_MINUTE);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_RUNNING);
    assert_int_equal(pool_running(p), 1);
    pool_free(p);
}

static void a_ticket_that_does_not_fit_waits_exactly(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    struct pool_turn turn;
    struct ticket t = kit_ticket("b", "x", 7);
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.wait_ms, 7000);
    assert_int_equal(turn.binding, 0);
    assert_int_equal(pool_depth(p, CLASS_NORMAL), 1);
    kit_assert_granted_exactly_after(p, 7000, KIT_T0, "b");
    assert_int_equal(pool_level(p, 0, KIT_T0 + 7000), 0);
    pool_free(p);
}

static void the_longest_wait_binds(void **state)
{
    (void)state;
    struct pool_limits l = kit_two_dims();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket all = kit_ticket("a", "x", 60), t = kit_ticket("b", "x", 7);
    all.cost[1] = 60;
    assert_int_equal(kit_submit(p, &all, KIT_T0, &turn), SUBMIT_GRANTED);
    t.cost[1] = 9;
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.wait_ms, 9000);
    assert_int_equal(turn.binding, 1);
    pool_free(p);
}

/* I3: the second dimension refuses, so the first keeps its tokens. */
static void a_refused_ticket_charges_nothing(void **state)
{
    (void)state;
    struct pool_limits l = kit_two_dims();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket first = kit_ticket("a", "x", 0), second = kit_ticket("b", "x", 10);
    first.cost[1] = 60;
    assert_int_equal(kit_submit(p, &first, KIT_T0, &turn), SUBMIT_GRANTED);
    second.cost[1] = 1;
    assert_int_equal(kit_submit(p, &second, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(pool_level(p, 0, KIT_T0), 60 * KIT_MINUTE);
    assert_int_equal(pool_running(p), 1);
    pool_free(p);
}

static void a_cost_above_the_capacity_is_refused_at_once(void **state)
{
    (void)state;
    struct pool_limits l = kit_two_dims();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket t = kit_ticket("a", "x", 60);
    t.cost[1] = 61;
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_TOO_LARGE);
    assert_int_equal(turn.binding, 1);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_NONE);
    t.cost[1] = 60;
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_GRANTED);
    pool_free(p);
}

static void a_known_id_changes_nothing(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 10, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "a", "y", 99, KIT_T0), SUBMIT_KNOWN);
    assert_int_equal(pool_level(p, 0, KIT_T0), 50 * KIT_MINUTE);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    assert_true(kit_settle(p, "a", 1, &o, KIT_T0));
    assert_int_equal(kit_put(p, "a", "x", 10, KIT_T0), SUBMIT_KNOWN);
    pool_free(p);
}

static void the_queue_is_full_at_its_depth(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.max_depth = 2;
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "b", "x", 1, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "c", "x", 1, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "d", "x", 1, KIT_T0), SUBMIT_FULL);
    assert_int_equal(pool_ticket_state(p, "d"), TICKET_NONE);

    struct pool_outcome again = kit_outcome(TICKET_QUEUED); /* one that comes back is not refused */
    assert_true(kit_settle(p, "a", 1, &again, KIT_T0));
    assert_int_equal(pool_depth(p, CLASS_NORMAL), 3);
    pool_free(p);
}

static void malformed_tickets_are_refused(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    char id[TICKET_ID_BYTES + 1], tenant[TENANT_NAME_BYTES + 1];
    memset(id, 'i', sizeof(id));
    memset(tenant, 't', sizeof(tenant));
    id[TICKET_ID_BYTES] = tenant[TENANT_NAME_BYTES] = '\0';

    struct ticket bad[] = {
        kit_ticket(id, "x", 1),   kit_ticket("", "x", 1),  kit_ticket("a", tenant, 1),
        kit_ticket("a", "x", -1), kit_ticket("a", "x", 1), kit_ticket("a", "x", 1),
        kit_ticket("a", "x", 1),  kit_ticket("a", "x", 1), kit_ticket("a", "x", 1),
        kit_ticket("a", "x", 1),
    };
    bad[3].fair_cost = 1;
    bad[4].weight = 0;
    bad[5].fair_cost = 0;
    bad[6].fair_cost = FAIR_MAX_TOKENS + 1;
    bad[7].order_us = INT64_C(1) << 53;
    bad[8].deadline_ms = -1;
    bad[9].class = CLASS_COUNT;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(pool_submit(p, &bad[i], DISPATCH_MAX_GRANTS, KIT_T0, &turn), -EINVAL);

    id[TICKET_ID_BYTES - 1] = tenant[TENANT_NAME_BYTES - 1] = '\0';
    struct ticket good = kit_ticket(id, tenant, 1);
    good.fair_cost = FAIR_MAX_TOKENS;
    good.order_us = (INT64_C(1) << 53) - 1;
    assert_int_equal(kit_submit(p, &good, KIT_T0, &turn), SUBMIT_GRANTED);
    pool_free(p);
}

static void limits_that_do_not_hold_make_no_pool(void **state)
{
    (void)state;
    struct pool_limits bad = kit_two_dims();
    memcpy(bad.dims[1].name, "tpm", sizeof("tpm"));
    struct error e;
    assert_int_equal(pool_limits_check(&bad, &e), -EINVAL);
    assert_non_null(strstr(e.text, "twice"));
    assert_null(pool_new(&bad, true, KIT_T0));

    struct pool_limits l = kit_one_a_second();
    l.bypass_permille = 1000;
    assert_int_equal(pool_limits_check(&l, NULL), 0);
    l.bypass_permille = 1001;
    assert_int_equal(pool_limits_check(&l, NULL), -EINVAL);
    l = kit_one_a_second();
    l.dim_count = POOL_MAX_DIMS + 1;
    assert_int_equal(pool_limits_check(&l, NULL), -EINVAL);
    l = kit_one_a_second();
    l.lease_ms = 0;
    assert_int_equal(pool_limits_check(&l, NULL), -EINVAL);
    pool_free(NULL);
}

/* ---- settle */

static void a_settlement_takes_effect_once_and_under_its_fence(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 40, KIT_T0), SUBMIT_GRANTED);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    o.actual[0] = 10;
    assert_false(kit_settle(p, "a", 0, &o, KIT_T0));
    assert_false(kit_settle(p, "a", 2, &o, KIT_T0));
    assert_false(kit_settle(p, "b", 1, &o, KIT_T0));
    assert_int_equal(pool_level(p, 0, KIT_T0), 20 * KIT_MINUTE);
    assert_true(kit_settle(p, "a", 1, &o, KIT_T0));
    assert_int_equal(pool_level(p, 0, KIT_T0), 50 * KIT_MINUTE);
    assert_false(kit_settle(p, "a", 1, &o, KIT_T0));
    assert_int_equal(pool_level(p, 0, KIT_T0), 50 * KIT_MINUTE);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_DONE);
    assert_int_equal(pool_running(p), 0);
    pool_free(p);
}

static void what_comes_back_grants_the_next_in_the_same_call(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "b", "x", 30, KIT_T0), SUBMIT_QUEUED);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    o.actual[0] = 30;
    struct pool_turn turn;
    assert_true(kit_settle_turn(p, "a", 1, &o, KIT_T0, &turn));
    kit_assert_granted(&turn, 0, "b", 1);
    assert_int_equal(turn.grants[0].seq, 2);
    assert_int_equal(turn.wait_ms, POOL_WAIT_NONE);
    pool_free(p);
}

static void an_unsent_request_gives_everything_back_whatever_the_rule(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.dims[0].rule = DIM_KEEP;
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 40, KIT_T0), SUBMIT_GRANTED);
    struct pool_outcome o = kit_outcome(TICKET_FAILED);
    o.actual[0] = 55; /* not read */
    o.unsent = true;
    assert_true(kit_settle(p, "a", 1, &o, KIT_T0));
    assert_int_equal(pool_level(p, 0, KIT_T0), 60 * KIT_MINUTE);
    pool_free(p);
}

static void an_overshoot_is_a_debt_that_all_wait_for(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    o.actual[0] = 70;
    assert_true(kit_settle(p, "a", 1, &o, KIT_T0));
    assert_int_equal(pool_level(p, 0, KIT_T0), -10 * KIT_MINUTE);
    assert_int_equal(kit_put(p, "b", "x", 1, KIT_T0), SUBMIT_QUEUED);
    kit_assert_granted_exactly_after(p, 11000, KIT_T0, "b");
    pool_free(p);
}

static void a_repeated_ticket_runs_under_the_next_fence_and_is_charged_again(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 10, KIT_T0), SUBMIT_GRANTED);
    struct pool_outcome o = kit_outcome(TICKET_QUEUED);
    struct pool_turn turn;
    assert_true(kit_settle_turn(p, "a", 1, &o, KIT_T0, &turn));
    kit_assert_granted(&turn, 0, "a", 2);
    assert_int_equal(pool_level(p, 0, KIT_T0), 40 * KIT_MINUTE);
    assert_false(kit_settle(p, "a", 1, &o, KIT_T0));
    pool_free(p);
}

static void a_delayed_ticket_comes_back_at_its_old_place(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket first = kit_ticket("a", "x", 60), second = kit_ticket("b", "x", 60);
    first.order_us = 5;
    second.order_us = 6;
    assert_int_equal(kit_submit(p, &first, KIT_T0, &turn), SUBMIT_GRANTED);
    struct pool_outcome o = kit_outcome(TICKET_QUEUED);
    o.delay_ms = 3000;
    assert_true(kit_settle_turn(p, "a", 1, &o, KIT_T0, &turn));
    assert_int_equal(turn.wait_ms, 3000);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_DELAYED);
    assert_int_equal(pool_delayed(p), 1);
    assert_int_equal(kit_submit(p, &second, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.wait_ms, 3000); /* the delay ends before b fits */
    assert_int_equal(turn.binding, 0);
    assert_int_equal(kit_dispatch(p, KIT_T0 + 2999).wait_ms, 1);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_DELAYED);
    assert_int_equal(kit_dispatch(p, KIT_T0 + 3000).wait_ms, 57000);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_QUEUED);
    turn = kit_dispatch(p, KIT_T0 + KIT_MINUTE);
    kit_assert_granted(&turn, 0, "a", 2); /* before b, though b waited longer */
    pool_free(p);
}

/* ---- cancel */

static void a_waiting_ticket_can_be_taken_out(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "b", "x", 50, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "c", "x", 1, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(pool_cancel(p, "b", KIT_T0), TICKET_QUEUED);
    assert_int_equal(pool_cancel(p, "b", KIT_T0), TICKET_CANCELLED);
    assert_int_equal(pool_cancel(p, "z", KIT_T0), TICKET_NONE);
    assert_null(pool_check(p));
    kit_assert_granted_exactly_after(p, 1000, KIT_T0, "c");
    pool_free(p);
}

static void a_cancelled_ticket_that_runs_is_not_repeated(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_outcome o = kit_outcome(TICKET_QUEUED);
    assert_int_equal(kit_put(p, "a", "x", 1, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(pool_cancel(p, "a", KIT_T0), TICKET_RUNNING);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_RUNNING);
    assert_true(kit_settle(p, "a", 1, &o, KIT_T0));
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_CANCELLED);

    assert_int_equal(kit_put(p, "b", "x", 1, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(pool_cancel(p, "b", KIT_T0), TICKET_RUNNING);
    assert_int_equal(pool_reap(p, KIT_T0 + 15000), 1);
    assert_int_equal(pool_ticket_state(p, "b"), TICKET_CANCELLED);
    pool_free(p);
}

/* ---- configure */

static void costs_follow_the_name_of_their_dimension(void **state)
{
    (void)state;
    struct pool_limits l = kit_two_dims(), swapped = l, only_rpm = l;
    swapped.dims[0] = l.dims[1];
    swapped.dims[1] = l.dims[0];
    only_rpm.dims[0] = l.dims[1];
    only_rpm.dim_count = 1;
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket all = kit_ticket("a", "x", 60), t = kit_ticket("b", "x", 20);
    assert_int_equal(kit_submit(p, &all, KIT_T0, &turn), SUBMIT_GRANTED);
    t.cost[1] = 5;
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(pool_configure(p, &swapped, KIT_T0), 0);
    turn = kit_dispatch(p, KIT_T0);
    assert_int_equal(turn.wait_ms, 20000);
    assert_int_equal(turn.binding, 1);
    assert_int_equal(pool_configure(p, &only_rpm, KIT_T0), 0);
    turn = kit_dispatch(p, KIT_T0);
    kit_assert_granted(&turn, 0, "b", 1);
    assert_int_equal(pool_level(p, 0, KIT_T0), 55 * KIT_MINUTE);
    pool_free(p);
}

static void a_lowered_capacity_cuts_queued_costs_to_it(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second(), less = l;
    less.dims[0].capacity = 20;
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "b", "x", 50, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(pool_configure(p, &less, KIT_T0), 0);
    kit_assert_granted_exactly_after(p, 20000, KIT_T0, "b");
    assert_int_equal(pool_level(p, 0, KIT_T0 + 20000), 0);

    struct pool_outcome o = kit_outcome(TICKET_DONE); /* what was not charged does not come back */
    o.actual[0] = 15;
    assert_true(kit_settle(p, "b", 1, &o, KIT_T0 + 20000));
    assert_int_equal(pool_level(p, 0, KIT_T0 + 20000), 5 * KIT_MINUTE);
    pool_free(p);
}

static void a_pool_knows_a_bounded_number_of_names(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    for (int i = 1; i < POOL_MAX_DIMS; i++) {
        (void)snprintf(l.dims[0].name, sizeof(l.dims[0].name), "d%d", i);
        assert_int_equal(pool_configure(p, &l, KIT_T0), 0);
        assert_int_equal(pool_level(p, 0, KIT_T0), 60 * KIT_MINUTE); /* new: full */
    }
    (void)snprintf(l.dims[0].name, sizeof(l.dims[0].name), "more");
    l.max_parallel = 1;
    assert_int_equal(pool_configure(p, &l, KIT_T0), -EINVAL);
    assert_int_equal(kit_put(p, "a", "x", 1, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "b", "x", 1, KIT_T0), SUBMIT_GRANTED); /* the old limits stand */
    pool_free(p);
}

/* ---- time */

static void an_empty_start_earns_before_it_grants(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = pool_new(&l, false, KIT_T0);
    assert_int_equal(kit_put(p, "a", "x", 3, KIT_T0), SUBMIT_QUEUED);
    kit_assert_granted_exactly_after(p, 3000, KIT_T0, "a");
    pool_free(p);
}

static void a_refused_submit_does_not_keep_the_refill(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.max_depth = 0;
    struct pool *p = pool_new(&l, false, KIT_T0);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0 + 5000), SUBMIT_FULL);
    assert_int_equal(pool_level(p, 0, KIT_T0 + 1000),
                     1 * KIT_MINUTE); /* told apart by a clock set back */
    (void)kit_dispatch(p, KIT_T0 + 5000);
    assert_int_equal(pool_level(p, 0, KIT_T0 + 1000), 5 * KIT_MINUTE);
    pool_free(p);
}

static void a_clock_that_steps_back_stops_nothing_that_fits(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 30, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "b", "x", 30, KIT_T0 - 600000), SUBMIT_GRANTED);
    struct pool_turn turn;
    struct ticket t = kit_ticket("c", "x", 1);
    assert_int_equal(kit_submit(p, &t, KIT_T0 - 1000, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.wait_ms, 2000);
    pool_free(p);
}

static void the_oldest_ended_tickets_are_forgotten(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    struct pool_turn turn;
    for (int i = 0; i <= POOL_MAX_ENDED; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "t%d", i);
        struct ticket t = kit_ticket(id, "x", 0);
        assert_int_equal(pool_submit(p, &t, DISPATCH_MAX_GRANTS, KIT_T0, &turn), SUBMIT_GRANTED);
        assert_true(kit_settle_turn(p, id, 1, &o, KIT_T0, &turn));
    }
    assert_int_equal(pool_ticket_state(p, "t0"), TICKET_NONE);
    assert_int_equal(pool_ticket_state(p, "t1"), TICKET_DONE);
    assert_null(pool_check(p));
    pool_free(p);
}

static void a_permit_has_a_lease_of_its_own_and_then_expires(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    struct ticket t = kit_ticket("p", "x", 10);
    t.lease_ms = l.lease_ms * 3;
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_GRANTED);
    int64_t end_ms = KIT_T0 + t.lease_ms;
    assert_int_equal(pool_reap(p, end_ms - 1), 0);
    assert_true(pool_heartbeat(p, "p", 1, KIT_T0 + 1));
    assert_int_equal(pool_reap(p, end_ms), 0);
    int64_t level = pool_level(p, 0, end_ms + 1);
    assert_int_equal(pool_reap(p, end_ms + 1), 1);
    assert_int_equal(pool_ticket_state(p, "p"), TICKET_EXPIRED);
    assert_int_equal(pool_running(p), 0);
    assert_int_equal(pool_level(p, 0, end_ms + 1), level); /* the tokens stay charged */
    assert_false(kit_settle_turn(p, "p", 1, &o, end_ms + 1, &turn));
    t = kit_ticket("q", "x", 10);
    t.lease_ms = -1;
    assert_int_equal(pool_submit(p, &t, 1, KIT_T0, &turn), -EINVAL);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_that_fits_runs_at_once),
        cmocka_unit_test(a_ticket_that_does_not_fit_waits_exactly),
        cmocka_unit_test(the_longest_wait_binds),
        cmocka_unit_test(a_refused_ticket_charges_nothing),
        cmocka_unit_test(a_cost_above_the_capacity_is_refused_at_once),
        cmocka_unit_test(a_known_id_changes_nothing),
        cmocka_unit_test(the_queue_is_full_at_its_depth),
        cmocka_unit_test(malformed_tickets_are_refused),
        cmocka_unit_test(limits_that_do_not_hold_make_no_pool),
        cmocka_unit_test(a_settlement_takes_effect_once_and_under_its_fence),
        cmocka_unit_test(what_comes_back_grants_the_next_in_the_same_call),
        cmocka_unit_test(an_unsent_request_gives_everything_back_whatever_the_rule),
        cmocka_unit_test(an_overshoot_is_a_debt_that_all_wait_for),
        cmocka_unit_test(a_repeated_ticket_runs_under_the_next_fence_and_is_charged_again),
        cmocka_unit_test(a_delayed_ticket_comes_back_at_its_old_place),
        cmocka_unit_test(a_waiting_ticket_can_be_taken_out),
        cmocka_unit_test(a_cancelled_ticket_that_runs_is_not_repeated),
        cmocka_unit_test(costs_follow_the_name_of_their_dimension),
        cmocka_unit_test(a_lowered_capacity_cuts_queued_costs_to_it),
        cmocka_unit_test(a_pool_knows_a_bounded_number_of_names),
        cmocka_unit_test(an_empty_start_earns_before_it_grants),
        cmocka_unit_test(a_refused_submit_does_not_keep_the_refill),
        cmocka_unit_test(a_clock_that_steps_back_stops_nothing_that_fits),
        cmocka_unit_test(the_oldest_ended_tickets_are_forgotten),
        cmocka_unit_test(a_permit_has_a_lease_of_its_own_and_then_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
