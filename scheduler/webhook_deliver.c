#include "scheduler/webhook_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/http_client.h"
#include "scheduler/provider/wire_time.h"
#include "scheduler/webhook_field.h"
#include "scheduler/webhook_retry.h"
#include "scheduler/webhook_sign.h"
#include "scheduler/webhook_url.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_BYTES      64
#define WHY_BYTES       160
#define SIGNATURE_BYTES 512
#define ATTEMPT_BYTES   2048
#define NUMBER_BYTES    24
#define USER_AGENT      "sluice/" SLUICE_VERSION

/* One on its way. */
struct delivery {
    struct list link;
    struct webhooks *w;
    struct http_transfer *transfer;
    struct event *timer; /* of the whole attempt */
    char id[WEBHOOK_ID_BYTES], type[TYPE_BYTES], server[WEBHOOK_SHOWN_BYTES];
    int64_t number, tries, begun_ms, at_s;
    int64_t asked_ms; /* by Retry-After */
    int status;       /* 0: none came */
    struct buf payload;
};

static void delivery_free(struct delivery *d)
{
    list_remove(&d->link);
    d->w->in_flight--;
    if (d->timer)
        event_free(d->timer);
    buf_release(&d->payload);
    free(d);
}

void webhook_deliveries_drop(struct webhooks *w)
{
    while (!list_is_empty(&w->deliveries)) {
        struct delivery *d = LIST_ITEM(w->deliveries.next, struct delivery, link);
        if (d->transfer)
            http_transfer_cancel(d->transfer);
        delivery_free(d);
    }
}

/* ---- its end */

static void on_settled(void *arg, enum redis_status status, const char *word)
{
    struct webhooks *w = arg;
    (void)word;
    if (status == REDIS_OK)
        webhooks_take(w); /* a place is free, and it may be due again soon */
}

static void log_end(const struct delivery *d, const char *what, const char *why)
{
    char status[LOG_NUMBER_BYTES], tries[LOG_NUMBER_BYTES];
    bool bad = *why != '\0';
    log_write(bad ? LOG_WARN : LOG_INFO, what, "delivery", d->id, "type", d->type, "server",
              d->server, "status", log_number(status, d->status), "attempt",
              log_number(tries, d->tries), "reason", why, NULL);
}

static void write_attempt(const struct delivery *d, const char *why, struct buf *out)
{
    (void)buf_addf(out, "{\"at\":%" PRId64 ",\"status\":", d->at_s);
    (void)(d->status > 0 ? buf_addf(out, "%d", d->status) : buf_adds(out, "null"));
    (void)buf_adds(out, *why ? ",\"error\":\"" : ",\"error\":null");
    (void)buf_add_json(out, why, strlen(why));
    (void)buf_addf(out, "%s,\"ms\":%" PRId64 "}", *why ? "\"" : "", clock_mono_ms() - d->begun_ms);
}

/* why: "" it arrived. d is gone. */
static void end(struct delivery *d, const char *why)
{
    struct webhooks *w = d->w;
    struct webhook_rules rules = webhooks_rules(w);
    struct webhook_outcome o = {.id = d->id, .number = d->number, .state = WEBHOOK_DELIVERED};
    struct buf attempt;
    buf_init(&attempt, ATTEMPT_BYTES);
    write_attempt(d, why, &attempt);
    o.attempt = attempt.failed ? "{}" : attempt.data;
    if (*why) {
        o.delay_ms = webhook_retry_ms(d->tries, webhooks_config(w)->webhooks.first_retry_ms,
                                      d->asked_ms, &w->rand);
        o.state = d->status == 410 || o.delay_ms < 0 ? WEBHOOK_FAILED : WEBHOOK_WAITING;
    }
    log_end(d,
            o.state == WEBHOOK_DELIVERED ? "webhook delivered"
            : o.state == WEBHOOK_FAILED  ? "webhook given up"
                                         : "webhook not delivered, it is tried again",
            why);
    webhook_store_settle(w->options.store, &rules, &o, on_settled, w);
    buf_release(&attempt);
    delivery_free(d);
}

static void end_by_status(struct delivery *d, const char *otherwise)
{
    char why[WHY_BYTES] = "";
    if (d->status == 410)
        (void)snprintf(why, sizeof(why), "the receiver says that it is gone for good");
    else if (d->status >= 300 && d->status < 400)
        (void)snprintf(why, sizeof(why), "it redirects, which is not followed");
    else if (d->status < 200 || d->status >= 300)
        (void)snprintf(why, sizeof(why), "%.150s", otherwise);
    end(d, why);
}

/* ---- the transfer */

static void on_headers(void *arg, struct http_transfer *t, int status)
{
    struct delivery *d = arg;
    const char *after = http_reply_header(t, "retry-after");
    d->status = status;
    if (after && (status == 429 || status == 503))
        (void)wire_retry_after(after, clock_wall_ms(), &d->asked_ms);
}

/* Not kept: it is counted against its maximum by the client, and nobody reads it. */
static void on_body(void *arg, struct http_transfer *t, const char *bytes, size_t len)
{
    (void)arg;
    (void)t;
    (void)bytes;
    (void)len;
}

/* A head that says 2xx is an answer, whatever became of the body behind it. */
static void on_done(void *arg, struct http_transfer *t, enum http_result result, int status,
                    const char *detail)
{
    struct delivery *d = arg;
    char why[WHY_BYTES];
    (void)t;
    d->transfer = NULL;
    d->status = status;
    (void)snprintf(why, sizeof(why), "it answered %d", status);
    end_by_status(d, result == HTTP_DONE ? why : detail);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct delivery *d = arg;
    (void)fd;
    (void)what;
    if (d->transfer)
        http_transfer_cancel(d->transfer);
    d->transfer = NULL;
    end_by_status(d, "no whole answer within webhooks.timeout_ms");
}

static void post(struct delivery *d, const char *url, const char *signature)
{
    static const struct http_handlers handlers = {on_headers, on_body, on_done};
    char at[NUMBER_BYTES];
    int timeout_ms = (int)webhooks_config(d->w)->webhooks.timeout_ms;
    int part_ms = timeout_ms + 1000; /* of the whole the timer decides, so that one is told of */
    struct error e = {.text = ""};
    (void)snprintf(at, sizeof(at), "%" PRId64, d->at_s);
    const struct http_header headers[] = {
        {.name = "content-type", .value = "application/json"},
        {.name = "user-agent", .value = USER_AGENT},
        {.name = "webhook-id", .value = d->id},
        {.name = "webhook-timestamp", .value = at},
        {.name = "webhook-signature", .value = signature},
    };
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .header_count = sizeof(headers) / sizeof(headers[0]),
                                   .body = d->payload.data,
                                   .body_len = d->payload.len,
                                   .connect_ms = part_ms,
                                   .first_byte_ms = part_ms,
                                   .idle_ms = part_ms,
                                   .max_body_bytes = WEBHOOK_MAX_REPLY_BYTES};
    d->transfer = http_transfer_start(d->w->http, &request, &handlers, d, &e);
    if (!d->transfer) {
        end(d, e.text);
        return;
    }
    struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    (void)evtimer_add(d->timer, &tv);
}

/* What is wrong before anything is sent (a configuration that changed since) is a failed attempt:
 * it may change back. */
static void begin(struct delivery *d, const struct webhook_entry *entry)
{
    const struct config *c = webhooks_config(d->w);
    struct config_webhook settings = webhook_settings(c, entry->tenant);
    struct webhook_message m = {d->id, d->at_s, d->payload.data, d->payload.len};
    struct buf signature;
    struct error e = {.text = ""};
    buf_init(&signature, SIGNATURE_BYTES);
    if (webhook_url_check(entry->url, c->webhooks.allow_private, &e) < 0)
        end(d, e.text);
    else if (!settings.secret)
        end(d, "webhooks.secret is not set any more");
    else if (webhook_sign(settings.secret, &m, &signature) < 0)
        end(d, "it could not be signed");
    else
        post(d, entry->url, signature.data);
    buf_release(&signature);
}

void webhook_deliver(struct webhooks *w, const struct webhook_taken *taken)
{
    struct delivery *d = calloc(1, sizeof(*d));
    if (!d)
        return; /* its lease ends, and it is due again */
    d->w = w;
    d->number = taken->number;
    d->tries = taken->tries;
    d->begun_ms = clock_mono_ms();
    d->at_s = clock_wall_ms() / 1000;
    (void)snprintf(d->id, sizeof(d->id), "%s", taken->entry.id);
    (void)snprintf(d->type, sizeof(d->type), "%s", taken->entry.type);
    (void)webhook_url_server(taken->entry.url, d->server);
    buf_init(&d->payload, WEBHOOK_MAX_PAYLOAD_BYTES + KIB);
    list_add_last(&w->deliveries, &d->link);
    w->in_flight++;
    d->timer = evtimer_new(w->options.base, on_time, d);
    if (!d->timer || buf_add(&d->payload, taken->entry.payload, taken->payload_len) < 0) {
        delivery_free(d);
        return;
    }
    begin(d, &taken->entry);
}
