/*
 * pool_rates: the limits of a pool, from what the configuration says of its rates and of queues.
 * Pure.
 */
#ifndef SCHEDULER_POOL_RATES_H
#define SCHEDULER_POOL_RATES_H

#include "common/config.h"
#include "limiter/profile.h"

void pool_rates(const struct config *c, const struct profile *profile,
                const struct config_limits *l, struct pool_limits *ret);

#endif
