#include "api/batch_ask.h"

#include "api/batch/batch_plan.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct record_store *store(const struct record_ask *a)
{
    return batches_store(service_batches(a->service));
}

bool batch_ask_is_ended(const json_t *record)
{
    const char *status =
        json_string_value(json_object_get(json_object_get(record, "batch"), "status"));
    return status && batch_is_final(status);
}

static void show(struct record_ask *a)
{
    record_ask_answer(a, 200, a->gone ? NULL : a->shape->show(a, a->record));
}

/* ---- a new one */

static void on_opened(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    (void)text;
    (void)len;
    if (status != REDIS_OK) {
        record_ask_refuse(a, 503, "storage_unavailable",
                          "Redis is not reachable now: the batch may not have been accepted.");
        return;
    }
    batches_look(service_batches(a->service));
    show(a);
}

void batch_ask_wants(struct record_ask *a, char *webhook)
{
    if (webhook && a->record &&
        json_object_set_new(a->record, "webhook", json_string(webhook)) < 0) {
        json_decref(a->record); /* rather none than one whose end is not told */
        a->record = NULL;
    }
    free(webhook);
}

const char *batch_ask_provider(const struct route_request *r, enum wire_endpoint endpoint,
                               json_t *record)
{
    size_t len;
    const char *text = exchange_body(r->exchange, &len);
    const char *header = exchange_header(r->exchange, "x-sluice-provider-batch");
    struct json_span field = json_get(json_span_of(text, len), "provider_batch");
    enum json_kind kind = json_kind(field);
    bool wanted = header && strcasecmp(header, "true") == 0;
    if (header && !wanted && strcasecmp(header, "false") != 0)
        return "x-sluice-provider-batch must be true or false.";
    if (kind != JSON_NONE && kind != JSON_NUL && !json_bool(field, &wanted))
        return "provider_batch must be true or false.";
    if (!wanted)
        return NULL;
    if (!batch_plan_is_possible(service_config(r->service), wire_format_of(endpoint)))
        return "provider_batch needs a provider of this endpoint's format that has an api_key in "
               "the configuration.";
    if (record && json_object_set_new(record, "provider_batch", json_object()) < 0)
        return "Sluice is out of memory.";
    return NULL;
}

/* The record goes out before the note that it is open, over one connection: whoever finds the note
 * finds the record. */
void batch_ask_open(struct record_ask *a, const struct batch_shape *shape)
{
    struct record_at at = {SET_BATCHES, a->tenant, a->id}, open = {SET_OPEN, "", a->id};
    char *text = a->record ? json_dumps(a->record, JSON_COMPACT) : NULL;
    if (!text) {
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    a->shape = shape;
    record_store_put(store(a), &at, text, NULL, NULL);
    free(text);
    record_store_put(store(a), &open, a->tenant, on_opened, a);
}

/* ---- one that is there */

static struct record_ask *new_ask(const struct route_request *r, const struct batch_shape *shape)
{
    struct record_ask *a = record_ask_new(r, SET_BATCHES, "batch");
    if (a)
        a->shape = shape;
    return a;
}

void batch_ask(const struct route_request *r, const struct batch_shape *shape, record_view_fn view)
{
    struct record_ask *a = new_ask(r, shape);
    if (!a)
        return;
    a->view = view;
    if (strncmp(a->id, shape->prefix, strlen(shape->prefix)) == 0)
        record_ask_get(a);
    else
        record_ask_missing(a);
}

void batch_ask_list(const struct route_request *r, const struct batch_shape *shape)
{
    struct record_ask *a = new_ask(r, shape);
    if (!a)
        return;
    a->prefix = shape->prefix;
    a->item = shape->show;
    record_ask_list(a, shape->after_name, shape->limit, shape->most);
}

static void overlay(json_t *batch, const char *cancelled_at)
{
    (void)json_object_set_new(batch, "status", json_string("cancelling"));
    (void)json_object_set_new(batch, "cancelling_at",
                              json_integer(strtoll(cancelled_at, NULL, 10)));
}

static void on_cancel_known(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    (void)len;
    if (status == REDIS_OK && text && !batch_ask_is_ended(a->record))
        overlay(json_object_get(a->record, "batch"), text);
    show(a);
}

void batch_ask_view(struct record_ask *a, json_t *record)
{
    struct record_at at = {SET_CANCELS, a->tenant, a->id};
    (void)record;
    record_store_get(store(a), &at, on_cancel_known, a);
}

static void on_cancel_kept(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    (void)text;
    (void)len;
    if (status == REDIS_OK)
        batch_ask_view(a, a->record);
    else
        record_ask_refuse(a, 503, "storage_unavailable", "Redis is not reachable now.");
}

void batch_ask_cancel(struct record_ask *a, json_t *record)
{
    const struct batch_shape *shape = a->shape;
    struct record_at at = {SET_CANCELS, a->tenant, a->id};
    char now[24];
    if (batch_ask_is_ended(record)) {
        record_ask_refuse(a, shape->ended_status, shape->ended_code, shape->ended_message);
        return;
    }
    (void)snprintf(now, sizeof(now), "%lld", (long long)(clock_wall_ms() / 1000));
    record_store_put(store(a), &at, now, on_cancel_kept, a);
}
