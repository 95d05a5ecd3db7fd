#include "api/answer.h"

#include "common/limits.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_BODY_BYTES (8 * KIB)
#define JSON_TYPE        "application/json"
#define NO_MEMORY                                                                                  \
    "{\"error\":{\"message\":\"Sluice is out of memory.\",\"type\":\"server_error\","              \
    "\"param\":null,\"code\":\"out_of_memory\"}}"

enum wire_format answer_format(const char *path)
{
    return strncmp(path, "/v1/messages", 12) == 0 ? WIRE_ANTHROPIC : WIRE_OPENAI;
}

/* Our own header values hold no control bytes, so only memory can fail: then it is left out. */
static void set_header(struct exchange *x, const char *name, const char *value)
{
    if (exchange_set_header(x, name, value) < 0)
        return;
}

/* SDKs obey retry-after only up to 60 s and then come back within seconds; told not to retry
 * they obey. What waiting cannot mend is not to be repeated at all. */
static void set_retry(struct exchange *x, const struct call_failure *f)
{
    char text[24];
    bool waiting_helps = f->status == 503 || f->status == 502 || f->status == 429;
    if (f->retry_after_ms >= 0) {
        (void)snprintf(text, sizeof(text), "%" PRId64, (f->retry_after_ms + 999) / 1000);
        set_header(x, "retry-after", text);
        (void)snprintf(text, sizeof(text), "%" PRId64, f->retry_after_ms);
        set_header(x, "retry-after-ms", text);
    }
    bool no_money = f->code && strcmp(f->code, CALL_NO_MONEY) == 0;
    if (!waiting_helps || no_money || f->retry_after_ms > 60000)
        set_header(x, "x-should-retry", "false");
}

void answer_failure(struct exchange *x, enum wire_format format, const struct call_failure *f)
{
    struct wire_error error = {
        .status = f->status,
        .type = f->type,
        .code = f->code && *f->code ? f->code : NULL,
        .param = f->param && *f->param ? f->param : NULL,
        .message = f->message,
    };
    struct buf body;
    buf_init(&body, ERROR_BODY_BYTES);
    set_retry(x, f);
    if (wire_error(format, &error, &body) < 0)
        exchange_reply(x, 503, JSON_TYPE, NO_MEMORY, strlen(NO_MEMORY));
    else
        exchange_reply(x, f->status, JSON_TYPE, body.data, body.len);
    buf_release(&body);
}

void answer_error(struct exchange *x, enum wire_format format, int status, const char *code,
                  const char *message)
{
    struct call_failure f;
    call_failure_set(&f, status, code, "%s", message);
    if (status == 503)
        f.retry_after_ms = 1000;
    answer_failure(x, format, &f);
}

void answer_json(struct exchange *x, int status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    if (text)
        exchange_reply(x, status, JSON_TYPE, text, strlen(text));
    else
        exchange_reply(x, 503, JSON_TYPE, NO_MEMORY, strlen(NO_MEMORY));
    free(text);
    json_decref(body);
}

void answer_write_error(const char *path, int status, const char *message, struct evbuffer *out)
{
    struct wire_error error = {.status = status, .message = message};
    struct buf body;
    buf_init(&body, ERROR_BODY_BYTES);
    if (wire_error(answer_format(path), &error, &body) == 0)
        (void)evbuffer_add(out, body.data, body.len);
    else
        (void)evbuffer_add(out, NO_MEMORY, strlen(NO_MEMORY));
    buf_release(&body);
}

const char *answer_duration(int64_t ms, char *out)
{
    int64_t hours = ms / 3600000, minutes = ms / 60000 % 60, rest = ms % 60000;
    if (ms < 1000)
        (void)snprintf(out, ANSWER_DURATION_BYTES, "%" PRId64 "ms", ms);
    else if (hours > 0)
        (void)snprintf(out, ANSWER_DURATION_BYTES, "%" PRId64 "h%" PRId64 "m%gs", hours, minutes,
                       (double)rest / 1000);
    else if (minutes > 0)
        (void)snprintf(out, ANSWER_DURATION_BYTES, "%" PRId64 "m%gs", minutes, (double)rest / 1000);
    else
        (void)snprintf(out, ANSWER_DURATION_BYTES, "%gs", (double)rest / 1000);
    return out;
}
