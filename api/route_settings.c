/*
 * route_settings: what is saved for models, to look at and to change.
 */
#include "api/answer.h"
#include "api/route.h"
#include "api/settings_json.h"

#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A change on its way to Redis. */
struct change {
    struct service *service;
    struct exchange *exchange; /* NULL: the client has left */
    char provider[ROUTE_ID_BYTES], model[ROUTE_ID_BYTES];
    int64_t expected;
    bool removes;
};

static void refuse(struct exchange *x, int status, const char *code, const char *format, ...)
    PRINTF_AT(4, 5);
static void refuse(struct exchange *x, int status, const char *code, const char *format, ...)
{
    char message[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    answer_error(x, WIRE_OPENAI, status, code, message);
}

/* A sentence about a value begins with the field's name. */
static void refuse_value(struct exchange *x, const struct error *e)
{
    char field[48];
    struct call_failure f;
    size_t len = strcspn(e->text, " ");
    (void)snprintf(field, sizeof(field), "%.*s", len < sizeof(field) ? (int)len : 0, e->text);
    call_failure_set(&f, 400, "invalid_settings", "%s", e->text);
    f.param = field;
    answer_failure(x, WIRE_OPENAI, &f);
}

static const struct config_provider *find_provider(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->provider_count; i++)
        if (strcmp(c->providers[i].name, name) == 0)
            return &c->providers[i];
    return NULL;
}

static bool is_name(const char *model)
{
    size_t len = strlen(model);
    for (size_t i = 0; i < len; i++)
        if (model[i] <= ' ' || model[i] > '~')
            return false;
    return len <= MODEL_NAME_BYTES;
}

/* The provider, when it serves the model. NULL: refused already. */
static const struct config_provider *find(const struct route_request *r)
{
    const struct config_provider *p = find_provider(service_config(r->service), r->id);
    if (!p)
        refuse(r->exchange, 404, "provider_not_found",
               "No provider is called '%.60s' here; GET /v1/settings lists them.", r->id);
    else if (!is_name(r->rest) || !settings_row(p, r->rest))
        refuse(r->exchange, 404, "model_not_found",
               "The provider '%.60s' does not serve the model '%.80s'; GET /v1/settings lists "
               "those that are configured.",
               r->id, r->rest);
    else
        return p;
    return NULL;
}

static void set_version(struct exchange *x, int64_t version)
{
    char tag[32];
    (void)snprintf(tag, sizeof(tag), "\"%" PRId64 "\"", version);
    if (exchange_set_header(x, "ETag", tag) < 0)
        log_write(LOG_DEBUG, "a header was left out", "name", "ETag", NULL);
}

static void answer(struct exchange *x, struct service *service, const struct config_provider *p,
                   const char *model)
{
    const struct settings *s = service_settings(service);
    const struct settings_entry *own = settings_exact(s, p->name, model);
    set_version(x, own ? own->version : 0);
    answer_json(x, 200, settings_json(s, p, model));
}

void route_settings_list(const struct route_request *r)
{
    const struct settings *s = service_settings(r->service);
    set_version(r->exchange, settings_version(s));
    answer_json(r->exchange, 200, settings_json_list(s, service_config(r->service)));
}

void route_settings_get(const struct route_request *r)
{
    const struct config_provider *p = find(r);
    if (p)
        answer(r->exchange, r->service, p, r->rest);
}

/* ---- changes */

static void on_gone(void *arg)
{
    struct change *c = arg;
    c->exchange = NULL;
}

static void answer_stale(const struct change *c, int64_t version)
{
    set_version(c->exchange, version);
    refuse(c->exchange, 412, "settings_changed",
           "The settings of %.40s/%.80s are at version %" PRId64 " and not at %" PRId64
           " any more: somebody else changed them. Read them again, and save what you want to "
           "keep.",
           c->provider, c->model, version, c->expected);
}

static void on_done(void *arg, enum redis_status status, enum settings_change what, int64_t version)
{
    struct change *c = arg;
    struct exchange *x = c->exchange;
    const struct config_provider *p = find_provider(service_config(c->service), c->provider);
    if (status == REDIS_OK && what == SETTINGS_DONE)
        log_write(LOG_INFO, c->removes ? "settings reset" : "settings saved", "provider",
                  c->provider, "model", c->model, NULL);
    if (!x) {
        free(c);
        return;
    }
    if (status == REDIS_LOST)
        refuse(x, 503, "storage_unavailable",
               "Redis was lost in the middle: the settings may have been saved, or not. Read them "
               "again.");
    else if (status != REDIS_OK)
        refuse(x, 503, "storage_unavailable",
               "Sluice cannot reach redis, where settings are kept; nothing was changed.");
    else if (what == SETTINGS_STALE)
        answer_stale(c, version);
    else if (what == SETTINGS_FULL)
        refuse(x, 409, "too_many_settings",
               "Settings are saved for %d models, which is the most; reset some first.",
               SETTINGS_MAX_ENTRIES);
    else if (c->removes && (!p || !settings_row(p, c->model)))
        answer_json(x, 200,
                    json_pack("{s:s, s:s, s:s, s:n}", "object", "settings", "provider", c->provider,
                              "model", c->model, "saved"));
    else if (!p || !settings_row(p, c->model))
        refuse(x, 404, "model_not_found", "The configuration was reloaded without this model.");
    else
        answer(x, c->service, p, c->model);
    free(c);
}

/* If-Match: "7", 7, or * for whatever is saved. False: refused already. */
static bool read_match(const struct route_request *r, int64_t *version)
{
    const char *text = exchange_header(r->exchange, "if-match");
    char *end = NULL;
    if (!text || strcmp(text, "*") == 0)
        return true;
    if (strncmp(text, "W/", 2) == 0)
        text += 2;
    bool quoted = *text == '"';
    errno = 0;
    long long n = strtoll(text + quoted, &end, 10);
    if (end > text + quoted && errno == 0 && n >= 0 && strcmp(end, quoted ? "\"" : "") == 0) {
        *version = n;
        return true;
    }
    refuse(r->exchange, 400, "invalid_header",
           "If-Match is '%.40s'; it must be the ETag that was read, such as \"7\", or *.", text);
    return false;
}

static void save(const struct route_request *r, const struct settings_values *values,
                 int64_t expected)
{
    struct change *c = calloc(1, sizeof(*c));
    if (c) {
        *c = (struct change){.service = r->service,
                             .exchange = r->exchange,
                             .expected = expected,
                             .removes = !values};
        (void)snprintf(c->provider, sizeof(c->provider), "%s", r->id);
        (void)snprintf(c->model, sizeof(c->model), "%s", r->rest);
        struct settings_edit edit = {c->provider, c->model, values, expected};
        if (settings_save(service_settings(r->service), &edit, on_done, c) == 0) {
            exchange_on_gone(r->exchange, on_gone, c);
            return;
        }
    }
    free(c);
    answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
}

static int read_values(const struct route_request *r, struct settings_values *values,
                       int64_t *version, struct error *e)
{
    size_t len = 0;
    const char *body = exchange_body(r->exchange, &len);
    if (len > SETTINGS_RECORD_BYTES)
        return error_set(e, -E2BIG, "The body has %zu bytes; settings have %ld at most.", len,
                         SETTINGS_RECORD_BYTES);
    int rc = json_scan_check(body ? body : "", len, e);
    return rc < 0 ? rc : settings_values_read(json_span_of(body, len), values, version, e);
}

/* Another row of the pool has limits saved: they would be stated twice. */
static const struct settings_entry *other_limits(const struct route_request *r,
                                                 const struct config_provider *p)
{
    const struct settings *s = service_settings(r->service);
    const struct settings_entry *e = settings_of_pool(s, p, settings_row(p, r->rest)->pool);
    return e && strcmp(e->model, r->rest) != 0 ? e : NULL;
}

void route_settings_put(const struct route_request *r)
{
    struct settings_values values;
    struct error e;
    int64_t version = SETTINGS_UNSET, expected = SETTINGS_ANY_VERSION;
    const struct config_provider *p = find(r);
    if (!p || !read_match(r, &expected))
        return;
    int rc = read_values(r, &values, &version, &e);
    if (rc == 0)
        rc = settings_values_check(&values, service_config(r->service), p, r->rest, &e);
    if (rc < 0) {
        refuse_value(r->exchange, &e);
        return;
    }
    if (!settings_values_any(&values)) {
        refuse(r->exchange, 400, "invalid_settings",
               "There is nothing to save: name at least one setting, or DELETE to reset all.");
        return;
    }
    const struct settings_entry *other =
        settings_values_any_limit(&values) ? other_limits(r, p) : NULL;
    if (other) {
        refuse(r->exchange, 409, "limits_saved_elsewhere",
               "The pool '%.60s' has its limits saved at %.40s/%.60s: change them there, or reset "
               "those first.",
               settings_row(p, r->rest)->pool, other->provider, other->model);
        return;
    }
    save(r, &values, version != SETTINGS_UNSET ? version : expected);
}

void route_settings_delete(const struct route_request *r)
{
    int64_t expected = SETTINGS_ANY_VERSION;
    /* What is saved for a model that the configuration has no more can be removed as well. */
    bool saved = settings_exact(service_settings(r->service), r->id, r->rest) != NULL;
    if ((saved || find(r)) && read_match(r, &expected))
        save(r, NULL, expected);
}
