#include "scheduler/call_internal.h"

#include "common/clock.h"

#define ACCRUE_EVERY_US     1000000
#define ACCRUE_LEAST_TOKENS 64
/* English text has about four bytes a token. Too few are counted of other languages, never many too
 * many: what was charged in vain would keep others waiting until the settle. */
#define BYTES_PER_TOKEN 4

/* What of a dimension that charges output as it is produced is above all that was charged. */
static int64_t excess(const struct call *c, const struct pool_limits *limits,
                      const int64_t *produced)
{
    int64_t most = 0;
    for (size_t i = 0; i < limits->dim_count; i++) {
        int64_t charged = c->cost[i] > c->accrued ? c->cost[i] : c->accrued;
        if (limits->dims[i].rule == DIM_ACCRUE && produced[i] - charged > most)
            most = produced[i] - charged;
    }
    return most;
}

int64_t call_foreseen_output(const struct pool_view *pool)
{
    int64_t shared = pool_agent_foreseen_output(pool->agent);
    return shared > 0 ? shared : quantile_value(&pool->output);
}

void call_accrue(struct call *c)
{
    int64_t foretold = c->watch.output_bytes / BYTES_PER_TOKEN, told = c->watch.usage.output;
    struct profile_usage usage = {.input = c->estimate.input,
                                  .output = told > foretold ? told : foretold,
                                  .input_bytes = c->request.input_bytes};
    if (usage.output - c->accrued < ACCRUE_LEAST_TOKENS || c->held.fence == 0)
        return;
    const struct pool_limits *limits = &pool_agent_pool(c->pool->agent)->limits;
    int64_t now_us = clock_mono_us(), produced[POOL_MAX_DIMS];
    if (c->accrued_us > 0 && now_us - c->accrued_us < ACCRUE_EVERY_US)
        return;
    (void)profile_actual(c->pool->profile, limits, &c->estimate, &usage, produced);
    if (excess(c, limits, produced) < ACCRUE_LEAST_TOKENS)
        return;
    c->accrued = usage.output;
    c->accrued_us = now_us;
    pool_agent_accrue(c->pool->agent, &c->held, produced);
}
