/*
 * route_drain: an instance is told to finish what it runs, take nothing new, and exit.
 */
#include "api/answer.h"
#include "api/route.h"

#include "scheduler/scheduler.h"
#include "storage/instance.h"
#include "storage/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSTANCE_BYTES 64
#define TIMEOUT_MS     5000
#define MAX_BODY       KIB

/* Another instance is looked for in Redis. */
struct search {
    struct service *service;
    struct exchange *exchange; /* NULL: the client has left */
    char instance[INSTANCE_BYTES];
    bool found;
};

/* What is left here: the request that asks is not counted. */
static void answer_own(struct exchange *x, struct service *s)
{
    struct scheduler *scheduler = service_scheduler(s);
    size_t open = service_open_exchanges(s);
    answer_json(x, 202,
                json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I}", "object", "drain", "instance",
                          service_instance(s), "draining", service_is_draining(s), "open_requests",
                          (json_int_t)(open > 0 ? open - 1 : 0), "calls",
                          (json_int_t)scheduler_active(scheduler), "unsettled",
                          (json_int_t)scheduler_unsettled(scheduler), "timeout_ms",
                          (json_int_t)service_config(s)->drain_timeout_ms));
}

static void on_gone(void *arg)
{
    struct search *f = arg;
    f->exchange = NULL;
}

static void tell_other(const struct search *f)
{
    char message[160];
    struct key channel = key_instance_channel(f->instance);
    if (!f->found) {
        (void)snprintf(message, sizeof(message),
                       "No instance '%.40s' lives; GET /v1/stats lists them, and needs redis.",
                       f->instance);
        answer_error(f->exchange, WIRE_OPENAI, 404, "instance_not_found", message);
        return;
    }
    redis_link_command(service_link(f->service),
                       REDIS_ARGS("PUBLISH", channel.text, SERVICE_DRAIN_MESSAGE), TIMEOUT_MS, NULL,
                       NULL);
    answer_json(f->exchange, 202,
                json_pack("{s:s, s:s, s:b, s:n, s:n, s:n, s:n}", "object", "drain", "instance",
                          f->instance, "draining", 1, "open_requests", "calls", "unsettled",
                          "timeout_ms"));
}

static void on_instance(void *arg, const char *id, int64_t age_ms, const char *json)
{
    struct search *f = arg;
    (void)age_ms;
    if (id) {
        f->found |= json && strcmp(id, f->instance) == 0;
        return;
    }
    if (f->exchange)
        tell_other(f);
    free(f);
}

/* False: refused already. An empty body, or one without `instance`, means this instance. */
static bool read_instance(const struct route_request *r, char instance[INSTANCE_BYTES])
{
    size_t len = 0;
    struct error e;
    const char *body = exchange_body(r->exchange, &len);
    (void)snprintf(instance, INSTANCE_BYTES, "%s", service_instance(r->service));
    if (len == 0)
        return true;
    if (len <= MAX_BODY && json_scan_check(body, len, &e) == 0) {
        struct json_span whole = json_span_of(body, len);
        struct json_span name = json_get(whole, "instance"), text = json_inside(name);
        if (json_kind(whole) == JSON_OBJ && json_kind(name) == JSON_NONE)
            return true;
        if (json_kind(name) == JSON_STR && text.len > 0 && text.len < INSTANCE_BYTES) {
            (void)snprintf(instance, INSTANCE_BYTES, "%.*s", (int)text.len, text.at);
            return true;
        }
    }
    answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_request",
                 "The body must be empty, or {\"instance\":\"ID\"} with the id of an instance, as "
                 "GET /v1/stats lists them.");
    return false;
}

void route_drain(const struct route_request *r)
{
    char instance[INSTANCE_BYTES];
    if (!read_instance(r, instance))
        return;
    if (strcmp(instance, service_instance(r->service)) == 0) {
        service_drain(r->service);
        answer_own(r->exchange, r->service);
        return;
    }
    struct search *f = calloc(1, sizeof(*f));
    if (!f) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    *f = (struct search){.service = r->service, .exchange = r->exchange};
    (void)snprintf(f->instance, sizeof(f->instance), "%s", instance);
    exchange_on_gone(r->exchange, on_gone, f);
    instance_list(service_presence(r->service), on_instance, f);
}
