/*
 * route_history: points of the past (api/history_series.h), of everything, a pool or a tenant.
 *
 * Pools and the whole are for every key that may see numbers; a tenant's are for its own keys, and
 * for keys that administer.
 */
#include "api/answer.h"
#include "api/history_series.h"
#include "api/route.h"

#include "common/clock.h"
#include "common/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_BYTES   (HISTORY_MAX_METRICS * HISTORY_NAME_BYTES)
#define MINUTES_SHOWN 60
#define HOURS_SHOWN   168
#define LATEST_TIME_S INT64_C(100000000000)
#define BAD_STEP      "step must be 60 (kept for 24 h) or 3600 (kept for 90 days)"

struct history_ask {
    struct exchange *exchange; /* NULL: the client left */
    struct history_series series;
    char name[POOL_NAME_BYTES + 1];
    char names[NAMES_BYTES];
    struct history_subject subject;
};

static void ask_free(struct history_ask *a)
{
    history_series_release(&a->series);
    free(a);
}

static void on_gone(void *arg)
{
    struct history_ask *a = arg;
    a->exchange = NULL;
}

static void answer(struct history_ask *a, bool ok)
{
    if (!a->exchange)
        return;
    if (!ok) {
        answer_error(a->exchange, WIRE_OPENAI, 503, "storage_unavailable",
                     "The history stands in redis, which does not answer now; try again.");
        return;
    }
    if (exchange_set_header(a->exchange, "Cache-Control", "no-store") == 0)
        answer_json(a->exchange, 200, history_series_json(&a->series));
    else
        answer_json(a->exchange, 200, NULL);
}

static void on_value(void *arg, const struct history_value *value)
{
    struct history_ask *a = arg;
    if (value->name) {
        history_series_take(&a->series, value);
        return;
    }
    answer(a, value->ok);
    ask_free(a);
}

/* ---- what is asked for */

/* 0; -ENOENT absent; -EINVAL no text that fits. */
static int text(struct exchange *x, const char *name, char *out, size_t size, struct error *e)
{
    int rc = exchange_query(x, name, out, size);
    if (rc == 0 && *out)
        return 0;
    if (rc == -ENOENT)
        return rc;
    return error_set(e, -EINVAL, "%s is empty, too long or no text", name);
}

static int time_of(struct exchange *x, const char *name, int64_t *at_s, struct error *e)
{
    char given[24], *end = NULL;
    int rc = text(x, name, given, sizeof(given), e);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        *at_s = strtoll(given, &end, 10);
    if (rc < 0 || *end || *at_s < 0 || *at_s > LATEST_TIME_S)
        return error_set(e, -EINVAL, "%s must be a time in Unix seconds", name);
    return 0;
}

static int range_of(struct exchange *x, struct history_range *range, struct error *e)
{
    char step[8] = "";
    int rc = text(x, "step", step, sizeof(step), e);
    range->step_s = strcmp(step, "3600") == 0 ? HISTORY_HOUR_S : HISTORY_MINUTE_S;
    if (rc != -ENOENT && strcmp(step, "60") != 0 && strcmp(step, "3600") != 0)
        return error_set(e, -EINVAL, BAD_STEP);
    int64_t shown = range->step_s == HISTORY_HOUR_S ? HOURS_SHOWN : MINUTES_SHOWN;
    range->to_s = clock_wall_ms() / 1000 + 1;
    rc = time_of(x, "to", &range->to_s, e);
    if (rc < 0)
        return rc;
    range->to_s = (range->to_s + range->step_s - 1) / range->step_s * range->step_s;
    range->from_s = range->to_s > shown * range->step_s ? range->to_s - shown * range->step_s : 0;
    rc = time_of(x, "from", &range->from_s, e);
    range->from_s -= range->from_s % range->step_s;
    return rc;
}

static int subject_of(struct history_ask *a, struct error *e)
{
    char tenant[TENANT_NAME_BYTES + 1];
    int pool = text(a->exchange, "pool", a->name, sizeof(a->name), e);
    int of = text(a->exchange, "tenant", tenant, sizeof(tenant), e);
    if (pool == -EINVAL || of == -EINVAL)
        return -EINVAL;
    if (pool == 0 && of == 0)
        return error_set(e, -EINVAL, "pool and tenant exclude each other");
    a->subject.name = a->name;
    if (of == 0)
        (void)snprintf(a->name, sizeof(a->name), "%s", tenant);
    a->subject.kind = of == 0 ? HISTORY_TENANT : pool == 0 ? HISTORY_POOL : HISTORY_ALL;
    return 0;
}

static bool may_see(const struct caller *caller, const struct history_subject *subject)
{
    return subject->kind != HISTORY_TENANT || auth_sees_all(caller) ||
           strcmp(caller->tenant, subject->name) == 0;
}

static int read_ask(struct history_ask *a, const struct caller *caller, struct error *e)
{
    struct history_range range;
    int rc = subject_of(a, e);
    if (rc == 0)
        rc = range_of(a->exchange, &range, e);
    if (rc < 0)
        return rc;
    if (!may_see(caller, &a->subject))
        return error_set(e, -EPERM,
                         "This API key is of another tenant; the numbers of all tenants need the "
                         "scope 'admin'.");
    rc = text(a->exchange, "metrics", a->names, sizeof(a->names), e);
    if (rc == -EINVAL)
        return rc;
    return history_series_init(&a->series, a->subject.kind, &range, rc == 0 ? a->names : NULL, e);
}

static void refuse(struct exchange *x, int rc, const char *why)
{
    if (rc == -ENOMEM)
        answer_error(x, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
    else if (rc == -EPERM)
        answer_error(x, WIRE_OPENAI, 403, "insufficient_scope", why);
    else
        answer_error(x, WIRE_OPENAI, 400, rc == -E2BIG ? "too_many_points" : "invalid_value", why);
}

void route_stats_history(const struct route_request *r)
{
    struct history_ask *a = calloc(1, sizeof(*a));
    struct error e = {.text = ""};
    if (!a) {
        refuse(r->exchange, -ENOMEM, "");
        return;
    }
    a->exchange = r->exchange;
    int rc = read_ask(a, &r->caller, &e);
    if (rc < 0) {
        refuse(r->exchange, rc, e.text);
        ask_free(a);
        return;
    }
    exchange_on_gone(r->exchange, on_gone, a);
    history_store_read(service_history(r->service), &a->subject, &a->series.range, on_value, a);
}
