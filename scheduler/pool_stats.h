/*
 * pool_stats: what happened in one pool, counted by this instance.
 *
 * Counters only grow. `unsent` is what Redis has not been told yet: pool totals over all
 * instances stand in the pool's stats hash, to which each instance adds its share.
 * Waits are kept in a histogram of powers of two with four steps each (error of a percentile at
 * most 19 %), which can be added up over instances, as percentiles cannot.
 *
 *   threads  one event loop.
 */
#ifndef SCHEDULER_POOL_STATS_H
#define SCHEDULER_POOL_STATS_H

#include "scheduler/pool_details.h"

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define POOL_COUNTERS(X)                                                                   \
    X(admitted) X(delayed) X(shrunk) X(batched) X(cached) X(shared) X(refused)             \
    X(succeeded) X(failed) X(cancelled) X(expired) X(retries)                              \
    X(provider_429) X(provider_5xx) X(provider_errors) X(leases_lost) X(local_grants)      \
    X(tokens_reserved) X(tokens_input) X(tokens_output) X(tokens_trimmed) X(tokens_cached) \
    X(tokens_saved) X(waited_ms) X(tool_calls_dropped)                                     \
    X(batches) X(inputs_deduplicated)                                                      \
    X(joint_requests) X(joint_items) X(joint_alone)                                        \
    X(permits_granted) X(permits_settled) X(permits_released) X(permits_expired)
/* clang-format on */

enum pool_counter {
#define X(name) COUNT_##name,
    POOL_COUNTERS(X)
#undef X
        COUNT_MAX,
};

const char *pool_counter_name(enum pool_counter c);

#define WAIT_BUCKETS 96 /* 0 ms, then 4 steps per power of two up to 9.3 h */

struct pool_stats {
    int64_t count[COUNT_MAX];
    int64_t unsent[COUNT_MAX];
    int64_t waits[WAIT_BUCKETS];
    int64_t waits_unsent[WAIT_BUCKETS];
    /* What the history was told of so far (api/history.h). */
    int64_t rolled[COUNT_MAX];
    int64_t waits_rolled[WAIT_BUCKETS];
    struct pool_details details;
};

void pool_stats_add(struct pool_stats *s, enum pool_counter c, int64_t amount);
/* Into the histogram, and into COUNT_waited_ms. */
void pool_stats_wait(struct pool_stats *s, int64_t wait_ms);

size_t wait_bucket(int64_t wait_ms);       /* which bucket holds it */
int64_t wait_bucket_top_ms(size_t bucket); /* the largest wait it holds */
/* The wait that `permille` of all are at or below; 0 when there are none. */
int64_t wait_percentile(const int64_t waits[WAIT_BUCKETS], int permille);

#endif
