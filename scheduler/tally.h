/*
 * tally: what happened, told apart by tenant and by model, as pool_stats tells it by pool.
 *
 * Names come from requests, so there is a maximum of them: STATS_MAX_TENANTS and STATS_MAX_MODELS
 * are told apart, in this instance and (by the script that adds) over all; who comes later is
 * counted as "other". Counters only grow; `unsent` is what Redis has not been told yet.
 *
 *   units    ms and tokens
 *   threads  one event loop.
 */
#ifndef SCHEDULER_TALLY_H
#define SCHEDULER_TALLY_H

#include "common/limits.h"
#include "common/map.h"
#include "scheduler/pool_stats.h"

#include <stdbool.h>

#define TALLY_OTHER "other"

/* clang-format off */
#define TALLY_COUNTERS(X)                                                                  \
    X(requests) X(succeeded) X(failed) X(cancelled) X(expired) X(refused) X(delayed)       \
    X(tokens_reserved) X(tokens_input) X(tokens_output) X(tokens_trimmed) X(tokens_cached) \
    X(waited_ms) X(answered) X(upstream_ms)
/* clang-format on */

enum tally_counter {
#define X(name) TALLY_##name,
    TALLY_COUNTERS(X)
#undef X
        TALLY_COUNT,
};
/* Behind the counters stand two histograms of STEP_BUCKETS: waits, and times to the first byte. */
#define TALLY_WAITS    TALLY_COUNT
#define TALLY_UPSTREAM (TALLY_WAITS + STEP_BUCKETS)
#define TALLY_NUMBERS  (TALLY_UPSTREAM + STEP_BUCKETS)

#define TALLY_FIELD_BYTES 24
/* "requests", …, "w:3", "u:5". */
const char *tally_field(size_t number, char room[TALLY_FIELD_BYTES]);
/* The number of a field; TALLY_NUMBERS: it is none. */
size_t tally_number(const char *field);

struct tally_row {
    char name[MODEL_NAME_BYTES + 1];
    int64_t number[TALLY_NUMBERS], unsent[TALLY_NUMBERS];
    int64_t sending[TALLY_NUMBERS]; /* told to Redis, which has not answered (tally_shared.h) */
    int64_t rolled[TALLY_NUMBERS];  /* what the history was told of */
    int64_t rolled_minute;
};

enum tally_kind { TALLY_TENANT, TALLY_MODEL, TALLY_KINDS };

struct tally {
    struct map rows[TALLY_KINDS]; /* name -> struct tally_row */
};

const char *tally_kind_name(enum tally_kind kind); /* "tenant", "model" */
size_t tally_most(enum tally_kind kind);           /* names, but for "other" */

void tally_init(struct tally *t, uint64_t seed);
void tally_release(struct tally *t);
/* The row of a name, made when it is new; that of "other" when there are too many. NULL: no memory,
 * or t is NULL. */
struct tally_row *tally_of(struct tally *t, enum tally_kind kind, const char *name);
struct tally_row *tally_next(const struct tally *t, enum tally_kind kind, size_t *at);

/* All accept a row of NULL. */
void tally_add(struct tally_row *row, enum tally_counter c, int64_t amount);
void tally_wait(struct tally_row *row, int64_t ms);
void tally_upstream(struct tally_row *row, int64_t ms);

#endif
