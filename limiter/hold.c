#include "limiter/hold.h"

#include <assert.h>

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* R*P <= 2^52 and beta <= 1000 keep the products below 2^62. */
int64_t hold_allowance(const struct dim *d, int64_t permille, int64_t ticks)
{
    assert(ticks >= 0 && permille >= 0 && permille <= 1000);
    return permille * (d->limit.rate * min64(ticks, d->limit.period)) / 1000;
}

int64_t hold_ticks(const struct dim *d, int64_t permille, int64_t units)
{
    if (units > hold_allowance(d, permille, d->limit.period))
        return DIM_NEVER;
    int64_t share = permille * d->limit.rate;
    return (units * 1000 + share - 1) / share;
}

/* Whether the level, once charged with cost, still has what the head needs. */
static bool leaves_enough(const struct dim *d, int64_t head_cost, int64_t cost)
{
    return d->level - cost * d->limit.period >= dim_need(d, head_cost);
}

/* Ms until the hold's share of a window is so many units: what must have left it, at most all that
 * it may hold. */
static int64_t window_share_ms(const struct hold *h, const struct dim *d, size_t i, int64_t units,
                               int64_t now_ms)
{
    int64_t tokens = units / d->limit.period;
    if (h->permille == 0 || tokens > h->permille * d->limit.capacity / 1000)
        return DIM_NEVER;
    int64_t leave = (tokens * 1000 + h->permille - 1) / h->permille;
    return h->left[i] >= leave ? 0 : dim_leave_ms(d, leave - h->left[i], now_ms);
}

static int64_t share_ms(const struct hold *h, const struct dim *d, size_t i, int64_t units,
                        int64_t now_ms)
{
    if (d->limit.algorithm == DIM_WINDOW)
        return window_share_ms(h, d, i, units, now_ms);
    int64_t ticks = hold_ticks(d, h->permille, units);
    if (ticks == DIM_NEVER)
        return DIM_NEVER;
    return max64(h->since_ms + ticks * d->limit.tick_ms - now_ms, 0);
}

int64_t hold_wait_ms(const struct hold *h, const struct dim *d, size_t i, int64_t head_cost,
                     int64_t cost, int64_t now_ms)
{
    if (cost == 0)
        return 0;
    int64_t fit_ms = dim_wait_ms(d, cost, now_ms);
    if (leaves_enough(d, head_cost, cost))
        return fit_ms;

    int64_t units = cost * d->limit.period;
    int64_t pass_ms = dim_reach_ms(d, dim_need(d, head_cost) + units, now_ms);
    pass_ms = min64(pass_ms, share_ms(h, d, i, h->used[i] + units, now_ms));
    return max64(fit_ms, pass_ms);
}

void hold_pass(struct hold *h, const struct dim *d, size_t i, int64_t head_cost, int64_t cost)
{
    if (cost > 0 && !leaves_enough(d, head_cost, cost))
        h->used[i] += cost * d->limit.period;
}
