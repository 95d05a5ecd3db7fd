/*
 * route_stats: the numbers of api/stats.h, once or as a stream.
 *
 * The stream is Server-Sent Events, one `stats` event a second, whose data is the object of
 * GET /v1/stats. Without a client that listens nothing is gathered. It ends when the instance
 * drains: the client connects again, to an instance that stays.
 */
#include "api/answer.h"
#include "api/route.h"
#include "api/stats.h"

#include "common/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY "Sluice is out of memory."

struct reader {
    struct stats_wait wait;
    struct service *service;
    struct exchange *exchange;
    bool started;
    char only[TENANT_NAME_BYTES + 1];
    const char *tenant; /* that alone is told of; NULL: all */
};

static void on_gone(void *arg)
{
    struct reader *r = arg;
    stats_forget(&r->wait);
    free(r);
}

static void read_with(const struct route_request *r, stats_fn fn,
                      void (*begin)(struct stats *s, struct stats_wait *w))
{
    struct reader *reader = calloc(1, sizeof(*reader));
    if (!reader) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", NO_MEMORY);
        return;
    }
    reader->service = r->service;
    reader->exchange = r->exchange;
    if (!auth_sees_all(&r->caller)) {
        (void)snprintf(reader->only, sizeof(reader->only), "%s", r->caller.tenant);
        reader->tenant = reader->only;
    }
    reader->wait.fn = fn;
    reader->wait.arg = reader;
    exchange_on_gone(r->exchange, on_gone, reader);
    begin(service_stats(r->service), &reader->wait);
}

static void on_view(void *arg, struct stats_view *view)
{
    struct reader *r = arg;
    const char *text = view ? stats_text(r->service, view, r->tenant) : NULL;
    if (text && exchange_set_header(r->exchange, "Cache-Control", "no-store") == 0)
        exchange_reply(r->exchange, 200, "application/json", text, strlen(text));
    else
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", NO_MEMORY);
    free(r);
}

void route_stats(const struct route_request *r)
{
    read_with(r, on_view, stats_ask);
}

/* ---- the stream */

static bool start(struct reader *r)
{
    static const char retry[] = "retry: 1000\n\n";
    if (exchange_set_header(r->exchange, "Cache-Control", "no-store") < 0 ||
        exchange_set_header(r->exchange, "X-Accel-Buffering", "no") < 0)
        return false;
    exchange_stream_start(r->exchange, 200, "text/event-stream");
    (void)exchange_stream_write(r->exchange, retry, sizeof(retry) - 1);
    r->started = true;
    return true;
}

static void end(struct reader *r)
{
    stats_forget(&r->wait);
    if (r->started)
        exchange_stream_end(r->exchange);
    else
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", NO_MEMORY);
    free(r);
}

static void write_event(struct exchange *x, const char *text)
{
    static const char head[] = "event: stats\ndata: ";
    /* Who does not read fast enough misses views, it does not pile them up here. */
    if (exchange_stream_queued(x) > HTTP_STREAM_LOW_BYTES)
        return;
    (void)exchange_stream_write(x, head, sizeof(head) - 1);
    (void)exchange_stream_write(x, text, strlen(text));
    (void)exchange_stream_write(x, "\n\n", 2);
}

static void on_watched(void *arg, struct stats_view *view)
{
    struct reader *r = arg;
    const char *text = view ? stats_text(r->service, view, r->tenant) : NULL;
    if (!text || (!r->started && !start(r))) {
        end(r);
        return;
    }
    write_event(r->exchange, text);
    if (service_is_draining(r->service) || strcmp(exchange_method(r->exchange), "HEAD") == 0)
        end(r);
}

void route_stats_stream(const struct route_request *r)
{
    read_with(r, on_watched, stats_watch);
}
