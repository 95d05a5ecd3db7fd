#include "api/batch/batch_talk.h"

#include "common/json_scan.h"
#include "common/limits.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANTHROPIC_VERSION "2023-06-01"
#define URL_BYTES         2048
#define AUTH_BYTES        4096

void batch_talk_init(struct batch_talk *t, struct http_client *http, batch_talk_fn fn, void *arg)
{
    *t = (struct batch_talk){.http = http, .fd = -1, .fn = fn, .arg = arg};
    buf_init(&t->body, BATCH_MAX_TALK_BYTES);
}

void batch_talk_stop(struct batch_talk *t)
{
    if (t->transfer)
        http_transfer_cancel(t->transfer);
    t->transfer = NULL;
    buf_release(&t->body);
}

static bool is_good(int status)
{
    return status >= 200 && status < 300;
}

static void on_headers(void *arg, struct http_transfer *transfer, int status)
{
    struct batch_talk *t = arg;
    (void)transfer;
    t->status = status;
}

static void on_body(void *arg, struct http_transfer *transfer, const char *bytes, size_t len)
{
    struct batch_talk *t = arg;
    (void)transfer;
    if (t->fd < 0 || !is_good(t->status)) {
        (void)buf_add(&t->body, bytes, len);
        return;
    }
    for (size_t done = 0; done < len && !t->write_error;) {
        ssize_t n = write(t->fd, bytes + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            t->write_error = n < 0 ? errno : EIO;
    }
}

/* JSON takes only whole characters, and the last one may be cut. */
static void mend(char why[BATCH_WHY_BYTES])
{
    unsigned char whole[BATCH_WHY_BYTES * UTF8_REPLACEMENT_BYTES];
    size_t len = utf8_repair(why, strlen(why), whole);
    if (len >= BATCH_WHY_BYTES)
        len = utf8_floor(whole, len, BATCH_WHY_BYTES - 1);
    memcpy(why, whole, len);
    why[len] = '\0';
}

static void read_why(const struct batch_talk *t, struct batch_talk_answer *a, const char *detail)
{
    struct error e;
    struct buf text;
    struct json_span body = json_span_of(t->body.data ? t->body.data : "", t->body.len);
    buf_init(&text, 4 * KIB);
    bool told = json_scan_check(body.at, body.len, &e) == 0 &&
                json_text(json_get(json_get(body, "error"), "message"), &text) == 0;
    if (a->result != HTTP_DONE)
        (void)snprintf(a->why, sizeof(a->why), "%.190s", detail);
    else if (told && text.data)
        (void)snprintf(a->why, sizeof(a->why), "HTTP %d: %.150s", a->status, text.data);
    else
        (void)snprintf(a->why, sizeof(a->why), "HTTP %d", a->status);
    mend(a->why);
    buf_release(&text);
}

static void on_done(void *arg, struct http_transfer *transfer, enum http_result result, int status,
                    const char *detail)
{
    struct batch_talk *t = arg;
    const char *after = http_reply_header(transfer, "retry-after");
    struct batch_talk_answer a = {.result = result,
                                  .status = result == HTTP_DONE ? status : 0,
                                  .unsent = !http_transfer_sent(transfer),
                                  .retry_after_ms = after ? strtoll(after, NULL, 10) * 1000 : -1};
    t->transfer = NULL;
    if (a.result == HTTP_DONE && (t->write_error || t->body.failed)) {
        a.result = HTTP_NO_MEMORY;
        a.status = 0;
        detail = t->write_error ? strerror(t->write_error) : "its answer is too large";
    }
    read_why(t, &a, detail);
    struct buf body = t->body; /* fn may start the next one */
    buf_init(&t->body, BATCH_MAX_TALK_BYTES);
    a.body = body.data ? body.data : "";
    a.len = body.len;
    t->fn(t->arg, &a);
    buf_release(&body);
}

int batch_talk_start(struct batch_talk *t, const struct batch_way *way,
                     const struct batch_talk_ask *ask, struct error *e)
{
    static const struct http_handlers handlers = {on_headers, on_body, on_done};
    char url[URL_BYTES], auth[AUTH_BYTES];
    const struct config_provider *p = way->provider;
    bool openai = p->format == CONFIG_OPENAI;
    const char *key = way->account->api_key ? way->account->api_key : "";
    /* As of calls: OpenAI's base_url ends in /v1, Anthropic's does not. */
    int n = snprintf(url, sizeof(url), "%s%s%s", p->base_url, openai ? "" : "/v1", ask->path);
    int m = snprintf(auth, sizeof(auth), "%s%s", openai ? "Bearer " : "", key);
    if (n < 0 || (size_t)n >= sizeof(url) || m < 0 || (size_t)m >= sizeof(auth))
        return error_set(e, -ENOSPC, "the provider's base_url or key is too long");
    const struct http_header headers[] = {
        {.name = openai ? "Authorization" : "x-api-key", .value = auth},
        {.name = "Content-Type", .value = ask->type ? ask->type : "application/json"},
        {.name = "anthropic-version", .value = ANTHROPIC_VERSION},
    };
    struct http_request request = {.method = ask->method,
                                   .url = url,
                                   .headers = headers,
                                   .header_count = openai ? 2 : 3,
                                   .body = ask->body,
                                   .body_len = ask->body_len,
                                   .connect_ms = (int)p->connect_ms,
                                   .first_byte_ms = (int)p->first_byte_ms,
                                   .idle_ms = (int)p->idle_ms,
                                   .max_body_bytes = BATCH_MAX_FETCH_BYTES};
    t->fd = ask->fd;
    t->status = t->write_error = 0;
    buf_release(&t->body);
    buf_init(&t->body, BATCH_MAX_TALK_BYTES);
    t->transfer = http_transfer_start(t->http, &request, &handlers, t, e);
    explicit_bzero(auth, sizeof(auth));
    return t->transfer ? 0 : -EINVAL;
}
