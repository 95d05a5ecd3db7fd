/*
 * history_series: points of the past as a client asks for them.
 *
 * A metric is a counter (its sum in each point), "requests" (those that ended), "wait_p50",
 * "wait_p95" and "wait_p99" (ms), "avoided_429" (waited for budget instead of being refused), a
 * gauge ("queue_depth", "in_flight", "level.LIMIT", "limit.LIMIT": the mean of the samples), or the
 * largest sample of one ("queue_depth_max"). A point of which nobody told anything is null, and so
 * is a percentile of no waits; else what was not told is 0.
 *
 *   ownership  struct history_series is the caller's; released after a failed init too.
 *   threads    one; pure.
 */
#ifndef API_HISTORY_SERIES_H
#define API_HISTORY_SERIES_H

#include "storage/history_store.h"

#include <jansson.h>

struct history_metric;

struct history_series {
    enum history_kind kind;
    struct history_range range;
    size_t points, metric_count, wait_buckets;
    struct history_metric *metrics;
    int64_t *up, *samples, *waits; /* by point; waits: by point and bucket; NULL: not asked for */
};

/* names: parted by commas; NULL: those that are there for every subject of its kind. -EINVAL: a
 * name that is none, -E2BIG: too many names or points, -ENOMEM; e says it. */
int history_series_init(struct history_series *s, enum history_kind kind,
                        const struct history_range *range, const char *names,
                        struct error *e) MUST_CHECK;
void history_series_release(struct history_series *s);
void history_series_take(struct history_series *s, const struct history_value *value);
/* {"object","step","from","to","times","series"}; NULL: no memory. */
json_t *history_series_json(const struct history_series *s);

#endif
