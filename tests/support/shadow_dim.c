#include "tests/support/shadow_dim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int64_t shadow_dim_least(shadow_wide a, shadow_wide b)
{
    return (int64_t)(a < b ? a : b);
}

int64_t shadow_dim_full(const struct shadow_dim *d)
{
    return d->limit.capacity * d->limit.period;
}

bool shadow_dim_is_window(const struct shadow_dim *d)
{
    return d->limit.algorithm == DIM_WINDOW;
}

/* The period, and what would take to refill the headroom. */
static int64_t length_ms(const struct shadow_dim *d)
{
    const struct dim_limit *l = &d->limit;
    int64_t more = l->headroom / l->rate + (l->headroom % l->rate > 0);
    return (l->period + more) * l->tick_ms;
}

static void look_at_log(struct shadow_dim *d)
{
    shadow_wide sum = 0;
    for (size_t i = 0; i < d->count; i++)
        sum += d->log[i].tokens;
    d->level = (int64_t)((d->limit.capacity - sum) * d->limit.period);
    d->loose |= d->count > WINDOW_MAX_ENTRIES;
}

void shadow_dim_add(struct shadow_dim *d, int64_t at_ms, int64_t tokens, size_t ticket)
{
    assert_true(d->count < SHADOW_MAX_RECORDS);
    d->log[d->count++] = (struct shadow_record){at_ms, tokens, ticket};
    look_at_log(d);
}

void shadow_dim_forget_left(struct shadow_dim *d, int64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (d->log[i].at_ms + length_ms(d) > now_ms)
            d->log[kept++] = d->log[i];
    }
    d->count = kept;
    look_at_log(d);
}

static void restart_window(struct shadow_dim *d, int64_t tokens, int64_t now_ms)
{
    d->count = 0;
    d->since_ms = now_ms;
    shadow_dim_add(d, now_ms, tokens, SIZE_MAX);
}

void shadow_dim_refill(struct shadow_dim *d, int64_t now_ms)
{
    if (shadow_dim_is_window(d))
        return; /* refill_all() does it for good */
    shadow_wide ticks = ((shadow_wide)now_ms - d->refilled_ms) / d->limit.tick_ms;
    if (ticks <= 0)
        return;
    d->level = shadow_dim_least(shadow_dim_full(d), d->level + ticks * d->limit.rate);
    d->refilled_ms += (int64_t)(ticks * d->limit.tick_ms);
    d->earned_ticks += (int64_t)ticks;
}

/*
 * I1: for every window that ends at a grant, what was charged in it (less what came back) is at
 * most C*P + R * its ticks. With x = charged - R * ticks so far: x after the grant less the
 * least x before any earlier event.
 */
void shadow_dim_charge(struct shadow_dim *d, int64_t units, bool is_grant)
{
    int64_t before = d->charged - d->limit.rate * d->earned_ticks;
    d->least = before < d->least ? before : d->least;
    d->charged += units;
    d->level -= units;
    if (is_grant && before + units - d->least > shadow_dim_full(d))
        fail_msg("%s: a window holds more than its limit", d->limit.name);
}

/* The same for a window, plainly: what stands in it is at most C. */
void shadow_dim_grant(struct shadow_dim *d, int64_t tokens, size_t ticket, int64_t now_ms)
{
    shadow_dim_add(d, now_ms, tokens, ticket);
    if (d->level < 0)
        fail_msg("%s: a sliding window holds more than its limit", d->limit.name);
}

static void restart_log(struct shadow_dim *d)
{
    d->charged = d->earned_ticks = d->least = 0;
}

void shadow_dim_set(struct shadow_dim *d, const struct shadow_dim *old, const struct dim_limit *l,
                    int64_t now_ms)
{
    struct shadow_record *log = d->log;
    *d = *old;
    d->log = log;
    d->limit = *l;
    d->present = true;
    restart_log(d);
    if (!old->present) {
        d->loose = false;
        d->refilled_ms = now_ms;
        d->level = shadow_dim_full(d);
        d->since_ms = now_ms;
        d->paused_ms = 0;
        d->count = 0;
    } else if (!shadow_dim_is_window(d)) {
        d->level = shadow_dim_least(d->level, shadow_dim_full(d));
        if (shadow_dim_is_window(old))
            d->refilled_ms = now_ms;
    } else if (!shadow_dim_is_window(old)) {
        int64_t units = shadow_dim_least(d->level, shadow_dim_full(d)), period = d->limit.period;
        int64_t held = units / period - (units % period < 0);
        restart_window(d, d->limit.capacity - held, now_ms);
        if (d->since_ms < d->refilled_ms + d->limit.tick_ms - 1)
            d->since_ms = d->refilled_ms + d->limit.tick_ms - 1;
    }
    if (shadow_dim_is_window(d))
        look_at_log(d);
}

/* Takes back from the ticket's own record, while it stands. */
void shadow_dim_take_back(struct shadow_dim *d, size_t ticket, int64_t granted_ms, int64_t tokens)
{
    for (size_t i = d->count; i-- > 0;) {
        if (d->log[i].ticket != ticket || d->log[i].at_ms != granted_ms)
            continue;
        d->log[i].tokens -= tokens;
        assert_true(d->log[i].tokens >= 0);
        break;
    }
    look_at_log(d);
}
