/*
 * pool_duel: one seed of random operations on the pool in memory and on the scripts, step by step.
 */
#ifndef TESTS_SUPPORT_POOL_DUEL_H
#define TESTS_SUPPORT_POOL_DUEL_H

#include "tests/support/pool_ops.h"
#include "tests/support/pool_scripts.h"
#include "tests/support/redis_fixture.h"

#define DUEL_WHY_BYTES 512
#define DUEL_STEPS     1500

struct pool_duel {
    struct redis_fixture redis;
    struct pool_scripts scripts;
    struct pool_ops ops;
    size_t grants; /* of all seeds */
};

int pool_duel_start(struct pool_duel *d); /* a redis-server; 0 or -1 */
void pool_duel_stop(struct pool_duel *d);
/* Scripts must be loaded. 1 both agreed, 0 why says where they did not, -1 it could not run. */
int pool_duel_seed(struct pool_duel *d, uint64_t seed, char why[DUEL_WHY_BYTES]);

#endif
