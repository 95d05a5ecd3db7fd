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

int64_t dim_window_ms(const struct dim_limit *limit)
{
    return (limit->period + ceil_div(limit->headroom, limit->rate)) * limit->tick_ms;
}

/* What a log may hold beside it, so that no level is below -DIM_MAX_UNITS under any capacity. */
static void log_extra(struct dim *d, int64_t tokens, int64_t now_ms)
{
    int64_t logged = d->limit.capacity - d->level / d->limit.period;
    tokens = min64(tokens, DIM_MAX_UNITS / d->limit.period - logged);
    if (tokens <= 0)
        return;
    window_add(&d->window, now_ms, tokens, dim_window_ms(&d->limit));
    d->level -= tokens * d->limit.period;
}

static void window_empty(struct dim *d, int64_t now_ms)
{
    window_restart(&d->window, now_ms);
    d->level = full_level(d);
    log_extra(d, d->limit.capacity, now_ms);
}

int dim_init(struct dim *d, const struct dim_limit *limit, bool full, int64_t now_ms)
{
    *d = (struct dim){.limit = *limit, .refilled_ms = now_ms};
    if (limit->algorithm == DIM_WINDOW) {
        int rc = window_init(&d->window);
        if (rc < 0)
            return rc;
        window_restart(&d->window, now_ms);
        d->level = full_level(d);
        if (!full)
            window_empty(d, now_ms);
    } else if (full) {
        d->level = full_level(d);
    }
    return 0;
}

int dim_copy(struct dim *ret, const struct dim *from)
{
    *ret = *from;
    return from->limit.algorithm == DIM_WINDOW ? window_copy(&ret->window, &from->window) : 0;
}

void dim_release(struct dim *d)
{
    window_release(&d->window);
}

/* a of any sign, b > 0 */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int to_window(struct dim *d, const struct dim_limit *limit, bool same_unit, int64_t now_ms)
{
    /* The clock may have stepped back: charges until T and almost a tick more are the bucket's. */
    int64_t since_ms = max64(now_ms, d->refilled_ms + d->limit.tick_ms - 1);
    int64_t held = min64(d->level, limit->capacity * limit->period);
    int rc = window_init(&d->window);
    if (rc < 0)
        return rc;
    d->limit = *limit;
    d->level = full_level(d);
    window_restart(&d->window, since_ms);
    log_extra(d, same_unit ? limit->capacity - floor_div(held, limit->period) : limit->capacity,
              now_ms);
    return 0;
}

int dim_relimit(struct dim *d, const struct dim_limit *limit, int64_t now_ms)
{
    bool was_window = d->limit.algorithm == DIM_WINDOW;
    bool same_unit = limit->period == d->limit.period && limit->tick_ms == d->limit.tick_ms;
    dim_refill(d, now_ms);
    if (!was_window && limit->algorithm == DIM_WINDOW)
        return to_window(d, limit, same_unit, now_ms);

    int64_t more = limit->capacity - d->limit.capacity;
    d->limit = *limit;
    if (limit->algorithm == DIM_WINDOW) {
        if (same_unit)
            d->level += more * limit->period;
        else
            window_empty(d, now_ms);
        return 0;
    }
    window_release(&d->window);
    if (!same_unit)
        d->level = 0;
    if (!same_unit || was_window)
        d->refilled_ms = now_ms;
    d->level = min64(d->level, full_level(d));
    return 0;
}

void dim_refill(struct dim *d, int64_t now_ms)
{
    if (d->limit.algorithm == DIM_WINDOW) {
        int64_t left = window_drop(&d->window, now_ms - dim_window_ms(&d->limit));
        d->level += left * d->limit.period;
        return;
    }
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
    if (d->limit.algorithm == DIM_WINDOW)
        return cost * d->limit.period;
    return min64(cost * d->limit.period + d->limit.headroom, full_level(d));
}

int64_t dim_leave_ms(const struct dim *d, int64_t tokens, int64_t now_ms)
{
    int64_t at_ms = window_reach(&d->window, tokens);
    if (at_ms == WINDOW_NEVER)
        return DIM_NEVER;
    return max64(at_ms + dim_window_ms(&d->limit) - now_ms, 1);
}

int64_t dim_reach_ms(const struct dim *d, int64_t units, int64_t now_ms)
{
    if (d->level >= units)
        return 0;
    if (units > full_level(d))
        return DIM_NEVER;
    if (d->limit.algorithm == DIM_WINDOW)
        return dim_leave_ms(d, ceil_div(units - d->level, d->limit.period), now_ms);
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

void dim_take(struct dim *d, int64_t cost, int64_t now_ms)
{
    if (d->limit.algorithm == DIM_WINDOW && cost > 0)
        window_add(&d->window, now_ms, cost, dim_window_ms(&d->limit));
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

/* Only what the log still holds comes back. */
static void unlog(struct dim *d, const struct dim_charge *c, int64_t tokens)
{
    d->level += window_take_back(&d->window, c->at_ms, tokens) * d->limit.period;
}

static void settle_window(struct dim *d, const struct dim_charge *c, int64_t actual, bool always,
                          int64_t now_ms)
{
    int64_t charged = c->cost + c->accrued;
    if (d->limit.rule == DIM_ACCRUE && !always) {
        /* What accrued was charged as it was produced, and stays where it is. */
        unlog(d, c, c->cost + max64(c->accrued - actual, 0));
        log_extra(d, max64(actual - c->accrued, 0), now_ms);
    } else if (actual > charged) {
        log_extra(d, actual - charged, now_ms);
    } else if (always || d->limit.rule != DIM_KEEP) {
        unlog(d, c, charged - actual);
    }
}

void dim_settle(struct dim *d, const struct dim_charge *charge, int64_t actual, bool always,
                int64_t now_ms)
{
    int64_t charged = charge->cost + charge->accrued;
    assert(charge->cost >= 0 && charge->accrued >= 0 && actual >= 0);
    if (d->limit.algorithm == DIM_WINDOW)
        settle_window(d, charge, actual, always, now_ms);
    else if (actual > charged)
        take_back(d, actual - charged);
    else if (always || d->limit.rule != DIM_KEEP)
        give_back(d, charged - actual);
}

void dim_accrue(struct dim *d, int64_t tokens, int64_t now_ms)
{
    if (d->limit.algorithm == DIM_WINDOW)
        log_extra(d, tokens, now_ms);
    else
        take_back(d, tokens);
}

const char *dim_check(const struct dim *d)
{
    if (d->level > full_level(d) || d->level < -DIM_MAX_UNITS)
        return "a level stays between its debt limit and its capacity";
    if (d->limit.algorithm != DIM_WINDOW)
        return NULL;
    if (d->level != (d->limit.capacity - window_sum(&d->window)) * d->limit.period)
        return "the level of a window is its capacity without its log";
    return window_check(&d->window);
}
