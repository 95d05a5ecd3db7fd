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

/* ---- slots and leases */

static void full_slots_stop_all_until_one_is_settled(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.max_parallel = 2;
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    assert_int_equal(kit_put(p, "a", "x", 1, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "b", "x", 1, KIT_T0), SUBMIT_GRANTED);
    struct ticket t = kit_ticket("c", "x", 1);
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.wait_ms, POOL_WAIT_SLOTS);
    assert_int_equal(turn.binding, POOL_MAX_DIMS);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    assert_true(kit_settle_turn(p, "a", 1, &o, KIT_T0, &turn));
    kit_assert_granted(&turn, 0, "c", 1);
    assert_int_equal(pool_running(p), 2);
    pool_free(p);
}

static void an_ended_lease_gives_its_slot_back_but_no_tokens(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(pool_reap(p, KIT_T0 + 14999), 0);
    assert_int_equal(pool_reap(p, KIT_T0 + 15000), 1);
    assert_int_equal(pool_running(p), 0);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_QUEUED);
    assert_int_equal(pool_level(p, 0, KIT_T0 + 15000), 15 * KIT_MINUTE);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    assert_false(kit_settle(p, "a", 1, &o, KIT_T0 + 15000));
    pool_free(p);
}

static void a_heartbeat_extends_the_lease_of_its_holder_only(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 1, KIT_T0), SUBMIT_GRANTED);
    assert_true(pool_heartbeat(p, "a", 1, KIT_T0 + 10000));
    assert_false(pool_heartbeat(p, "a", 2, KIT_T0 + 20000));
    assert_false(pool_heartbeat(p, "b", 1, KIT_T0 + 20000));
    assert_int_equal(pool_reap(p, KIT_T0 + 24999), 0);
    assert_int_equal(pool_reap(p, KIT_T0 + 25000), 1);
    assert_false(pool_heartbeat(p, "a", 1, KIT_T0 + 25000));
    pool_free(p);
}

static void a_ticket_that_loses_too_many_leases_is_dead(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.max_losses = 2;
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 1, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(pool_reap(p, KIT_T0 + 15000), 1);
    struct pool_turn turn = kit_dispatch(p, KIT_T0 + 15000);
    kit_assert_granted(&turn, 0, "a", 2);
    assert_int_equal(pool_reap(p, KIT_T0 + 30000), 1);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_DEAD);
    pool_free(p);
}

static void one_reap_takes_back_a_bounded_number_of_leases(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    for (int i = 0; i < REAP_MAX_LEASES + 1; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "t%d", i);
        assert_int_equal(kit_put(p, id, "x", 0, KIT_T0), SUBMIT_GRANTED);
    }
    assert_int_equal(pool_reap(p, KIT_T0 + 15000), REAP_MAX_LEASES);
    assert_int_equal(pool_reap(p, KIT_T0 + 15000), 1);
    pool_free(p);
}

/* ---- the part of the slots that the class batch may hold */

static enum submit_result put_class(struct pool *p, const char *id, enum pool_class class)
{
    struct pool_turn turn;
    struct ticket t = kit_ticket(id, "x", 1);
    t.class = class;
    return kit_submit(p, &t, KIT_T0, &turn);
}

static void the_class_batch_leaves_slots_to_others(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.max_parallel = 5;
    l.batch_permille = 600;
    struct pool *p = kit_make(&l);
    static const char *const first[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(put_class(p, first[i], CLASS_BATCH), SUBMIT_GRANTED);
    assert_int_equal(put_class(p, "d", CLASS_BATCH), SUBMIT_QUEUED);
    assert_int_equal(pool_running(p), 3);
    struct pool_turn turn;
    struct ticket live = kit_ticket("e", "y", 1);
    assert_int_equal(kit_submit(p, &live, KIT_T0, &turn), SUBMIT_QUEUED);
    kit_assert_granted(&turn, 0, "e", 1); /* past the one that waits, at once */
    assert_int_equal(turn.wait_ms, POOL_WAIT_SLOTS);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    assert_true(kit_settle_turn(p, "e", 1, &o, KIT_T0, &turn));
    assert_int_equal(turn.grant_count, 0);
    assert_true(kit_settle_turn(p, "a", 1, &o, KIT_T0, &turn));
    kit_assert_granted(&turn, 0, "d", 1);
    pool_free(p);
}

static void the_class_batch_has_a_slot_however_small_its_part(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.max_parallel = 2;
    l.batch_permille = 1;
    struct pool *p = kit_make(&l);
    assert_int_equal(put_class(p, "a", CLASS_BATCH), SUBMIT_GRANTED);
    assert_int_equal(put_class(p, "b", CLASS_BATCH), SUBMIT_QUEUED);
    assert_int_equal(pool_reap(p, KIT_T0 + 15000), 1);
    struct pool_turn turn = kit_dispatch(p, KIT_T0 + 15000);
    assert_int_equal(turn.grant_count, 1);
    pool_free(p);

    l.batch_permille = 1000;
    p = kit_make(&l);
    assert_int_equal(put_class(p, "a", CLASS_BATCH), SUBMIT_GRANTED);
    assert_int_equal(put_class(p, "b", CLASS_BATCH), SUBMIT_GRANTED);
    pool_free(p);
    l.batch_permille = 1001;
    assert_int_equal(pool_limits_check(&l, NULL), -EINVAL);
}

static void what_a_barred_class_missed_is_no_credit(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.max_parallel = 2;
    l.batch_permille = 500;
    l.dims[0].rate = l.dims[0].capacity = 60000;
    struct pool *p = kit_make(&l);
    struct pool_outcome o = kit_outcome(TICKET_DONE);
    struct pool_turn turn;
    assert_int_equal(put_class(p, "b0", CLASS_BATCH), SUBMIT_GRANTED);
    assert_int_equal(put_class(p, "n", CLASS_NORMAL), SUBMIT_GRANTED);
    static const char *const batch[] = {"b1", "b2", "b3"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(put_class(p, batch[i], CLASS_BATCH), SUBMIT_QUEUED);
    char id[16], last[16] = "n";
    for (int i = 0; i < 40; i++) { /* always backlogged; the other slot is batch's */
        (void)snprintf(id, sizeof(id), "n%d", i);
        assert_int_equal(put_class(p, id, CLASS_NORMAL), SUBMIT_QUEUED);
        assert_true(kit_settle_turn(p, last, 1, &o, KIT_T0, &turn));
        kit_assert_granted(&turn, 0, id, 1);
        memcpy(last, id, sizeof(last));
    }
    assert_int_equal(put_class(p, "m1", CLASS_NORMAL), SUBMIT_QUEUED);
    assert_int_equal(put_class(p, "m2", CLASS_NORMAL), SUBMIT_QUEUED);
    assert_true(kit_settle_turn(p, "b0", 1, &o, KIT_T0, &turn));
    assert_int_equal(turn.grant_count, 1); /* b1 or m1: they stand level */
    assert_true(kit_settle_turn(p, turn.grants[0].id, 1, &o, KIT_T0, &turn));
    assert_int_equal(turn.grant_count, 1);
    assert_int_equal(pool_ticket_state(p, "m1") == TICKET_QUEUED &&
                         pool_ticket_state(p, "m2") == TICKET_QUEUED,
                     0); /* with forty grants of credit two of batch would go first */
    pool_free(p);
}

/* ---- deadlines */

static void a_ticket_at_its_deadline_is_dropped_and_no_grant(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    struct ticket late = kit_ticket("b", "x", 30), next = kit_ticket("c", "x", 40);
    late.deadline_ms = KIT_T0 + 10000;
    assert_int_equal(kit_submit(p, &late, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.wait_ms, 10000); /* its deadline is nearer than its 30 s */
    assert_int_equal(kit_submit(p, &next, KIT_T0, &turn), SUBMIT_QUEUED);
    turn = kit_dispatch(p, KIT_T0 + 9999);
    assert_int_equal(pool_ticket_state(p, "b"), TICKET_QUEUED);
    turn = kit_dispatch(p, KIT_T0 + 10000);
    assert_int_equal(pool_ticket_state(p, "b"), TICKET_EXPIRED);
    assert_int_equal(turn.grant_count, 0);
    assert_int_equal(turn.wait_ms, 30000); /* c, the new head */
    pool_free(p);
}

static void a_late_submit_is_dropped_at_once(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket t = kit_ticket("a", "x", 1);
    t.deadline_ms = KIT_T0;
    assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.grant_count, 0);
    assert_int_equal(turn.wait_ms, POOL_WAIT_NONE);
    assert_int_equal(pool_ticket_state(p, "a"), TICKET_EXPIRED);
    pool_free(p);
}

static void one_turn_drops_a_bounded_number_of_late_tickets(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    for (int i = 0; i < DISPATCH_MAX_DROPS + 1; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "t%d", i);
        struct ticket t = kit_ticket(id, i % 2 ? "x" : "y", 60);
        t.deadline_ms = KIT_T0 + 1;
        assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_QUEUED);
    }
    turn = kit_dispatch(p, KIT_T0 + 1);
    assert_int_equal(turn.wait_ms, 0);
    assert_int_equal(pool_depth(p, CLASS_NORMAL), 1);
    turn = kit_dispatch(p, KIT_T0 + 1);
    assert_int_equal(turn.wait_ms, POOL_WAIT_NONE);
    pool_free(p);
}

static void late_candidates_count_towards_the_same_bound(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "head", "a", 60, KIT_T0), SUBMIT_QUEUED);
    for (int i = 0; i < DISPATCH_MAX_DROPS + 1; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "t%d", i);
        struct ticket t = kit_ticket(id, "b", 60);
        t.deadline_ms = KIT_T0 + 1;
        assert_int_equal(kit_submit(p, &t, KIT_T0, &turn), SUBMIT_QUEUED);
    }
    turn = kit_dispatch(p, KIT_T0 + 1);
    assert_int_equal(turn.wait_ms, 0);
    assert_int_equal(turn.binding, -1);
    assert_int_equal(pool_depth(p, CLASS_NORMAL), 2);
    turn = kit_dispatch(p, KIT_T0 + 1);
    assert_int_equal(turn.wait_ms, 59999);
    assert_int_equal(pool_depth(p, CLASS_NORMAL), 1);
    pool_free(p);
}

static void one_turn_puts_back_a_bounded_number_of_delayed_tickets(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    l.max_parallel = DISPATCH_MAX_DUE + 1;
    struct pool *p = kit_make(&l);
    struct pool_outcome o = kit_outcome(TICKET_QUEUED);
    o.delay_ms = 500;
    for (int i = 0; i < DISPATCH_MAX_DUE + 1; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "t%d", i);
        assert_int_equal(kit_put(p, id, "x", 0, KIT_T0), SUBMIT_GRANTED);
        assert_true(kit_settle(p, id, 1, &o, KIT_T0));
    }
    struct pool_turn turn;
    pool_dispatch(p, 0, KIT_T0 + 500, &turn);
    assert_int_equal(pool_delayed(p), 1);
    assert_int_equal(pool_depth(p, CLASS_NORMAL), DISPATCH_MAX_DUE);
    assert_int_equal(turn.wait_ms, 0);
    pool_free(p);
}

static void a_turn_makes_no_more_grants_than_asked_for(void **state)
{
    (void)state;
    struct pool_limits l = kit_one_a_second();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    for (int i = 0; i < DISPATCH_MAX_GRANTS + 4; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "t%02d", i);
        assert_int_equal(kit_put(p, id, "x", 1, KIT_T0), SUBMIT_QUEUED);
    }
    pool_dispatch(p, 3, KIT_T0 + KIT_MINUTE, &turn);
    assert_int_equal(turn.grant_count, 3);
    assert_int_equal(turn.wait_ms, 0);
    pool_dispatch(p, 1000, KIT_T0 + KIT_MINUTE, &turn);
    assert_int_equal(turn.grant_count, DISPATCH_MAX_GRANTS);
    turn = kit_dispatch(p, KIT_T0 + KIT_MINUTE);
    assert_int_equal(turn.grant_count, 1);
    assert_int_equal(turn.wait_ms, POOL_WAIT_NONE);
    pool_free(p);
}

/* ---- hold and bypass */

static struct pool_limits with_share(int64_t permille)
{
    struct pool_limits l = kit_one_a_second();
    l.bypass_permille = permille;
    return l;
}

static void without_a_share_nobody_passes_a_held_head(void **state)
{
    (void)state;
    struct pool_limits l = with_share(0);
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "big", "x", 50, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "small", "y", 1, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_dispatch(p, KIT_T0 + 49999).grant_count, 0);
    struct pool_turn turn = kit_dispatch(p, KIT_T0 + 50000);
    kit_assert_granted(&turn, 0, "big", 1);
    assert_int_equal(turn.grant_count, 1);
    pool_free(p);
}

/*
 * A quarter of one token a second: a token every 4 s. The head needs 50. Small ones of another
 * tenant pass at 4, 8 and 12 s; each puts the head off by one second: 53 s instead of 50.
 */
static void a_share_of_the_refill_may_pass(void **state)
{
    (void)state;
    struct pool_limits l = with_share(250);
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "big", "x", 50, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "s1", "y", 1, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "s2", "y", 1, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "s3", "y", 1, KIT_T0), SUBMIT_QUEUED);
    kit_assert_granted_exactly_after(p, 4000, KIT_T0, "s1");
    kit_assert_granted_exactly_after(p, 4000, KIT_T0 + 4000, "s2");
    kit_assert_granted_exactly_after(p, 4000, KIT_T0 + 8000, "s3");
    kit_assert_granted_exactly_after(p, 41000, KIT_T0 + 12000, "big");
    pool_free(p);
}

static void the_share_of_a_hold_does_not_outlive_its_ticket(void **state)
{
    (void)state;
    struct pool_limits l = with_share(250);
    struct pool *p = kit_make(&l);
    assert_int_equal(kit_put(p, "a", "x", 60, KIT_T0), SUBMIT_GRANTED);
    assert_int_equal(kit_put(p, "big", "x", 50, KIT_T0), SUBMIT_QUEUED);
    assert_int_equal(kit_put(p, "s", "y", 2, KIT_T0), SUBMIT_QUEUED);
    (void)kit_dispatch(p, KIT_T0 + 3000);
    assert_int_equal(pool_cancel(p, "big", KIT_T0 + 3000), TICKET_QUEUED);
    assert_int_equal(kit_put(p, "big2", "z", 60, KIT_T0 + 3000), SUBMIT_QUEUED);
    /* s was granted by that turn, as the head: the bucket had 3 tokens and 2 were enough */
    assert_int_equal(pool_ticket_state(p, "s"), TICKET_RUNNING);
    assert_int_equal(kit_put(p, "s2", "y", 2, KIT_T0 + 3000), SUBMIT_QUEUED);
    assert_int_equal(kit_dispatch(p, KIT_T0 + 10999).grant_count, 0);
    assert_int_equal(kit_dispatch(p, KIT_T0 + 11000).grant_count, 1); /* 8 s of the new hold */
    pool_free(p);
}

static void what_the_head_does_not_need_may_be_taken_by_others(void **state)
{
    (void)state;
    struct pool_limits l = kit_two_dims();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket all = kit_ticket("a", "x", 60), big = kit_ticket("b", "x", 30);
    assert_int_equal(kit_submit(p, &all, KIT_T0, &turn), SUBMIT_GRANTED);
    big.cost[1] = 10; /* waits for tpm, needs 10 of 60 rpm */
    assert_int_equal(kit_submit(p, &big, KIT_T0, &turn), SUBMIT_QUEUED);
    struct ticket other = kit_ticket("c", "y", 0), much = kit_ticket("d", "z", 0);
    other.cost[1] = 50;
    assert_int_equal(kit_submit(p, &other, KIT_T0, &turn), SUBMIT_QUEUED);
    kit_assert_granted(&turn, 0, "c", 1);
    much.cost[1] = 1; /* would leave 9 */
    assert_int_equal(kit_submit(p, &much, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.grant_count, 0);
    assert_int_equal(turn.wait_ms, 1000);
    pool_free(p);
}

static void a_bounded_number_of_flows_is_looked_at(void **state)
{
    (void)state;
    struct pool_limits l = kit_two_dims();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    struct ticket all = kit_ticket("a", "x", 60);
    assert_int_equal(kit_submit(p, &all, KIT_T0, &turn), SUBMIT_GRANTED);
    for (int i = 0; i < BYPASS_MAX_SCAN + 1; i++) { /* the head and 16 that wait as it does */
        char id[16];
        (void)snprintf(id, sizeof(id), "t%02d", i);
        assert_int_equal(kit_put(p, id, id, 60, KIT_T0), SUBMIT_QUEUED);
    }
    struct ticket free_one = kit_ticket("z", "z", 0);
    free_one.cost[1] = 1;
    assert_int_equal(kit_submit(p, &free_one, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.grant_count, 0); /* the 17th */
    assert_int_equal(pool_cancel(p, "t05", KIT_T0), TICKET_QUEUED);
    turn = kit_dispatch(p, KIT_T0);
    kit_assert_granted(&turn, 0, "z", 1); /* the 16th */
    pool_free(p);
}

static void a_paused_dimension_stops_only_who_needs_it(void **state)
{
    (void)state;
    struct pool_limits l = kit_two_dims();
    struct pool *p = kit_make(&l);
    struct pool_turn turn;
    pool_pause(p, 0, KIT_T0 + 5000);
    pool_pause(p, 0, KIT_T0 + 1000); /* no shortening */
    struct ticket a = kit_ticket("a", "x", 1), b = kit_ticket("b", "y", 0);
    assert_int_equal(kit_submit(p, &a, KIT_T0, &turn), SUBMIT_QUEUED);
    assert_int_equal(turn.wait_ms, 5000);
    assert_int_equal(turn.binding, 0);
    b.cost[1] = 1;
    assert_int_equal(kit_submit(p, &b, KIT_T0, &turn), SUBMIT_QUEUED);
    kit_assert_granted(&turn, 0, "b", 1);
    kit_assert_granted_exactly_after(p, 5000, KIT_T0, "a");

    pool_pause(p, -1, KIT_T0 + 9000);
    assert_int_equal(kit_put(p, "c", "x", 1, KIT_T0 + 5000), SUBMIT_QUEUED);
    kit_assert_granted_exactly_after(p, 4000, KIT_T0 + 5000, "c");
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_slots_stop_all_until_one_is_settled),
        cmocka_unit_test(an_ended_lease_gives_its_slot_back_but_no_tokens),
        cmocka_unit_test(a_heartbeat_extends_the_lease_of_its_holder_only),
        cmocka_unit_test(a_ticket_that_loses_too_many_leases_is_dead),
        cmocka_unit_test(one_reap_takes_back_a_bounded_number_of_leases),
        cmocka_unit_test(the_class_batch_leaves_slots_to_others),
        cmocka_unit_test(the_class_batch_has_a_slot_however_small_its_part),
        cmocka_unit_test(what_a_barred_class_missed_is_no_credit),
        cmocka_unit_test(a_ticket_at_its_deadline_is_dropped_and_no_grant),
        cmocka_unit_test(a_late_submit_is_dropped_at_once),
        cmocka_unit_test(one_turn_drops_a_bounded_number_of_late_tickets),
        cmocka_unit_test(late_candidates_count_towards_the_same_bound),
        cmocka_unit_test(one_turn_puts_back_a_bounded_number_of_delayed_tickets),
        cmocka_unit_test(a_turn_makes_no_more_grants_than_asked_for),
        cmocka_unit_test(without_a_share_nobody_passes_a_held_head),
        cmocka_unit_test(a_share_of_the_refill_may_pass),
        cmocka_unit_test(the_share_of_a_hold_does_not_outlive_its_ticket),
        cmocka_unit_test(what_the_head_does_not_need_may_be_taken_by_others),
        cmocka_unit_test(a_bounded_number_of_flows_is_looked_at),
        cmocka_unit_test(a_paused_dimension_stops_only_who_needs_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
