#include "api/simulate/sim_limit.h"

#include <stdio.h>
#include <string.h>

static const char *const dim_names[SIM_DIMS] = {
    [SIM_RPM] = "rpm",
    [SIM_TPM] = "tpm",
    [SIM_ITPM] = "itpm",
    [SIM_OTPM] = "otpm",
    [SIM_RPD] = "rpd",
    [SIM_TPD] = "tpd",
    [SIM_CONCURRENCY] = "concurrency",
};

static const char *const algorithm_names[SIM_ALGORITHMS] = {
    [SIM_BUCKET] = "bucket",
    [SIM_SLIDING_WINDOW] = "sliding_window",
    [SIM_FIXED_WINDOW] = "fixed_window",
};

const char *sim_dim_name(enum sim_dim dim)
{
    return dim_names[dim];
}

int sim_dim_find(const char *name, size_t len)
{
    for (int i = 0; i < SIM_DIMS; i++)
        if (strlen(dim_names[i]) == len && memcmp(dim_names[i], name, len) == 0)
            return i;
    return -1;
}

const char *sim_algorithm_name(enum sim_algorithm a)
{
    return algorithm_names[a];
}

int sim_algorithm_find(const char *name)
{
    for (int i = 0; i < SIM_ALGORITHMS; i++)
        if (strcmp(algorithm_names[i], name) == 0)
            return i;
    return -1;
}

int64_t sim_dim_window_us(enum sim_dim dim)
{
    return dim == SIM_RPD || dim == SIM_TPD ? SIM_DAY_US : SIM_MINUTE_US;
}

void sim_limit_init(struct sim_limit *l, int64_t window_us)
{
    *l = (struct sim_limit){.window_us = window_us};
    sim_log_init(&l->log, window_us);
}

void sim_limit_release(struct sim_limit *l)
{
    sim_log_release(&l->log);
}

/* Brings the state to now. Time that runs backwards changes nothing. */
static void advance(struct sim_limit *l, int64_t now_us)
{
    if (now_us > l->updated_us) {
        sim_wide full = (sim_wide)l->capacity * l->window_us;
        l->level += (sim_wide)l->limit * (now_us - l->updated_us);
        l->level = l->level > full ? full : l->level;
        l->updated_us = now_us;
    }
    if (now_us / l->window_us > l->number) {
        l->number = now_us / l->window_us;
        l->used = 0;
    }
}

/* Budget that came since offered_us. A bucket's flows, a window's comes at its turn. */
static int64_t flowed(const struct sim_limit *l, int64_t now_us)
{
    if (now_us <= l->offered_us)
        return 0;
    if (l->algorithm == SIM_FIXED_WINDOW)
        return l->limit * (now_us / l->window_us - l->offered_us / l->window_us);
    int64_t elapsed_us = now_us - l->offered_us;
    if (l->algorithm == SIM_SLIDING_WINDOW)
        return l->limit * (elapsed_us / l->window_us);
    return (int64_t)((sim_wide)l->limit * elapsed_us / l->window_us);
}

void sim_limit_set(struct sim_limit *l, enum sim_algorithm algorithm, int64_t limit,
                   int64_t capacity, int64_t now_us)
{
    capacity = algorithm == SIM_BUCKET && capacity > 0 ? capacity : limit;
    bool same = l->limit > 0 && l->algorithm == algorithm;
    advance(l, now_us);
    int64_t more = capacity - l->capacity;
    if (l->begun) {
        l->offered_base += flowed(l, now_us) + (more > 0 ? more : 0);
        l->offered_us = now_us;
    }
    if (same)
        l->level += (sim_wide)more * l->window_us;
    else
        l->level = (sim_wide)capacity * l->window_us;
    l->algorithm = algorithm;
    l->limit = limit;
    l->capacity = capacity;
    l->updated_us = now_us;
}

int64_t sim_limit_wait_us(struct sim_limit *l, int64_t amount, int64_t now_us)
{
    if (l->limit == 0 || amount == 0)
        return 0;
    if (amount > l->capacity)
        return SIM_NEVER;
    advance(l, now_us);
    if (l->algorithm == SIM_SLIDING_WINDOW)
        return sim_log_wait_us(&l->log, amount, l->limit, now_us);
    if (l->algorithm == SIM_FIXED_WINDOW)
        return l->used + amount <= l->limit ? 0 : (l->number + 1) * l->window_us - now_us;
    sim_wide missing = (sim_wide)amount * l->window_us - l->level;
    return missing <= 0 ? 0 : (int64_t)((missing + l->limit - 1) / l->limit);
}

void sim_limit_charge(struct sim_limit *l, int64_t amount, int64_t now_us)
{
    if (amount == 0)
        return;
    advance(l, now_us);
    if (!l->begun) {
        l->begun = true;
        l->offered_base = l->capacity;
        l->offered_us = now_us;
    }
    l->level -= (sim_wide)amount * l->window_us;
    l->used += amount;
    l->charged += amount;
    sim_log_add(&l->log, amount, now_us);
}

void sim_limit_refund(struct sim_limit *l, int64_t amount, int64_t charged_us, int64_t now_us)
{
    if (amount <= 0)
        return;
    advance(l, now_us);
    sim_wide full = (sim_wide)l->capacity * l->window_us;
    l->level += (sim_wide)amount * l->window_us;
    l->level = l->level > full ? full : l->level;
    if (charged_us / l->window_us == l->number)
        l->used -= amount;
    l->charged -= amount;
    sim_log_correct(&l->log, -amount, charged_us, now_us);
}

int64_t sim_limit_used(struct sim_limit *l, int64_t now_us)
{
    if (l->algorithm == SIM_SLIDING_WINDOW || l->limit == 0)
        return sim_log_sum(&l->log, now_us);
    advance(l, now_us);
    if (l->algorithm == SIM_FIXED_WINDOW)
        return l->used;
    sim_wide used = (sim_wide)l->capacity * l->window_us - l->level;
    return (int64_t)((used + l->window_us - 1) / l->window_us);
}

int64_t sim_limit_remaining(struct sim_limit *l, int64_t now_us)
{
    int64_t left = l->capacity - sim_limit_used(l, now_us);
    return left > 0 ? left : 0;
}

int64_t sim_limit_reset_us(struct sim_limit *l, int64_t now_us)
{
    if (l->limit == 0)
        return 0;
    if (l->algorithm == SIM_SLIDING_WINDOW)
        return sim_log_empty_us(&l->log, now_us);
    advance(l, now_us);
    if (l->algorithm == SIM_FIXED_WINDOW)
        return l->used > 0 ? (l->number + 1) * l->window_us - now_us : 0;
    sim_wide missing = (sim_wide)l->capacity * l->window_us - l->level;
    return missing <= 0 ? 0 : (int64_t)((missing + l->limit - 1) / l->limit);
}

int64_t sim_limit_offered(const struct sim_limit *l, int64_t now_us)
{
    return l->begun ? l->offered_base + flowed(l, now_us) : 0;
}

void sim_scope_init(struct sim_scope *s, const char *name)
{
    *s = (struct sim_scope){.concurrency = 0};
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++)
        sim_limit_init(&s->limits[d], sim_dim_window_us(d));
}

void sim_scope_release(struct sim_scope *s)
{
    for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++)
        sim_limit_release(&s->limits[d]);
}

static void check_rates(struct sim_scope *s, const struct sim_cost *cost, int64_t now_us,
                        struct sim_refused *worst)
{
    for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++) {
        struct sim_limit *l = &s->limits[d];
        int64_t wait_us = sim_limit_wait_us(l, cost->need[d], now_us);
        if (wait_us <= worst->wait_us)
            continue;
        *worst = (struct sim_refused){
            .dim = d,
            .scope = s,
            .limit = l->limit,
            .used = sim_limit_used(l, now_us),
            .requested = cost->need[d],
            .wait_us = wait_us,
        };
    }
}

bool sim_admit(struct sim_scope **scopes, size_t count, const struct sim_cost *cost, int64_t now_us,
               struct sim_refused *ret_refused)
{
    struct sim_refused worst = {.wait_us = 0};
    for (size_t i = 0; i < count; i++)
        check_rates(scopes[i], cost, now_us, &worst);
    for (size_t i = 0; i < count && !worst.scope; i++) {
        struct sim_scope *s = scopes[i];
        if (s->concurrency > 0 && s->in_flight >= s->concurrency)
            worst = (struct sim_refused){SIM_CONCURRENCY, s, s->concurrency, s->in_flight, 1, 0};
    }
    if (worst.scope) {
        *ret_refused = worst;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct sim_scope *s = scopes[i];
        for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++)
            sim_limit_charge(&s->limits[d], cost->charge[d], now_us);
        if (++s->in_flight > s->peak_in_flight)
            s->peak_in_flight = s->in_flight;
    }
    return true;
}

void sim_leave(struct sim_scope **scopes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        scopes[i]->in_flight--;
}
