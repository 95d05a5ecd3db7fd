/*
 * The scripts against the pool in memory: the same random operations on both, compared after each.
 * TEST_SEED runs one seed, TEST_QUICK few.
 */
#include "limiter/pool.h"

#include "tests/support/pool_duel.h"
#include "tests/support/pool_kit.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS       200
#define QUICK_SEEDS 20

static int set_up(void **state)
{
    static struct pool_duel duel;
    *state = &duel;
    return pool_duel_start(&duel);
}

static int tear_down(void **state)
{
    pool_duel_stop(*state);
    return 0;
}

static void the_scripts_do_what_the_pool_in_memory_does(void **state)
{
    struct pool_duel *b = *state;
    const char *given = getenv("TEST_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 1;
    uint64_t count = given ? 1 : getenv("TEST_QUICK") ? QUICK_SEEDS : SEEDS;
    print_message("seeds %" PRIu64 " to %" PRIu64 "\n", first, first + count - 1);
    assert_int_equal(pool_scripts_load(&b->scripts, NULL), 0);

    char why[DUEL_WHY_BYTES] = "it could not run";
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (pool_duel_seed(b, seed, why) != 1)
            fail_msg("%s", why);
    }
    print_message("%zu grants\n", b->grants);
    assert_true(b->grants > 0);
}

/* ---- what random runs hardly reach: more work than one call does */

struct pair {
    struct pool_duel *b;
    struct pool *pool;
    int64_t now_ms;
};

static struct pool_turn both(const struct pair *x, struct pool_op op)
{
    struct pool_result r;
    struct scripts_result scripts;
    char why[DUEL_WHY_BYTES] = "";
    op.now_ms = x->now_ms;
    op.most = DISPATCH_MAX_GRANTS;
    pool_op_run(x->pool, &op, &r);
    if (pool_scripts_run(&x->b->scripts, &op, &scripts, why, sizeof(why)) < 0 ||
        !pool_scripts_agree(x->pool, &op, &r, &scripts, why, sizeof(why)))
        fail_msg("%s", why);
    return r.turn;
}

static struct pair make_pair(struct pool_duel *b)
{
    struct pool_limits l = kit_one_a_second();
    l.max_depth = 1000;
    struct pair x = {.b = b, .pool = kit_make(&l), .now_ms = KIT_T0};
    assert_int_equal(pool_scripts_load(&b->scripts, NULL), 0);
    assert_int_equal(pool_scripts_begin(&b->scripts, &l, KIT_T0), 0);
    return x;
}

static struct pool_turn submit_both(const struct pair *x, const char *tenant, int64_t cost,
                                    int64_t deadline_in_ms)
{
    static int number;
    char id[TICKET_ID_BYTES];
    (void)snprintf(id, sizeof(id), "t%d", number++);
    struct pool_op op = {.kind = OP_SUBMIT, .pause_dim = -2};
    op.ticket = kit_ticket(id, tenant, cost);
    op.ticket.order_us = x->now_ms * 1000;
    if (deadline_in_ms)
        op.ticket.deadline_ms = x->now_ms + deadline_in_ms;
    return both(x, op);
}

static void both_drop_a_bounded_number_of_late_heads(void **state)
{
    struct pair x = make_pair(*state);
    (void)submit_both(&x, "x", 60, 0);
    for (int i = 0; i < 2 * DISPATCH_MAX_DROPS + 1; i++)
        (void)submit_both(&x, i % 2 ? "x" : "y", 60, 1);
    x.now_ms++;
    assert_int_equal(both(&x, (struct pool_op){.kind = OP_DISPATCH}).wait_ms, 0);
    assert_int_equal(both(&x, (struct pool_op){.kind = OP_DISPATCH}).wait_ms, 0);
    assert_int_equal(both(&x, (struct pool_op){.kind = OP_DISPATCH}).wait_ms, POOL_WAIT_NONE);
    pool_free(x.pool);
}

static void both_drop_a_bounded_number_of_late_candidates(void **state)
{
    struct pair x = make_pair(*state);
    (void)submit_both(&x, "x", 60, 0);
    (void)submit_both(&x, "a", 60, 0); /* the head */
    for (int i = 0; i < DISPATCH_MAX_DROPS + 1; i++)
        (void)submit_both(&x, i % 2 ? "b" : "c", 60, 1);
    x.now_ms++;
    assert_int_equal(both(&x, (struct pool_op){.kind = OP_DISPATCH}).wait_ms, 0);
    assert_int_equal(both(&x, (struct pool_op){.kind = OP_DISPATCH}).wait_ms, 59999);
    pool_free(x.pool);
}

static void both_put_back_a_bounded_number_of_delayed_tickets(void **state)
{
    struct pair x = make_pair(*state);
    for (int i = 0; i < DISPATCH_MAX_DUE + 6; i++) {
        const struct pool_turn turn = submit_both(&x, "x", 0, 0);
        struct pool_op op = {.kind = OP_SETTLE, .pause_dim = -2};
        op.id = turn.grants[0].id;
        op.fence = turn.grants[0].fence;
        op.outcome = kit_outcome(TICKET_QUEUED);
        op.outcome.delay_ms = 500;
        (void)both(&x, op);
    }
    x.now_ms += 500;
    for (int i = 0; i < 6; i++)
        (void)both(&x, (struct pool_op){.kind = OP_DISPATCH});
    assert_int_equal(pool_running(x.pool), DISPATCH_MAX_DUE + 6);
    pool_free(x.pool);
}

static void both_reap_a_bounded_number_of_leases(void **state)
{
    struct pair x = make_pair(*state);
    for (int i = 0; i < REAP_MAX_LEASES + 1; i++)
        (void)submit_both(&x, "x", 0, 0);
    x.now_ms += 15000;
    (void)both(&x, (struct pool_op){.kind = OP_REAP});
    (void)both(&x, (struct pool_op){.kind = OP_REAP});
    pool_free(x.pool);
}

static void both_look_at_a_bounded_number_of_flows(void **state)
{
    struct pair x = make_pair(*state);
    (void)submit_both(&x, "x", 60, 0);
    for (int i = 0; i < BYPASS_MAX_SCAN + 3; i++) {
        char tenant[8];
        (void)snprintf(tenant, sizeof(tenant), "%c", 'a' + i);
        (void)submit_both(&x, tenant, 60, 0);
    }
    (void)submit_both(&x, "z", 0, 0); /* free, but too far behind */
    assert_int_equal(pool_running(x.pool), 1);
    for (int i = 0; i < 4 * BYPASS_MAX_SCAN; i++) {
        x.now_ms += 60000;
        (void)both(&x, (struct pool_op){.kind = OP_DISPATCH});
    }
    pool_free(x.pool);
}

/* More charges within a period than a log holds, some of which come back or cost more. */
static void both_merge_a_log_that_is_too_long(void **state)
{
    struct pool_limits l = kit_one_a_second();
    l.dims[0].rate = l.dims[0].capacity = 100000;
    l.dims[0].algorithm = DIM_WINDOW;
    struct pair x = {.b = *state, .pool = kit_make(&l), .now_ms = KIT_T0};
    assert_int_equal(pool_scripts_load(&x.b->scripts, NULL), 0);
    assert_int_equal(pool_scripts_begin(&x.b->scripts, &l, KIT_T0), 0);
    size_t most = 0;
    for (int i = 0; i < 3 * WINDOW_MAX_ENTRIES; i++) {
        x.now_ms += 1 + i % 40;
        const struct pool_turn turn = submit_both(&x, "x", 10, 0);
        struct pool_op op = {.kind = OP_SETTLE, .pause_dim = -2};
        op.id = turn.grants[0].id;
        op.fence = turn.grants[0].fence;
        op.outcome = kit_outcome(TICKET_DONE);
        op.outcome.actual[0] = i % 16;
        x.now_ms += i % 3;
        (void)both(&x, op);
        size_t count = pool_window(x.pool, 0)->count;
        most = count > most ? count : most;
    }
    assert_int_equal(most, WINDOW_MAX_ENTRIES);
    assert_null(pool_check(x.pool));
    pool_free(x.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_drop_a_bounded_number_of_late_heads),
        cmocka_unit_test(both_drop_a_bounded_number_of_late_candidates),
        cmocka_unit_test(both_put_back_a_bounded_number_of_delayed_tickets),
        cmocka_unit_test(both_reap_a_bounded_number_of_leases),
        cmocka_unit_test(both_look_at_a_bounded_number_of_flows),
        cmocka_unit_test(both_merge_a_log_that_is_too_long),
        cmocka_unit_test(the_scripts_do_what_the_pool_in_memory_does),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
