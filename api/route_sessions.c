/*
 * route_sessions: conversations that are kept here: make, look, list, clear, delete.
 */
#include "api/answer.h"
#include "api/route.h"
#include "api/trim_report.h"

#include "common/clock.h"
#include "scheduler/price/price.h"
#include "scheduler/session.h"
#include "storage/key.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRICE_NANO (PRICE_DOLLAR / 1000000000)

/* One request, until Redis has answered. */
struct asking {
    struct service *service;
    struct exchange *exchange;
    bool gone, context;
    char id[ROUTE_ID_BYTES], after[ROUTE_ID_BYTES];
    struct buf setup;
    json_t *list; /* of ids */
    int limit;
    int64_t since_us;
    bool more;
    char tenant[TENANT_NAME_BYTES + 1];
};

static void asking_free(struct asking *a)
{
    buf_release(&a->setup);
    json_decref(a->list);
    free(a);
}

static void on_gone(void *arg)
{
    struct asking *a = arg;
    a->gone = true; /* what was asked of Redis answers, and ends it */
}

static struct asking *asking_new(const struct route_request *r)
{
    struct asking *a = calloc(1, sizeof(*a));
    if (!a) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return NULL;
    }
    a->service = r->service;
    a->exchange = r->exchange;
    buf_init(&a->setup, SESSION_MAX_SETUP_BYTES + KIB);
    (void)snprintf(a->id, sizeof(a->id), "%s", r->id);
    (void)snprintf(a->tenant, sizeof(a->tenant), "%s", r->caller.tenant);
    exchange_on_gone(r->exchange, on_gone, a);
    return a;
}

static void not_found(struct exchange *x)
{
    answer_error(x, WIRE_OPENAI, 404, "session_not_found", "There is no session of this id here.");
}

static void no_storage(struct exchange *x, enum redis_status status)
{
    struct call_failure f;
    call_failure_set(&f, 503, "storage_unavailable",
                     "Sluice cannot reach its store (redis: %s); try again in a moment.",
                     redis_status_name(status));
    f.retry_after_ms = 1000;
    answer_failure(x, WIRE_OPENAI, &f);
}

/* ---- a conversation as JSON */

static json_t *load(struct json_span value)
{
    return value.at ? json_loadb(value.at, value.len, JSON_DECODE_ANY, NULL) : json_null();
}

static json_t *messages_json(const struct session_view *v)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < v->count; i++) {
        size_t len = 0;
        const char *text = session_view_message(v, i, &len);
        json_t *entry = text ? json_loadb(text, len, 0, NULL) : NULL;
        if (!entry || json_array_append_new(list, entry) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* What the next request would have without trimming, and with it. */
static int sizes_of(const struct asking *a, const struct session_setup_read *setup,
                    const struct session_view *v, struct trim_size *before, struct trim_size *after)
{
    struct buf body;
    struct trim_result trimmed;
    int rc = session_context(sessions_counter(service_sessions(a->service)), setup, v, NULL, &body,
                             &trimmed);
    if (rc < 0)
        return rc;
    *before = trimmed.before;
    *after = trimmed.after;
    trim_result_release(&trimmed);
    buf_release(&body);
    return 0;
}

/* Requests whose price is not known are left out; null when that are all. */
static json_t *total_cost(const struct session_facts *f)
{
    if (f->priced == 0 && f->requests > 0)
        return json_null();
    return json_real((double)((f->cost + PRICE_NANO / 2) / PRICE_NANO) / 1e9);
}

static json_t *statistics(const struct session_view *v, const struct trim_size *before,
                          const struct trim_size *after)
{
    const struct session_facts *f = &v->facts;
    int64_t without = f->input + f->saved;
    double percent = without > 0 ? 100.0 * (double)f->saved / (double)without : 0;
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:f, s:I, s:I}", "messages",
        (json_int_t)v->count, "bytes", (json_int_t)v->bytes, "requests", (json_int_t)f->requests,
        "current_tokens", (json_int_t)before->tokens, "context_tokens", (json_int_t)after->tokens,
        "input_tokens", (json_int_t)f->input, "output_tokens", (json_int_t)f->output,
        "total_tokens", (json_int_t)(f->input + f->output), "total_cost", total_cost(f),
        "compressions", (json_int_t)f->trims, "compression_tokens", (json_int_t)f->spent,
        "saved_tokens", (json_int_t)f->saved, "saved_percent", percent, "tool_calls",
        (json_int_t)f->calls, "tool_calls_dropped", (json_int_t)f->dropped);
}

static json_t *session_json(const struct asking *a, const struct session_view *v)
{
    struct session_setup_read setup;
    struct trim_size before = {0}, after = {0};
    if (session_setup_parse(v->setup, v->setup_len, &setup) < 0 ||
        sizes_of(a, &setup, v, &before, &after) == -ENOMEM)
        return NULL;
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "id", a->id,
                     "object", "session", "model", load(setup.model), "endpoint",
                     wire_path(setup.endpoint), "preset", setup.preset, "system",
                     load(setup.system), "tools", load(json_get(setup.root, "tools")), "metadata",
                     load(setup.metadata), "created_at", (json_int_t)(v->created_ms / 1000),
                     "expires_at", (json_int_t)((clock_wall_ms() + v->left_ms) / 1000), "messages",
                     messages_json(v), "statistics", statistics(v, &before, &after));
}

/* ---- make */

static void on_created(void *arg, enum redis_status status, bool done)
{
    struct asking *a = arg;
    struct session_view v = {.setup = a->setup.data,
                             .setup_len = a->setup.len,
                             .created_ms = clock_wall_ms(),
                             .left_ms = service_config(a->service)->sessions.ttl_s * 1000};
    char location[ROUTE_ID_BYTES + 16];
    if (!a->gone && (status != REDIS_OK || !done)) {
        no_storage(a->exchange, status);
    } else if (!a->gone) {
        (void)snprintf(location, sizeof(location), "/v1/sessions/%s", a->id);
        if (exchange_set_header(a->exchange, "Location", location) < 0)
            no_storage(a->exchange, REDIS_BUSY_LOCAL);
        else
            answer_json(a->exchange, 201, session_json(a, &v));
    }
    asking_free(a);
}

void route_sessions_create(const struct route_request *r)
{
    struct error e;
    size_t len = 0;
    const char *body = exchange_body(r->exchange, &len);
    struct asking *a = asking_new(r);
    if (!a)
        return;
    int rc = session_setup_make(service_config(r->service), body, len, &a->setup, &e);
    if (rc < 0) {
        answer_error(r->exchange, WIRE_OPENAI, rc == -ENOENT ? 404 : 400,
                     rc == -ENOENT ? "model_not_found" : "invalid_request", e.text);
        asking_free(a);
        return;
    }
    key_new_session_id(a->id);
    struct session_setup setup = {
        .tenant = a->tenant,
        .id = a->id,
        .text = a->setup.data,
        .len = a->setup.len,
        .now_us = clock_wall_ms() * 1000,
        .ttl_s = service_config(r->service)->sessions.ttl_s,
    };
    session_store_create(service_sessions_store(r->service), &setup, on_created, a);
}

/* ---- look */

static void answer_context(struct asking *a, const struct session_view *v)
{
    struct session_setup_read setup;
    struct buf body, report;
    struct trim_result trimmed;
    int rc = session_setup_parse(v->setup, v->setup_len, &setup);
    if (rc == 0)
        rc = session_context(sessions_counter(service_sessions(a->service)), &setup, v, NULL, &body,
                             &trimmed);
    if (rc < 0) {
        answer_error(a->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    buf_init(&report, 2 * HTTP_MAX_BODY_BYTES);
    if (trim_report(&trimmed, json_span_of(body.data, body.len), &report) == 0)
        exchange_reply(a->exchange, 200, "application/json", report.data, report.len);
    else
        answer_error(a->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
    buf_release(&report);
    buf_release(&body);
    trim_result_release(&trimmed);
}

static void on_view(void *arg, enum session_turn turn, enum redis_status status,
                    const struct session_view *v)
{
    struct asking *a = arg;
    if (a->gone)
        ;
    else if (turn == SESSION_NONE)
        not_found(a->exchange);
    else if (turn != SESSION_GO)
        no_storage(a->exchange, status);
    else if (a->context)
        answer_context(a, v);
    else
        answer_json(a->exchange, 200, session_json(a, v));
    asking_free(a);
}

static void look(const struct route_request *r, bool context)
{
    struct asking *a = asking_new(r);
    if (!a)
        return;
    a->context = context;
    session_store_read(service_sessions_store(r->service), a->tenant, a->id, on_view, a);
}

void route_sessions_get(const struct route_request *r)
{
    look(r, false);
}

void route_sessions_context(const struct route_request *r)
{
    look(r, true);
}

/* ---- end */

static void on_done(void *arg, enum redis_status status, bool done)
{
    struct asking *a = arg;
    if (!a->gone && status != REDIS_OK)
        no_storage(a->exchange, status);
    else if (!a->gone && !done)
        not_found(a->exchange);
    else if (!a->gone)
        answer_json(a->exchange, 200,
                    json_pack("{s:s, s:s, s:b}", "id", a->id, "object",
                              a->context ? "session.cleared" : "session.deleted",
                              a->context ? "cleared" : "deleted", true));
    asking_free(a);
}

void route_sessions_clear(const struct route_request *r)
{
    struct asking *a = asking_new(r);
    if (!a)
        return;
    a->context = true;
    session_store_clear(service_sessions_store(r->service), a->tenant, a->id, on_done, a);
}

void route_sessions_delete(const struct route_request *r)
{
    struct asking *a = asking_new(r);
    if (a)
        session_store_delete(service_sessions_store(r->service), a->tenant, a->id, on_done, a);
}

/* ---- list */

static void on_listed(void *arg, enum redis_status status, const char *id, int64_t used_us)
{
    struct asking *a = arg;
    if (id && (int)json_array_size(a->list) == a->limit) {
        a->more = true;
        return;
    }
    if (id) {
        (void)json_array_append_new(a->list,
                                    json_pack("{s:s, s:s, s:I}", "id", id, "object", "session",
                                              "used_at", (json_int_t)(used_us / 1000000)));
        return;
    }
    if (!a->gone && status != REDIS_OK)
        no_storage(a->exchange, status);
    else if (!a->gone)
        answer_json(
            a->exchange, 200,
            json_pack("{s:s, s:O, s:b}", "object", "list", "data", a->list, "has_more", a->more));
    asking_free(a);
}

static void list_before(struct asking *a, int64_t before_us)
{
    struct session_range range = {.tenant = a->tenant,
                                  .before_us = before_us,
                                  .before_id = a->after,
                                  .since_us = a->since_us,
                                  .limit = a->limit + 1};
    session_store_list(service_sessions_store(a->service), &range, on_listed, a);
}

static void on_place(void *arg, enum redis_status status, int64_t used_us)
{
    struct asking *a = arg;
    if (status == REDIS_OK && used_us > 0 && !a->gone) {
        list_before(a, used_us);
        return;
    }
    if (!a->gone && status == REDIS_OK)
        not_found(a->exchange);
    else if (!a->gone)
        no_storage(a->exchange, status);
    asking_free(a);
}

void route_sessions_list(const struct route_request *r)
{
    char limit[16], after[ROUTE_ID_BYTES], *end = limit;
    int has_limit = exchange_query(r->exchange, "limit", limit, sizeof(limit));
    int has_after = exchange_query(r->exchange, "after", after, sizeof(after));
    long asked = has_limit == 0 ? strtol(limit, &end, 10) : 20;
    bool bad_limit = has_limit == 0 ? end == limit || *end : has_limit != -ENOENT;
    if (bad_limit || asked < 1 || asked > SESSION_PAGE_MAX ||
        (has_after < 0 && has_after != -ENOENT)) {
        answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_value",
                     "limit must be a whole number from 1 to 100, and after the id of a session.");
        return;
    }
    struct asking *a = asking_new(r);
    if (!a)
        return;
    a->limit = (int)asked;
    a->since_us = (clock_wall_ms() - service_config(r->service)->sessions.ttl_s * 1000) * 1000;
    a->list = json_array();
    if (!a->list) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        asking_free(a);
    } else if (has_after == 0) {
        (void)snprintf(a->after, sizeof(a->after), "%s", after);
        session_store_place(service_sessions_store(r->service), a->tenant, after, on_place, a);
    } else {
        list_before(a, 0);
    }
}
