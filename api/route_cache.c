/*
 * route_cache: the answers that are kept, for administrators.
 */
#include "api/answer.h"
#include "api/route.h"
#include "api/stats.h"

#include "scheduler/answers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct purging {
    struct exchange *exchange; /* NULL: the client has left */
    char tenant[TENANT_NAME_BYTES + 1], model[MODEL_NAME_MAX_BYTES];
};

json_t *stats_of_answers(const struct service *service)
{
    struct answers_stats s;
    answers_stats(service_answers(service), &s);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "entries",
                     (json_int_t)s.entries, "bytes", (json_int_t)s.bytes, "hits_memory",
                     (json_int_t)s.hits_memory, "hits_redis", (json_int_t)s.hits_redis, "misses",
                     (json_int_t)s.misses, "shared", (json_int_t)s.shared, "kept",
                     (json_int_t)s.kept, "purged", (json_int_t)s.purged, "in_flight",
                     (json_int_t)s.flights, "partial", (json_int_t)s.partial, "inputs_kept",
                     (json_int_t)s.inputs_kept, "inputs_sent", (json_int_t)s.inputs_sent);
}

void route_cache_get(const struct route_request *r)
{
    json_t *json = stats_of_answers(r->service);
    const struct config *c = service_config(r->service);
    if (json) {
        (void)json_object_set_new(json, "object", json_string("cache"));
        (void)json_object_set_new(json, "enabled", json_boolean(c->cache.enabled));
        (void)json_object_set_new(json, "redis", json_boolean(c->cache.redis));
        (void)json_object_set_new(json, "memory_bytes", json_integer(c->cache.memory_bytes));
    }
    answer_json(r->exchange, 200, json);
}

static void on_gone(void *arg)
{
    struct purging *p = arg;
    p->exchange = NULL;
}

static json_t *name_or_null(const char *name)
{
    return *name ? json_string(name) : json_null();
}

static void on_purged(void *arg, enum redis_status status)
{
    struct purging *p = arg;
    if (p->exchange && status != REDIS_OK)
        answer_error(p->exchange, WIRE_OPENAI, 503, "storage_unavailable",
                     "This instance has forgotten the answers, but Sluice cannot reach redis to "
                     "tell the others; ask again when it is back.");
    else if (p->exchange)
        answer_json(p->exchange, 200,
                    json_pack("{s:s, s:b, s:o, s:o}", "object", "cache", "purged", 1, "tenant",
                              name_or_null(p->tenant), "model", name_or_null(p->model)));
    free(p);
}

/* False, with a reason, for what can be no name. */
static bool read_name(const struct route_request *r, const char *field, char *out, size_t size)
{
    char text[160];
    int rc = exchange_query(r->exchange, field, out, size);
    if (rc == -ENOENT)
        *out = '\0';
    if (rc == -ENOENT || (rc == 0 && *out && !strpbrk(out, "\r\n")))
        return true;
    (void)snprintf(text, sizeof(text), "%s must be 1 to %zu bytes, or be left out.", field,
                   size - 1);
    answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_value", text);
    return false;
}

void route_cache_purge(const struct route_request *r)
{
    struct purging *p = calloc(1, sizeof(*p));
    if (!p) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    p->exchange = r->exchange;
    if (!read_name(r, "tenant", p->tenant, sizeof(p->tenant)) ||
        !read_name(r, "model", p->model, sizeof(p->model))) {
        free(p);
        return;
    }
    exchange_on_gone(r->exchange, on_gone, p);
    answers_purge(service_answers(r->service), p->tenant, p->model, on_purged, p);
}
