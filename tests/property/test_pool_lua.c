/*
 * The scripts against the pool in memory: the same random operations on both, compared after each.
 * TEST_SEED runs one seed, TEST_QUICK few.
 */
#include "limiter/pool.h"

#include "tests/support/pool_scripts.h"
#include "tests/support/redis_fixture.h"

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
#define STEPS       1500
#define WHY_BYTES   512

struct bench {
    struct redis_fixture redis;
    struct pool_scripts scripts;
    struct pool_ops ops;
    size_t grants, passes;
};

static int set_up(void **state)
{
    static struct bench b;
    *state = &b;
    if (redis_fixture_start(&b.redis, NULL) < 0)
        return -1;
    return pool_scripts_open(&b.scripts, b.redis.socket);
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    pool_scripts_close(&b->scripts);
    redis_fixture_stop(&b->redis);
    return 0;
}

/* True when both agree on all steps; why says where they do not. */
static bool run_steps(struct bench *b, struct pool *p, uint64_t seed, char *why)
{
    char text[160], reason[256];
    for (int step = 0; step < STEPS; step++) {
        struct pool_op op;
        struct pool_result r;
        struct scripts_result scripts;
        pool_ops_next(&b->ops, p, &op);
        pool_op_run(p, &op, &r);
        bool same = pool_scripts_run(&b->scripts, &op, &scripts, reason, sizeof(reason)) == 0 &&
                    pool_scripts_agree(p, &op, &r, &scripts, reason, sizeof(reason));
        pool_ops_note(&b->ops, &op, &r);
        if (same && step % 100 == 99)
            same = pool_scripts_same_states(&b->scripts, &b->ops, p, reason, sizeof(reason));
        if (!same) {
            pool_op_print(&op, text, sizeof(text));
            (void)snprintf(why, WHY_BYTES, "seed %" PRIu64 " step %d: %s: %s", seed, step, text,
                           reason);
            return false;
        }
        b->grants += r.turn.grant_count;
    }
    return true;
}

static bool run_seed(struct bench *b, uint64_t seed, char *why)
{
    pool_ops_start(&b->ops, seed, true);
    struct pool *p = pool_new(&b->ops.limits, true, b->ops.now_ms);
    assert_non_null(p);
    assert_int_equal(pool_scripts_begin(&b->scripts, &b->ops.limits, b->ops.now_ms), 0);
    bool same = run_steps(b, p, seed, why);
    pool_free(p);
    return same;
}

static void the_scripts_do_what_the_pool_in_memory_does(void **state)
{
    struct bench *b = *state;
    const char *given = getenv("TEST_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 1;
    uint64_t count = given ? 1 : getenv("TEST_QUICK") ? QUICK_SEEDS : SEEDS;
    print_message("seeds %" PRIu64 " to %" PRIu64 "\n", first, first + count - 1);
    assert_int_equal(pool_scripts_load(&b->scripts, NULL), 0);

    char why[WHY_BYTES];
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!run_seed(b, seed, why))
            fail_msg("%s", why);
    }
    print_message("%zu grants\n", b->grants);
    assert_true(b->grants > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scripts_do_what_the_pool_in_memory_does),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
