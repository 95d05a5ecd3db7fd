#include "limiter/dim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* a >= 0, b > 0 */
static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static int64_t full_level(const struct dim *d)
{
    return d->limit.capacity * d->limit.period;
}

int dim_limit_check(const struct dim_limit *limit, struct error *e)
{
    if (limit->name[0] == '\0' || !memchr(limit->name, '\0', sizeof(limit->name)))
        return error_set(e, -EINVAL, "a limit needs a name of 1 to %d bytes", DIM_NAME_BYTES - 1);
    if (limit->period < 1 || limit->period > DIM_MAX_TICKS)
        return error_set(e, -EINVAL, "%s: the period is out of range", limit->name);
    if (limit->rate < 1 || limit->rate > DIM_MAX_UNITS / limit->period)
        return error_set(e, -EINVAL, "%s: the rate is out of range", limit->name);
    if (limit->tick_ms < 1 || limit->tick_ms > DIM_MAX_TICK)
        return error_set(e, -EINVAL, "%s: the tick is out of range", limit->name);
    if (limit->capacity < 1 || limit->capacity > DIM_MAX_UNITS / limit->period)
        return error_set(e, -EINVAL, "%s: the capacity is out of range", limit->name);
    if (limit->headroom < 0 || limit->headroom >= limit->capacity * limit->period)
        return error_set(e, -EINVAL, "%s: the headroom must be below the capacity", limit->name);
    return 0;
}

void dim_init(struct dim *d, const struct dim_limit *limit, bool full, int64_t now_ms)
{
    *d = (struct dim){.limit = *limit, .refilled_ms = now_ms};
    if (full)
        d->level = full_level(d);
}

void dim_relimit(struct dim *d, const struct dim_limit *limit, int64_t now_ms)
{
    dim_refill(d, now_ms);
    if (limit->period != d->limit.period || limit->tick_ms != d->limit.tick_ms) {
        d->level = 0;
        d->refilled_ms = now_ms;
    }
    d->limit = *limit;
    d->level = min64(d->level, full_level(d));
}

void dim_refill(struct dim *d, int64_t now_ms)
{
    if (now_ms - d->refilled_ms < d->limit.tick_ms)
        return;

    int64_t ticks = (now_ms - d->refilled_ms) / d->limit.tick_ms;
    int64_t missing = full_level(d) - d->level;
    /* Compared before the product is formed: the product of a long pause overflows. */
    if (ticks >= ceil_div(missing, d->limit.rate))
        d->level = full_level(d);
    else
        d->level += d->limit.rate * ticks;
    d->refilled_ms += ticks * d->limit.tick_ms;
}

int64_t dim_level_at(const struct dim *d, int64_t now_ms)
{
    struct dim then = *d;
    dim_refill(&then, now_ms);
    return then.level;
}

int64_t dim_need(const struct dim *d, int64_t cost)
{
    assert(cost >= 0 && cost <= d->limit.capacity);
    if (cost == 0)
        return 0;
    return min64(cost * d->limit.period + d->limit.headroom, full_level(d));
}

int64_t dim_reach_ms(const struct dim *d, int64_t units, int64_t now_ms)
{
    if (d->level >= units)
        return 0;
    if (units > full_level(d))
        return DIM_NEVER;
    int64_t ticks = ceil_div(units - d->level, d->limit.rate);
    return max64(d->refilled_ms + ticks * d->limit.tick_ms - now_ms, 1);
}

int64_t dim_wait_ms(const struct dim *d, int64_t cost, int64_t now_ms)
{
    if (cost == 0)
        return 0;
    int64_t pause_ms = max64(d->paused_ms - now_ms, 0);
    return max64(pause_ms, dim_reach_ms(d, dim_need(d, cost), now_ms));
}

void dim_take(struct dim *d, int64_t cost)
{
    d->level -= cost * d->limit.period;
    assert(cost == 0 || d->level >= 0);
}

/* Compared before the product is formed: a cost that was charged under a larger capacity or
 * another period may exceed what units can say. */
static void give_back(struct dim *d, int64_t tokens)
{
    int64_t missing = full_level(d) - d->level;
    if (tokens >= ceil_div(missing, d->limit.period))
        d->level = full_level(d);
    else
        d->level += tokens * d->limit.period;
}

static void take_back(struct dim *d, int64_t tokens)
{
    if (tokens > (d->level + DIM_MAX_UNITS) / d->limit.period)
        d->level = -DIM_MAX_UNITS;
    else
        d->level -= tokens * d->limit.period;
}

void dim_settle(struct dim *d, int64_t cost, int64_t actual, bool always)
{
    assert(cost >= 0 && actual >= 0);
    if (actual <= cost) {
        if (always || d->limit.rule != DIM_KEEP)
            give_back(d, cost - actual);
        return;
    }
    take_back(d, actual - cost);
}
