#include "scheduler/pool_local_internal.h"

#include "common/clock.h"

void pool_local_accrue(struct pool_local *l, const char *id, int64_t fence,
                       const int64_t produced[POOL_MAX_DIMS])
{
    struct entry *e = map_get(&l->by_id, id);
    if (!e || e->place != RUNNING || e->fence != fence)
        return;
    spent_accrue(&l->spent, &l->options.pool->limits, &e->cost, &e->accrued, produced);
    if (e->pooled)
        (void)pool_accrue(l->pool, id, fence, produced, clock_mono_ms());
}
