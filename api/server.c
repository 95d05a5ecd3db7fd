#include "api/server.h"

#include "api/conn.h"
#include "api/exchange.h"
#include "api/http_filter.h"
#include "api/listener.h"
#include "common/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

/* Above all of ours, so that evhttp never comes to answer in HTML. */
#define EVHTTP_HEADER_BYTES (64 * KIB)
#define EVHTTP_MORE_BYTES   (1 * MIB)

#define EVERY_METHOD                                                                               \
    (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |     \
     EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH)

/* 0, or the status to refuse with. */
static int check(struct http_filter *f, struct evhttp_request *request)
{
    struct http_request_line line = {
        .method = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD ? "HEAD" : "",
        .uri = evhttp_request_get_uri(request),
        .major = request->major,
        .minor = request->minor,
    };
    struct evkeyval *header;
    http_filter_init(f);
    TAILQ_FOREACH(header, evhttp_request_get_input_headers(request), next)
    http_filter_header(f, header->key, header->value);
    return http_filter_end(f, &line);
}

/* Two readers saw this request; when they do not agree on where it ends, neither is
 * believed. */
static bool readers_agree(const struct conn *c, struct evhttp_request *request)
{
    return http_guard_phase(&c->guard) == HTTP_GUARD_DONE &&
           c->guard.body_bytes == evbuffer_get_length(evhttp_request_get_input_buffer(request));
}

static void on_http_request(struct evhttp_request *request, void *arg)
{
    struct server *s = arg;
    struct conn *c = s->current;
    struct evhttp_connection *evcon = evhttp_request_get_connection(request);
    if (!c || c->evcon != evcon) { /* no memory for a conn, so nothing was checked */
        evhttp_connection_free(evcon);
        return;
    }
    conn_begin(c, request);
    struct http_filter filter;
    if (!readers_agree(c, request)) {
        conn_refuse(c, 400, "The request is ambiguous.");
        return;
    }
    if (check(&filter, request)) {
        conn_refuse(c, filter.status, filter.why);
        return;
    }
    struct exchange *x = exchange_new(c, request, &filter);
    if (!x) {
        conn_refuse(c, 503, "The service is out of memory.");
        return;
    }
    s->handling = c;
    s->on_request(s->arg, x);
    if (s->handling == c && c->exchange == x)
        conn_watch(c);
    s->handling = NULL;
}

/* Timers of one length share a queue in libevent, where adding one costs the same however
 * many there are. */
static struct timeval common_timeout(struct event_base *base, int ms, int default_ms)
{
    ms = ms > 0 ? ms : default_ms;
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};
    const struct timeval *common = event_base_init_common_timeout(base, &tv);
    return common ? *common : tv;
}

static void set_timeouts(struct server *s, const struct server_options *o)
{
    s->header_tv = common_timeout(s->base, o->header_ms, HTTP_HEADER_MS);
    s->idle_tv = common_timeout(s->base, o->idle_ms, HTTP_IDLE_MS);
    s->body_tv = common_timeout(s->base, o->body_ms, HTTP_BODY_MS);
    s->write_tv = common_timeout(s->base, o->write_ms, HTTP_WRITE_MS);
    s->linger_tv = common_timeout(s->base, 0, HTTP_LINGER_MS);
    s->check_tv = common_timeout(s->base, 0, 1000);
}

struct server *server_new(struct event_base *base, const struct server_options *options,
                          exchange_fn on_request, void *arg, struct error *e)
{
    struct server *s = calloc(1, sizeof(*s));
    if (!s || !(s->http = evhttp_new(base))) {
        error_set(e, -ENOMEM, "out of memory");
        free(s);
        return NULL;
    }
    s->base = base;
    s->options = *options;
    s->options.listen = NULL; /* borrowed for this call only */
    if (options->upload_target && !(s->upload_folder = strdup(options->upload_folder))) {
        error_set(e, -ENOMEM, "out of memory");
        server_free(s);
        return NULL;
    }
    s->options.upload_folder = NULL;
    s->on_request = on_request;
    s->arg = arg;
    set_timeouts(s, options);
    evhttp_set_max_headers_size(s->http, EVHTTP_HEADER_BYTES);
    size_t most = options->max_body_bytes;
    if (options->upload_target && most < FILE_MAX_UPLOAD_BYTES)
        most = FILE_MAX_UPLOAD_BYTES;
    evhttp_set_max_body_size(s->http, (ev_ssize_t)most + EVHTTP_MORE_BYTES);
    evhttp_set_allowed_methods(s->http, EVERY_METHOD);
    evhttp_set_bevcb(s->http, conn_open, s);
    evhttp_set_gencb(s->http, on_http_request, s);
    s->listener = listener_new(base, s->http, options->listen, options->reuse_port, e);
    if (!s->listener) {
        server_free(s);
        return NULL;
    }
    return s;
}

const char *server_address(const struct server *s)
{
    return listener_address(s->listener);
}

void server_drain(struct server *s)
{
    s->draining = true;
}

void server_close(struct server *s)
{
    listener_stop(s->listener);
}

size_t server_open_exchanges(const struct server *s)
{
    return s->open_exchanges;
}

size_t server_connections(const struct server *s)
{
    return s->connections;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    if (s->listener)
        listener_stop(s->listener);
    evhttp_free(s->http);
    conn_free_all(s);
    free(s->upload_folder);
    listener_free(s->listener);
    free(s);
}
