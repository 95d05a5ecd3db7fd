/*
 * route_files: files of requests and results: upload, look, list, fetch, delete.
 *
 * A file is in the folder under its whole name before its record stands, so what a client can see
 * is whole.
 */
#include "api/file_send.h"
#include "api/file_take.h"
#include "api/record_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void on_taken(void *arg, int rc, const char *name, int64_t bytes)
{
    struct record_ask *a = arg;
    if (rc < 0) {
        record_ask_refuse(a, rc == -ENOMEM ? 503 : 507, "storage_error",
                          "The file cannot be written here.");
        return;
    }
    a->record = batch_file_json(a->id, name, "batch", bytes);
    char *text = a->record ? json_dumps(a->record, JSON_COMPACT) : NULL;
    struct record_at at = {SET_FILES, a->tenant, a->id};
    if (text)
        record_store_put(batches_store(service_batches(a->service)), &at, text, on_named, a);
    else
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
    free(text);
}

void route_files_upload(const struct route_request *r)
{
    struct error e;
    char path[BATCH_PATH_MAX];
    struct record_ask *a = record_ask_new(r, SET_FILES, "file");
    if (!a)
        return;
    batches_new_id("file-", a->id);
    int rc = batches_path(service_batches(r->service), a->id, path);
    if (rc == 0)
        rc = file_take(service_base(r->service), r->exchange, path, on_taken, a, &e);
    if (rc < 0)
        record_ask_refuse(a,
                          rc == -EFBIG    ? 413
                          : rc == -EINVAL ? 400
                                          : 503,
                          rc == -EINVAL ? "invalid_value" : "storage_error",
                          rc == -ENAMETOOLONG ? "The data_dir has too long a path." : e.text);
}

static json_t *file_item(const struct record_ask *a, const json_t *record)
{
    char purpose[32];
    const char *own = json_string_value(json_object_get(record, "purpose"));
    if (exchange_query(a->exchange, "purpose", purpose, sizeof(purpose)) == 0 &&
        (!own || strcmp(own, purpose) != 0))
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
    (void)record;
    if (a->gone) {
        record_ask_free(a);
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
