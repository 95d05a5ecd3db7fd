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
    const char *const texts[] = {spec->caller_key, spec->trim, spec->session, spec->models,
                                 spec->batch};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        bytes += texts[i] ? strlen(texts[i]) + 1 : 0;
    char *at = c->texts = malloc(bytes);
    if (!at)
        return -ENOMEM;

    c->spec = *spec;
    if (spec->tool_calls) {
        c->asked_caps = *spec->tool_calls;
        c->spec.tool_calls = &c->asked_caps;
    }
    if (spec->facts) {
        c->facts = *spec->facts;
        c->spec.facts = &c->facts;
    }
    c->spec.tenant = put(&at, spec->tenant);
    if (spec->caller_key)
        c->spec.caller_key = put(&at, spec->caller_key);
    if (spec->models)
        c->spec.models = put(&at, spec->models);
    if (spec->trim)
        c->spec.trim = put(&at, spec->trim);
    if (spec->session)
        c->spec.session = put(&at, spec->session);
    if (spec->batch)
        c->spec.batch = put(&at, spec->batch);
    for (size_t i = 0; i < n; i++) {
        c->headers[i].name = put(&at, spec->headers[i].name);
        c->headers[i].value = put(&at, spec->headers[i].value);
    }
    c->spec.headers = c->headers;
    return 0;
}

int call_fail_memory(struct call_failure *f)
{
    call_failure_set(f, 503, "out_of_memory", "Sluice is out of memory; try again in a moment.");
    f->retry_after_ms = 1000;
    return -ENOMEM;
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
    const char *key = c->account ? c->account->api_key : c->spec.caller_key;
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
