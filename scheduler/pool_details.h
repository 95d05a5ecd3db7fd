/*
 * pool_details: what is counted in a pool beside its counters: histograms, and what bound whom.
 *
 * One row of numbers, each of which has a field of its own in the pool's stats hash, so that all
 * instances add to it as to the counters. Only few of them move in one second.
 *
 *   times     waits of each class, answers (from sending to their end) and first tokens of streams,
 *             each as STEP_BUCKETS steps and their sum in ms
 *   errors    reserved tokens against used ones, as a histogram of the ratio and its sum in percent
 *   limits    decisions by the limit that was behind them
 *
 *   threads   one event loop.
 */
#ifndef SCHEDULER_POOL_DETAILS_H
#define SCHEDULER_POOL_DETAILS_H

#include "limiter/pool_class.h"

#include <stddef.h>
#include <stdint.h>

/* A coarser histogram of times, for those of which there are many: a bucket a power of two. */
#define STEP_BUCKETS 24
size_t step_bucket(int64_t ms);
int64_t step_top_ms(size_t bucket);
/* The time that `permille` of all are at or below, guessed by proportion inside its bucket. */
int64_t step_percentile(const int64_t steps[STEP_BUCKETS], int permille);

/* clang-format off */
#define DETAIL_DECISIONS(X) X(delayed) X(shrunk) X(refused) X(expired)
#define DETAIL_LIMITS(X)                                                                    \
    X(none) X(rpm) X(tpm) X(itpm) X(otpm) X(rpd) X(tpd) X(max_parallel_requests) X(tenant)  \
    X(queue) X(circuit) X(other)
/* clang-format on */

enum detail_decision {
#define X(name) DECISION_##name,
    DETAIL_DECISIONS(X)
#undef X
        DECISION_MAX,
};
enum detail_limit {
#define X(name) BOUND_##name,
    DETAIL_LIMITS(X)
#undef X
        BOUND_MAX,
};

/* CLASS_COUNT histograms of waits stand before these. */
enum detail_time { TIME_UPSTREAM = CLASS_COUNT, TIME_FIRST_TOKEN, TIME_MAX };

#define TIME_NUMBERS   (STEP_BUCKETS + 1) /* the sum behind them */
#define ERROR_BOUNDS   11
#define ERROR_NUMBERS  (ERROR_BOUNDS + 2) /* one past all bounds, and the sum */
#define DETAILS_ERRORS ((size_t)TIME_MAX * TIME_NUMBERS)
#define DETAILS_LIMITS (DETAILS_ERRORS + ERROR_NUMBERS)
#define DETAILS        (DETAILS_LIMITS + (size_t)DECISION_MAX * BOUND_MAX)

/* reserved / used, in percent: 50 is half of what was used. */
extern const int64_t detail_error_bounds[ERROR_BOUNDS];

struct pool_details {
    int64_t number[DETAILS], unsent[DETAILS];
};

#define DETAIL_FIELD_BYTES 16
const char *detail_field(size_t number, char room[DETAIL_FIELD_BYTES]); /* "d:17" */
size_t detail_number(const char *field);                                /* DETAILS: it is none */
const char *detail_decision_name(enum detail_decision d);
const char *detail_limit_name(enum detail_limit l);
/* Of a binding as replies name it: a tenant's own is BOUND_tenant, "" BOUND_none. */
enum detail_limit detail_limit_of(const char *binding);

/* Where in a row of numbers they stand. */
size_t detail_time_at(size_t time, size_t bucket); /* STEP_BUCKETS: the sum */
size_t detail_bound_at(enum detail_decision d, enum detail_limit l);

void pool_details_time(struct pool_details *p, size_t time, int64_t ms);
void pool_details_error(struct pool_details *p, int64_t reserved, int64_t used);
void pool_details_bound(struct pool_details *p, enum detail_decision d, const char *binding);

#endif
