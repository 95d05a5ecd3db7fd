#include "scheduler/call_internal.h"

#include "common/digest.h"
#include "common/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_MAX_BYTES   256
#define ACCOUNT_DIGITS    16
#define ANTHROPIC_VERSION "2023-06-01"

/* What a request named stands in the text, and may be cut inside a character or be none at all;
 * JSON takes only whole ones. */
static void mend(char text[ERROR_TEXT_BYTES])
{
    unsigned char whole[ERROR_TEXT_BYTES * UTF8_REPLACEMENT_BYTES];
    size_t len = utf8_repair(text, strlen(text), whole);
    if (len >= ERROR_TEXT_BYTES)
        len = utf8_floor(whole, len, ERROR_TEXT_BYTES - 1);
    memcpy(text, whole, len);
    text[len] = '\0';
}

void call_failure_set(struct call_failure *f, int status, const char *code, const char *format, ...)
{
    va_list args;
    *f = (struct call_failure){.status = status, .code = code, .param = "", .retry_after_ms = -1};
    va_start(args, format);
    (void)vsnprintf(f->message, sizeof(f->message), format, args);
    va_end(args);
    mend(f->message);
}

static char *put(char **at, const char *text)
{
    char *copy = *at;
    size_t len = strlen(text) + 1;
    memcpy(copy, text, len);
    *at += len;
    return copy;
}

int call_copy_spec(struct call *c, const struct call_spec *spec)
{
    size_t n = spec->header_count, bytes = strlen(spec->tenant) + 1;
    if (n > CALL_MAX_HEADERS)
        return -ENOSPC;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(spec->headers[i].name) + strlen(spec->headers[i].value) + 2;
    if (spec->caller_key)
        bytes += strlen(spec->caller_key) + 1;
    char *at = c->texts = malloc(bytes);
    if (!at)
        return -ENOMEM;

    c->spec = *spec;
    c->spec.tenant = put(&at, spec->tenant);
    if (spec->caller_key)
        c->spec.caller_key = put(&at, spec->caller_key);
    for (size_t i = 0; i < n; i++) {
        c->headers[i].name = put(&at, spec->headers[i].name);
        c->headers[i].value = put(&at, spec->headers[i].value);
    }
    c->spec.headers = c->headers;
    return 0;
}

static int fail_memory(struct call_failure *f)
{
    call_failure_set(f, 503, "out_of_memory", "Sluice is out of memory; try again in a moment.");
    f->retry_after_ms = 1000;
    return -ENOMEM;
}

/* Which provider and row serve the model, and the name that the provider knows it by. */
static int route(struct call *c, struct call_failure *f)
{
    enum wire_format format = wire_format_of(c->spec.endpoint);
    const char *model = NULL;
    struct buf name;

    buf_init(&name, MODEL_MAX_BYTES);
    if (json_text(c->request.model, &name) < 0 || name.len == 0) {
        buf_release(&name);
        call_failure_set(f, 400, "invalid_value",
                         "model must be a string of 1 to %d bytes; send the name of a model.",
                         MODEL_MAX_BYTES);
        f->param = "model";
        return -EINVAL;
    }
    if (!config_route(c->plan->config, (enum config_format)format, name.data, &c->provider, &c->row,
                      &model)) {
        call_failure_set(f, 404, "model_not_found",
                         "No provider with the %s format serves the model '%.100s' here; GET "
                         "/v1/models lists those that are configured.",
                         format == WIRE_OPENAI ? "OpenAI" : "Anthropic", name.data);
        f->param = "model";
        buf_release(&name);
        return -ENOENT;
    }
    c->model = strdup(model);
    bool forced = c->model && strcmp(model, name.data) != 0;
    buf_release(&name);
    if (!c->model || (forced && wire_request_set_model(&c->request, c->model, &c->sent) < 0))
        return fail_memory(f);
    return 0;
}

static int use_pool(struct call *c, struct pool_view *pool, struct call_failure *f)
{
    if (!pool) {
        call_failure_set(f, 503, "too_many_accounts",
                         "Too many accounts are in use here at once; try again in a moment.");
        f->retry_after_ms = 1000;
        return -ENOSPC;
    }
    c->pool = pool;
    pool->users++;
    return 0;
}

static int find_pool(struct call *c, struct call_failure *f)
{
    char account[ACCOUNT_DIGITS + 1] = "default";
    if (c->spec.pool)
        return use_pool(c, c->spec.pool, f);
    if (!c->provider->api_key && c->spec.is_job) {
        call_failure_set(f, 400, "key_not_configured",
                         "A job runs when its caller is gone, so the provider '%s' must have an "
                         "api_key in the configuration.",
                         c->provider->name);
        return -EINVAL;
    }
    if (!c->provider->api_key) {
        const char *key = c->spec.caller_key;
        if (!key) {
            call_failure_set(f, 401, "invalid_api_key",
                             "The provider '%s' has no key of its own here: send yours, as you "
                             "would to the provider.",
                             c->provider->name);
            return -EACCES;
        }
        digest_hex(key, strlen(key), account, ACCOUNT_DIGITS);
    }
    return use_pool(c, scheduler_pool(c->sched, c->provider, c->row, account), f);
}

/* What it will cost: the input as estimated, the output it asks for and the one foreseen. */
static void price(struct call *c)
{
    const struct wire_request *r = &c->request;
    struct profile_estimate *e = &c->estimate;
    const struct store_pool *pool = pool_agent_pool(c->pool->agent);

    e->input = wire_estimate_input(c->spec.endpoint, r, c->model, c->row->chars_per_token);
    if (c->spec.endpoint != WIRE_EMBEDDINGS) {
        int64_t each =
            r->max_output_tokens >= 0 ? r->max_output_tokens : c->row->default_output_tokens;
        int64_t foreseen = quantile_value(&c->pool->output);
        e->max_output = each * r->choices;
        e->output = foreseen < e->max_output ? foreseen : e->max_output;
    }
    profile_reserve(c->pool->profile, &pool->limits, e, c->cost, &c->fair_cost);
}

/* The usage chunk of a stream is wanted for settling, whether or not the client asked for it. */
static int ask_usage(struct call *c, struct call_failure *f)
{
    if (!c->request.stream || c->request.usage_asked)
        return 0;

    struct buf with_usage;
    buf_init(&with_usage, HTTP_MAX_BODY_BYTES + KIB);
    struct wire_request changed = c->request;
    if (c->sent.len > 0) {
        struct error e;
        if (wire_request_read(c->spec.endpoint, c->sent.data, c->sent.len, &changed, &e) < 0)
            return fail_memory(f);
    }
    int rc = wire_request_ask_usage(c->spec.endpoint, &changed, &with_usage);
    if (rc == -ENOTSUP)
        return 0;
    if (rc < 0) {
        buf_release(&with_usage);
        return fail_memory(f);
    }
    buf_release(&c->sent);
    c->sent = with_usage;
    c->hide_usage = true;
    return 0;
}

int call_read(struct call *c, struct call_failure *failure)
{
    struct error e;
    int rc = wire_request_read(c->spec.endpoint, c->spec.body, c->spec.body_len, &c->request, &e);
    if (rc < 0) {
        call_failure_set(failure, 400, "invalid_request", "%s", e.text);
        return rc;
    }
    rc = route(c, failure);
    if (rc == 0)
        rc = find_pool(c, failure);
    if (rc == 0)
        rc = ask_usage(c, failure);
    if (rc == 0)
        price(c);
    return rc;
}

static bool has_header(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->spec.header_count; i++) {
        if (strcasecmp(c->headers[i].name, name) == 0)
            return true;
    }
    return false;
}

int call_upstream(struct call *c, struct call_upstream *ret, struct error *e)
{
    bool openai = wire_format_of(c->spec.endpoint) == WIRE_OPENAI;
    const char *key = c->provider->api_key ? c->provider->api_key : c->spec.caller_key;
    size_t n = 0;
    int len = snprintf(ret->url, sizeof(ret->url), "%s%s", c->provider->base_url,
                       wire_upstream_path(c->spec.endpoint));
    if (len < 0 || (size_t)len >= sizeof(ret->url))
        return error_set(e, -ENOSPC, "the provider's base_url is too long");
    len = snprintf(ret->auth, sizeof(ret->auth), "%s%s", openai ? "Bearer " : "", key ? key : "");
    if (len < 0 || (size_t)len >= sizeof(ret->auth))
        return error_set(e, -ENOSPC, "the provider's key is too long");

    for (size_t i = 0; i < c->spec.header_count; i++)
        ret->headers[n++] = c->headers[i];
    ret->headers[n++] = (struct http_header){openai ? "Authorization" : "x-api-key", ret->auth};
    ret->headers[n++] = (struct http_header){"Content-Type", "application/json"};
    if (!openai && !has_header(c, "anthropic-version"))
        ret->headers[n++] = (struct http_header){"anthropic-version", ANTHROPIC_VERSION};

    ret->request = (struct http_request){
        .method = "POST",
        .url = ret->url,
        .headers = ret->headers,
        .header_count = n,
        .body = c->sent.len > 0 ? c->sent.data : c->spec.body,
        .body_len = c->sent.len > 0 ? c->sent.len : c->spec.body_len,
        .connect_ms = (int)c->provider->connect_ms,
        .first_byte_ms = (int)c->provider->first_byte_ms,
        .idle_ms = (int)c->provider->idle_ms,
    };
    return 0;
}
