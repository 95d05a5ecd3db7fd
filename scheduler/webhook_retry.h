/*
 * webhook_retry: when a delivery that failed is tried again.
 *
 * The delays of Standard Webhooks' example, as multiples of the first one. With the first of 5 s:
 *
 *   attempt   1   2     3      4       5     6     7      8      9      10
 *   after     0   5 s   5 min  30 min  2 h   5 h   10 h   14 h   20 h   24 h
 *
 * so WEBHOOK_TRIES attempts over 75.6 h, 60 h when jitter shortens each. Jitter, 0.8 to 1.2 of a
 * delay, parts the events of a receiver that was away.
 *
 *   threads  none; pure.
 */
#ifndef SCHEDULER_WEBHOOK_RETRY_H
#define SCHEDULER_WEBHOOK_RETRY_H

#include "common/rand.h"

#define WEBHOOK_TRIES    10
#define WEBHOOK_FIRST_MS 5000                           /* default of webhooks.first_retry_ms */
#define WEBHOOK_LAST_MS  (INT64_C(24) * 60 * 60 * 1000) /* most that Retry-After may ask for */

/* After so many attempts (1..); -1: it was the last. asked_ms: what the receiver asked for, in
 * Retry-After; the longer one holds. */
int64_t webhook_retry_ms(int64_t tries, int64_t first_ms, int64_t asked_ms, struct rand *r);

#endif
