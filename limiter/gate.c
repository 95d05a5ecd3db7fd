#include "limiter/gate.h"

#include <errno.h>
#include <string.h>

/* SIZE_MAX: not known. */
static size_t number_of(const struct gate *g, const char *name)
{
    for (size_t n = 0; n < g->name_count; n++) {
        if (strcmp(g->names[n], name) == 0)
            return n;
    }
    return SIZE_MAX;
}

static const struct dim *dim_of(const struct gate *g, const char *name)
{
    for (size_t i = 0; i < g->count; i++) {
        if (strcmp(g->dims[i].limit.name, name) == 0)
            return &g->dims[i];
    }
    return NULL;
}

static int make_dim(struct dim *ret, const struct dim *old, const struct dim_limit *limit,
                    bool full, int64_t now_ms)
{
    if (!old)
        return dim_init(ret, limit, full, now_ms);
    int rc = dim_copy(ret, old);
    return rc < 0 ? rc : dim_relimit(ret, limit, now_ms);
}

static int take_number(struct gate *g, size_t i, const char *name)
{
    g->number[i] = number_of(g, name);
    if (g->number[i] != SIZE_MAX)
        return 0;
    if (g->name_count == POOL_MAX_DIMS)
        return -EINVAL;
    g->number[i] = g->name_count++;
    memcpy(g->names[g->number[i]], name, DIM_NAME_BYTES);
    return 0;
}

int gate_configure(struct gate *g, const struct dim_limit *limits, size_t count, bool start_full,
                   int64_t now_ms)
{
    struct gate next = {.name_count = g->name_count};
    memcpy(next.names, g->names, sizeof(next.names));

    for (size_t i = 0; i < count; i++) {
        const struct dim *old = dim_of(g, limits[i].name);
        int rc = take_number(&next, i, limits[i].name);
        if (rc == 0) {
            next.count = i + 1;
            rc = make_dim(&next.dims[i], old, &limits[i], start_full, now_ms);
        }
        if (rc < 0) {
            gate_release(&next);
            return rc;
        }
    }
    gate_release(g);
    *g = next;
    return 0;
}

void gate_release(struct gate *g)
{
    for (size_t i = 0; i < g->count; i++)
        dim_release(&g->dims[i]);
    g->count = 0;
}

void gate_refill(struct gate *g, int64_t now_ms)
{
    for (size_t i = 0; i < g->count; i++) {
        int64_t before = g->dims[i].level;
        dim_refill(&g->dims[i], now_ms);
        if (g->dims[i].limit.algorithm == DIM_WINDOW)
            g->hold.left[i] += (g->dims[i].level - before) / g->dims[i].limit.period;
    }
}

void gate_number_costs(const struct gate *g, const int64_t *cost, int64_t *ret_cost)
{
    memset(ret_cost, 0, POOL_MAX_DIMS * sizeof(*ret_cost));
    for (size_t i = 0; i < g->count; i++)
        ret_cost[g->number[i]] = cost[i];
}

int gate_too_large(const struct gate *g, const int64_t *cost)
{
    for (size_t i = 0; i < g->count; i++) {
        if (cost[g->number[i]] > g->dims[i].limit.capacity)
            return (int)i;
    }
    return -1;
}

void gate_cut(const struct gate *g, int64_t *cost)
{
    for (size_t i = 0; i < g->count; i++) {
        int64_t *c = &cost[g->number[i]];
        if (*c > g->dims[i].limit.capacity)
            *c = g->dims[i].limit.capacity;
    }
}

int64_t gate_wait_ms(const struct gate *g, const int64_t *cost, int64_t now_ms, int *ret_binding)
{
    int64_t longest_ms = 0;
    *ret_binding = -1;
    for (size_t i = 0; i < g->count; i++) {
        int64_t wait_ms = dim_wait_ms(&g->dims[i], cost[g->number[i]], now_ms);
        if (wait_ms > longest_ms) {
            longest_ms = wait_ms;
            *ret_binding = (int)i;
        }
    }
    return longest_ms;
}

void gate_charge(struct gate *g, const int64_t *cost, int64_t now_ms)
{
    for (size_t i = 0; i < g->count; i++)
        dim_take(&g->dims[i], cost[g->number[i]], now_ms);
}

void gate_settle(struct gate *g, const struct gate_settlement *s, int64_t now_ms)
{
    for (size_t i = 0; i < g->count; i++) {
        struct dim_charge charge = {
            .cost = s->cost[g->number[i]], .at_ms = s->at_ms, .accrued = s->accrued[g->number[i]]};
        int64_t used = s->unsent ? 0 : s->actual[i];
        if (used >= 0)
            dim_settle(&g->dims[i], &charge, used, s->unsent, now_ms);
    }
}

void gate_accrue(struct gate *g, const struct gate_settlement *s, int64_t now_ms, int64_t *ret_more)
{
    for (size_t i = 0; i < g->count; i++) {
        size_t n = g->number[i];
        int64_t more = s->actual[i] - s->cost[n] - s->accrued[n];
        ret_more[i] = g->dims[i].limit.rule == DIM_ACCRUE && more > 0 ? more : 0;
        dim_accrue(&g->dims[i], ret_more[i], now_ms);
    }
}

void gate_hold(struct gate *g, const void *ticket, int64_t permille, int64_t now_ms)
{
    if (g->hold.ticket != ticket)
        g->hold = (struct hold){.ticket = ticket, .since_ms = now_ms, .permille = permille};
}

void gate_unhold(struct gate *g, const void *ticket)
{
    if (g->hold.ticket == ticket)
        g->hold.ticket = NULL;
}

int64_t gate_pass_wait_ms(const struct gate *g, const int64_t *head_cost, const int64_t *cost,
                          int64_t now_ms)
{
    int64_t longest_ms = 0;
    for (size_t i = 0; i < g->count; i++) {
        size_t n = g->number[i];
        int64_t wait_ms = hold_wait_ms(&g->hold, &g->dims[i], i, head_cost[n], cost[n], now_ms);
        if (wait_ms > longest_ms)
            longest_ms = wait_ms;
    }
    return longest_ms;
}

void gate_pass(struct gate *g, const int64_t *head_cost, const int64_t *cost, int64_t now_ms)
{
    for (size_t i = 0; i < g->count; i++) {
        size_t n = g->number[i];
        hold_pass(&g->hold, &g->dims[i], i, head_cost[n], cost[n]);
    }
    gate_charge(g, cost, now_ms);
}
