/*
 * route_message_batches: batches in Anthropic's shape: create, look, list, results, cancel, delete.
 *
 * The requests come in one body and are kept as the file of lines that a batch of the other shape
 * would have, so that both run in the same way.
 */
#include "api/batch/batch_input.h"
#include "api/batch/batch_plan.h"
#include "api/batch/batch_result.h"
#include "api/batch_ask.h"
#include "api/file_send.h"
#include "api/message_batch_json.h"
#include "api/webhook_json.h"

#include "common/clock.h"
#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX    "msgbatch_"
#define WINDOW_S  INT64_C(86400)
#define URL_BYTES 512

/* ---- the object */

static json_t *message_batch(const struct record_ask *a, const json_t *record)
{
    char origin[URL_BYTES];
    const char *host = exchange_header(a->exchange, "host");
    const char *outside = exchange_header(a->exchange, "x-forwarded-proto");
    (void)snprintf(origin, sizeof(origin), "%s://%.256s",
                   outside && strcmp(outside, "https") == 0 ? "https" : "http",
                   host ? host : "localhost");
    return message_batch_json(record, origin);
}

static const struct batch_shape shape = {
    .prefix = PREFIX,
    .after_name = "after_id",
    .limit = 20,
    .most = 1000,
    .show = message_batch,
    .ended_status = 400,
    .ended_code = "invalid_request_error",
    .ended_message = "The batch has ended already.",
};

/* ---- create */

static bool is_custom_id(struct json_span id)
{
    if (id.len < 1 || id.len > 64)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", id.at[i]))
            return false;
    return true;
}

static void add_line(struct buf *out, struct json_span custom, struct json_span params)
{
    (void)buf_adds(out, "{\"custom_id\":\"");
    (void)buf_add(out, custom.at, custom.len);
    (void)buf_adds(out, "\",\"method\":\"POST\",\"url\":\"/v1/messages\",\"body\":");
    size_t at = out->len;
    if (buf_add(out, params.at, params.len) < 0)
        return;
    for (; at < out->len; at++)
        if (out->data[at] == '\n' || out->data[at] == '\r')
            out->data[at] = ' ';
    (void)buf_adds(out, "}\n");
}

/* The lines of the requests; 0 with their number, or -EINVAL. */
static int read_requests(const struct record_ask *a, struct buf *out, json_int_t *ret_count,
                         struct error *e)
{
    size_t len;
    const char *text = exchange_body(a->exchange, &len);
    if (json_scan_check(text, len, e) < 0)
        return -EINVAL;
    struct json_span requests = json_get(json_span_of(text, len), "requests");
    if (json_kind(requests) != JSON_ARR)
        return error_set(e, -EINVAL, "requests: must be a list.");
    struct json_iter it = json_iter(requests);
    for (*ret_count = 0; json_next(&it); ++*ret_count) {
        struct json_span custom = json_inside(json_get(it.value, "custom_id"));
        struct json_span params = json_get(it.value, "params");
        if (!is_custom_id(custom))
            return error_set(e, -EINVAL,
                             "requests.%lld.custom_id: must be 1 to 64 of a-z, A-Z, 0-9, _ and -.",
                             (long long)*ret_count);
        if (json_kind(params) != JSON_OBJ)
            return error_set(e, -EINVAL, "requests.%lld.params: must be an object.",
                             (long long)*ret_count);
        add_line(out, custom, params);
    }
    if (out->failed)
        return error_set(e, out->failed, "Sluice is out of memory.");
    if (*ret_count < 1 || *ret_count > BATCH_MAX_LINES)
        return error_set(e, -EINVAL, "requests: must be 1 to 50,000.");
    return 0;
}

static int write_file(const char *path, const struct buf *lines, struct error *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t done = 0;
    ssize_t n = 1;
    while (fd >= 0 && done < lines->len && n > 0) {
        n = write(fd, lines->data + done, lines->len - done);
        done += n > 0 ? (size_t)n : 0;
    }
    int rc =
        fd < 0 || n <= 0 || fdatasync(fd) ? error_set(e, -EIO, "The batch cannot be kept.") : 0;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Told at once and not later, as this shape has no state for a batch that is wrong. */
static int check_file(const char *path, struct error *e)
{
    struct batch_input in;
    int rc = batch_input_open(&in, path);
    if (rc < 0)
        return error_set(e, rc, "The batch cannot be kept.");
    rc = batch_input_step(&in, "/v1/messages", in.len);
    json_t *first = json_array_get(in.errors, 0);
    if (rc == 0 && first)
        rc = error_set(e, -EINVAL, "requests.%lld: %s",
                       (long long)json_integer_value(json_object_get(first, "line")) - 1,
                       json_string_value(json_object_get(first, "message")));
    batch_input_release(&in);
    return rc;
}

/* One account must serve all of it, when its provider is to run it. NULL: it does. */
static const char *check_plan(const struct record_ask *a, const char *input, struct error *e)
{
    char path[BATCH_PATH_MAX];
    struct batch_input in;
    if (!json_object_get(a->record, "provider_batch"))
        return NULL;
    if (batches_path(service_batches(a->service), input, path) < 0 ||
        batch_input_open(&in, path) < 0)
        return "The batch cannot be kept.";
    struct batch_plan plan = {.config = service_config(a->service),
                              .endpoint = WIRE_MESSAGES,
                              .models = json_string_value(json_object_get(a->record, "models"))};
    int rc = batch_input_step(&in, "/v1/messages", in.len);
    if (rc == 0)
        rc = batch_plan_step(&plan, &in, in.len + 1);
    const json_t *first = json_array_get(in.errors, 0);
    if (rc == 0 && first)
        rc = error_set(e, -EINVAL, "requests.%lld: %s",
                       (long long)json_integer_value(json_object_get(first, "line")) - 1,
                       json_string_value(json_object_get(first, "message")));
    else if (rc < 0)
        (void)error_set(e, rc, "Sluice is out of memory.");
    batch_input_release(&in);
    return rc < 0 ? e->text : NULL;
}

static void drop_file(const struct record_ask *a, const char *input)
{
    char path[BATCH_PATH_MAX];
    if (batches_path(service_batches(a->service), input, path) == 0)
        (void)unlink(path);
}

static void keep(struct record_ask *a, const char *input, json_int_t total,
                 const struct route_request *r)
{
    const struct caller *caller = &r->caller;
    size_t len;
    const char *text = exchange_body(a->exchange, &len);
    struct call_failure f;
    char *webhook = NULL;
    struct json_span given = json_get(json_span_of(text, len), "webhook");
    if (webhook_json_field(r->service, caller->tenant, given, &webhook, &f) < 0) {
        drop_file(a, input);
        record_ask_refuse(a, f.status, "invalid_request_error", f.message);
        return;
    }
    json_int_t now_s = clock_wall_ms() / 1000;
    a->record = json_pack(
        "{s:s, s:I, s:s, s:s, s:[i, i, i, i], s:{s:s, s:s, s:s, s:s, s:I, s:I, s:{s:I, s:i, s:i}}}",
        "shape", "anthropic", "weight", (json_int_t)caller->weight, "models", caller->models, "key",
        caller->key_id, "counts", 0, 0, 0, 0, "batch", "id", a->id, "endpoint", "/v1/messages",
        "input_file_id", input, "status", "validating", "created_at", now_s, "expires_at",
        now_s + (json_int_t)WINDOW_S, "request_counts", "total", total, "completed", 0, "failed",
        0);
    struct error e;
    const char *why = batch_ask_provider(r, WIRE_MESSAGES, a->record);
    if (!why)
        why = check_plan(a, input, &e);
    if (why) {
        free(webhook);
        drop_file(a, input);
        record_ask_refuse(a, 400, "invalid_request_error", why);
        return;
    }
    batch_ask_wants(a, webhook);
    batch_ask_open(a, &shape);
}

static void file_id(const struct record_ask *a, const char *what, char out[BATCH_ID_BYTES])
{
    (void)snprintf(out, BATCH_ID_BYTES, "file-%.32s-%s",
                   strlen(a->id) > strlen(PREFIX) ? a->id + strlen(PREFIX) : "", what);
}

void route_message_batches_create(const struct route_request *r)
{
    struct record_ask *a = record_ask_new(r, SET_BATCHES, "batch");
    struct buf lines;
    struct error e = {.text = ""};
    char input[BATCH_ID_BYTES], path[BATCH_PATH_MAX];
    json_int_t total = 0;
    if (!a)
        return;
    batches_new_id(PREFIX, a->id);
    file_id(a, "input", input);
    buf_init(&lines, FILE_MAX_BYTES);
    int rc = batches_path(service_batches(r->service), input, path);
    if (rc == 0)
        rc = read_requests(a, &lines, &total, &e);
    bool kept = rc == 0;
    if (rc == 0)
        rc = write_file(path, &lines, &e);
    if (rc == 0)
        rc = check_file(path, &e);
    buf_release(&lines);
    if (rc == 0) {
        keep(a, input, total, r);
        return;
    }
    if (kept)
        (void)unlink(path);
    record_ask_refuse(a, rc == -EINVAL ? 400 : 503, "invalid_request_error", e.text);
}

/* ---- look, list, cancel */

void route_message_batches_get(const struct route_request *r)
{
    batch_ask(r, &shape, batch_ask_view);
}

void route_message_batches_list(const struct route_request *r)
{
    batch_ask_list(r, &shape);
}

void route_message_batches_cancel(const struct route_request *r)
{
    batch_ask(r, &shape, batch_ask_cancel);
}

/* ---- results */

static void send_results(struct record_ask *a, json_t *record)
{
    char path[BATCH_PATH_MAX], id[BATCH_ID_BYTES];
    file_id(a, "output", id);
    if (!batch_ask_is_ended(record)) {
        record_ask_refuse(a, 404, "not_found", "The batch has no results before it has ended.");
        return;
    }
    if (a->gone) {
        record_ask_free(a);
        return;
    }
    int rc = batches_path(service_batches(a->service), id, path);
    if (rc == 0)
        rc = file_send(service_base(a->service), a->exchange, path, "application/x-jsonl");
    if (rc < 0)
        record_ask_refuse(a, 503, "storage_error",
                          "The results are not on this instance's disk; see data_dir.");
    else
        record_ask_free(a);
}

void route_message_batches_results(const struct route_request *r)
{
    batch_ask(r, &shape, send_results);
}

/* ---- delete */

static void on_removed(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    static const char *const what[] = {"input", "output"};
    char path[BATCH_PATH_MAX], id[BATCH_ID_BYTES];
    (void)text;
    (void)len;
    if (status != REDIS_OK) {
        record_ask_refuse(a, 503, "storage_unavailable", "Redis is not reachable now.");
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        file_id(a, what[i], id);
        if (batches_path(service_batches(a->service), id, path) == 0)
            (void)unlink(path);
    }
    record_ask_answer(a, 200,
                      json_pack("{s:s, s:s}", "id", a->id, "type", "message_batch_deleted"));
}

static void delete_batch(struct record_ask *a, json_t *record)
{
    struct record_at at = {SET_BATCHES, a->tenant, a->id};
    if (batch_ask_is_ended(record))
        record_store_remove(batches_store(service_batches(a->service)), &at, on_removed, a);
    else
        record_ask_refuse(a, 400, "invalid_request_error",
                          "A batch can be deleted when it has ended: cancel it first.");
}

void route_message_batches_delete(const struct route_request *r)
{
    batch_ask(r, &shape, delete_batch);
}
