#include "scheduler/permit_result.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* Absent and null are the same. */
static bool is_told(struct json_span value)
{
    enum json_kind kind = json_kind(value);
    return kind != JSON_NONE && kind != JSON_NUL;
}

static int read_count(struct json_span obj, const char *name, int64_t *ret, struct error *e)
{
    struct json_span value = json_get(obj, name);
    *ret = 0;
    if (!is_told(value))
        return 0;
    if (json_int(value, ret) && *ret >= 0 && *ret <= WIRE_MAX_TOKENS)
        return 0;
    return error_set(e, -EINVAL, "usage.%s is %.*s; it must be a whole number from 0 to %d.", name,
                     (int)(value.len < 40 ? value.len : 40), value.at, WIRE_MAX_TOKENS);
}

static int read_usage(struct json_span usage, struct permit_result *ret, struct error *e)
{
    if (!is_told(usage))
        return 0;
    if (json_kind(usage) != JSON_OBJ)
        return error_set(e, -EINVAL,
                         "usage must be an object: {\"input_tokens\", \"output_tokens\", "
                         "\"cache_read_tokens\"}.");
    int rc = read_count(usage, "input_tokens", &ret->input, e);
    if (rc == 0)
        rc = read_count(usage, "output_tokens", &ret->output, e);
    if (rc == 0)
        rc = read_count(usage, "cache_read_tokens", &ret->cache_read, e);
    if (rc < 0)
        return rc;
    ret->usage_told = is_told(json_get(usage, "input_tokens"));
    if (!ret->usage_told)
        return error_set(e, -EINVAL,
                         "usage.input_tokens is missing; leave usage out when it is not known.");
    if (ret->cache_read > ret->input)
        return error_set(e, -EINVAL,
                         "usage.cache_read_tokens is %" PRId64 ", more than the %" PRId64
                         " of usage.input_tokens, which they are part of.",
                         ret->cache_read, ret->input);
    return 0;
}

static int read_headers(struct json_span headers, struct permit_result *ret, struct error *e)
{
    int64_t count = 0;
    if (!is_told(headers))
        return 0;
    if (json_kind(headers) != JSON_OBJ)
        return error_set(e, -EINVAL, "headers must be an object of names and their values.");
    for (struct json_iter it = json_iter(headers); json_next(&it); count++) {
        if (json_kind(it.value) != JSON_STR)
            return error_set(e, -EINVAL, "headers.%.*s must be a string.",
                             (int)(it.key.len < 40 ? it.key.len - 2 : 38), it.key.at + 1);
    }
    if (count > PERMIT_MAX_HEADERS)
        return error_set(e, -EINVAL,
                         "headers has %" PRId64 " lines; at most %d are taken: send those that "
                         "tell of limits and retry-after.",
                         count, PERMIT_MAX_HEADERS);
    ret->headers = headers;
    return 0;
}

int permit_result_read(const char *text, size_t len, struct permit_result *ret, struct error *e)
{
    int64_t status = 200;
    struct error wrong;
    *ret = (struct permit_result){.status = 200};
    if (json_scan_check(text, len, &wrong) < 0)
        return error_set(e, -EINVAL, "The body is %.200s.", wrong.text);
    struct json_span result = json_span_of(text, len), told = json_get(result, "status");
    if (json_kind(result) != JSON_OBJ)
        return error_set(e, -EINVAL,
                         "The body must be an object: {\"usage\", \"status\", \"headers\"}.");
    if (is_told(told) && (!json_int(told, &status) || status < 100 || status > 599))
        return error_set(e, -EINVAL,
                         "status is %.*s; it must be the HTTP status of the provider's answer, 100 "
                         "to 599.",
                         (int)(told.len < 40 ? told.len : 40), told.at);
    ret->status = (int)status;
    ret->body = json_get(result, "body");
    if (!is_told(ret->body))
        ret->body = (struct json_span){0};
    int rc = read_usage(json_get(result, "usage"), ret, e);
    return rc < 0 ? rc : read_headers(json_get(result, "headers"), ret, e);
}

/* Header names are compared without regard to case; one written with escapes is none of ours. */
const char *permit_result_header(void *arg, const char *name)
{
    struct permit_result *r = arg;
    const char *found = NULL;
    for (struct json_iter it = json_iter(r->headers); json_next(&it);) {
        struct json_span key = json_inside(it.key);
        if (key.len != strlen(name) || strncasecmp(key.at, name, key.len) != 0)
            continue;
        struct buf value;
        buf_init(&value, sizeof(r->value) - 1);
        if (json_text(it.value, &value) == 0) {
            if (value.len > 0)
                memcpy(r->value, value.data, value.len);
            r->value[value.len] = '\0';
            found = r->value;
        }
        buf_release(&value);
    }
    return found;
}

struct wire_answer permit_result_answer(struct permit_result *r, const struct wire_rules *rules,
                                        enum wire_endpoint endpoint, int64_t now_wall_ms,
                                        struct wire_usage *ret)
{
    struct wire_reply reply = {.status = r->status, .header = permit_result_header, .arg = r};
    struct buf text;
    buf_init(&text, HTTP_MAX_BODY_BYTES);
    if (r->body.at && json_kind(r->body) != JSON_STR) {
        reply.body = r->body.at;
        reply.len = r->body.len;
    } else if (r->body.at && json_text(r->body, &text) == 0) {
        reply.body = text.data;
        reply.len = text.len;
    }
    struct wire_answer answer = wire_classify(rules, &reply, now_wall_ms);
    *ret = (struct wire_usage){.known = r->usage_told,
                               .input = r->input,
                               .output = r->output,
                               .cache_read = r->cache_read};
    if (!r->usage_told && reply.body)
        wire_usage_read(endpoint, reply.body, reply.len, ret);
    buf_release(&text);
    return answer;
}
