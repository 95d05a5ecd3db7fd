#include "scheduler/pool_agent_internal.h"

#include "common/clock.h"

#define SLOT_WAIT_MS 1000 /* all slots are ours and nothing says when one comes free */

/* As the last reply told, with what was refilled since. */
static int64_t level_wait(const struct pool_agent *a, size_t i, int64_t cost, int64_t gone_ms)
{
    const struct dim_limit *d = &a->pool.limits.dims[i];
    double whole = (double)cost + (double)d->headroom / (double)d->period;
    double needs = whole < (double)d->capacity ? whole : (double)d->capacity;
    double lacks = needs - (double)a->levels[i].remaining;
    if (cost <= 0 || lacks <= 0 || d->rate <= 0)
        return 0;
    double ms = lacks * (double)d->period * (double)d->tick_ms / (double)d->rate;
    return ms > (double)gone_ms ? (int64_t)ms - gone_ms : 0;
}

int64_t pool_agent_start_in(const struct pool_agent *a, const int64_t cost[POOL_MAX_DIMS])
{
    int64_t now_ms = clock_mono_ms(), most = a->paused_until_ms - now_ms;
    int64_t gone_ms = now_ms - a->turn_ms, queue_ms = a->eta_until_ms - now_ms;
    size_t n =
        a->level_count < a->pool.limits.dim_count ? a->level_count : a->pool.limits.dim_count;
    most = most > 0 ? most : 0;
    for (size_t i = 0; i < n; i++) {
        int64_t wait = level_wait(a, i, cost[i], gone_ms);
        most = wait > most ? wait : most;
    }
    if (a->queued > 0 && queue_ms > most)
        most = queue_ms;
    int64_t slots = a->pool.limits.max_parallel;
    if (slots > 0 && (int64_t)a->held_count >= slots && most < SLOT_WAIT_MS)
        most = SLOT_WAIT_MS;
    return most;
}

size_t pool_agent_load(const struct pool_agent *a)
{
    return a->held_count + a->waiting + a->inflight;
}

void pool_agent_note_eta(struct pool_agent *a, int64_t eta_ms)
{
    a->eta_until_ms = clock_mono_ms() + eta_ms;
}

void pool_agent_note_pause(struct pool_agent *a, int64_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;
    if (until_ms > a->paused_until_ms)
        a->paused_until_ms = until_ms;
}
