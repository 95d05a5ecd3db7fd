/* route_webhooks: what became of events: the list of deliveries, and sending one again. */
#include "api/answer.h"
#include "api/route.h"
#include "api/webhook_json.h"

#include "common/limits.h"
#include "scheduler/webhook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PAGE    100
#define USUAL_PAGE   20
#define STATUS_BYTES 16

/* One question, until its records are read one after the other. */
struct ask {
    struct service *service;
    struct exchange *exchange;
    bool gone, of_all; /* an administrator's: of all tenants */
    char tenant[TENANT_NAME_BYTES + 1];
    char id[WEBHOOK_ID_BYTES]; /* the one asked for, or the last of the page before */
    struct webhook_range range;
    char (*ids)[WEBHOOK_ID_BYTES];
    size_t count, at, room;
    json_t *data;
};

static void ask_free(struct ask *a)
{
    json_decref(a->data);
    free(a->ids);
    free(a);
}

static void on_gone(void *arg)
{
    struct ask *a = arg;
    a->gone = true;
}

static void refuse(struct ask *a, int status, const char *code, const char *message)
{
    if (!a->gone)
        answer_error(a->exchange, WIRE_OPENAI, status, code, message);
    ask_free(a);
}

static void no_storage(struct ask *a)
{
    refuse(a, 503, "storage_unavailable", "Redis is not reachable now. Try again in a moment.");
}

static void not_found(struct ask *a)
{
    refuse(a, 404, "delivery_not_found",
           "There is no webhook delivery of this id here: it never was, or was kept its time "
           "(webhooks.kept_s) and is gone.");
}

static struct ask *ask_new(const struct route_request *r)
{
    struct ask *a = calloc(1, sizeof(*a));
    if (!a) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return NULL;
    }
    a->service = r->service;
    a->exchange = r->exchange;
    a->of_all = auth_sees_all(&r->caller);
    (void)snprintf(a->tenant, sizeof(a->tenant), "%s", r->caller.tenant);
    exchange_on_gone(r->exchange, on_gone, a);
    return a;
}

static struct webhook_store *store(const struct ask *a)
{
    return webhooks_store(service_webhooks(a->service));
}

static bool is_own(const struct ask *a, const struct webhook_record *r)
{
    return a->of_all || strcmp(r->tenant, a->tenant) == 0;
}

/* ---- list */

static void answer_list(struct ask *a, bool has_more)
{
    if (!a->gone) {
        json_t *data = a->data;
        a->data = NULL;
        answer_json(
            a->exchange, 200,
            json_pack("{s:s, s:o, s:b}", "object", "list", "data", data, "has_more", has_more));
    }
    ask_free(a);
}

static void add(struct ask *a, const struct webhook_record *r)
{
    json_t *one = webhook_json_delivery(r, a->of_all);
    if (one)
        (void)json_array_append_new(a->data, one);
}

static void next(struct ask *a);

static void on_listed_record(void *arg, enum redis_status status,
                             const struct webhook_record *record)
{
    struct ask *a = arg;
    const char *id = a->ids[a->at++];
    if (status != REDIS_OK) {
        no_storage(a);
        return;
    }
    if (record)
        add(a, record);
    else
        webhook_store_unlist(store(a), &a->range, id);
    next(a);
}

static void next(struct ask *a)
{
    if (a->gone || a->at == a->count || json_array_size(a->data) == (size_t)a->range.limit)
        answer_list(a, a->at < a->count);
    else
        webhook_store_get(store(a), a->ids[a->at], on_listed_record, a);
}

/* One more than the page holds is asked for, to know whether there are more. */
static void on_listed(void *arg, enum redis_status status, const char *id, int64_t created_us)
{
    struct ask *a = arg;
    (void)created_us;
    if (id) {
        if (a->count < a->room)
            (void)snprintf(a->ids[a->count++], WEBHOOK_ID_BYTES, "%s", id);
        return;
    }
    if (status != REDIS_OK)
        no_storage(a);
    else
        next(a);
}

static void list(struct ask *a)
{
    struct webhook_range range = a->range;
    a->room = 2 * ((size_t)range.limit + 1);
    a->ids = calloc(a->room, sizeof(*a->ids));
    if (!a->ids) {
        refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    range.limit++;
    webhook_store_list(store(a), &range, on_listed, a);
}

static void on_cursor(void *arg, enum redis_status status, const struct webhook_record *record)
{
    struct ask *a = arg;
    if (status != REDIS_OK) {
        no_storage(a);
        return;
    }
    if (!record || !is_own(a, record)) {
        refuse(a, 400, "invalid_value",
               "after must be the id of a delivery that is still kept; begin again without it.");
        return;
    }
    a->range.before_us = record->created_us;
    a->range.before_id = a->id;
    list(a);
}

/* The one delivery of a job or a batch. */
static void on_only(void *arg, enum redis_status status, const struct webhook_record *record)
{
    struct ask *a = arg;
    if (status != REDIS_OK) {
        no_storage(a);
        return;
    }
    enum webhook_state state = a->range.state;
    if (record && is_own(a, record) &&
        (state == WEBHOOK_STATES || strcmp(record->status, webhook_state_name(state)) == 0))
        add(a, record);
    answer_list(a, false);
}

/* False when a value is wrong. */
static bool read_page(const struct route_request *r, struct ask *a, int *ret_cursor)
{
    char limit[16], status[STATUS_BYTES];
    char *end = limit;
    int has_limit = exchange_query(r->exchange, "limit", limit, sizeof(limit));
    int has_status = exchange_query(r->exchange, "status", status, sizeof(status));
    long asked = has_limit == 0 ? strtol(limit, &end, 10) : USUAL_PAGE;
    if (has_limit == 0 ? end == limit || *end : has_limit != -ENOENT)
        return false;
    *ret_cursor = exchange_query(r->exchange, "after", a->id, sizeof(a->id));
    a->range = (struct webhook_range){
        .tenant = a->of_all ? NULL : a->tenant, .state = WEBHOOK_STATES, .limit = (int)asked};
    for (int i = 0; has_status == 0 && i < WEBHOOK_STATES; i++)
        if (strcmp(status, webhook_state_name((enum webhook_state)i)) == 0)
            a->range.state = (enum webhook_state)i;
    return asked >= 1 && asked <= MOST_PAGE && (*ret_cursor == 0 || *ret_cursor == -ENOENT) &&
           (has_status == -ENOENT || (has_status == 0 && a->range.state != WEBHOOK_STATES));
}

void route_webhooks_list(const struct route_request *r)
{
    char of[ROUTE_ID_BYTES];
    int has_cursor = -ENOENT;
    struct ask *a = ask_new(r);
    if (!a)
        return;
    a->data = json_array();
    int has_of = exchange_query(r->exchange, "job", of, sizeof(of));
    if (has_of == -ENOENT)
        has_of = exchange_query(r->exchange, "batch", of, sizeof(of));
    if (!read_page(r, a, &has_cursor) || !a->data || (has_of < 0 && has_of != -ENOENT)) {
        refuse(a, 400, "invalid_value",
               "limit must be a whole number from 1 to 100, status one of waiting, delivered and "
               "failed, after the id of a delivery, job and batch the id of one.");
        return;
    }
    if (has_of == 0) {
        (void)snprintf(a->id, sizeof(a->id), "msg_%.80s", of);
        webhook_store_get(store(a), a->id, on_only, a);
    } else if (has_cursor == 0) {
        webhook_store_get(store(a), a->id, on_cursor, a);
    } else {
        list(a);
    }
}

/* ---- one, and once more */

static void on_one(void *arg, enum redis_status status, const struct webhook_record *record)
{
    struct ask *a = arg;
    if (status != REDIS_OK) {
        no_storage(a);
    } else if (!record || !is_own(a, record)) {
        not_found(a);
    } else {
        if (!a->gone)
            answer_json(a->exchange, 200, webhook_json_delivery(record, a->of_all));
        ask_free(a);
    }
}

static void on_queued(void *arg, enum redis_status status, const char *word)
{
    struct ask *a = arg;
    if (status != REDIS_OK) {
        no_storage(a);
    } else if (strcmp(word, "queued") != 0) {
        not_found(a);
    } else {
        webhooks_look(service_webhooks(a->service));
        webhook_store_get(store(a), a->id, on_one, a);
    }
}

void route_webhooks_get(const struct route_request *r)
{
    struct ask *a = ask_new(r);
    if (!a)
        return;
    if (strlen(r->id) >= sizeof(a->id)) {
        not_found(a);
        return;
    }
    (void)snprintf(a->id, sizeof(a->id), "%.*s", WEBHOOK_ID_BYTES - 1, r->id);
    webhook_store_get(store(a), a->id, on_one, a);
}

void route_webhooks_redeliver(const struct route_request *r)
{
    struct ask *a = ask_new(r);
    if (!a)
        return;
    struct webhook_rules rules = webhooks_rules(service_webhooks(r->service));
    if (strlen(r->id) >= sizeof(a->id)) {
        not_found(a);
        return;
    }
    (void)snprintf(a->id, sizeof(a->id), "%.*s", WEBHOOK_ID_BYTES - 1, r->id);
    webhook_store_redeliver(store(a), &rules, a->id, a->of_all ? NULL : a->tenant, on_queued, a);
}
