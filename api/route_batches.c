/*
 * route_batches: batches of requests in OpenAI's shape: create, look, list, cancel.
 *
 * Whoever runs a batch writes its record; what others want of it stands beside it ("cancels").
 */
#include "api/record_ask.h"

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_S INT64_C(86400)

static struct record_store *store(const struct record_ask *a)
{
    return batches_store(service_batches(a->service));
}

static const char *status_of(const json_t *batch)
{
    const char *text = json_string_value(json_object_get(batch, "status"));
    return text ? text : "";
}

/* ---- create */

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
    record_ask_answer(a, 200, json_incref(json_object_get(a->record, "batch")));
}

/* The record goes out before the note that it is open, over one connection: whoever finds the note
 * finds the record. */
static void create(struct record_ask *a, json_t *record)
{
    struct record_at at = {SET_BATCHES, a->tenant, a->id}, open = {SET_OPEN, "", a->id};
    char *text = json_dumps(record, JSON_COMPACT);
    if (!text) {
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    record_store_put(store(a), &at, text, NULL, NULL);
    free(text);
    record_store_put(store(a), &open, a->tenant, on_opened, a);
}

/* a->record is what was asked for, and file the record of its input. */
static void on_input(struct record_ask *a, json_t *file)
{
    const char *purpose = json_string_value(json_object_get(file, "purpose"));
    if (!purpose || strcmp(purpose, "batch") != 0) {
        record_ask_refuse(a, 400, "invalid_value", "The input file must have the purpose batch.");
        return;
    }
    json_decref(a->record);
    a->record = json_incref(json_array_get(a->all, 0));
    batches_new_id("batch_", a->id);
    json_t *batch = json_object_get(a->record, "batch");
    if (json_object_set_new(batch, "id", json_string(a->id)) < 0)
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
    else
        create(a, a->record);
}

static bool is_endpoint(const char *path)
{
    for (enum wire_endpoint e = 0; e < WIRE_ENDPOINT_COUNT; e++)
        if (strcmp(wire_path(e), path) == 0)
            return true;
    return false;
}

static json_t *new_batch(const char *endpoint, const char *input, json_t *metadata,
                         const struct caller *caller)
{
    json_int_t now_s = clock_wall_ms() / 1000;
    json_t *batch = json_pack(
        "{s:s, s:s, s:s, s:n, s:s, s:s, s:s, s:n, s:n, s:I, s:n, s:I, s:n}", "id", "", "object",
        "batch", "endpoint", endpoint, "errors", "input_file_id", input, "completion_window", "24h",
        "status", "validating", "output_file_id", "error_file_id", "created_at", now_s,
        "in_progress_at", "expires_at", now_s + (json_int_t)WINDOW_S, "finalizing_at");
    json_t *rest =
        json_pack("{s:n, s:n, s:n, s:n, s:n, s:{s:i, s:i, s:i}, s:O?}", "completed_at", "failed_at",
                  "expired_at", "cancelling_at", "cancelled_at", "request_counts", "total", 0,
                  "completed", 0, "failed", 0, "metadata", metadata);
    bool whole = batch && rest && json_object_update(batch, rest) == 0;
    json_decref(rest);
    if (!whole) {
        json_decref(batch);
        return NULL;
    }
    return json_pack("{s:s, s:I, s:s, s:o}", "shape", "openai", "weight",
                     (json_int_t)caller->weight, "models", caller->models, "batch", batch);
}

static const char *read_batch(json_t *asked, const char **ret_input, const char **ret_endpoint)
{
    const char *window = json_string_value(json_object_get(asked, "completion_window"));
    json_t *metadata = json_object_get(asked, "metadata");
    char *text = metadata ? json_dumps(metadata, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    bool large = text && strlen(text) > JOB_MAX_METADATA_BYTES;
    free(text);
    *ret_input = json_string_value(json_object_get(asked, "input_file_id"));
    *ret_endpoint = json_string_value(json_object_get(asked, "endpoint"));
    if (!*ret_input || strlen(*ret_input) >= BATCH_ID_BYTES)
        return "input_file_id must be the id of a file.";
    if (!*ret_endpoint || !is_endpoint(*ret_endpoint))
        return "endpoint must be one of /v1/chat/completions, /v1/completions, /v1/responses, "
               "/v1/embeddings, /v1/messages.";
    if (!window || strcmp(window, "24h") != 0)
        return "completion_window must be 24h.";
    if (metadata && !json_is_null(metadata) && (!json_is_object(metadata) || large))
        return "metadata must be an object of at most 16 KiB.";
    return NULL;
}

void route_batches_create(const struct route_request *r)
{
    const char *input = NULL, *endpoint = NULL;
    size_t len;
    const char *text = exchange_body(r->exchange, &len);
    struct record_ask *a = record_ask_new(r, SET_FILES, "file");
    if (!a)
        return;
    json_t *asked = json_loadb(text, len, 0, NULL);
    const char *why = asked ? read_batch(asked, &input, &endpoint) : "The body must be JSON.";
    if (why) {
        json_decref(asked);
        record_ask_refuse(a, 400, "invalid_value", why);
        return;
    }
    json_t *record = new_batch(endpoint, input, json_object_get(asked, "metadata"), &r->caller);
    a->all = record ? json_pack("[o]", record) : NULL;
    (void)snprintf(a->id, sizeof(a->id), "%s", input);
    json_decref(asked);
    a->view = on_input;
    if (a->all)
        record_ask_get(a);
    else
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
}

/* ---- look */

/* Also for one that nobody runs at the moment: its runner will find the wish. */
static void overlay(json_t *batch, const char *cancelled_at)
{
    if (!cancelled_at || batch_is_final(status_of(batch)))
        return;
    (void)json_object_set_new(batch, "status", json_string("cancelling"));
    (void)json_object_set_new(batch, "cancelling_at",
                              json_integer(strtoll(cancelled_at, NULL, 10)));
}

static void on_cancel_known(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    json_t *batch = json_object_get(a->record, "batch");
    (void)len;
    if (status == REDIS_OK)
        overlay(batch, text);
    record_ask_answer(a, 200, json_incref(batch));
}

static void view_batch(struct record_ask *a, json_t *record)
{
    struct record_at at = {SET_CANCELS, a->tenant, a->id};
    (void)record;
    record_store_get(store(a), &at, on_cancel_known, a);
}

/* Of the other shape there is nothing here. */
static struct record_ask *ask(const struct route_request *r, record_view_fn view)
{
    struct record_ask *a = record_ask_new(r, SET_BATCHES, "batch");
    if (!a)
        return NULL;
    a->view = view;
    if (strncmp(a->id, "batch_", 6) == 0)
        return a;
    record_ask_missing(a);
    return NULL;
}

void route_batches_get(const struct route_request *r)
{
    struct record_ask *a = ask(r, view_batch);
    if (a)
        record_ask_get(a);
}

static json_t *batch_item(const struct record_ask *a, const json_t *record)
{
    (void)a;
    return json_incref(json_object_get(record, "batch"));
}

void route_batches_list(const struct route_request *r)
{
    struct record_ask *a = record_ask_new(r, SET_BATCHES, "batch");
    if (!a)
        return;
    a->prefix = "batch_";
    a->item = batch_item;
    record_ask_list(a, "after", 20, 100);
}

/* ---- cancel */

static void on_cancel_kept(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    (void)text;
    (void)len;
    if (status == REDIS_OK)
        view_batch(a, a->record);
    else
        record_ask_refuse(a, 503, "storage_unavailable", "Redis is not reachable now.");
}

static void cancel_batch(struct record_ask *a, json_t *record)
{
    struct record_at at = {SET_CANCELS, a->tenant, a->id};
    char now[24];
    if (batch_is_final(status_of(json_object_get(record, "batch")))) {
        record_ask_refuse(a, 409, "invalid_state", "The batch is at its end already.");
        return;
    }
    (void)snprintf(now, sizeof(now), "%lld", (long long)(clock_wall_ms() / 1000));
    record_store_put(store(a), &at, now, on_cancel_kept, a);
}

void route_batches_cancel(const struct route_request *r)
{
    struct record_ask *a = ask(r, cancel_batch);
    if (a)
        record_ask_get(a);
}
