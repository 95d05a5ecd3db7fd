#include "tests/simulation/provider.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct ledger *ledger_of(struct provider *p, const char *pool)
{
    for (size_t i = 0; i < p->ledger_count; i++) {
        if (strcmp(p->ledgers[i].pool, pool) == 0)
            return &p->ledgers[i];
    }
    assert(p->ledger_count < SERVER_MAX_POOLS);
    struct ledger *l = &p->ledgers[p->ledger_count++];
    (void)snprintf(l->pool, sizeof(l->pool), "%s", pool);
    return l;
}

void provider_limit(struct provider *p, const char *pool, const struct pool_limits *limits)
{
    struct ledger *l = ledger_of(p, pool);
    assert(limits->dim_count <= LEDGER_MAX_DIMS);
    l->dim_count = limits->dim_count;
    for (size_t i = 0; i < limits->dim_count; i++) {
        struct ledger_dim *d = &l->dims[i];
        if (d->limit.capacity >= limits->dims[i].capacity)
            continue;
        d->limit = limits->dims[i];
        d->level = d->limit.capacity * d->limit.period;
        d->filled_us = loop_now_us();
    }
}

void provider_excuse(struct provider *p, int64_t for_us)
{
    int64_t until_us = loop_now_us() + for_us;
    if (until_us > p->excused_us)
        p->excused_us = until_us;
}

static int64_t full(const struct ledger_dim *d)
{
    return d->limit.capacity * d->limit.period;
}

static void add(struct ledger_dim *d, int64_t units)
{
    d->level = d->level + units < full(d) ? d->level + units : full(d);
}

static void fill(struct ledger_dim *d)
{
    int64_t tick_us = d->limit.tick_ms * 1000, ticks = (loop_now_us() - d->filled_us) / tick_us;
    d->filled_us += ticks * tick_us;
    add(d, ticks * d->limit.rate);
}

static void forget_old(struct ledger_dim *d)
{
    int64_t period_us = d->limit.period * d->limit.tick_ms * 1000;
    while (d->first < d->count && d->entries[d->first].at_us <= loop_now_us() - period_us)
        d->sum -= d->entries[d->first++].tokens;
}

static void append(struct ledger_dim *d, int64_t tokens)
{
    if (d->count == d->room) {
        d->room = d->room ? d->room * 2 : 1024;
        d->entries = realloc(d->entries, d->room * sizeof(*d->entries));
        assert(d->entries);
    }
    d->entries[d->count++] = (struct entry){loop_now_us(), tokens};
    d->sum += tokens;
}

size_t ledger_charge(struct provider *p, const char *pool, const int64_t *cost, bool judged)
{
    struct ledger *l = ledger_of(p, pool);
    size_t number = l->dim_count > 0 ? l->dims[0].count : 0;
    for (size_t i = 0; i < l->dim_count; i++) {
        struct ledger_dim *d = &l->dims[i];
        fill(d);
        forget_old(d);
        append(d, cost[i]);
        d->level -= cost[i] * d->limit.period;
        if (judged && !p->windows && cost[i] > 0 && d->level < 0)
            broken("over-admission: %s of %s is %.2f tokens short at the provider", d->limit.name,
                   pool, -(double)d->level / (double)d->limit.period);
        if (judged && p->windows && cost[i] > 0 && d->sum > d->limit.capacity + d->limit.rate)
            broken("over-admission: %" PRId64 " of %s in a window of %s, %" PRId64 " are the most",
                   d->sum, d->limit.name, pool, d->limit.capacity + d->limit.rate);
        if (!judged && d->level < 0)
            d->level = 0; /* what is excused must not be held against others */
    }
    return number;
}

void ledger_refund(struct provider *p, const char *pool, size_t number, const int64_t *tokens)
{
    struct ledger *l = ledger_of(p, pool);
    for (size_t i = 0; i < l->dim_count; i++) {
        struct ledger_dim *d = &l->dims[i];
        if (tokens[i] <= 0 || d->limit.rule == DIM_KEEP)
            continue;
        fill(d);
        add(d, tokens[i] * d->limit.period);
        d->entries[number].tokens -= tokens[i];
        if (number >= d->first)
            d->sum -= tokens[i];
    }
}

void provider_init(struct provider *p, struct server *server)
{
    *p = (struct provider){.server = server};
}

void provider_release(struct provider *p)
{
    for (size_t i = 0; i < p->ledger_count; i++) {
        for (size_t k = 0; k < p->ledgers[i].dim_count; k++)
            free(p->ledgers[i].dims[k].entries);
    }
}
