/*
 * The pool in memory against what must hold whatever happens: random operations with an exact
 * shadow, and runs that look at one promise each (I9 passing, I11 fairness).
 */
#include "limiter/pool.h"

#include "tests/support/pool_ops.h"
#include "tests/support/pool_shadow.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS  200
#define STEPS  1500
#define T0     INT64_C(1760000000000)
#define MINUTE 60000
#define DAY_MS INT64_C(86400000)

__extension__ typedef __int128 wide;

struct run {
    struct pool_ops ops;
    struct pool_shadow shadow;
    struct pool *pool;
    size_t exact_waits;
};

/* TEST_SEED: only this one. */
static void seeds(uint64_t *first, uint64_t *end)
{
    const char *given = getenv("TEST_SEED");
    *first = given ? strtoull(given, NULL, 10) : 1;
    *end = given ? *first + 1 : *first + SEEDS;
    print_message("seeds %" PRIu64 " to %" PRIu64 "\n", *first, *end - 1);
}

static struct pool_result perform(struct run *run, const struct pool_op *op)
{
    struct pool_result r;
    pool_op_run(run->pool, op, &r);
    const char *broken = pool_check(run->pool);
    if (broken)
        fail_msg("%s", broken);
    pool_shadow_follow(&run->shadow, &run->ops, run->pool, op, &r);
    pool_ops_note(&run->ops, op, &r);
    pool_shadow_compare(&run->shadow, &run->ops, run->pool, op->now_ms, false);
    return r;
}

static int64_t queued(const struct pool *p)
{
    return pool_depth(p, CLASS_INTERACTIVE) + pool_depth(p, CLASS_NORMAL) +
           pool_depth(p, CLASS_BATCH);
}

/* I10: nothing happens one ms before the wait, and something at it. */
static void assert_wait_is_exact(struct run *run, int64_t now, int64_t wait)
{
    struct pool *p = run->pool;
    struct pool_op op;
    int64_t before[] = {queued(p), pool_delayed(p), pool_running(p)};
    bool comes_back = pool_parked_until(p) <= now + wait;
    pool_ops_dispatch_at(&run->ops, now + wait - 1, &op);
    struct pool_result r = perform(run, &op);
    assert_int_equal(r.turn.grant_count, 0);
    assert_int_equal(r.turn.wait_ms, 1);
    assert_int_equal(queued(p), before[0]);
    assert_int_equal(pool_delayed(p), before[1]);

    pool_ops_dispatch_at(&run->ops, now + wait, &op);
    r = perform(run, &op);
    assert_true(queued(p) != before[0] || pool_delayed(p) != before[1] ||
                pool_running(p) != before[2] || comes_back);
    run->exact_waits++;
}

/* I12: with everything settled and time going on, each ticket ends. */
static void assert_all_end(struct run *run)
{
    struct pool *p = run->pool;
    struct pool_op op;
    for (int turn = 0; queued(p) + pool_delayed(p) + pool_running(p) > 0; turn++) {
        assert_true(turn < 4 * OPS_MAX_TICKETS);
        for (size_t i = 0; i < run->ops.count; i++) {
            struct ops_ticket *t = &run->ops.tickets[i];
            if (run->shadow.tickets[i].state != TICKET_RUNNING)
                continue;
            op = (struct pool_op){.kind = OP_SETTLE,
                                  .now_ms = run->ops.now_ms,
                                  .id = t->id,
                                  .fence = t->fence,
                                  .outcome = {.state = TICKET_DONE, .fair_actual = -1},
                                  .pause_dim = -2};
            for (size_t d = 0; d < POOL_MAX_DIMS; d++)
                op.outcome.actual[d] = -1;
            (void)perform(run, &op);
        }
        int64_t wait = run->ops.last_wait_ms;
        pool_ops_dispatch_at(&run->ops, run->ops.now_ms + (wait > 0 ? wait : 0), &op);
        (void)perform(run, &op);
    }
}

static void run_seed(struct run *run, uint64_t seed)
{
    pool_ops_start(&run->ops, seed, false);
    pool_shadow_start(&run->shadow, &run->ops);
    run->pool = pool_new(&run->ops.limits, true, run->ops.now_ms);
    assert_non_null(run->pool);
    for (int step = 0; step < STEPS; step++) {
        struct pool_op op;
        pool_ops_next(&run->ops, run->pool, &op);
        struct pool_result r = perform(run, &op);
        int64_t wait = r.turn.wait_ms;
        if (wait > 0 && wait < DAY_MS && rand_below(&run->ops.rand, 4) == 0)
            assert_wait_is_exact(run, op.now_ms, wait);
        if (step % 50 == 0)
            pool_shadow_compare(&run->shadow, &run->ops, run->pool, op.now_ms, true);
    }
    assert_all_end(run);
    pool_shadow_compare(&run->shadow, &run->ops, run->pool, run->ops.now_ms, true);
    pool_free(run->pool);
}

static void random_operations_keep_every_invariant(void **state)
{
    (void)state;
    static struct run run;
    uint64_t seed, end;
    size_t grants = 0, settles = 0, reaped = 0, expired = 0;
    for (seeds(&seed, &end); seed < end; seed++) {
        run_seed(&run, seed);
        grants += run.shadow.grants;
        settles += run.shadow.settles;
        reaped += run.shadow.reaped;
        expired += run.shadow.expired;
    }
    print_message("%zu grants, %zu settles, %zu reaped, %zu expired, %zu exact waits\n", grants,
                  settles, reaped, expired, run.exact_waits);
    assert_true(grants > 0 && settles > 0 && reaped > 0 && expired > 0 && run.exact_waits > 0);
}

/* ---- I9 */

struct passing {
    struct pool *pool;
    struct rand rand;
    int64_t now, number;
    int64_t rate, capacity, permille, big;
    int64_t since;   /* -1: the large ticket does not wait as head */
    int64_t missing; /* units, at since */
    int64_t passed;  /* units */
};

static void settle_as_reserved(struct pool *p, const struct pool_grant *g, int64_t now)
{
    struct pool_outcome o = {
        .id = g->id, .fence = g->fence, .state = TICKET_DONE, .actual = {-1}, .fair_actual = -1};
    struct pool_turn turn;
    assert_true(pool_settle(p, &o, 0, now, &turn));
}

/* Grants are taken as they come; small ones while the large one is held came out of its share. */
static void take_turn(struct passing *x, const struct pool_turn *turn)
{
    for (size_t i = 0; i < turn->grant_count; i++) {
        const struct pool_grant *g = &turn->grants[i];
        settle_as_reserved(x->pool, g, x->now);
        if (g->id[0] == 'A') {
            wide bound = (wide)x->missing * 1000;
            if (x->since >= 0) /* in (1 - beta) R a tick, and a tick to round up */
                assert_true((wide)(x->now - x->since - 1) * (1000 - x->permille) * x->rate <=
                            bound);
            x->since = -1;
            continue;
        }
        if (x->since < 0)
            continue;
        x->passed += strtoll(strchr(g->id, '-') + 1, NULL, 10) * MINUTE;
        assert_true((wide)x->passed * 1000 <= (wide)x->permille * x->rate * (x->now - x->since));
    }
}

static void note_hold(struct passing *x)
{
    const char *head = pool_head(x->pool);
    if (!head || head[0] != 'A') {
        x->since = -1; /* overtaken by tags: its turn is over, not its promise broken */
    } else if (x->since < 0) {
        x->since = x->now;
        x->missing = x->big * MINUTE - pool_level(x->pool, 0, x->now);
        x->passed = 0;
    }
}

static void add_ticket(struct passing *x, const char *tenant, int64_t cost)
{
    char id[TICKET_ID_BYTES];
    (void)snprintf(id, sizeof(id), "%s%" PRId64 "-%" PRId64, tenant, x->number++, cost);
    struct ticket t = {.id = id,
                       .class = CLASS_NORMAL,
                       .tenant = tenant,
                       .weight = 1,
                       .cost = {cost},
                       .fair_cost = cost,
                       .order_us = x->number};
    struct pool_turn turn;
    assert_true(pool_submit(x->pool, &t, 1, x->now, &turn) >= 0);
    take_turn(x, &turn);
    note_hold(x);
}

static void pass_seed(uint64_t seed)
{
    static const int64_t rates[] = {997, 30000, 1000003}, shares[] = {0, 100, 250, 500};
    static const char *const small[] = {"B", "C", "D"};
    struct passing x = {.now = T0, .since = -1};
    rand_seed(&x.rand, seed);
    x.rate = x.capacity = rates[rand_below(&x.rand, 3)];
    x.permille = shares[rand_below(&x.rand, 4)];
    x.big = x.capacity * (30 + rand_below(&x.rand, 71)) / 100;
    struct pool_limits l = {.dim_count = 1,
                            .bypass_permille = x.permille,
                            .max_depth = 100000,
                            .lease_ms = DAY_MS,
                            .max_losses = 1};
    l.dims[0] = (struct dim_limit){
        .name = "tpm", .rate = x.rate, .period = MINUTE, .tick_ms = 1, .capacity = x.capacity};
    x.pool = pool_new(&l, false, T0);
    assert_non_null(x.pool);

    for (int step = 0; step < STEPS; step++) {
        const char *head = pool_head(x.pool);
        if (!head || step % 40 == 0)
            add_ticket(&x, "A", x.big);
        if (rand_below(&x.rand, 2))
            add_ticket(&x, small[rand_below(&x.rand, 3)],
                       1 + x.capacity * rand_below(&x.rand, 30) / 1000);
        struct pool_turn turn;
        do { /* one grant at a time, so that the head is known at each */
            pool_dispatch(x.pool, 1, x.now, &turn);
            take_turn(&x, &turn);
            note_hold(&x);
        } while (turn.wait_ms == 0);
        int64_t pause = 1 + rand_below(&x.rand, 500);
        x.now += turn.wait_ms > 0 && turn.wait_ms < pause ? turn.wait_ms : pause;
    }
    pool_free(x.pool);
}

static void a_held_head_is_passed_within_its_share_only(void **state)
{
    (void)state;
    uint64_t seed, end;
    for (seeds(&seed, &end); seed < end; seed++)
        pass_seed(seed);
}

/* ---- I11 */

#define FLOWS 4

struct share {
    int64_t weight, largest, done;
};

/* By how much a is ahead of b, times both weights. */
static wide ahead(const struct share *a, const struct share *b)
{
    return (wide)a->done * b->weight - (wide)b->done * a->weight;
}

/*
 * Start-time fair queueing: between any two moments at which a and b both wait, their service by
 * weight differs by at most a's largest cost by its weight and b's by its. The range that
 * `ahead` covers says it for all pairs of moments. Rounded tags add a thousandth a grant.
 */
static void assert_fair(const struct share *a, const struct share *b, wide range, int grants)
{
    wide bound = (wide)a->largest * b->weight + (wide)b->largest * a->weight;
    wide rounding = (wide)grants * a->weight * b->weight / 1000 + 1;
    assert_true(range <= bound + rounding);
}

static struct pool *fair_pool(struct share *shares, bool classes, struct rand *rand)
{
    struct pool_limits l = {.dim_count = 0,
                            .max_parallel = 1,
                            .max_depth = 100000,
                            .lease_ms = DAY_MS,
                            .max_losses = 1};
    struct pool *p = pool_new(&l, true, T0);
    assert_non_null(p);
    for (int i = 0; i < FLOWS; i++)
        shares[i] = (struct share){.weight = classes && i < CLASS_COUNT ? pool_class_weight[i]
                                                                        : 1 + rand_below(rand, 20)};
    return p;
}

static int64_t add_fair(struct pool *p, struct share *shares, int flow, bool classes,
                        struct rand *rand)
{
    static const int64_t sizes[] = {1, 100, 5000, 50000};
    static int64_t number;
    int64_t cost = 1 + rand_below(rand, sizes[flow]);
    char id[TICKET_ID_BYTES], tenant[2] = {(char)('0' + flow), '\0'};
    (void)snprintf(id, sizeof(id), "%d-%" PRId64 "-%" PRId64, flow, cost, number++);
    struct ticket t = {.id = id,
                       .class = classes ? (enum pool_class)flow : CLASS_NORMAL,
                       .tenant = tenant,
                       .weight = classes ? 1 : shares[flow].weight,
                       .fair_cost = cost,
                       .order_us = number};
    struct pool_turn turn;
    if (cost > shares[flow].largest)
        shares[flow].largest = cost;
    assert_true(pool_submit(p, &t, 0, T0, &turn) >= 0);
    return cost;
}

static void fair_seed(uint64_t seed, bool classes)
{
    struct rand rand;
    rand_seed(&rand, seed);
    struct share shares[FLOWS];
    int flows = classes ? CLASS_COUNT : FLOWS;
    struct pool *p = fair_pool(shares, classes, &rand);
    struct ticket blocker = {.id = "blocker", .tenant = "x", .weight = 1, .fair_cost = 1};
    struct pool_turn turn;
    assert_int_equal(pool_submit(p, &blocker, 1, T0, &turn), SUBMIT_GRANTED);
    for (int i = 0; i < flows; i++) { /* two each, and one more at each grant: always backlogged */
        (void)add_fair(p, shares, i, classes, &rand);
        (void)add_fair(p, shares, i, classes, &rand);
    }
    wide low[FLOWS][FLOWS] = {{0}}, high[FLOWS][FLOWS] = {{0}};
    struct pool_grant running = turn.grants[0];
    for (int step = 0; step < STEPS; step++) {
        struct pool_outcome o = {
            .id = running.id, .fence = running.fence, .state = TICKET_DONE, .fair_actual = -1};
        assert_true(pool_settle(p, &o, 1, T0, &turn));
        assert_int_equal(turn.grant_count, 1);
        running = turn.grants[0];
        int flow = running.id[0] - '0';
        shares[flow].done += strtoll(running.id + 2, NULL, 10);
        (void)add_fair(p, shares, flow, classes, &rand);
        for (int a = 0; a < flows; a++) {
            for (int b = 0; b < a; b++) {
                wide d = ahead(&shares[a], &shares[b]);
                low[a][b] = d < low[a][b] ? d : low[a][b];
                high[a][b] = d > high[a][b] ? d : high[a][b];
                assert_fair(&shares[a], &shares[b], high[a][b] - low[a][b], step + 1);
            }
        }
    }
    pool_free(p);
}

static void waiting_tenants_are_served_by_weight(void **state)
{
    (void)state;
    uint64_t seed, end;
    for (seeds(&seed, &end); seed < end; seed++)
        fair_seed(seed, false);
}

static void waiting_classes_are_served_by_weight(void **state)
{
    (void)state;
    uint64_t seed, end;
    for (seeds(&seed, &end); seed < end; seed++)
        fair_seed(seed, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_keep_every_invariant),
        cmocka_unit_test(a_held_head_is_passed_within_its_share_only),
        cmocka_unit_test(waiting_tenants_are_served_by_weight),
        cmocka_unit_test(waiting_classes_are_served_by_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
