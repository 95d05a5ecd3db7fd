#include "limiter/share.h"

#include <errno.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The largest stretch of a period, up to `parts`, that keeps the dimension inside its bounds. */
static int64_t stretch_of(const struct dim_limit *d, int64_t parts)
{
    int64_t stretch = least(parts, DIM_MAX_TICKS / d->period);
    return most(least(stretch, DIM_MAX_UNITS / d->period / most(d->rate, d->capacity)), 1);
}

/* The headroom is as much time as before. */
static void share_window(struct dim_limit *d, int64_t *ret_most, int64_t parts)
{
    int64_t ticks = d->headroom / d->rate + (d->headroom % d->rate > 0);
    d->capacity = d->rate = *ret_most = most(d->capacity / parts, 1);
    d->headroom = least(ticks * d->rate, d->capacity * d->period - 1);
}

static int share_dim(struct dim_limit *d, int64_t *ret_most, int64_t instances)
{
    int64_t parts = 2 * instances;
    if (d->capacity < instances)
        return -ERANGE;
    if (d->algorithm == DIM_WINDOW) {
        share_window(d, ret_most, parts);
        return 0;
    }
    /* A tick of a second makes room for the stretched period of many instances. */
    if (parts > DIM_MAX_TICKS / d->period && d->tick_ms == 1 && d->period % DIM_MAX_TICK == 0) {
        d->period /= DIM_MAX_TICK;
        d->tick_ms = DIM_MAX_TICK;
    }
    int64_t burst = d->rate * SHARE_BURST_MS / (d->period * d->tick_ms) / parts;
    int64_t stretch = stretch_of(d, parts);
    *ret_most = most(d->capacity / parts, 1);
    d->rate = d->rate * stretch / parts;
    d->period *= stretch;
    d->capacity = least(most(burst, 1), *ret_most);
    d->headroom = 0;
    return d->rate > 0 ? 0 : -ERANGE;
}

int share_init(struct share *s, const struct pool_limits *whole, int64_t instances)
{
    struct share made = {.limits = *whole};
    for (size_t i = 0; i < whole->dim_count; i++) {
        int rc = share_dim(&made.limits.dims[i], &made.most[i], instances);
        if (rc < 0)
            return rc;
    }
    if (whole->max_parallel > 0)
        made.limits.max_parallel = most(whole->max_parallel / (2 * instances), 1);
    made.limits.max_depth = least(whole->max_depth, SHARE_MAX_DEPTH);
    *s = made;
    return 0;
}

enum share_fit share_raise(struct share *s, const int64_t *cost)
{
    enum share_fit fit = SHARE_FITS;
    for (size_t i = 0; i < s->limits.dim_count; i++) {
        if (cost[i] > s->most[i])
            return SHARE_TOO_LARGE;
    }
    for (size_t i = 0; i < s->limits.dim_count; i++) {
        if (cost[i] > s->limits.dims[i].capacity) {
            s->limits.dims[i].capacity = cost[i];
            fit = SHARE_RAISED;
        }
    }
    return fit;
}
