/*
 * share_usage: what was billed for all, split among those that it was for.
 *
 * By the method of the largest remainder: each gets the whole part of its share, and the tokens
 * that are left go to those who lost most by it, the first of equals first. The parts always sum
 * to the total.
 *
 *   units    tokens; weights are of any unit
 *   threads  none
 */
#ifndef SCHEDULER_SHARE_USAGE_H
#define SCHEDULER_SHARE_USAGE_H

#include "scheduler/provider/wire.h"

#include <stddef.h>
#include <stdint.h>

#define SHARE_MAX_WEIGHT INT64_C(2000000000) /* a larger one counts as this */

/* Weights below 1 count as 1, so that nobody is left out when all are 0. count > 0. */
void share_tokens(int64_t total, const int64_t *weights, size_t count, int64_t *ret);

/* The same for each number of a bill: input (and what of it was cached) by one weight, output by
 * another. ret[i].known is as of the total. */
void share_usage(const struct wire_usage *total, const int64_t *input_weights,
                 const int64_t *output_weights, size_t count, struct wire_usage *ret);

#endif
