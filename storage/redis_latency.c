#include "storage/redis_latency.h"

#include <stddef.h>

const int64_t redis_latency_bounds_us[REDIS_LATENCY_BOUNDS] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000};

void redis_latency_add(struct redis_latency *l, int64_t us)
{
    size_t i = 0;
    while (i < REDIS_LATENCY_BOUNDS && us > redis_latency_bounds_us[i])
        i++;
    l->counts[i]++;
    l->sum_us += us;
}
