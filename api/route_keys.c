/*
 * route_keys: the access keys of this service, for administrators.
 */
#include "api/access.h"
#include "api/answer.h"
#include "api/route.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GRACE_S (30 * 86400)
#define MAX_BODY    (16 * KIB)

/* A change on its way to Redis; its answer is the whole key, shown this once, or what became of it.
 */
struct change {
    struct exchange *exchange; /* NULL: the client has left */
    struct access_made made;
    json_t *answer; /* of a removal */
    int status;
};

static void change_free(struct change *c)
{
    explicit_bzero(c->made.key, sizeof(c->made.key));
    json_decref(c->answer);
    free(c);
}

static void on_gone(void *arg)
{
    struct change *c = arg;
    c->exchange = NULL;
}

static json_t *shown(const struct change *c)
{
    json_t *json = access_json(&c->made.record);
    if (json && json_object_set_new(json, "key", json_string(c->made.key)) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static void on_done(void *arg, enum redis_status status)
{
    struct change *c = arg;
    if (c->exchange && status != REDIS_OK)
        answer_error(c->exchange, WIRE_OPENAI, 503, "storage_unavailable",
                     status == REDIS_LOST
                         ? "Redis was lost in the middle: the change may have been made, or not. "
                           "Look at the list of keys."
                         : "Sluice cannot reach redis, where its keys are kept; nothing was "
                           "changed.");
    else if (c->exchange)
        answer_json(c->exchange, c->status, c->answer ? json_incref(c->answer) : shown(c));
    change_free(c);
}

static struct change *begin(const struct route_request *r, int status)
{
    struct change *c = calloc(1, sizeof(*c));
    if (!c) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return NULL;
    }
    c->exchange = r->exchange;
    c->status = status;
    return c;
}

/* rc of access_create(), _rotate() or _remove(). */
static void finish(struct change *c, int rc, const struct error *e)
{
    struct exchange *x = c->exchange;
    if (rc == 0) {
        exchange_on_gone(x, on_gone, c);
        return;
    }
    change_free(c);
    switch (rc) {
    case -ENOENT:
        answer_error(x, WIRE_OPENAI, 404, "key_not_found", e->text);
        break;
    case -EPERM:
        answer_error(x, WIRE_OPENAI, 409, "key_not_changeable", e->text);
        break;
    case -ENOMEM:
        answer_error(x, WIRE_OPENAI, 503, "out_of_memory", e->text);
        break;
    default:
        answer_error(x, WIRE_OPENAI, 400, "invalid_request", e->text);
    }
}

/* The body as an object; an empty one is an empty object. NULL: refused already. */
static json_t *read_body(const struct route_request *r)
{
    size_t len = 0;
    json_error_t error;
    const char *body = exchange_body(r->exchange, &len);
    json_t *value = len == 0         ? json_object()
                    : len > MAX_BODY ? NULL
                                     : json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(value))
        return value;
    json_decref(value);
    answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_request",
                 "The body must be a JSON object of at most 16 KiB, without a field twice.");
    return NULL;
}

void route_keys_list(const struct route_request *r)
{
    json_t *data = json_array();
    size_t at = 0;
    for (const struct access_key *k; (k = access_next(service_access(r->service), &at));) {
        if (json_array_append_new(data, access_json(k)) < 0)
            break;
    }
    answer_json(r->exchange, 200,
                json_pack("{s:s, s:o, s:b}", "object", "list", "data", data, "has_more", 0));
}

void route_keys_get(const struct route_request *r)
{
    const struct access_key *k = access_by_id(service_access(r->service), r->id);
    if (k)
        answer_json(r->exchange, 200, access_json(k));
    else
        answer_error(r->exchange, WIRE_OPENAI, 404, "key_not_found", "There is no key of this id.");
}

void route_keys_create(const struct route_request *r)
{
    struct error e;
    json_t *wish = read_body(r);
    struct change *c = wish ? begin(r, 201) : NULL;
    if (c) {
        int rc = access_create(service_access(r->service), wish, &c->made, on_done, c, &e);
        if (rc == 0)
            log_write(LOG_INFO, "access key made", "id", c->made.record.id, "tenant",
                      c->made.record.tenant, NULL);
        finish(c, rc, &e);
    }
    json_decref(wish);
}

void route_keys_rotate(const struct route_request *r)
{
    struct error e;
    json_t *wish = read_body(r);
    if (!wish)
        return;
    const json_t *grace = json_object_get(wish, "grace_s");
    json_int_t grace_s = json_integer_value(grace);
    if ((grace && !json_is_integer(grace)) || grace_s < 0 || grace_s > MAX_GRACE_S ||
        json_object_size(wish) > (grace != NULL)) {
        answer_error(
            r->exchange, WIRE_OPENAI, 400, "invalid_request",
            "Only grace_s may be given: whole seconds, 0 to 2592000, for which the old key "
            "still holds.");
        json_decref(wish);
        return;
    }
    json_decref(wish);
    struct change *c = begin(r, 200);
    if (!c)
        return;
    c->made.grace_ms = grace_s * 1000;
    int rc = access_rotate(service_access(r->service), r->id, &c->made, on_done, c, &e);
    if (rc == 0)
        log_write(LOG_INFO, "access key rotated", "id", r->id, NULL);
    finish(c, rc, &e);
}

void route_keys_remove(const struct route_request *r)
{
    struct error e;
    struct change *c = begin(r, 200);
    if (!c)
        return;
    c->answer = json_pack("{s:s, s:s, s:b}", "id", r->id, "object", "access_key", "deleted", 1);
    int rc = access_remove(service_access(r->service), r->id, on_done, c, &e);
    if (rc == 0)
        log_write(LOG_INFO, "access key removed", "id", r->id, NULL);
    finish(c, rc, &e);
}
