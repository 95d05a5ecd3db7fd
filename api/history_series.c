#include "api/history_series.h"

#include "scheduler/pool_stats.h"
#include "scheduler/tally.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum rule { RULE_SUM, RULE_MEAN, RULE_PEAK, RULE_WAIT };

struct history_metric {
    char name[HISTORY_NAME_BYTES];
    enum rule rule;
    int permille;
    char fields[4][HISTORY_NAME_BYTES]; /* that are added up in it; "" none */
    int64_t *values;                    /* by point */
};

/* ---- names */

static const char *const of_pools[] = {
    "requests",      "succeeded",     "failed",          "admitted",        "delayed",
    "shrunk",        "refused",       "retries",         "provider_429",    "avoided_429",
    "tokens_input",  "tokens_output", "tokens_reserved", "tokens_trimmed",  "wait_p50",
    "wait_p95",      "wait_p99",      "queue_depth",     "queue_depth_max", "in_flight",
    "in_flight_max",
};
static const char *const of_tenants[] = {
    "requests",      "succeeded",       "failed",         "refused",  "delayed",  "tokens_input",
    "tokens_output", "tokens_reserved", "tokens_trimmed", "wait_p50", "wait_p95", "wait_p99",
};

static bool is_pool_counter(const char *name)
{
    for (int i = 0; i < COUNT_MAX; i++) {
        if (strcmp(pool_counter_name((enum pool_counter)i), name) == 0)
            return true;
    }
    return false;
}

static bool is_counter(enum history_kind kind, const char *name)
{
    return kind == HISTORY_TENANT ? tally_number(name) < TALLY_COUNT : is_pool_counter(name);
}

static void sum_of(struct history_metric *m, size_t n, const char *const *names)
{
    m->rule = RULE_SUM;
    for (size_t i = 0; i < n; i++)
        (void)snprintf(m->fields[i], sizeof(m->fields[i]), "%s", names[i]);
}

static bool is_gauge(const char *name)
{
    static const char *const families[] = {"level.", "limit.", "queue_depth."};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        size_t len = strlen(families[i]);
        if (strncmp(name, families[i], len) == 0 && name[len] != '\0' &&
            strspn(name + len, "abcdefghijklmnopqrstuvwxyz_") == strlen(name + len))
            return true;
    }
    return strcmp(name, "queue_depth") == 0 || strcmp(name, "in_flight") == 0;
}

static bool set_gauge(struct history_metric *m)
{
    size_t len = strlen(m->name), end = strlen("_max");
    char whole[HISTORY_NAME_BYTES];
    (void)snprintf(whole, sizeof(whole), "%s", m->name);
    m->rule = RULE_MEAN;
    if (len > end && strcmp(m->name + len - end, "_max") == 0 && strncmp(m->name, "l", 1) != 0) {
        whole[len - end] = '\0';
        m->rule = RULE_PEAK;
    }
    if (!is_gauge(whole))
        return false;
    return snprintf(m->fields[0], sizeof(m->fields[0]), "%c:%s", m->rule == RULE_PEAK ? 'm' : 'g',
                    whole) < (int)sizeof(m->fields[0]);
}

/* False: there is no such metric of such a subject. */
static bool set_metric(struct history_metric *m, enum history_kind kind)
{
    static const char *const ended[] = {"succeeded", "failed", "cancelled", "expired"};
    static const char *const delayed[] = {"delayed"};
    const char *const own[] = {m->name};
    int percent = 0, used = 0;
    if (strcmp(m->name, "requests") == 0) {
        sum_of(m, 4, ended);
    } else if (strcmp(m->name, "avoided_429") == 0) {
        sum_of(m, 1, delayed);
    } else if (is_counter(kind, m->name)) {
        sum_of(m, 1, own);
    } else if (sscanf(m->name, "wait_p%2d%n", &percent, &used) == 1 && !m->name[used] &&
               percent > 0) {
        m->rule = RULE_WAIT;
        m->permille = percent * 10;
    } else {
        return kind != HISTORY_TENANT && set_gauge(m);
    }
    return true;
}

static int add_metric(struct history_series *s, const char *name, size_t len, struct error *e)
{
    struct history_metric *m = &s->metrics[s->metric_count];
    if (s->metric_count >= HISTORY_MAX_METRICS)
        return error_set(e, -E2BIG, "metrics names more than %d metrics", HISTORY_MAX_METRICS);
    (void)snprintf(m->name, sizeof(m->name), "%.*s", (int)(len < 99 ? len : 99), name);
    if (len == 0 || len >= sizeof(m->name) || !set_metric(m, s->kind))
        return error_set(e, -EINVAL,
                         "there is no metric '%.40s' of %s; without metrics= all are given",
                         m->name, s->kind == HISTORY_TENANT ? "a tenant" : "a pool");
    m->values = calloc(s->points, sizeof(*m->values));
    if (!m->values)
        return error_set(e, -ENOMEM, "out of memory");
    s->metric_count++;
    if (m->rule != RULE_WAIT || s->waits)
        return 0;
    s->waits = calloc(s->points * s->wait_buckets, sizeof(*s->waits));
    return s->waits ? 0 : error_set(e, -ENOMEM, "out of memory");
}

static int add_all(struct history_series *s, struct error *e)
{
    bool tenant = s->kind == HISTORY_TENANT;
    const char *const *names = tenant ? of_tenants : of_pools;
    size_t n = tenant ? sizeof(of_tenants) / sizeof(of_tenants[0])
                      : sizeof(of_pools) / sizeof(of_pools[0]);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_metric(s, names[i], strlen(names[i]), e);
    return rc;
}

int history_series_init(struct history_series *s, enum history_kind kind,
                        const struct history_range *range, const char *names, struct error *e)
{
    int rc = 0;
    *s = (struct history_series){.kind = kind, .range = *range};
    s->wait_buckets = kind == HISTORY_TENANT ? STEP_BUCKETS : WAIT_BUCKETS;
    if (range->to_s <= range->from_s)
        return error_set(e, -EINVAL, "from must be before to");
    if ((range->to_s - range->from_s) / range->step_s > HISTORY_MAX_POINTS)
        return error_set(e, -E2BIG,
                         "from and to are more than %d points apart; ask for less, or for "
                         "step=3600",
                         HISTORY_MAX_POINTS);
    s->points = (size_t)((range->to_s - range->from_s) / range->step_s);
    s->metrics = calloc(HISTORY_MAX_METRICS, sizeof(*s->metrics));
    s->up = calloc(s->points, sizeof(*s->up));
    s->samples = calloc(s->points, sizeof(*s->samples));
    if (!s->metrics || !s->up || !s->samples)
        return error_set(e, -ENOMEM, "out of memory");
    if (!names)
        return add_all(s, e);
    for (const char *at = names; rc == 0; at++) {
        size_t len = strcspn(at, ",");
        rc = add_metric(s, at, len, e);
        at += len;
        if (*at == '\0')
            break;
    }
    return rc;
}

void history_series_release(struct history_series *s)
{
    for (size_t i = 0; s->metrics && i < HISTORY_MAX_METRICS; i++)
        free(s->metrics[i].values);
    free(s->metrics);
    free(s->up);
    free(s->samples);
    free(s->waits);
}

/* ---- values */

static void take_wait(struct history_series *s, size_t point, const struct history_value *value)
{
    size_t bucket = (size_t)strtoul(value->name + 2, NULL, 10);
    if (s->waits && bucket < s->wait_buckets)
        s->waits[point * s->wait_buckets + bucket] += value->amount;
}

static bool is_of(const struct history_metric *m, const char *field)
{
    for (size_t i = 0; i < 4 && *m->fields[i]; i++) {
        if (strcmp(m->fields[i], field) == 0)
            return true;
    }
    return false;
}

void history_series_take(struct history_series *s, const struct history_value *value)
{
    int64_t point = (value->at_s - s->range.from_s) / s->range.step_s;
    if (value->at_s < s->range.from_s || (size_t)point >= s->points)
        return;
    if (strcmp(value->name, "up") == 0)
        s->up[point] += value->amount;
    else if (strcmp(value->name, "n") == 0)
        s->samples[point] += value->amount;
    else if (strncmp(value->name, "w:", 2) == 0)
        take_wait(s, (size_t)point, value);
    for (size_t i = 0; i < s->metric_count; i++) {
        if (is_of(&s->metrics[i], value->name))
            s->metrics[i].values[point] += value->amount;
    }
}

static json_t *wait_of(const struct history_series *s, size_t point, int permille)
{
    const int64_t *waits = s->waits + point * s->wait_buckets;
    int64_t total = 0;
    for (size_t i = 0; i < s->wait_buckets; i++)
        total += waits[i];
    if (total == 0)
        return json_null();
    return json_integer(s->kind == HISTORY_TENANT ? step_percentile(waits, permille)
                                                  : wait_percentile(waits, permille));
}

static json_t *value_of(const struct history_series *s, const struct history_metric *m,
                        size_t point)
{
    if (s->up[point] == 0)
        return json_null();
    switch (m->rule) {
    case RULE_WAIT:
        return wait_of(s, point, m->permille);
    case RULE_MEAN:
        return s->samples[point] > 0
                   ? json_real((double)m->values[point] / (double)s->samples[point])
                   : json_null();
    case RULE_PEAK:
        return s->samples[point] > 0 ? json_integer(m->values[point]) : json_null();
    default:
        return json_integer(m->values[point]);
    }
}

static json_t *values_of(const struct history_series *s, const struct history_metric *m)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < s->points; i++) {
        if (json_array_append_new(list, value_of(s, m, i)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *history_series_json(const struct history_series *s)
{
    json_t *times = json_array(), *series = json_object();
    int rc = times && series ? 0 : -1;
    for (size_t i = 0; i < s->points && rc == 0; i++)
        rc = json_array_append_new(times,
                                   json_integer(s->range.from_s + (json_int_t)i * s->range.step_s));
    for (size_t i = 0; i < s->metric_count && rc == 0; i++)
        rc = json_object_set_new(series, s->metrics[i].name, values_of(s, &s->metrics[i]));
    if (rc < 0) {
        json_decref(times);
        json_decref(series);
        return NULL;
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "object", "stats.history", "step",
                     (json_int_t)s->range.step_s, "from", (json_int_t)s->range.from_s, "to",
                     (json_int_t)s->range.to_s, "times", times, "series", series);
}
