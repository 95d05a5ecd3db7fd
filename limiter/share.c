#include "limiter/share.h"

#include <errno.h>
#include <stdlib.h>

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
    if (d->open) {
        *ret_most = d->capacity;
        return 0;
    }
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

static void share_tenant(const struct share *s, const struct pool_limits *whole, int64_t parts,
                         const struct pool_tenant *tenant, struct pool_tenant *ret)
{
    *ret = *tenant;
    for (size_t i = 0; i < whole->dim_count; i++) {
        const struct dim_limit *d = &s->limits.dims[i];
        int64_t whole_ms = whole->dims[i].period * whole->dims[i].tick_ms;
        int64_t rate = tenant->rate[i] * (d->period * d->tick_ms / whole_ms) / parts;
        int64_t bound = DIM_MAX_UNITS / d->period;
        if (tenant->rate[i] == 0)
            continue;
        ret->rate[i] = least(most(rate, 1), bound);
        ret->capacity[i] = least(tenant->capacity[i], bound);
    }
    if (tenant->max_parallel > 0)
        ret->max_parallel = most(tenant->max_parallel / parts, 1);
}

static int share_tenants(struct share *s, const struct pool_limits *whole, int64_t parts)
{
    if (whole->tenant_count == 0)
        return 0;
    s->tenants = calloc(whole->tenant_count, sizeof(*s->tenants));
    if (!s->tenants)
        return -ENOMEM;
    for (size_t i = 0; i < whole->tenant_count; i++)
        share_tenant(s, whole, parts, &whole->tenants[i], &s->tenants[i]);
    s->limits.tenants = s->tenants;
    return 0;
}

int share_init(struct share *s, const struct pool_limits *whole, int64_t instances)
{
    struct share made = {.limits = *whole};
    *s = (struct share){.tenants = NULL};
    for (size_t i = 0; i < whole->dim_count; i++) {
        int rc = share_dim(&made.limits.dims[i], &made.most[i], instances);
        if (rc < 0)
            return rc;
    }
    if (whole->max_parallel > 0)
        made.limits.max_parallel = most(whole->max_parallel / (2 * instances), 1);
    made.limits.max_depth = least(whole->max_depth, SHARE_MAX_DEPTH);
    int rc = share_tenants(&made, whole, 2 * instances);
    if (rc == 0)
        *s = made;
    return rc;
}

void share_release(struct share *s)
{
    free(s->tenants);
    *s = (struct share){.tenants = NULL};
}

struct pool_limits share_none(const struct pool_limits *whole)
{
    return (struct pool_limits){
        .max_depth = SHARE_MAX_DEPTH,
        .lease_ms = whole->lease_ms,
        .max_losses = whole->max_losses,
    };
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
