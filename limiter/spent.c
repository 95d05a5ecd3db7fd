#include "limiter/spent.h"

#include <string.h>

size_t spent_number(struct spent *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->names[i], name) == 0)
            return i;
    }
    if (s->count < POOL_MAX_DIMS) {
        memcpy(s->names[s->count], name, DIM_NAME_BYTES);
        s->tokens[s->count] = 0;
        return s->count++;
    }
    return POOL_MAX_DIMS;
}

static void add(struct spent *s, size_t number, int64_t tokens)
{
    int64_t *total = &s->tokens[number];
    if (tokens > DIM_MAX_UNITS)
        tokens = DIM_MAX_UNITS;
    *total += tokens;
    if (*total > DIM_MAX_UNITS)
        *total = DIM_MAX_UNITS;
    else if (*total < -DIM_MAX_UNITS)
        *total = -DIM_MAX_UNITS;
}

void spent_read_cost(struct spent *s, const struct pool_limits *limits, const int64_t *cost,
                     struct spent_cost *ret)
{
    *ret = (struct spent_cost){.tokens = {0}};
    for (size_t i = 0; i < limits->dim_count; i++) {
        size_t number = spent_number(s, limits->dims[i].name);
        if (number < POOL_MAX_DIMS)
            ret->tokens[number] = cost[i];
    }
}

void spent_grant(struct spent *s, const struct spent_cost *cost)
{
    for (size_t i = 0; i < s->count; i++)
        add(s, i, cost->tokens[i]);
}

void spent_settle(struct spent *s, const struct pool_limits *limits, const struct spent_cost *cost,
                  const int64_t *actual, bool unsent)
{
    for (size_t i = 0; i < limits->dim_count; i++) {
        size_t number = spent_number(s, limits->dims[i].name);
        int64_t used = unsent ? 0 : actual[i];
        if (number == POOL_MAX_DIMS || used < 0)
            continue;
        int64_t surplus = cost->tokens[number] - used;
        if (surplus < 0 || unsent || limits->dims[i].rule != DIM_KEEP)
            add(s, number, -surplus);
    }
}

void spent_accrue(struct spent *s, const struct pool_limits *limits, const struct spent_cost *cost,
                  struct spent_cost *accrued, const int64_t *produced)
{
    for (size_t i = 0; i < limits->dim_count; i++) {
        size_t n = spent_number(s, limits->dims[i].name);
        if (n == POOL_MAX_DIMS || limits->dims[i].rule != DIM_ACCRUE)
            continue;
        int64_t more = produced[i] - cost->tokens[n] - accrued->tokens[n];
        if (more <= 0)
            continue;
        accrued->tokens[n] += more;
        add(s, n, more);
    }
}

bool spent_is_zero(const struct spent *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->tokens[i] != 0)
            return false;
    }
    return true;
}

void spent_tell(const struct spent *s, const struct pool_limits *limits, int64_t *ret_tokens)
{
    for (size_t i = 0; i < limits->dim_count; i++) {
        ret_tokens[i] = 0;
        for (size_t k = 0; k < s->count; k++) {
            if (strcmp(s->names[k], limits->dims[i].name) == 0)
                ret_tokens[i] = s->tokens[k];
        }
    }
}

void spent_clear(struct spent *s)
{
    memset(s->tokens, 0, sizeof(s->tokens));
}
