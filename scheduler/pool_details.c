#include "scheduler/pool_details.h"

#include "scheduler/pool_stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FINE_STEPS   (WAIT_BUCKETS / STEP_BUCKETS)
#define MOST_PERCENT INT64_C(1000000)

const int64_t detail_error_bounds[ERROR_BOUNDS] = {50,  75,  90,  100, 110, 125,
                                                   150, 200, 300, 500, 1000};

static const char *const decisions[DECISION_MAX] = {
#define X(name) [DECISION_##name] = #name,
    DETAIL_DECISIONS(X)
#undef X
};
static const char *const limits[BOUND_MAX] = {
#define X(name) [BOUND_##name] = #name,
    DETAIL_LIMITS(X)
#undef X
};

/* ---- steps */

size_t step_bucket(int64_t ms)
{
    return wait_bucket(ms) / FINE_STEPS;
}

int64_t step_top_ms(size_t bucket)
{
    return wait_bucket_top_ms(bucket * FINE_STEPS + FINE_STEPS - 1);
}

int64_t step_percentile(const int64_t steps[STEP_BUCKETS], int permille)
{
    int64_t total = 0, seen = 0;
    for (size_t i = 0; i < STEP_BUCKETS; i++)
        total += steps[i];
    for (size_t i = 0; i < STEP_BUCKETS && total > 0; i++) {
        int64_t low = i > 0 ? step_top_ms(i - 1) + 1 : 0;
        int64_t wanted = (total * permille + 999) / 1000 - seen;
        if (steps[i] > 0 && wanted <= steps[i])
            return low + (step_top_ms(i) - low) * wanted / steps[i];
        seen += steps[i];
    }
    return 0;
}

/* ---- fields */

const char *detail_field(size_t number, char room[DETAIL_FIELD_BYTES])
{
    (void)snprintf(room, DETAIL_FIELD_BYTES, "d:%u", (unsigned)number % 10000);
    return room;
}

size_t detail_number(const char *field)
{
    size_t number = DETAILS;
    if (strncmp(field, "d:", 2) == 0)
        number = (size_t)strtoul(field + 2, NULL, 10);
    return number < DETAILS ? number : DETAILS;
}

const char *detail_decision_name(enum detail_decision d)
{
    return (unsigned)d < DECISION_MAX ? decisions[d] : "?";
}

const char *detail_limit_name(enum detail_limit l)
{
    return (unsigned)l < BOUND_MAX ? limits[l] : "?";
}

enum detail_limit detail_limit_of(const char *binding)
{
    static const char own[] = "tenant:";
    if (*binding == '\0')
        return BOUND_none;
    if (strncmp(binding, own, sizeof(own) - 1) == 0)
        return BOUND_tenant;
    for (int i = 0; i < BOUND_MAX; i++) {
        if (strcmp(limits[i], binding) == 0)
            return (enum detail_limit)i;
    }
    return BOUND_other;
}

size_t detail_time_at(size_t time, size_t bucket)
{
    return time * TIME_NUMBERS + bucket;
}

size_t detail_bound_at(enum detail_decision d, enum detail_limit l)
{
    return DETAILS_LIMITS + (size_t)d * BOUND_MAX + (size_t)l;
}

/* ---- counting */

static void add(struct pool_details *p, size_t at, int64_t amount)
{
    p->number[at] += amount;
    p->unsent[at] += amount;
}

void pool_details_time(struct pool_details *p, size_t time, int64_t ms)
{
    add(p, detail_time_at(time, step_bucket(ms)), 1);
    add(p, detail_time_at(time, STEP_BUCKETS), ms > 0 ? ms : 0);
}

void pool_details_error(struct pool_details *p, int64_t reserved, int64_t used)
{
    size_t i = 0;
    if (used <= 0 || reserved < 0)
        return; /* nothing to compare it with */
    int64_t percent = reserved / used >= MOST_PERCENT / 100 ? MOST_PERCENT : reserved * 100 / used;
    while (i < ERROR_BOUNDS && percent > detail_error_bounds[i])
        i++;
    add(p, DETAILS_ERRORS + i, 1);
    add(p, DETAILS_ERRORS + ERROR_BOUNDS + 1, percent);
}

void pool_details_bound(struct pool_details *p, enum detail_decision d, const char *binding)
{
    add(p, detail_bound_at(d, detail_limit_of(binding)), 1);
}
