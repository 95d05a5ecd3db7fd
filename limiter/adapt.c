#include "limiter/adapt.h"

#define FRESH_MS   60000 /* a told limit rules out learning for so long */
#define CALM_MS    60000 /* without a refusal, before a level is raised */
#define RAISE_SEEN 3
#define STEP_MS    10000
#define MEASURE_MS 2000 /* the least time in which throughput says something */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The capacity that goes with a rate, by permille where they differ: a product may not fit. */
static int64_t capacity_at(const struct dim_limit *base, int64_t rate)
{
    if (rate == base->rate)
        return base->capacity;
    if (base->capacity == base->rate)
        return rate;
    return most(base->capacity * (rate * 1000 / base->rate) / 1000, 1);
}

static int64_t told_rate(const struct adapt *a, const struct dim_limit *base)
{
    return a->told > 0 && a->told < base->rate ? a->told : base->rate;
}

void adapt_limit(const struct adapt *a, const struct dim_limit *base, struct dim_limit *ret)
{
    int64_t rate = told_rate(a, base);
    if (a->rate > 0 && a->rate < rate)
        rate = a->rate;
    *ret = *base;
    ret->rate = rate;
    ret->capacity = capacity_at(base, rate);
    ret->headroom = least(base->headroom, ret->capacity * base->period / 20);
    if (rate == base->rate)
        ret->headroom = base->headroom;
}

int64_t adapt_largest(const struct adapt *a, const struct dim_limit *base)
{
    return capacity_at(base, told_rate(a, base));
}

static int64_t full_level(const struct dim *d)
{
    return d->limit.capacity * d->limit.period;
}

static void apply(const struct adapt *a, const struct dim_limit *base, struct dim *d)
{
    adapt_limit(a, base, &d->limit);
    d->level = least(d->level, full_level(d));
}

static void resync(struct adapt *a, int64_t base, struct dim *d, const struct adapt_news *news,
                   int64_t now_ms)
{
    int64_t ticks = (now_ms - news->granted_ms) / d->limit.tick_ms;
    int64_t largest = DIM_MAX_UNITS / d->limit.period;
    if (now_ms < news->granted_ms || ticks > d->limit.period)
        return;

    int64_t remaining =
        least(news->remaining, largest) - least(news->debt, largest) - news->grain / 2;
    int64_t charged = most(least(news->charged, largest), -largest);
    int64_t seen = remaining * d->limit.period + d->limit.rate * ticks;
    int64_t high = least(seen - charged * d->limit.period, full_level(d));
    int64_t low = least(seen, full_level(d)) - most(charged, 0) * d->limit.period;
    if (high < d->level)
        d->level = most(high, -DIM_MAX_UNITS);
    if (low <= d->level || a->told > base) {
        a->above = 0;
        return;
    }
    a->above++;
    if (a->above < RAISE_SEEN || now_ms - a->refused_ms < CALM_MS)
        return;
    a->above = 0;
    d->level += (low - d->level) / 4;
}

void adapt_hint(struct adapt *a, const struct dim_limit *base, struct dim *d,
                const struct adapt_news *news, int64_t now_ms)
{
    if (news->seq <= a->seen_seq)
        return;
    a->seen_seq = news->seq;
    if (news->limit > 0) {
        a->told = news->limit;
        a->told_ms = now_ms;
        if (!a->ramped)
            a->rate = a->ceiling = a->former = a->streak = 0;
        apply(a, base, d);
    }
    if (news->remaining >= 0)
        resync(a, base->rate, d, news, now_ms);
}

static bool is_near(int64_t rate, int64_t ceiling, int64_t part)
{
    int64_t off = rate > ceiling ? rate - ceiling : ceiling - rate;
    return ceiling > 0 && off * part <= ceiling;
}

/* Tokens a period that went through since the last cut; 0: nothing to be said. */
static int64_t measured(const struct adapt *a, const struct dim *d, int64_t now_ms)
{
    int64_t ticks = (now_ms - a->cut_ms) / d->limit.tick_ms;
    if (a->cut_ms == 0 || now_ms - a->cut_ms < MEASURE_MS || ticks < 1)
        return 0;
    return least(a->passed, DIM_MAX_UNITS / d->limit.period) * d->limit.period / ticks;
}

static int64_t cut_rate(const struct adapt *a, const struct dim *d, bool ramp, int64_t now_ms)
{
    int64_t rate = d->limit.rate;
    if (ramp)
        return rate / 2;
    int64_t seen = measured(a, d, now_ms) * 97 / 100;
    if (seen > 0)
        return least(most(seen, rate * 8 / 10), rate * 95 / 100);
    return is_near(rate, a->ceiling, 10) ? rate * 95 / 100 : rate * 8 / 10;
}

void adapt_refused(struct adapt *a, const struct dim_limit *base, struct dim *d,
                   const struct adapt_refusal *r, int64_t now_ms)
{
    bool is_told = a->told > 0 && now_ms - a->told_ms < FRESH_MS;
    a->refused_ms = now_ms;
    a->above = 0;
    d->level = least(d->level, 0);
    if ((is_told && !r->ramp) || r->seq <= a->cut_seq)
        return;
    int64_t next = cut_rate(a, d, r->ramp, now_ms);
    bool is_confirmed = is_near(d->limit.rate, a->ceiling, 10);
    a->ceiling = d->limit.rate;
    if (is_confirmed && a->ceiling * 20 >= a->former * 19)
        a->former = a->ceiling;
    a->rate = most(next, most(base->rate / 10, 1));
    a->ramped = a->ramped || r->ramp;
    a->cut_seq = r->last_seq;
    a->cut_ms = a->grown_ms = now_ms;
    a->streak = a->passed = 0;
    apply(a, base, d);
}

static int64_t step_of(struct adapt *a, const struct dim_limit *base)
{
    bool is_back = a->rate * 10 >= a->former * 9 && a->rate * 4 <= a->former * 5 &&
                   !is_near(a->former, a->ceiling, 10);
    bool is_past = a->rate * 20 > a->former * 21;
    bool is_far = a->rate > a->ceiling && !is_near(a->rate, a->ceiling, 20);
    if (a->ramped)
        return a->rate * 45 / 10000;
    if (is_back || !is_far || a->rate > a->former) {
        a->streak = 0;
        return is_back ? a->rate * (is_past ? 50 : 15) / 10000 : a->rate / 100;
    }
    a->streak = least(a->streak + 1, 6);
    return base->rate * (10 + 5 * a->streak) / 1000;
}

void adapt_passed(struct adapt *a, const struct dim_limit *base, struct dim *d, int64_t tokens,
                  int64_t now_ms)
{
    if (a->rate == 0)
        return;
    a->passed = least(a->passed + tokens, DIM_MAX_UNITS / d->limit.period);
    if (now_ms - a->grown_ms < STEP_MS || now_ms - a->refused_ms < STEP_MS ||
        d->level > full_level(d) / 2)
        return;
    int64_t step = step_of(a, base);
    a->grown_ms = now_ms;
    a->rate += most(step, 1);
    if (a->rate >= base->rate)
        a->rate = a->ceiling = a->former = a->ramped = a->streak = a->passed = 0;
    apply(a, base, d);
}

/* ---- slots */

void adapt_slots_overload(struct adapt_slots *s, int64_t base, int64_t running,
                          const struct adapt_refusal *r)
{
    int64_t now = adapt_slots_now(s, base);
    if (r->seq <= s->cut_seq)
        return;
    if (now == 0)
        now = running;
    s->top = base > 0 ? base : most(s->top, 2 * now);
    s->limit = most(now * 7 / 10, 1);
    s->cut_seq = r->last_seq;
    s->good = 0;
}

void adapt_slots_good(struct adapt_slots *s, int64_t base, int64_t running)
{
    if (s->limit == 0 || running * 2 < s->limit)
        return;
    if (++s->good < s->limit)
        return;
    s->good = 0;
    s->limit++;
    if (s->limit >= (base > 0 ? base : s->top))
        s->limit = s->top = 0;
}

int64_t adapt_slots_now(const struct adapt_slots *s, int64_t base)
{
    if (s->limit == 0)
        return base;
    return base > 0 ? least(s->limit, base) : s->limit;
}
