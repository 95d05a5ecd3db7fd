/*
 * route_costs: what was spent, by day, model, tenant or key, and how budgets stand.
 *
 * Days are read from Redis one after the other, each in pages, so that a long range holds nobody
 * up. What an instance has gathered and not sent yet (a tenth of a second) is not in them. An
 * administrator sees all; everybody else his own tenant, and its keys.
 */
#include "api/answer.h"
#include "api/route.h"

#include "common/log.h"
#include "common/map.h"
#include "common/money.h"
#include "common/rand.h"
#include "scheduler/scheduler.h"
#include "scheduler/spending.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S        86400
#define DEFAULT_DAYS 30
#define NAME_BYTES   (COST_ROW_BYTES + 16)
#define NO_MEMORY    "Sluice is out of memory."
#define AWAY         "Sluice cannot reach redis, where costs are kept; try again in a moment."

enum grouping { BY_DAY, BY_MODEL, BY_TENANT, BY_KEY, BY_COUNT };
static const char *const groupings[] = {"day", "model", "tenant", "key"};

struct entry {
    char name[NAME_BYTES]; /* in its map */
    struct cost_row row;
};

struct report {
    struct service *service;
    struct exchange *exchange; /* NULL: the client has left */
    int64_t from, to, at;      /* days */
    enum grouping by;
    char tenant[TENANT_NAME_BYTES + 1]; /* "": all */
    struct map of_day, groups;
    bool failed;
};

static void free_entries(struct map *m)
{
    size_t at = 0;
    for (void *one; (one = map_next(m, &at));)
        free(one);
    map_release(m);
}

static void report_free(struct report *r)
{
    free_entries(&r->of_day);
    free_entries(&r->groups);
    free(r);
}

static void on_gone(void *arg)
{
    struct report *r = arg;
    r->exchange = NULL;
}

static struct entry *entry_of(struct map *m, const char *name)
{
    struct entry *e = map_get(m, name);
    if (e)
        return e;
    e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    (void)snprintf(e->name, sizeof(e->name), "%s", name);
    if (map_put(m, e->name, e) == 0)
        return e;
    free(e);
    return NULL;
}

static const char *group_of(const struct report *r, const struct cost_row *row,
                            char date[PERIOD_DATE_BYTES])
{
    switch (r->by) {
    case BY_MODEL:
        return row->model;
    case BY_TENANT:
        return row->tenant;
    case BY_KEY:
        return row->key;
    default:
        return period_date_text(row->day, date);
    }
}

static void add(struct cost_row *into, const struct cost_row *from)
{
    for (int i = 0; i < COST_COUNTER_COUNT; i++)
        into->count[i] = money_add(into->count[i], from->count[i]);
}

/* Only now, as Redis may tell a counter twice while a hash grows. */
static void end_day(struct report *r)
{
    size_t at = 0;
    char date[PERIOD_DATE_BYTES];
    for (struct entry *e; (e = map_next(&r->of_day, &at));) {
        struct entry *group = entry_of(&r->groups, group_of(r, &e->row, date));
        if (group)
            add(&group->row, &e->row);
        r->failed |= !group;
    }
    free_entries(&r->of_day);
    map_init(&r->of_day, rand_system_seed());
}

/* ---- the answer */

static json_t *dollars(int64_t nano)
{
    return json_real(money_dollars(nano));
}

static json_t *counters(const struct cost_row *row)
{
    const int64_t *n = row->count;
    return json_pack("{s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:o, s:I, s:{s:o, s:o, s:o, s:o}}",
                     "requests", (json_int_t)n[COST_requests], "unpriced_requests",
                     (json_int_t)n[COST_unpriced], "priced", n[COST_unpriced] == 0, "input_tokens",
                     (json_int_t)n[COST_input], "cached_tokens", (json_int_t)n[COST_cache_read],
                     "cache_write_tokens", (json_int_t)n[COST_cache_write], "output_tokens",
                     (json_int_t)n[COST_output], "cost_usd", dollars(n[COST_cost]), "cost_nano_usd",
                     (json_int_t)n[COST_cost], "saved_usd", "trimming", dollars(n[COST_saved_trim]),
                     "prompt_cache", dollars(n[COST_saved_prompt_cache]), "response_cache",
                     dollars(n[COST_saved_response]), "batch", dollars(n[COST_saved_batch]));
}

static int by_name(const void *a, const void *b)
{
    const struct entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_cost(const void *a, const void *b)
{
    const struct entry *const *x = a, *const *y = b;
    int64_t left = (*x)->row.count[COST_cost], right = (*y)->row.count[COST_cost];
    return left != right ? (left < right ? 1 : -1) : by_name(a, b);
}

/* Days in their order, all else the most expensive first. */
static json_t *list_groups(struct report *r, struct cost_row *total)
{
    size_t n = 0, at = 0;
    json_t *list = json_array();
    struct entry **all = calloc(r->groups.count + 1, sizeof(struct entry *));
    for (struct entry *e; all && (e = map_next(&r->groups, &at));)
        all[n++] = e;
    if (n > 1)
        qsort(all, n, sizeof(struct entry *), r->by == BY_DAY ? by_name : by_cost);
    for (size_t i = 0; i < n; i++) {
        json_t *one = counters(&all[i]->row);
        json_t *name = r->by == BY_KEY && !*all[i]->name ? json_null() : json_string(all[i]->name);
        add(total, &all[i]->row);
        if (json_object_set_new(one, groupings[r->by], name) < 0 ||
            json_array_append_new(list, one) < 0)
            r->failed = true;
    }
    r->failed |= !all;
    free(all);
    return list;
}

static void answer(struct report *r)
{
    char from[PERIOD_DATE_BYTES], to[PERIOD_DATE_BYTES];
    struct cost_row total = {.day = 0};
    json_t *list = list_groups(r, &total);
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b}", "object", "list", "from",
                             period_date_text(r->from, from), "to", period_date_text(r->to, to),
                             "group_by", groupings[r->by], "currency", "usd", "data", list, "total",
                             counters(&total), "has_more", 0);
    if (r->failed) {
        json_decref(body);
        body = NULL;
    }
    answer_json(r->exchange, 200, body);
}

static void next_day(struct report *r);

static void on_row(void *arg, enum redis_status status, const struct cost_row *row,
                   enum cost_counter which)
{
    struct report *r = arg;
    char name[NAME_BYTES];
    if (row) {
        if (*r->tenant && strcmp(r->tenant, row->tenant) != 0)
            return;
        (void)snprintf(name, sizeof(name), "%s %s %s", row->tenant, row->key, row->model);
        struct entry *e = entry_of(&r->of_day, name);
        r->failed |= !e;
        if (!e)
            return;
        int64_t value = row->count[which];
        memcpy(e->row.tenant, row->tenant, sizeof(row->tenant));
        memcpy(e->row.key, row->key, sizeof(row->key));
        memcpy(e->row.model, row->model, sizeof(row->model));
        e->row.day = row->day;
        e->row.count[which] = value;
        return;
    }
    end_day(r);
    if (r->exchange && status != REDIS_OK)
        answer_error(r->exchange, WIRE_OPENAI, 503, "storage_unavailable", AWAY);
    if (!r->exchange || status != REDIS_OK) {
        report_free(r);
        return;
    }
    r->at++;
    next_day(r);
}

static void next_day(struct report *r)
{
    const struct spending *s = service_spending(r->service);
    if (r->at <= r->to && cost_store_day(spending_store(s), r->at, on_row, r) == 0)
        return;
    r->failed |= r->at <= r->to;
    if (r->exchange)
        answer(r);
    report_free(r);
}

/* ---- the question */

static int bad(const struct route_request *r, const char *message)
{
    answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_value", message);
    return -EINVAL;
}

static int read_day(const struct route_request *r, const char *name, int64_t *day)
{
    char text[32];
    int rc = exchange_query(r->exchange, name, text, sizeof(text));
    if (rc == 0 && period_date_parse(text, day) == 0)
        return 0;
    return rc == -ENOENT ? 0 : bad(r, "from and to must be days in UTC, such as 2026-11-21.");
}

static int read_grouping(const struct route_request *r, enum grouping *ret)
{
    char text[16];
    int rc = exchange_query(r->exchange, "group_by", text, sizeof(text));
    for (int i = 0; rc == 0 && i < BY_COUNT; i++) {
        if (strcmp(groupings[i], text) == 0) {
            *ret = (enum grouping)i;
            return 0;
        }
    }
    return rc == -ENOENT ? 0 : bad(r, "group_by must be one of day, model, tenant, key.");
}

static int read_question(const struct route_request *r, struct report *q)
{
    const struct spending *s = service_spending(r->service);
    q->to = spending_now_s(s) / DAY_S;
    if (read_day(r, "to", &q->to) < 0)
        return -EINVAL;
    q->from = q->to - DEFAULT_DAYS + 1;
    if (read_day(r, "from", &q->from) < 0 || read_grouping(r, &q->by) < 0)
        return -EINVAL;
    if (q->from > q->to || q->to - q->from >= COST_DAYS_KEPT)
        return bad(r, "from must not be behind to, and at most 400 days may lie between them.");
    q->at = q->from;
    int has_tenant = exchange_query(r->exchange, "tenant", q->tenant, sizeof(q->tenant));
    if (has_tenant == -ENOENT)
        q->tenant[0] = '\0';
    if (!auth_sees_all(&r->caller))
        (void)snprintf(q->tenant, sizeof(q->tenant), "%s", r->caller.tenant);
    else if (has_tenant < 0 && has_tenant != -ENOENT)
        return bad(r, "tenant must be the name of one.");
    return 0;
}

void route_costs(const struct route_request *r)
{
    struct report *q = calloc(1, sizeof(*q));
    if (!q) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", NO_MEMORY);
        return;
    }
    q->service = r->service;
    q->exchange = r->exchange;
    map_init(&q->of_day, rand_system_seed());
    map_init(&q->groups, rand_system_seed());
    if (read_question(r, q) < 0) {
        report_free(q);
        return;
    }
    exchange_on_gone(r->exchange, on_gone, q);
    next_day(q);
}
