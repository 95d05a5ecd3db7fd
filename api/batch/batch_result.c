#include "api/batch/batch_result.h"

#include "common/limits.h"
#include "scheduler/provider/wire.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON as it is, in one line; what is none (a proxy's HTML page) as a string. */
static void add_flat(struct buf *out, const char *text, size_t len)
{
    struct error e;
    if (len > 0 && json_scan_check(text, len, &e) == 0) {
        size_t at = out->len;
        if (buf_add(out, text, len) == 0)
            for (; at < out->len; at++)
                if (out->data[at] == '\n' || out->data[at] == '\r')
                    out->data[at] = ' ';
        return;
    }
    json_t *string = len > 0 ? json_stringn(text, len) : NULL;
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    (void)buf_adds(out, quoted ? quoted : "null");
    free(quoted);
    json_decref(string);
}

static void add_openai(const struct batch_result *r, struct buf *out)
{
    (void)buf_addf(out, "{\"id\":\"batch_req_%.100s_%u\",\"custom_id\":\"", r->batch, r->number);
    (void)buf_add(out, r->custom.at, r->custom.len);
    if (r->status > 0) {
        (void)buf_addf(out,
                       "\",\"response\":{\"status_code\":%d,\"request_id\":\"req_%.100s_%u\","
                       "\"body\":",
                       r->status, r->batch, r->number);
        add_flat(out, r->body, r->body_len);
        (void)buf_adds(out, "},\"error\":null}\n");
        return;
    }
    (void)buf_adds(out, "\",\"response\":null,\"error\":");
    if (r->outcome == BATCH_EXPIRED)
        (void)buf_adds(out, "{\"code\":\"batch_expired\",\"message\":\"This request could not be "
                            "executed before the completion window expired.\"}");
    else if (r->outcome == BATCH_CANCELLED)
        (void)buf_adds(out, "{\"code\":\"batch_cancelled\",\"message\":\"The batch was cancelled "
                            "before this request was executed.\"}");
    else if (r->error && *r->error)
        add_flat(out, r->error, strlen(r->error));
    else
        (void)buf_adds(out, "{\"code\":\"server_error\",\"message\":\"There is no answer.\"}");
    (void)buf_adds(out, "}\n");
}

static int add_anthropic_error(const struct batch_result *r, struct buf *out)
{
    struct json_span error =
        json_span_of(r->error ? r->error : "", r->error ? strlen(r->error) : 0);
    struct buf text;
    int64_t status = 500;
    if (r->status > 0 && r->body_len > 0) {
        add_flat(out, r->body, r->body_len);
        return 0;
    }
    buf_init(&text, BATCH_MAX_RECORD);
    (void)json_int(json_get(error, "status"), &status);
    int rc = json_text(json_get(error, "message"), &text);
    struct wire_error e = {.status = (int)status,
                           .message = rc == 0 && text.data ? text.data : "There is no answer."};
    rc = wire_error(WIRE_ANTHROPIC, &e, out);
    buf_release(&text);
    return rc;
}

static int add_anthropic(const struct batch_result *r, struct buf *out)
{
    static const char *const types[] = {"succeeded", "errored", "canceled", "expired"};
    int rc = 0;
    (void)buf_adds(out, "{\"custom_id\":\"");
    (void)buf_add(out, r->custom.at, r->custom.len);
    (void)buf_addf(out, "\",\"result\":{\"type\":\"%s\"", types[r->outcome]);
    if (r->outcome == BATCH_OK) {
        (void)buf_adds(out, ",\"message\":");
        add_flat(out, r->body, r->body_len);
    } else if (r->outcome == BATCH_FAILED) {
        (void)buf_adds(out, ",\"error\":");
        rc = add_anthropic_error(r, out);
    }
    (void)buf_adds(out, "}}\n");
    return rc;
}

int batch_result_write(const struct batch_result *r, bool anthropic, struct buf *out)
{
    int rc = 0;
    if (anthropic)
        rc = add_anthropic(r, out);
    else
        add_openai(r, out);
    return rc < 0 ? rc : out->failed;
}

enum batch_outcome batch_result_outcome(struct json_span line, bool anthropic, int which)
{
    struct json_span told = anthropic ? json_get(json_get(line, "result"), "type")
                                      : json_get(json_get(line, "error"), "code");
    if (anthropic && json_equals(told, "succeeded"))
        return BATCH_OK;
    if (json_equals(told, "canceled") || json_equals(told, "batch_cancelled"))
        return BATCH_CANCELLED;
    if (json_equals(told, "expired") || json_equals(told, "batch_expired"))
        return BATCH_EXPIRED;
    return anthropic || which == 1 ? BATCH_FAILED : BATCH_OK;
}
