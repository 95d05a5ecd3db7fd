#include "api/demo/demo_agent.h"

#include "common/clock.h"
#include "common/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <jansson.h>

#define MAX_BODY_BYTES    (16 * MIB)
#define SDK_LONGEST_MS    60000
#define SDK_FIRST_MS      500
#define SDK_MOST_MS       8000
#define FIRST_BYTE_MS     600000 /* the SDKs' timeout: 10 minutes */
#define HIGHEST_RETRIABLE 599

static void send_turn(struct demo_agent *a);

static void end(struct demo_agent *a, enum demo_state state)
{
    a->state = state;
    if (state == DEMO_FINISHED)
        a->tally->finished++;
    else
        a->tally->died++;
    a->on_end(a->arg);
}

/* ---- the conversation */

static int add_message(struct demo_agent *a, const char *role, const char *text)
{
    (void)buf_addf(&a->messages, "%s{\"role\":\"%s\",\"content\":\"", a->messages.len ? "," : "",
                   role);
    (void)buf_add_json(&a->messages, text, strlen(text));
    (void)buf_adds(&a->messages, "\"}");
    return a->messages.failed;
}

/* Words of four bytes, about one token each for any tokenizer of English. */
static int add_question(struct demo_agent *a)
{
    static const char words[] = " the and for not you all can her was one our out day get has him";
    struct buf text;
    buf_init(&text, MAX_BODY_BYTES);
    for (int64_t i = 0; i < a->work->text_tokens; i++)
        (void)buf_add(&text, words + (a->number * 7 + a->turn * 3 + i) % 16 * 4, 4);
    int rc = text.failed ? text.failed : add_message(a, "user", text.data);
    buf_release(&text);
    return rc;
}

/* False: not an answer. */
static bool take_answer(struct demo_agent *a)
{
    json_t *reply = json_loadb(a->reply.data ? a->reply.data : "", a->reply.len, 0, NULL);
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0);
    const json_t *usage = json_object_get(reply, "usage");
    const char *text =
        json_string_value(json_object_get(json_object_get(choice, "message"), "content"));
    bool ok = text && add_message(a, "assistant", text) == 0;
    if (ok)
        a->tally->tokens += json_integer_value(json_object_get(usage, "total_tokens"));
    json_decref(reply);
    return ok;
}

/* ---- one turn */

int64_t demo_retry_ms(struct rand *rand, int tries, const char *retry_after_ms,
                      const char *retry_after)
{
    double told_ms = 0;
    if (retry_after_ms)
        told_ms = strtod(retry_after_ms, NULL);
    else if (retry_after)
        told_ms = strtod(retry_after, NULL) * 1000;
    if (told_ms > 0 && told_ms <= SDK_LONGEST_MS)
        return (int64_t)told_ms;
    int64_t ms = (int64_t)SDK_FIRST_MS << tries;
    ms = ms < SDK_MOST_MS ? ms : SDK_MOST_MS;
    return ms - rand_below(rand, ms / 4 + 1);
}

static void retry_or_die(struct demo_agent *a, struct http_transfer *t)
{
    if (a->tries >= DEMO_RETRIES) {
        end(a, DEMO_DIED);
        return;
    }
    int64_t ms = demo_retry_ms(&a->rand, a->tries, http_reply_header(t, "retry-after-ms"),
                               http_reply_header(t, "retry-after"));
    struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    a->tries++;
    if (event_add(a->timer, &delay) < 0)
        end(a, DEMO_DIED);
}

static void next_turn(struct demo_agent *a)
{
    int64_t own_ms = DEMO_LATENCY_MS + DEMO_OUTPUT_TOKENS * DEMO_MS_PER_TOKEN;
    int64_t wait_ms = clock_mono_ms() - a->started_ms - own_ms;
    a->tally->waits_ms[a->tally->turns++] = wait_ms > 0 ? wait_ms : 0;
    a->tries = 0;
    if (a->turn == a->work->turns) {
        end(a, DEMO_FINISHED);
        return;
    }
    a->turn++;
    a->started_ms = clock_mono_ms();
    if (add_question(a) < 0)
        end(a, DEMO_DIED);
    else
        send_turn(a);
}

static void on_headers(void *arg, struct http_transfer *t, int status)
{
    (void)arg;
    (void)t;
    (void)status;
}

static void on_body(void *arg, struct http_transfer *t, const char *bytes, size_t len)
{
    (void)t;
    struct demo_agent *a = arg;
    (void)buf_add(&a->reply, bytes, len);
}

static void on_done(void *arg, struct http_transfer *t, enum http_result result, int status,
                    const char *detail)
{
    (void)detail;
    struct demo_agent *a = arg;
    bool whole = result == HTTP_DONE;
    a->transfer = NULL;
    if (whole && status == 429)
        a->tally->refusals++;
    if (whole && status == 200 && take_answer(a))
        next_turn(a);
    else if (!whole || status == 408 || status == 409 || status == 429 ||
             (status >= 500 && status <= HIGHEST_RETRIABLE))
        retry_or_die(a, t);
    else
        end(a, DEMO_DIED);
}

static void send_turn(struct demo_agent *a)
{
    static const struct http_handlers handlers = {on_headers, on_body, on_done};
    static const struct http_header headers[] = {{"content-type", "application/json"},
                                                 {"authorization", "Bearer demo"}};
    struct error e;
    buf_clear(&a->reply);
    buf_clear(&a->body);
    (void)buf_addf(&a->body, "{\"model\":\"demo\",\"max_tokens\":%d,\"messages\":[",
                   DEMO_OUTPUT_TOKENS);
    (void)buf_add(&a->body, a->messages.data, a->messages.len);
    (void)buf_adds(&a->body, "]}");
    const struct http_request request = {
        .method = "POST",
        .url = a->url,
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .body = a->body.data,
        .body_len = a->body.len,
        .first_byte_ms = FIRST_BYTE_MS,
        .max_body_bytes = MAX_BODY_BYTES,
    };
    if (!a->body.failed)
        a->transfer = http_transfer_start(a->client, &request, &handlers, a, &e);
    if (!a->transfer)
        end(a, DEMO_DIED);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    send_turn(arg);
}

int demo_agent_start(struct demo_agent *a, const char *url)
{
    (void)snprintf(a->url, sizeof(a->url), "%.120s/chat/completions", url);
    buf_init(&a->messages, MAX_BODY_BYTES);
    buf_init(&a->body, MAX_BODY_BYTES);
    buf_init(&a->reply, MAX_BODY_BYTES);
    rand_seed(&a->rand, (uint64_t)a->number + 1);
    a->turn = 1;
    a->started_ms = clock_mono_ms();
    a->timer = event_new(a->base, -1, 0, on_timer, a);
    if (!a->timer || add_question(a) < 0)
        return -ENOMEM;
    /* The first request goes out from the loop, so that on_end never comes from here. */
    struct timeval now = {.tv_sec = 0};
    return event_add(a->timer, &now) < 0 ? -ENOMEM : 0;
}

void demo_agent_release(struct demo_agent *a)
{
    if (a->transfer)
        http_transfer_cancel(a->transfer);
    if (a->timer)
        event_free(a->timer);
    buf_release(&a->messages);
    buf_release(&a->body);
    buf_release(&a->reply);
    a->transfer = NULL;
    a->timer = NULL;
}
