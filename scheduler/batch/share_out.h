/*
 * share_out: a whole number, parted by weights so that the parts add up to it.
 *
 * By the largest remainder: each has the floor of its exact share, and what is left goes, one
 * each, to those whose share was cut most (the first of equals).
 *
 *   threads  none.
 */
#ifndef SCHEDULER_BATCH_SHARE_OUT_H
#define SCHEDULER_BATCH_SHARE_OUT_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define SHARE_OUT_MAX INT64_C(2000000000) /* of the total, and of a weight: products fit */

/* Weights below 1 count as 1, totals below 0 as 0. -ENOMEM: nothing was written. */
int share_out(int64_t total, const int64_t *weights, size_t count, int64_t *ret) MUST_CHECK;

#endif
