/*
 * pool_scripts: the Lua scripts on a real redis-server, as another implementation of the operations
 * of tests/support/pool_ops.h, and the comparison of the two.
 *
 * The script text is the source tree's, with its clock replaced by one that reads a key, and, for
 * mutants, with one more piece replaced. Calls block: this is for tests only.
 */
#ifndef TESTS_SUPPORT_POOL_SCRIPTS_H
#define TESTS_SUPPORT_POOL_SCRIPTS_H

#include "tests/support/pool_ops.h"

#include <hiredis.h>

#define SCRIPT_SHA_BYTES 41

struct pool_mutation {
    const char *name;
    const char *find; /* a piece of the joined text; its first place is changed */
    const char *replace;
};

struct pool_scripts {
    redisContext *redis;
    char sha[OP_COUNT][SCRIPT_SHA_BYTES];
    struct pool_limits limits;
    struct window logs[POOL_MAX_DIMS]; /* as stored after the last operation */
};

/* What the scripts did, so that it can be compared. */
struct scripts_result {
    struct pool_result result;
    struct dim dims[POOL_MAX_DIMS]; /* as stored, not refilled; logs are those above */
    int64_t queued;
    char state[16]; /* of the ticket at hand; "" none */
};

/* Connects to a unix socket. 0 or -1 with the reason on stderr. */
int pool_scripts_open(struct pool_scripts *s, const char *socket);
void pool_scripts_close(struct pool_scripts *s);
/* Loads all scripts; a mutation that is found in none of them is an error. */
int pool_scripts_load(struct pool_scripts *s, const struct pool_mutation *mutation);

/* An empty database with one pool, full. */
int pool_scripts_begin(struct pool_scripts *s, const struct pool_limits *limits, int64_t now_ms);
/* -1 when a script failed or answered what cannot be read; the reason is in why. */
int pool_scripts_run(struct pool_scripts *s, const struct pool_op *op, struct scripts_result *ret,
                     char *why, size_t size);
/* Of every ticket so far, against p. */
bool pool_scripts_same_states(struct pool_scripts *s, const struct pool_ops *ops,
                              const struct pool *p, char *why, size_t size);

/* True when both did the same; else the first difference is in why. */
bool pool_scripts_agree(const struct pool *p, const struct pool_op *op, const struct pool_result *r,
                        const struct scripts_result *scripts, char *why, size_t size);

#endif
