#include "scheduler/webhook_field.h"

#include "scheduler/webhook_url.h"

#include <errno.h>
#include <string.h>

static const char *const types[] = {
    "job.succeeded",   "job.failed",   "job.cancelled",   "job.expired",
    "batch.completed", "batch.failed", "batch.cancelled", "batch.expired",
};
#define TYPES (sizeof(types) / sizeof(types[0]))

struct config_webhook webhook_settings(const struct config *c, const char *tenant)
{
    struct config_webhook w = c->webhooks.all;
    for (size_t i = 0; i < c->tenant_count; i++) {
        const struct config_tenant *t = &c->tenants[i];
        if (strcmp(t->name, tenant) != 0)
            continue;
        w.url = t->webhook.url ? t->webhook.url : w.url;
        w.secret = t->webhook.secret ? t->webhook.secret : w.secret;
    }
    return w;
}

bool webhook_is_configured(const struct config *c)
{
    bool is = c->webhooks.all.secret != NULL;
    for (size_t i = 0; i < c->tenant_count; i++)
        is |= c->tenants[i].webhook.secret != NULL;
    return is;
}

/* ---- out of a request */

static int add_url(struct json_span given, const struct config *c, struct buf *out, struct error *e)
{
    struct buf url;
    struct error why = {.text = ""};
    buf_init(&url, WEBHOOK_MAX_FIELD_BYTES);
    int rc = json_text(given, &url);
    if (rc == -EINVAL)
        rc = error_set(e, rc, ".url must be a text");
    else if (rc == -ENOSPC || (rc == 0 && strlen(url.data ? url.data : "") != url.len))
        rc = error_set(e, -EINVAL, ".url must have 1 to %d bytes", WEBHOOK_MAX_URL_BYTES);
    if (rc == 0) {
        rc = webhook_url_check(url.data ? url.data : "", c->webhooks.allow_private, &why);
        if (rc < 0)
            rc = error_set(e, rc, ".url %.140s", why.text);
    }
    if (rc == 0) {
        (void)buf_adds(out, "\"url\":\"");
        (void)buf_add_json(out, url.data, url.len);
        (void)buf_adds(out, "\"");
        rc = out->failed;
    }
    buf_release(&url);
    return rc;
}

static const char *type_of(struct json_span value)
{
    for (size_t i = 0; i < TYPES; i++)
        if (json_equals(value, types[i]))
            return types[i];
    return NULL;
}

static int add_events(struct json_span given, struct buf *out, struct error *e)
{
    struct json_iter it = json_iter(given);
    size_t n = 0;
    if (json_kind(given) != JSON_ARR)
        return error_set(e, -EINVAL, ".events must be a list of event types");
    (void)buf_adds(out, out->len > 1 ? ",\"events\":[" : "\"events\":[");
    for (; json_next(&it); n++) {
        const char *type = type_of(it.value);
        if (!type)
            return error_set(
                e, -EINVAL,
                ".events[%zu] must be one of job.succeeded, job.failed, job.cancelled, "
                "job.expired, or batch.completed and so on",
                n);
        if (n == WEBHOOK_MAX_EVENTS)
            return error_set(e, -EINVAL, ".events must hold at most %d", WEBHOOK_MAX_EVENTS);
        (void)buf_addf(out, "%s\"%s\"", n > 0 ? "," : "", type);
    }
    (void)buf_adds(out, "]");
    return out->failed;
}

static int add_object(struct json_span given, const struct config *c, struct buf *out,
                      struct error *e)
{
    struct json_iter it = json_iter(given);
    int rc = 0;
    while (json_next(&it))
        if (!json_equals(it.key, "url") && !json_equals(it.key, "events"))
            return error_set(e, -EINVAL, " has an unknown field; url and events are known");
    struct json_span url = json_get(given, "url"), events = json_get(given, "events");
    if (json_kind(url) != JSON_NONE)
        rc = add_url(url, c, out, e);
    if (rc == 0 && json_kind(events) != JSON_NONE)
        rc = add_events(events, out, e);
    return rc;
}

int webhook_field_read(struct json_span given, const struct config *c, const char *tenant,
                       struct buf *out, struct error *e)
{
    struct config_webhook settings = webhook_settings(c, tenant);
    enum json_kind kind = json_kind(given);
    bool on = true;
    if (kind == JSON_BOOL && json_bool(given, &on) && !on)
        return 0;
    if (kind == JSON_NONE || kind == JSON_NUL)
        return settings.url && settings.secret ? buf_adds(out, "{}") : 0;
    if (kind != JSON_STR && kind != JSON_OBJ)
        return error_set(e, -EINVAL, " must be a URL, an object with url and events, or false");
    if (!settings.secret)
        return error_set(e, -EINVAL,
                         " cannot be sent: events are signed, and webhooks.secret is not set");
    if (kind == JSON_OBJ && json_kind(json_get(given, "url")) == JSON_NONE && !settings.url)
        return error_set(e, -EINVAL, ".url is missing, and webhooks.url is not set");
    int rc = buf_adds(out, "{");
    if (rc == 0)
        rc = kind == JSON_STR ? add_url(given, c, out, e) : add_object(given, c, out, e);
    if (rc == 0)
        rc = buf_adds(out, "}");
    return rc;
}

/* ---- out of a kept text */

bool webhook_field_wants(const char *field, const char *type)
{
    struct json_span events = json_get(json_span_of(field, strlen(field)), "events");
    struct json_iter it = json_iter(events);
    if (json_kind(events) != JSON_ARR)
        return true;
    while (json_next(&it))
        if (json_equals(it.value, type))
            return true;
    return false;
}

int webhook_field_url(const char *field, struct buf *out)
{
    struct json_span url = json_get(json_span_of(field, strlen(field)), "url");
    return json_kind(url) == JSON_STR ? json_text(url, out) : 0;
}
