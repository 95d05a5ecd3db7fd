/*
 * wire_time: waits as providers write them.
 *
 *   units    milliseconds, rounded up: an early retry fails, a late one costs a millisecond.
 *   threads  none; no allocation. No byte past len is read.
 *   bounds   a result is 0..WIRE_MAX_RETRY_AFTER_MS; longer waits are cut to it.
 */
#ifndef SCHEDULER_PROVIDER_WIRE_TIME_H
#define SCHEDULER_PROVIDER_WIRE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A duration at the start of text: Go's form ("1m2.5s", "644ms", "6m0s") or words ("7 seconds",
 * "2 minutes"). Ends at the first byte that does not go on with it. False when there is no
 * number with a unit. */
bool wire_duration(const char *text, size_t len, int64_t *ret_ms);

/* A Retry-After header: seconds, also with a fraction, or an HTTP date in any of the three
 * forms of RFC 9110, section 5.6.7. A date that is past is 0. */
bool wire_retry_after(const char *text, int64_t now_wall_ms, int64_t *ret_ms);

/* A plain number of milliseconds (retry-after-ms), also with a fraction. */
bool wire_milliseconds(const char *text, int64_t *ret_ms);

/* From now to the first of the next month, 00:00 UTC. */
int64_t wire_until_next_month_ms(int64_t now_wall_ms);
/* From now to midnight in California, for which 08:00 UTC is taken all year: in summer that
 * is one hour late, and no time zone database is needed. */
int64_t wire_until_pacific_midnight_ms(int64_t now_wall_ms);

#endif
