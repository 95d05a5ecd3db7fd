/*
 * route_budgets: how the budgets of tenants and access keys stand, as Redis has them.
 */
#include "api/answer.h"
#include "api/route.h"

#include "common/money.h"
#include "scheduler/scheduler.h"
#include "scheduler/spending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AWAY "Sluice cannot reach redis, where budgets are kept; try again in a moment."

struct budget_row {
    struct spending_limit limit;
    const char *whose;
    char name[TENANT_NAME_BYTES + 1], duration[ACCESS_DURATION_BYTES];
};

struct listing {
    struct spending *spending;
    struct exchange *exchange; /* NULL: the client has left */
    struct budget_row *rows;
    size_t count, room, at;
    int64_t now_s;
    json_t *data;
};

static void listing_free(struct listing *l)
{
    json_decref(l->data);
    free(l->rows);
    free(l);
}

static void on_gone(void *arg)
{
    struct listing *l = arg;
    l->exchange = NULL;
}

static bool add(struct listing *l, const struct budget_row *row)
{
    if (l->count == l->room) {
        size_t room = l->room > 0 ? 2 * l->room : 16;
        struct budget_row *rows = realloc(l->rows, room * sizeof(*rows));
        if (!rows)
            return false;
        l->rows = rows;
        l->room = room;
    }
    l->rows[l->count++] = *row;
    return true;
}

static bool add_read(struct listing *l, const char *whose, const char *name, const char *tenant,
                     const char *const texts[2])
{
    struct budget_row row = {.whose = whose};
    if (!spending_limit_read(texts[0], texts[1], &row.limit))
        return true;
    row.limit.soft = *whose == 'a';
    (void)snprintf(row.limit.who, sizeof(row.limit.who), "%s%.*s",
                   *whose == 't'   ? "t:"
                   : *whose == 'k' ? "k:"
                                   : "all",
                   TENANT_NAME_BYTES, name);
    (void)snprintf(row.limit.tenant, sizeof(row.limit.tenant), "%s", tenant);
    (void)snprintf(row.name, sizeof(row.name), "%s", name);
    (void)snprintf(row.duration, sizeof(row.duration), "%s", texts[1] ? texts[1] : "");
    return add(l, &row);
}

static bool gather(const struct route_request *r, struct listing *l)
{
    const struct config *c = service_config(r->service);
    bool all = auth_sees_all(&r->caller), good = true;
    const char *mine = r->caller.tenant;
    size_t at = 0;
    for (size_t i = 0; i < c->tenant_count && good; i++) {
        const struct config_tenant *t = &c->tenants[i];
        const char *const texts[] = {t->max_budget, t->budget_duration};
        if (all || strcmp(t->name, mine) == 0)
            good = add_read(l, "tenant", t->name, t->name, texts);
    }
    const struct access *access = service_access(r->service);
    for (const struct access_key *k; good && (k = access_next(access, &at));) {
        const char *const texts[] = {*k->max_budget ? k->max_budget : NULL, k->budget_duration};
        if (all || strcmp(k->tenant, mine) == 0)
            good = add_read(l, "key", k->id, k->tenant, texts);
    }
    const char *const alert[] = {c->costs.alert_usd, "1mo"};
    if (good && all && strcmp(c->costs.alert_usd, "0") != 0)
        good = add_read(l, "all", "", "", alert);
    return good;
}

static json_t *moment(int64_t at_s, bool ends)
{
    return ends ? json_integer((json_int_t)at_s) : json_null();
}

static json_t *shown(const struct listing *l, const struct budget_row *row, int64_t spent)
{
    const struct spending_limit *limit = &row->limit;
    bool ends = period_ends(&limit->period);
    int64_t left = limit->limit > spent ? limit->limit - spent : 0;
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:s?, s:o, s:o, s:b, s:b}", "object",
                     "budget", "whose", row->whose, "name", row->name, "tenant", limit->tenant,
                     "limit_usd", money_dollars(limit->limit), "spent_usd", money_dollars(spent),
                     "left_usd", money_dollars(left), "duration",
                     *row->duration ? row->duration : NULL, "period_started_at",
                     moment(period_start_s(&limit->period, l->now_s), ends), "renews_at",
                     moment(period_end_s(&limit->period, l->now_s), ends), "hard", !limit->soft,
                     "exceeded", spent >= limit->limit);
}

static void next(struct listing *l);

static void on_spent(void *arg, enum redis_status status, int64_t spent)
{
    struct listing *l = arg;
    if (!l->exchange) {
        listing_free(l);
    } else if (status != REDIS_OK) {
        answer_error(l->exchange, WIRE_OPENAI, 503, "storage_unavailable", AWAY);
        listing_free(l);
    } else if (json_array_append_new(l->data, shown(l, &l->rows[l->at], spent)) < 0) {
        answer_json(l->exchange, 200, NULL);
        listing_free(l);
    } else {
        l->at++;
        next(l);
    }
}

static void next(struct listing *l)
{
    if (l->at < l->count) {
        const struct spending_limit *limit = &l->rows[l->at].limit;
        const struct cost_period period = {limit->who, period_start_s(&limit->period, l->now_s),
                                           period_end_s(&limit->period, l->now_s)};
        cost_store_spent(spending_store(l->spending), &period, on_spent, l);
        return;
    }
    answer_json(l->exchange, 200,
                json_pack("{s:s, s:O, s:b}", "object", "list", "data", l->data, "has_more", 0));
    listing_free(l);
}

void route_budgets(const struct route_request *r)
{
    struct listing *l = calloc(1, sizeof(*l));
    json_t *data = json_array();
    if (l)
        *l = (struct listing){.exchange = r->exchange, .data = data};
    if (!l || !data || !gather(r, l)) {
        answer_json(r->exchange, 200, NULL);
        if (l)
            listing_free(l);
        else
            json_decref(data);
        return;
    }
    l->spending = service_spending(r->service);
    l->now_s = spending_now_s(l->spending);
    exchange_on_gone(r->exchange, on_gone, l);
    next(l);
}
