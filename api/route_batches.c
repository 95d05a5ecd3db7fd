/* route_batches: batches of requests in OpenAI's shape: create, look, list, cancel. */
#include "api/batch_ask.h"
#include "api/webhook_json.h"

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_S INT64_C(86400)

static json_t *batch_object(const struct record_ask *a, const json_t *record)
{
    (void)a;
    return json_incref(json_object_get(record, "batch"));
}

static const struct batch_shape shape = {
    .prefix = "batch_",
    .after_name = "after",
    .limit = 20,
    .most = 100,
    .show = batch_object,
    .ended_status = 409,
    .ended_code = "invalid_state",
    .ended_message = "The batch is at its end already.",
};

/* ---- create */

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
    batches_new_id(shape.prefix, a->id);
    json_t *batch = json_object_get(a->record, "batch");
    if (json_object_set_new(batch, "id", json_string(a->id)) < 0)
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
    else
        batch_ask_open(a, &shape);
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
    return json_pack("{s:s, s:I, s:s, s:s, s:o}", "shape", "openai", "weight",
                     (json_int_t)caller->weight, "models", caller->models, "key", caller->key_id,
                     "batch", batch);
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
    const json_t *expiry = json_object_get(asked, "output_expires_after");
    json_int_t seconds = json_integer_value(json_object_get(expiry, "seconds"));
    if (expiry && !json_is_null(expiry) &&
        (seconds < FILE_LEAST_EXPIRY_S || seconds > FILE_MOST_EXPIRY_S))
        return "output_expires_after.seconds must be from 3600 to 2592000.";
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
    struct call_failure f;
    char *webhook = NULL;
    struct json_span given = json_get(json_span_of(text, len), "webhook");
    if (webhook_json_field(r->service, r->caller.tenant, given, &webhook, &f) < 0) {
        json_decref(asked);
        record_ask_refuse(a, f.status, f.code, f.message);
        return;
    }
    a->record = new_batch(endpoint, input, json_object_get(asked, "metadata"), &r->caller);
    const json_t *expiry = json_object_get(asked, "output_expires_after");
    if (a->record && json_is_object(expiry))
        (void)json_object_set(a->record, "output_ttl_s", json_object_get(expiry, "seconds"));
    enum wire_endpoint e = WIRE_CHAT;
    (void)wire_endpoint_find(endpoint, &e);
    why = batch_ask_provider(r, e, a->record);
    if (why) {
        free(webhook);
        json_decref(asked);
        record_ask_refuse(a, 400, "invalid_value", why);
        return;
    }
    batch_ask_wants(a, webhook);
    a->all = a->record ? json_pack("[o]", a->record) : NULL;
    a->record = NULL;
    (void)snprintf(a->id, sizeof(a->id), "%s", input);
    json_decref(asked);
    a->view = on_input;
    if (a->all)
        record_ask_get(a);
    else
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
}

/* ---- look, list, cancel */

void route_batches_get(const struct route_request *r)
{
    batch_ask(r, &shape, batch_ask_view);
}

void route_batches_list(const struct route_request *r)
{
    batch_ask_list(r, &shape);
}

void route_batches_cancel(const struct route_request *r)
{
    batch_ask(r, &shape, batch_ask_cancel);
}
