/*
 * quantile: follows a quantile of a stream of amounts, in constant memory.
 *
 * Used for the output that a request will produce where the provider charges output as it is
 * produced: reserving the most it may produce would starve everyone else. Stochastic
 * approximation in log space (Robbins-Monro): a sample above raises the value by gamma * tau, one
 * below lowers it by gamma * (1 - tau), gamma = max(0.02, 0.5 / sqrt(n)).
 *
 *   threads  none; no clock.
 */
#ifndef LIMITER_QUANTILE_H
#define LIMITER_QUANTILE_H

#include <stdint.h>

struct quantile {
    double log_value;
    double tau; /* 0..1, exclusive */
    int64_t samples;
};

void quantile_init(struct quantile *q, double tau, int64_t first_guess);
void quantile_add(struct quantile *q, int64_t amount);
int64_t quantile_value(const struct quantile *q); /* at least 1 */

#endif
