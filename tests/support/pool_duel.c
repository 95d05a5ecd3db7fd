#include "tests/support/pool_duel.h"

#include <inttypes.h>
#include <stdio.h>

#define ALL_STATES_EVERY 100 /* steps */

int pool_duel_start(struct pool_duel *d)
{
    d->grants = 0;
    if (redis_fixture_start(&d->redis, NULL) < 0)
        return -1;
    return pool_scripts_open(&d->scripts, d->redis.socket);
}

void pool_duel_stop(struct pool_duel *d)
{
    pool_scripts_close(&d->scripts);
    redis_fixture_stop(&d->redis);
}

static bool step(struct pool_duel *d, struct pool *p, struct pool_op *op, char *why, size_t size)
{
    struct pool_result r;
    struct scripts_result scripts;
    pool_ops_next(&d->ops, p, op);
    pool_op_run(p, op, &r);
    pool_ops_note(&d->ops, op, &r);
    d->grants += r.turn.grant_count;
    return pool_scripts_run(&d->scripts, op, &scripts, why, size) == 0 &&
           pool_scripts_agree(p, op, &r, &scripts, why, size);
}

static int run(struct pool_duel *d, struct pool *p, uint64_t seed, char *why)
{
    char reason[256], text[160];
    for (int n = 1; n <= DUEL_STEPS; n++) {
        struct pool_op op;
        bool same = step(d, p, &op, reason, sizeof(reason));
        if (same && n % ALL_STATES_EVERY == 0)
            same = pool_scripts_same_states(&d->scripts, &d->ops, p, reason, sizeof(reason));
        if (same)
            continue;
        pool_op_print(&op, text, sizeof(text));
        (void)snprintf(why, DUEL_WHY_BYTES, "seed %" PRIu64 " step %d: %s: %s", seed, n, text,
                       reason);
        return 0;
    }
    return 1;
}

int pool_duel_seed(struct pool_duel *d, uint64_t seed, char why[DUEL_WHY_BYTES])
{
    d->ops.accrues = true;
    pool_ops_start(&d->ops, seed, true);
    struct pool *p = pool_new(&d->ops.limits, true, d->ops.now_ms);
    if (!p || pool_scripts_begin(&d->scripts, &d->ops.limits, d->ops.now_ms) < 0) {
        pool_free(p);
        return -1;
    }
    int rc = run(d, p, seed, why);
    pool_free(p);
    return rc;
}
