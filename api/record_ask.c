#include "api/record_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_gone(void *arg)
{
    struct record_ask *a = arg;
    a->gone = true;
}

struct record_ask *record_ask_new(const struct route_request *r, const char *set, const char *what)
{
    struct record_ask *a = calloc(1, sizeof(*a));
    enum wire_format format = answer_format(exchange_path(r->exchange));
    if (!a) {
        answer_error(r->exchange, format, 503, "out_of_memory", "Sluice is out of memory.");
        return NULL;
    }
    *a = (struct record_ask){
        .service = r->service, .exchange = r->exchange, .format = format, .set = set, .what = what};
    (void)snprintf(a->tenant, sizeof(a->tenant), "%s", r->caller.tenant);
    /* A longer one is no id of ours, and neither is its start. */
    if (strlen(r->id) < sizeof(a->id))
        (void)snprintf(a->id, sizeof(a->id), "%.63s", r->id);
    exchange_on_gone(r->exchange, on_gone, a);
    return a;
}

void record_ask_free(struct record_ask *a)
{
    json_decref(a->record);
    json_decref(a->all);
    free(a);
}

void record_ask_answer(struct record_ask *a, int status, json_t *body)
{
    if (a->gone)
        json_decref(body);
    else
        answer_json(a->exchange, status, body);
    record_ask_free(a);
}

void record_ask_refuse(struct record_ask *a, int status, const char *code, const char *message)
{
    if (!a->gone)
        answer_error(a->exchange, a->format, status, code, message);
    record_ask_free(a);
}

void record_ask_missing(struct record_ask *a)
{
    char message[ERROR_TEXT_BYTES];
    (void)snprintf(message, sizeof(message), "There is no %s %s.", a->what, a->id);
    record_ask_refuse(a, 404, "not_found", message);
}

static void on_record(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct record_ask *a = arg;
    if (status != REDIS_OK) {
        record_ask_refuse(a, 503, "storage_unavailable", "Redis is not reachable now.");
        return;
    }
    json_decref(a->record);
    a->record = text ? json_loadb(text, len, 0, NULL) : NULL;
    if (a->record)
        a->view(a, a->record);
    else
        record_ask_missing(a);
}

void record_ask_get(struct record_ask *a)
{
    struct record_at at = {a->set, a->tenant, a->id};
    record_store_get(batches_store(service_batches(a->service)), &at, on_record, a);
}

/* ---- lists */

static int newest_first(const void *x, const void *y)
{
    return strcmp(json_string_value(json_array_get(*(json_t *const *)y, 0)),
                  json_string_value(json_array_get(*(json_t *const *)x, 0)));
}

static json_t *page_of(const struct record_ask *a, json_t **sorted, size_t n, bool *ret_more)
{
    json_t *page = json_array();
    *ret_more = false;
    for (size_t i = 0; i < n && page; i++) {
        const char *id = json_string_value(json_array_get(sorted[i], 0));
        if (*a->after && strcmp(id, a->after) >= 0)
            continue;
        if (json_array_size(page) == a->limit) {
            *ret_more = true;
            break;
        }
        json_t *item = a->item(a, json_array_get(sorted[i], 1));
        if (item)
            (void)json_array_append_new(page, item);
    }
    return page;
}

static void answer_list(struct record_ask *a)
{
    size_t n = json_array_size(a->all);
    json_t **sorted = calloc(n + 1, sizeof(json_t *));
    bool more = false;
    if (!sorted) {
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_array_get(a->all, i);
    qsort(sorted, n, sizeof(json_t *), newest_first);
    json_t *page = page_of(a, sorted, n, &more);
    free(sorted);
    size_t shown = json_array_size(page);
    json_t *first = shown ? json_object_get(json_array_get(page, 0), "id") : NULL;
    json_t *last = shown ? json_object_get(json_array_get(page, shown - 1), "id") : NULL;
    record_ask_answer(a, 200,
                      json_pack("{s:s, s:o, s:O?, s:O?, s:b}", "object", "list", "data", page,
                                "first_id", first, "last_id", last, "has_more", more));
}

static void on_list(void *arg, enum redis_status status, const char *id, const char *text)
{
    struct record_ask *a = arg;
    if (id) {
        json_t *record = json_loads(text, 0, NULL);
        if (record && strncmp(id, a->prefix, strlen(a->prefix)) == 0)
            (void)json_array_append_new(a->all, json_pack("[s, O]", id, record));
        json_decref(record);
        return;
    }
    if (status == REDIS_OK)
        answer_list(a);
    else
        record_ask_refuse(a, 503, "storage_unavailable", "Redis is not reachable now.");
}

void record_ask_list(struct record_ask *a, const char *after_name, size_t limit, size_t most)
{
    char text[16];
    char *end = text;
    int given = exchange_query(a->exchange, "limit", text, sizeof(text));
    int after = exchange_query(a->exchange, after_name, a->after, sizeof(a->after));
    unsigned long asked = given == 0 ? strtoul(text, &end, 10) : limit;
    a->limit = (size_t)asked;
    a->all = json_array();
    if ((given == 0 && (end == text || *end)) || (given < 0 && given != -ENOENT) || asked < 1 ||
        asked > most || (after < 0 && after != -ENOENT)) {
        record_ask_refuse(a, 400, "invalid_value",
                          "limit must be a whole number in its range, and the place in the list "
                          "an id.");
        return;
    }
    if (!a->all) {
        record_ask_refuse(a, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    struct record_at at = {a->set, a->tenant, NULL};
    record_store_list(batches_store(service_batches(a->service)), &at, on_list, a);
}
