/*
 * metrics: the Prometheus text format 0.0.4, written into a buffer.
 *
 *   metrics_family(&out, "sluice_retries_total", METRICS_COUNTER, "Calls sent again.");
 *   metrics_int(&out, "sluice_retries_total", labels, 12);
 *
 * All samples of a family follow its head, and a family's head is written once: the format
 * wants both. Label values may hold any bytes; names are constants of the program.
 *
 *   errors   none here: the buffer's `failed` tells, looked at once at the end.
 *   threads  none.
 *   source   prometheus.io/docs/instrumenting/exposition_formats, "Text format details"
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stddef.h>
#include <stdint.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct buf;

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* A list of labels ends with a name of NULL. labels may be NULL: none. */
struct metrics_label {
    const char *name, *value;
};
#define METRICS_MAX_LABELS 8

void metrics_family(struct buf *out, const char *name, enum metrics_type type, const char *help);
void metrics_int(struct buf *out, const char *name, const struct metrics_label *labels,
                 int64_t value);
/* A NaN or infinity is written as the format has it. */
void metrics_real(struct buf *out, const char *name, const struct metrics_label *labels,
                  double value);

struct metrics_bucket {
    double le;     /* upper bound, its own values included; rising */
    int64_t count; /* of this bucket alone, not of all up to it */
};
struct metrics_histogram {
    const struct metrics_bucket *buckets;
    size_t bucket_count;
    int64_t above; /* past the last bound */
    double sum;
};
/* Writes NAME_bucket for each bound and for +Inf, NAME_sum and NAME_count. */
void metrics_histogram(struct buf *out, const char *name, const struct metrics_label *labels,
                       const struct metrics_histogram *h);

#endif
