#include "scheduler/pool_stats.h"

#define STEPS 4

static const char *const names[COUNT_MAX] = {
#define X(name) [COUNT_##name] = #name,
    POOL_COUNTERS(X)
#undef X
};

const char *pool_counter_name(enum pool_counter c)
{
    return (unsigned)c < COUNT_MAX ? names[c] : "?";
}

void pool_stats_add(struct pool_stats *s, enum pool_counter c, int64_t amount)
{
    s->count[c] += amount;
    s->unsent[c] += amount;
}

/* Tops: 0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, … : (4 + step) * 2^k / 4, minus one. */
int64_t wait_bucket_top_ms(size_t bucket)
{
    if (bucket < STEPS)
        return (int64_t)bucket;
    size_t power = bucket / STEPS, step = bucket % STEPS;
    return ((int64_t)(STEPS + step + 1) << (power - 1)) - 1;
}

size_t wait_bucket(int64_t wait_ms)
{
    size_t low = 0, high = WAIT_BUCKETS - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (wait_bucket_top_ms(middle) >= wait_ms)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void pool_stats_wait(struct pool_stats *s, int64_t wait_ms)
{
    size_t bucket = wait_bucket(wait_ms);
    s->waits[bucket]++;
    s->waits_unsent[bucket]++;
    pool_stats_add(s, COUNT_waited_ms, wait_ms);
}

int64_t wait_percentile(const int64_t waits[WAIT_BUCKETS], int permille)
{
    int64_t total = 0, seen = 0;
    for (size_t i = 0; i < WAIT_BUCKETS; i++)
        total += waits[i];
    for (size_t i = 0; i < WAIT_BUCKETS && total > 0; i++) {
        seen += waits[i];
        if (seen * 1000 >= total * permille)
            return wait_bucket_top_ms(i);
    }
    return 0;
}
