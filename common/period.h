/*
 * period: how often something begins anew, by the calendar and in UTC.
 *
 * Written as a number and a unit: 30s, 15m, 12h, 1d, 7d, 30d, 1mo. Where a period begins follows
 * from the clock alone, so all instances agree about it without asking one another, and nobody's
 * period depends on when he was first seen:
 *
 *   mo     at midnight of the first day of a month; of N months: N divides the months since the
 *          year 0 (3mo are the quarters of a year, 12mo a year)
 *   s to d counted from Monday, 5 January 1970, at midnight: 1d begins at midnight, 7d on Monday,
 *          12h at midnight and noon. 30d is thirty days wherever the months end
 *   none   one period without an end
 *
 * The alternative, a period from the first use on, needs a stored start for each, and two instances
 * may store two of them.
 *
 *   units    seconds since 1970; leap seconds do not exist there.
 *   threads  none; pure.
 */
#ifndef COMMON_PERIOD_H
#define COMMON_PERIOD_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

#define PERIOD_MAX_SECONDS (3660 * INT64_C(86400))
#define PERIOD_MAX_MONTHS  120
#define PERIOD_NO_END      INT64_MAX

struct period { /* both 0: none */
    int64_t seconds, months;
};

/* "": none. -EINVAL: no such text; -ERANGE: none, or more than ten years. */
int period_parse(const char *text, struct period *ret) MUST_CHECK;
bool period_ends(const struct period *p);
/* Of the period that holds the moment, which may be before 1970. */
int64_t period_start_s(const struct period *p, int64_t now_s); /* without an end: 0 */
int64_t period_end_s(const struct period *p, int64_t now_s);   /* the first moment behind it */

/* Days from 1970-01-01 to a date of the Gregorian calendar, and back. */
int64_t period_day_of(int64_t year, int month, int day);
void period_date_of(int64_t day, int64_t *ret_year, int *ret_month, int *ret_day);
#define PERIOD_DATE_BYTES 24
const char *period_date_text(int64_t day, char out[PERIOD_DATE_BYTES]); /* "2026-11-21" */
/* Of the years 1970 to 9999. -EINVAL: no such day. */
int period_date_parse(const char *text, int64_t *ret_day) MUST_CHECK;

#endif
