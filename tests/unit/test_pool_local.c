/* Grants without Redis: a loop, and no I/O. */
#include "scheduler/pool_local.h"

#include "common/clock.h"
#include "limiter/share.h"
#include "scheduler/outage.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE  60000
#define WAIT_MS 10000

struct kit {
    struct event_base *base;
    struct store_pool pool;
    struct pool_stats stats;
    struct pool_local *local;
    unsigned grants, dues;
    struct store_grant grant; /* the last */
    char due[TICKET_ID_BYTES];
};

struct told {
    unsigned calls;
    enum redis_status status;
    enum submit_result submit;
    int64_t fence, detail_number;
    char result[16], detail[32];
};

static void on_grant(void *arg, const struct store_grant *grant)
{
    struct kit *k = arg;
    k->grants++;
    k->grant = *grant;
}

static void on_due(void *arg, const char *id)
{
    struct kit *k = arg;
    k->dues++;
    (void)snprintf(k->due, sizeof(k->due), "%s", id);
}

static void on_told(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct told *t = arg;
    assert_non_null(pool);
    t->calls++;
    t->status = turn->status;
    t->submit = turn->submit;
    t->fence = turn->fence;
    t->detail_number = turn->detail_number;
    (void)snprintf(t->result, sizeof(t->result), "%s", turn->result);
    (void)snprintf(t->detail, sizeof(t->detail), "%s", turn->detail);
}

static int setup(void **state)
{
    struct kit *k = calloc(1, sizeof(*k));
    assert_non_null(k);
    *state = k;
    k->base = event_base_new();
    k->pool.limits = (struct pool_limits){
        .dims = {{.name = "tpm",
                  .rate = 600000,
                  .period = MINUTE,
                  .tick_ms = 1,
                  .capacity = 600000,
                  .rule = DIM_REFUND}},
        .dim_count = 1,
        .max_depth = 1000000,
        .lease_ms = 15000,
        .max_losses = 5,
    };
    struct pool_local_options options = {
        .base = k->base,
        .pool = &k->pool,
        .stats = &k->stats,
        .hooks = {.on_grant = on_grant, .on_due = on_due, .arg = k},
    };
    k->local = pool_local_new(&options);
    assert_non_null(k->local);
    return 0;
}

static int teardown(void **state)
{
    struct kit *k = *state;
    pool_local_free(k->local);
    event_base_free(k->base);
    free(k);
    return 0;
}

#define UNTIL(k, condition)                                                                        \
    do {                                                                                           \
        int64_t until_ms = clock_mono_ms() + WAIT_MS;                                              \
        while (!(condition)) {                                                                     \
            struct timeval step = {.tv_usec = 5000};                                               \
            if (clock_mono_ms() > until_ms)                                                        \
                fail_msg("waited in vain for %s", #condition);                                     \
            (void)event_base_loopexit((k)->base, &step);                                           \
            (void)event_base_loop((k)->base, EVLOOP_ONCE);                                         \
        }                                                                                          \
    } while (0)

static void submit(struct kit *k, struct told *t, const char *id, int64_t cost)
{
    struct store_ticket ticket = {.id = id,
                                  .class = CLASS_NORMAL,
                                  .tenant = "x",
                                  .weight = 1,
                                  .cost = {cost},
                                  .fair_cost = cost > 0 ? cost : 1};
    pool_local_submit(k->local, &ticket, on_told, t);
}

static void put(struct kit *k, struct told *t, const char *id, int64_t cost)
{
    submit(k, t, id, cost);
    assert_int_equal(t->calls, 0);
    UNTIL(k, t->calls == 1);
}

static struct store_outcome outcome(const char *id, int64_t fence, int64_t actual)
{
    return (struct store_outcome){
        .id = id, .fence = fence, .state = TICKET_DONE, .actual = {actual}, .fair_actual = -1};
}

static int64_t charged(struct kit *k)
{
    struct store_charge c;
    return pool_local_next_charge(k->local, &c) ? c.tokens[0] : 0;
}

static void it_starts_empty_and_earns_its_share_exactly(void **state)
{
    struct kit *k = *state;
    struct told t = {0};
    int64_t before_ms = clock_mono_ms();
    assert_int_equal(pool_local_enter(k->local, 4), 0); /* 75000 a minute, 1.25 a ms */
    put(k, &t, "a", 125);
    assert_int_equal(t.status, REDIS_OK);
    assert_int_equal(t.submit, SUBMIT_QUEUED);
    assert_int_equal(k->grants, 0);
    UNTIL(k, k->grants == 1);
    assert_true(clock_mono_ms() - before_ms >= 100);
    assert_string_equal(k->grant.id, "a");
    assert_int_equal(k->stats.count[COUNT_local_grants], 1);
    assert_int_equal(charged(k), 125);
}

static void without_limits_all_is_granted_at_once_and_added_up(void **state)
{
    struct kit *k = *state;
    struct told t[3] = {{0}};
    assert_int_equal(pool_local_enter(k->local, 0), 0);
    for (int i = 0; i < 3; i++) {
        const char *id = (const char *[]){"a", "b", "c"}[i];
        put(k, &t[i], id, 600000);
        assert_int_equal(t[i].submit, SUBMIT_GRANTED);
        assert_int_equal(t[i].fence, 1);
    }
    assert_int_equal(charged(k), 1800000);
    assert_int_equal(k->stats.count[COUNT_local_grants], 3);
}

static void
what_is_larger_than_the_share_may_be_is_answered_as_by_a_redis_that_is_away(void **state)
{
    struct kit *k = *state;
    struct told fits = {0}, large = {0}, never = {0};
    assert_int_equal(pool_local_enter(k->local, 4), 0);
    put(k, &fits, "a", 75000);
    assert_int_equal(fits.submit, SUBMIT_QUEUED);
    put(k, &large, "b", 75001);
    assert_int_equal(large.status, REDIS_DOWN);
    put(k, &never, "c", 600001);
    assert_int_equal(never.status, REDIS_OK);
    assert_int_equal(never.submit, SUBMIT_TOO_LARGE);
    assert_string_equal(never.detail, "tpm");
    assert_int_equal(never.detail_number, 600000);
}

static void the_queue_takes_its_maximum_and_not_one_more(void **state)
{
    struct kit *k = *state;
    struct told last = {0}, more = {0};
    struct told *all = calloc(SHARE_MAX_DEPTH, sizeof(*all));
    assert_non_null(all);
    assert_int_equal(pool_local_enter(k->local, 4), 0);
    put(k, &last, "first", 75000); /* holds the others for a minute */
    for (int i = 1; i < SHARE_MAX_DEPTH; i++) {
        char id[TICKET_ID_BYTES];
        (void)snprintf(id, sizeof(id), "t%d", i);
        submit(k, &all[i], id, 75000);
    }
    UNTIL(k, all[SHARE_MAX_DEPTH - 1].calls == 1);
    assert_int_equal(all[SHARE_MAX_DEPTH - 1].submit, SUBMIT_QUEUED);
    put(k, &more, "more", 75000);
    assert_int_equal(more.submit, SUBMIT_FULL);
    assert_false(pool_local_has(k->local, "more"));
    free(all);
}

static void held_it_grants_nothing_and_submits_wait(void **state)
{
    struct kit *k = *state;
    struct told waits = {0}, late = {0};
    struct timeval soon = {.tv_usec = 50000};
    assert_int_equal(pool_local_enter(k->local, 1), 0); /* 5 a ms */
    put(k, &waits, "a", 50);
    pool_local_hold(k->local, true);
    submit(k, &late, "b", 1);
    (void)event_base_loopexit(k->base, &soon);
    (void)event_base_dispatch(k->base);
    assert_int_equal(k->grants, 0);
    assert_int_equal(late.calls, 0);
    pool_local_hold(k->local, false);
    UNTIL(k, k->grants == 2 && late.calls == 1);
}

static void left_it_forgets_what_waits_and_keeps_what_runs(void **state)
{
    struct kit *k = *state;
    struct told runs = {0}, waits = {0}, arrives = {0};
    assert_int_equal(pool_local_enter(k->local, 4), 0);
    put(k, &runs, "runs", 10);
    UNTIL(k, k->grants == 1);
    put(k, &waits, "waits", 75000);
    submit(k, &arrives, "arrives", 1);
    pool_local_leave(k->local);
    assert_true(pool_local_has(k->local, "runs"));
    assert_false(pool_local_has(k->local, "waits"));
    UNTIL(k, arrives.calls == 1);
    assert_int_equal(arrives.status, REDIS_DOWN);
    assert_int_equal(charged(k), 10);
    pool_local_charged(k->local);
    struct store_outcome o = outcome("runs", 1, 4);
    pool_local_settle(k->local, &o, NULL, NULL);
    assert_int_equal(charged(k), -6);
    assert_false(pool_local_is_charged(k->local));
    pool_local_charged(k->local);
    assert_true(pool_local_is_charged(k->local));
    assert_false(pool_local_has(k->local, "runs"));
}

static void a_ticket_settles_once_and_only_under_its_fence(void **state)
{
    struct kit *k = *state;
    struct told t = {0}, stale = {0}, good = {0}, again = {0};
    assert_int_equal(pool_local_enter(k->local, 0), 0);
    put(k, &t, "a", 100);
    struct store_outcome o = outcome("a", 2, 10);
    pool_local_settle(k->local, &o, on_told, &stale);
    assert_int_equal(stale.calls, 0);
    UNTIL(k, stale.calls == 1);
    assert_string_equal(stale.result, "stale");
    o.fence = 1;
    pool_local_settle(k->local, &o, on_told, &good);
    pool_local_settle(k->local, &o, on_told, &again);
    UNTIL(k, good.calls + again.calls == 2);
    assert_string_equal(good.result, "settled");
    assert_string_equal(again.result, "stale");
    assert_int_equal(charged(k), 10);
}

static void a_repeat_is_granted_again_under_the_next_fence(void **state)
{
    struct kit *k = *state;
    struct told t = {0};
    assert_int_equal(pool_local_enter(k->local, 0), 0);
    put(k, &t, "a", 100);
    struct store_outcome o = outcome("a", 1, -1);
    o.state = TICKET_QUEUED;
    o.delay_ms = 20;
    o.unsent = true;
    pool_local_settle(k->local, &o, NULL, NULL);
    UNTIL(k, k->grants == 1);
    assert_int_equal(k->grant.fence, 2);
    assert_int_equal(charged(k), 100);
    assert_int_equal(k->stats.count[COUNT_local_grants], 2);
}

static void a_repeat_after_the_pool_was_left_is_told_when_it_is_due(void **state)
{
    struct kit *k = *state;
    struct told t = {0};
    assert_int_equal(pool_local_enter(k->local, 0), 0);
    put(k, &t, "a", 100);
    pool_local_leave(k->local);
    struct store_outcome o = outcome("a", 1, -1);
    o.state = TICKET_QUEUED;
    o.delay_ms = 30;
    pool_local_settle(k->local, &o, NULL, NULL);
    assert_true(pool_local_has(k->local, "a"));
    assert_int_equal(k->dues, 0);
    UNTIL(k, k->dues == 1);
    assert_string_equal(k->due, "a");
    assert_false(pool_local_has(k->local, "a"));
}

static void a_pause_of_the_provider_is_charged_with_the_tokens(void **state)
{
    struct kit *k = *state;
    struct told t = {0};
    struct store_charge c;
    assert_int_equal(pool_local_enter(k->local, 0), 0);
    put(k, &t, "a", 100);
    struct store_outcome o = outcome("a", 1, -1);
    o.pause_dim = "*";
    o.pause_ms = 60000;
    pool_local_settle(k->local, &o, NULL, NULL);
    assert_true(pool_local_next_charge(k->local, &c));
    assert_in_range(c.pause_ms[0], 50000, 60000);
}

static void a_charge_stays_the_same_until_it_was_taken(void **state)
{
    struct kit *k = *state;
    struct told t = {0}, u = {0};
    struct store_charge c;
    assert_int_equal(pool_local_enter(k->local, 0), 0);
    assert_false(pool_local_next_charge(k->local, &c));
    put(k, &t, "a", 100);
    assert_true(pool_local_next_charge(k->local, &c));
    put(k, &u, "b", 7);
    assert_true(pool_local_next_charge(k->local, &c));
    assert_int_equal(c.number, 1);
    assert_int_equal(c.tokens[0], 100);
    pool_local_charged(k->local);
    assert_true(pool_local_next_charge(k->local, &c));
    assert_int_equal(c.number, 2);
    assert_int_equal(c.tokens[0], 7);
}

static void output_that_accrued_is_charged_once_and_settled_with_the_rest(void **state)
{
    const int64_t more[POOL_MAX_DIMS] = {250}, less[POOL_MAX_DIMS] = {180};
    struct kit *k = *state;
    struct told t = {0};
    k->pool.limits.dims[0].rule = DIM_ACCRUE;
    assert_int_equal(pool_local_enter(k->local, 0), 0);
    put(k, &t, "a", 100);
    assert_int_equal(charged(k), 100);
    pool_local_charged(k->local);
    pool_local_accrue(k->local, "a", 2, more); /* another fence */
    assert_true(pool_local_is_charged(k->local));
    pool_local_accrue(k->local, "a", 1, more);
    pool_local_accrue(k->local, "a", 1, more);
    pool_local_accrue(k->local, "a", 1, less); /* came late */
    assert_int_equal(charged(k), 150);
    pool_local_charged(k->local);
    pool_local_leave(k->local);
    struct store_outcome o = outcome("a", 1, 240);
    pool_local_settle(k->local, &o, NULL, NULL);
    assert_int_equal(charged(k), -10);
}

static void tickets_granted_elsewhere_use_slots_of_the_share(void **state)
{
    struct kit *k = *state;
    struct told t = {0};
    k->pool.limits.max_parallel = 8; /* 2 for each of 2 */
    assert_int_equal(pool_local_enter(k->local, 2), 0);
    for (int i = 0; i < 3; i++)
        pool_local_occupy(k->local, (const char *[]){"x", "y", "z"}[i]);
    put(k, &t, "a", 1);
    assert_int_equal(t.submit, SUBMIT_QUEUED);
    pool_local_vacate(k->local, "x");
    UNTIL(k, (pool_local_vacate(k->local, "y"), true));
    UNTIL(k, k->grants == 1);
    assert_int_equal(charged(k), 1);
}

static void a_new_outage_starts_empty_again(void **state)
{
    struct kit *k = *state;
    struct told t = {0}, u = {0};
    struct timeval pause = {.tv_usec = 500000};
    assert_int_equal(pool_local_enter(k->local, 1), 0);
    put(k, &t, "a", 1);
    UNTIL(k, k->grants == 1 || t.submit == SUBMIT_GRANTED);
    (void)event_base_loopexit(k->base, &pause);
    (void)event_base_dispatch(k->base); /* earns 2,500 */
    pool_local_leave(k->local);
    assert_int_equal(pool_local_enter(k->local, 1), 0);
    put(k, &u, "b", 2400);
    assert_int_equal(u.submit, SUBMIT_QUEUED);
}

static void a_stop_answers_what_was_not_answered(void **state)
{
    struct kit *k = *state;
    struct told t = {0};
    assert_int_equal(pool_local_enter(k->local, 1), 0);
    submit(k, &t, "a", 1);
    pool_local_stop(k->local);
    assert_int_equal(t.calls, 1);
    assert_int_equal(t.status, REDIS_DOWN);
}

static void limits_too_small_to_share_are_not_entered(void **state)
{
    struct kit *k = *state;
    k->pool.limits.dims[0].capacity = k->pool.limits.dims[0].rate = 3;
    assert_int_equal(pool_local_enter(k->local, 4), -ERANGE);
    assert_false(pool_local_is_entered(k->local));
    assert_int_equal(pool_local_enter(k->local, 3), 0);
}

static void a_redis_that_starts_with_us_is_waited_for_and_a_lost_one_is_not(void **state)
{
    (void)state;
    struct outage o = {.mode = CONFIG_LOCAL, .max_instances = 4, .started_ms = 1000};
    assert_false(outage_grants(&o, 1000 + OUTAGE_START_GRACE_MS - 1));
    assert_true(outage_grants(&o, 1000 + OUTAGE_START_GRACE_MS));
    o.ever_up = true;
    assert_true(outage_grants(&o, 1000));
    o.mode = CONFIG_OPEN;
    assert_true(outage_grants(&o, 1000));
    o.mode = CONFIG_CLOSED;
    assert_false(outage_grants(&o, 100000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define KIT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        KIT_TEST(it_starts_empty_and_earns_its_share_exactly),
        KIT_TEST(without_limits_all_is_granted_at_once_and_added_up),
        KIT_TEST(what_is_larger_than_the_share_may_be_is_answered_as_by_a_redis_that_is_away),
        KIT_TEST(the_queue_takes_its_maximum_and_not_one_more),
        KIT_TEST(held_it_grants_nothing_and_submits_wait),
        KIT_TEST(left_it_forgets_what_waits_and_keeps_what_runs),
        KIT_TEST(a_ticket_settles_once_and_only_under_its_fence),
        KIT_TEST(a_repeat_is_granted_again_under_the_next_fence),
        KIT_TEST(a_repeat_after_the_pool_was_left_is_told_when_it_is_due),
        KIT_TEST(a_pause_of_the_provider_is_charged_with_the_tokens),
        KIT_TEST(a_charge_stays_the_same_until_it_was_taken),
        KIT_TEST(output_that_accrued_is_charged_once_and_settled_with_the_rest),
        KIT_TEST(tickets_granted_elsewhere_use_slots_of_the_share),
        KIT_TEST(a_new_outage_starts_empty_again),
        KIT_TEST(a_stop_answers_what_was_not_answered),
        KIT_TEST(limits_too_small_to_share_are_not_entered),
        cmocka_unit_test(a_redis_that_starts_with_us_is_waited_for_and_a_lost_one_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
