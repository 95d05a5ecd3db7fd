/*
 * redis_latency: how long commands to Redis took, from their sending to their answer.
 *
 *   units    us
 *   threads  none.
 */
#ifndef STORAGE_REDIS_LATENCY_H
#define STORAGE_REDIS_LATENCY_H

#include <stdint.h>

#define REDIS_LATENCY_BOUNDS 12

struct redis_latency {
    int64_t counts[REDIS_LATENCY_BOUNDS + 1]; /* the last: past all bounds */
    int64_t sum_us;
};
extern const int64_t redis_latency_bounds_us[REDIS_LATENCY_BOUNDS];

void redis_latency_add(struct redis_latency *l, int64_t us);

#endif
