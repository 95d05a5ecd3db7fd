/*
 * route_files: files of requests and results: upload, look, list, fetch, delete.
 *
 * A file is in the folder under its whole name before its record stands, so what a client can see
 * is whole.
 */
#include "api/file_send.h"
#include "api/file_take.h"
#include "api/record_ask.h"

#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- upload */

struct upload {
    struct record_ask *ask;
    int64_t files, bytes; /* that the tenant has */
};

static const struct config *config_of(const struct record_ask *a)
{
    return service_config(a->service);
}

static void on_named(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    (void)text;
    (void)len;
    if (status == REDIS_OK)
        record_ask_answer(a, 200, json_incref(a->record));
    else
        record_ask_refuse(a, 503, "storage_unavailable",
                          "Redis is not reachable now: the file was not kept.");
}

static void keep(struct record_ask *a, const struct file_taken *taken)
{
    struct record_store *store = batches_store(service_batches(a->service));
    struct record_at at = {SET_FILES, a->tenant, a->id};
    int64_t expires_at_s = taken->expires_s > 0 ? clock_wall_ms() / 1000 + taken->expires_s : 0;
    a->record = batch_file_json(a->id, taken->name, "batch", taken->bytes);
    batch_file_expires(store, a->tenant, a->id, a->record, expires_at_s);
    char *text = a->record ? json_dumps(a->record, JSON_COMPACT) : NULL;
    if (text)
        record_store_put(store, &at, text, on_named, a);
    else
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
    free(text);
}

static void refuse_full(struct record_ask *a)
{
    char message[ERROR_TEXT_BYTES];
    (void)snprintf(message, sizeof(message),
                   "There is no room for this file: a tenant may have %lld files with %lld bytes "
                   "in all, results of batches included (batches.max_files and batches.max_bytes "
                   "of the configuration). Delete some.",
                   (long long)config_of(a)->batches.max_files,
                   (long long)config_of(a)->batches.max_bytes);
    record_ask_refuse(a, 413, "storage_limit_exceeded", message);
}

static void on_taken(void *arg, const struct file_taken *taken)
{
    struct upload *u = arg;
    struct record_ask *a = u->ask;
    char path[BATCH_PATH_MAX];
    bool full = taken->rc == 0 && u->bytes + taken->bytes > config_of(a)->batches.max_bytes;
    free(u);
    if (full) {
        if (batches_path(service_batches(a->service), a->id, path) == 0)
            (void)unlink(path);
        refuse_full(a);
    } else if (taken->rc == -EINVAL || taken->rc == -EFBIG) {
        record_ask_refuse(a, taken->rc == -EFBIG ? 413 : 400, "invalid_value", taken->why);
    } else if (taken->rc < 0) {
        record_ask_refuse(a, taken->rc == -ENOMEM ? 503 : 507, "storage_error",
                          "The file cannot be written here.");
    } else {
        keep(a, taken);
    }
}

static void take(struct upload *u)
{
    struct error e;
    char path[BATCH_PATH_MAX];
    struct record_ask *a = u->ask;
    batches_new_id("file-", a->id);
    int rc = batches_path(service_batches(a->service), a->id, path);
    if (rc == 0)
        rc = file_take(service_base(a->service), a->exchange, path, on_taken, u, &e);
    if (rc == 0)
        return;
    record_ask_refuse(a, rc == -EINVAL ? 400 : 503,
                      rc == -EINVAL ? "invalid_value" : "storage_error",
                      rc == -ENAMETOOLONG ? "The data_dir has too long a path." : e.text);
    free(u);
}

/* Uploads that go on at the same time do not see each other, and may pass the maximum by so much.
 */
static void on_counted(void *arg, enum redis_status status, const char *id, const char *text)
{
    struct upload *u = arg;
    struct record_ask *a = u->ask;
    if (id) {
        json_t *file = json_loads(text, 0, NULL);
        if (!batch_file_is_expired(file)) {
            u->files++;
            u->bytes += json_integer_value(json_object_get(file, "bytes"));
        }
        json_decref(file);
        return;
    }
    if (a->gone) {
        record_ask_free(a);
    } else if (status != REDIS_OK) {
        record_ask_refuse(a, 503, "storage_unavailable", "Redis is not reachable now.");
    } else if (u->files >= config_of(a)->batches.max_files) {
        refuse_full(a);
    } else {
        take(u);
        return;
    }
    free(u);
}

void route_files_upload(const struct route_request *r)
{
    struct record_ask *a = record_ask_new(r, SET_FILES, "file");
    struct upload *u = a ? calloc(1, sizeof(*u)) : NULL;
    if (a && !u)
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
    if (!u)
        return;
    u->ask = a;
    struct record_at all = {SET_FILES, a->tenant, NULL};
    record_store_list(batches_store(service_batches(r->service)), &all, on_counted, u);
}

/* ---- look, list, fetch, delete */

static json_t *file_item(const struct record_ask *a, const json_t *record)
{
    char purpose[32];
    const char *own = json_string_value(json_object_get(record, "purpose"));
    if (exchange_query(a->exchange, "purpose", purpose, sizeof(purpose)) == 0 &&
        (!own || strcmp(own, purpose) != 0))
        return NULL;
    if (batch_file_is_expired(record))
        return NULL;
    return json_incref((json_t *)record);
}

void route_files_list(const struct route_request *r)
{
    struct record_ask *a = record_ask_new(r, SET_FILES, "file");
    if (!a)
        return;
    a->prefix = "file-";
    a->item = file_item;
    record_ask_list(a, "after", RECORD_PAGE_MAX, RECORD_PAGE_MAX);
}

static void view_file(struct record_ask *a, json_t *record)
{
    if (batch_file_is_expired(record)) {
        record_ask_missing(a);
        return;
    }
    record_ask_answer(a, 200, json_incref(record));
}

static void ask(const struct route_request *r, record_view_fn view)
{
    struct record_ask *a = record_ask_new(r, SET_FILES, "file");
    if (!a)
        return;
    a->view = view;
    record_ask_get(a);
}

void route_files_get(const struct route_request *r)
{
    ask(r, view_file);
}

static void send_content(struct record_ask *a, json_t *record)
{
    char path[BATCH_PATH_MAX];
    if (a->gone) {
        record_ask_free(a);
        return;
    }
    if (batch_file_is_expired(record)) {
        record_ask_missing(a);
        return;
    }
    int rc = batches_path(service_batches(a->service), a->id, path);
    if (rc == 0)
        rc = file_send(service_base(a->service), a->exchange, path, "application/octet-stream");
    if (rc < 0)
        record_ask_refuse(a, 503, "storage_error",
                          "The file is not on this instance's disk; see data_dir.");
    else
        record_ask_free(a);
}

void route_files_content(const struct route_request *r)
{
    ask(r, send_content);
}

static void on_removed(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    char path[BATCH_PATH_MAX];
    (void)text;
    (void)len;
    if (status != REDIS_OK) {
        record_ask_refuse(a, 503, "storage_unavailable", "Redis is not reachable now.");
        return;
    }
    if (batches_path(service_batches(a->service), a->id, path) == 0)
        (void)unlink(path);
    record_ask_answer(a, 200,
                      json_pack("{s:s, s:s, s:b}", "id", a->id, "object", "file", "deleted", 1));
}

static void delete_file(struct record_ask *a, json_t *record)
{
    struct record_at at = {SET_FILES, a->tenant, a->id};
    (void)record;
    record_store_remove(batches_store(service_batches(a->service)), &at, on_removed, a);
}

void route_files_delete(const struct route_request *r)
{
    ask(r, delete_file);
}
