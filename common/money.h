/*
 * money: sums of US dollars as whole numbers.
 *
 *   units   nano-dollars, 10^-9: a sum of 9.2 thousand million dollars fits. What one request costs
 *           is counted in pico-dollars (scheduler/price/price.h), where every listed price of a
 *           token is whole; it is rounded once, to the nearest, when it joins a sum.
 *   errors  nothing overflows: a sum that does not fit is INT64_MAX.
 *   threads none; pure.
 */
#ifndef COMMON_MONEY_H
#define COMMON_MONEY_H

#include "common/error.h"

#include <stdint.h>

#define MONEY_DOLLAR     INT64_C(1000000000)
#define MONEY_MAX        (1000000000 * MONEY_DOLLAR) /* that may be written down as a limit */
#define MONEY_TEXT_BYTES 32

/* "12", "0.50", "0.000001": at most nine decimals, no sign. -EINVAL; -ERANGE above MONEY_MAX. */
int money_parse(const char *text, int64_t *ret_nano) MUST_CHECK;
/* "0.50", "-0.000001": at least two decimals, no zeros behind those. */
const char *money_text(int64_t nano, char out[MONEY_TEXT_BYTES]);
int64_t money_of_pico(int64_t pico);     /* of at least 0; half of a nano-dollar goes up */
int64_t money_add(int64_t a, int64_t b); /* both at least 0 */
double money_dollars(int64_t nano);      /* to be shown */

#endif
