#include "api/exchange.h"

#include "api/conn.h"
#include "api/http_filter.h"
#include "api/listener.h"
#include "common/clock.h"
#include "common/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

struct exchange {
    struct conn *conn;              /* NULL once the client is gone */
    struct evhttp_request *request; /* NULL after the gone callback */
    const char *method;
    char *body; /* NULL: empty */
    size_t body_len;
    int body_file; /* -1: none */
    int64_t started_us;
    exchange_gone_fn gone, drain;
    void *gone_arg, *drain_arg;
    bool is_head, is_1_0;
    bool keep;      /* the connection, for another request */
    bool streaming; /* exchange_stream_start() was called */
    bool chunked;
    bool was_high; /* the queue was above HTTP_STREAM_HIGH_BYTES */
    char peer[48];
    char path[]; /* decoded */
};

static const char *method_name(enum evhttp_cmd_type type)
{
    switch (type) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_HEAD:
        return "HEAD";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    case EVHTTP_REQ_OPTIONS:
        return "OPTIONS";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    case EVHTTP_REQ_TRACE:
    case EVHTTP_REQ_CONNECT:
        break; /* refused by the guard */
    }
    return "";
}

/* One copy, out of the evbuffer's pieces into memory of the right size. */
static int take_request_body(struct exchange *x, struct evbuffer *input)
{
    size_t len = evbuffer_get_length(input);
    if (len == 0)
        return 0;
    x->body = malloc(len + 1);
    if (!x->body || evbuffer_remove(input, x->body, len) != (ev_ssize_t)len)
        return -ENOMEM;
    x->body[len] = '\0';
    x->body_len = len;
    return 0;
}

static void set_peer(struct exchange *x)
{
    char *address = NULL;
    uint16_t port;
    evhttp_connection_get_peer(x->conn->evcon, &address, &port);
    if (listener_is_unix(x->conn->server->listener) || !address)
        address = (char *)"unix";
    (void)snprintf(x->peer, sizeof(x->peer), "%s", address);
}

static void release(struct exchange *x)
{
    if (x->body_file >= 0)
        (void)close(x->body_file);
    free(x->body);
    free(x);
}

struct exchange *exchange_new(struct conn *c, struct evhttp_request *request,
                              const struct http_filter *filter)
{
    const char *uri = evhttp_request_get_uri(request);
    size_t len = strcspn(uri, "?#");
    struct exchange *x = calloc(1, sizeof(*x) + len + 1);
    if (!x)
        return NULL;
    x->conn = c;
    x->body_file = -1;
    x->request = request;
    x->method = method_name(evhttp_request_get_command(request));
    x->is_head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
    x->is_1_0 = request->minor == 0;
    x->keep = !filter->close && (!x->is_1_0 || filter->keep_alive);
    x->started_us = clock_mono_us();
    set_peer(x);
    x->body_file = body_spool_give(&c->spool);
    if (http_unescape(uri, len, false, x->path) ||
        (x->body_file < 0 && take_request_body(x, evhttp_request_get_input_buffer(request)))) {
        release(x);
        return NULL;
    }
    c->exchange = x;
    c->server->open_exchanges++;
    return x;
}

void exchange_gone(struct exchange *x)
{
    x->conn->server->open_exchanges--;
    x->conn = NULL;
    bool is_told = x->gone != NULL;
    if (is_told)
        x->gone(x->gone_arg);
    x->request = NULL;
    if (is_told)
        release(x);
}

void exchange_written(struct exchange *x)
{
    if (!x->was_high || conn_queued(x->conn) >= HTTP_STREAM_LOW_BYTES)
        return;
    x->was_high = false;
    if (x->drain)
        x->drain(x->drain_arg);
}

/* ---- reading */

const char *exchange_method(const struct exchange *x)
{
    return x->method;
}

const char *exchange_path(const struct exchange *x)
{
    return x->path;
}

static int decode_value(const char *text, size_t len, char *out, size_t size)
{
    /* Decoded bytes are never more than encoded ones; when those do not fit, count. */
    size_t need = len + 1;
    for (size_t i = 0; i < len; i++)
        need -= text[i] == '%' && len - i > 2 ? 2 : 0;
    if (need > size)
        return -ENOSPC;
    return http_unescape(text, len, true, out);
}

int exchange_query(const struct exchange *x, const char *name, char *out, size_t size)
{
    const char *at = x->request ? strchr(evhttp_request_get_uri(x->request), '?') : NULL;
    size_t name_len = strlen(name);
    while (at) {
        at++;
        size_t len = strcspn(at, "&");
        size_t key_len = strcspn(at, "=&");
        if (key_len == name_len && memcmp(at, name, name_len) == 0) {
            size_t skip = key_len < len ? key_len + 1 : key_len;
            return decode_value(at + skip, len - skip, out, size);
        }
        at = strchr(at, '&');
    }
    return -ENOENT;
}

const char *exchange_header(const struct exchange *x, const char *name)
{
    if (!x->request)
        return NULL;
    return evhttp_find_header(evhttp_request_get_input_headers(x->request), name);
}

void exchange_headers(const struct exchange *x,
                      void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    struct evkeyval *header;
    if (!x->request)
        return;
    TAILQ_FOREACH(header, evhttp_request_get_input_headers(x->request), next)
    fn(arg, header->key, header->value);
}

const char *exchange_body(const struct exchange *x, size_t *ret_len)
{
    *ret_len = x->body_len;
    return x->body ? x->body : "";
}

char *exchange_take_body(struct exchange *x, size_t *ret_len)
{
    char *body = x->body ? x->body : calloc(1, 1);
    *ret_len = x->body_len;
    x->body = NULL;
    x->body_len = 0;
    return body;
}

int exchange_take_body_file(struct exchange *x)
{
    int fd = x->body_file;
    x->body_file = -1;
    return fd;
}

const char *exchange_peer(const struct exchange *x)
{
    return x->peer;
}

int64_t exchange_started_us(const struct exchange *x)
{
    return x->started_us;
}

/* ---- answering */

/* The exchange is over; what happens to the connection is the caller's next line. */
static struct conn *end(struct exchange *x)
{
    struct conn *c = x->conn;
    if (c) {
        c->exchange = NULL;
        c->server->open_exchanges--;
    }
    release(x);
    return c;
}

int exchange_set_header(struct exchange *x, const char *name, const char *value)
{
    return x->conn ? http_reply_add_header(&x->conn->head, name, value) : 0;
}

static int set_content_type(struct exchange *x, const char *content_type)
{
    if (!content_type)
        return 0;
    int rc = exchange_set_header(x, "Content-Type", content_type);
    if (rc == -EINVAL)
        rc = exchange_set_header(x, "Content-Type", "application/octet-stream");
    return rc;
}

static int write_head(struct exchange *x, int status, enum http_framing framing, const void *body,
                      size_t len)
{
    static const char *const ends[] = {"\r\n", "Connection: close\r\n\r\n",
                                       "Connection: keep-alive\r\n\r\n"};
    struct conn *c = x->conn;
    char start[HTTP_REPLY_START_BYTES];
    const char *end = ends[!x->keep ? 1 : x->is_1_0 ? 2 : 0];
    const char *date = http_date_text(&c->server->date, clock_wall_ms());
    struct iovec parts[] = {
        {start, http_reply_start(start, status, date, framing, len)},
        {c->head.data, c->head.len},
        {(char *)end, strlen(end)},
        {(void *)body, body && !x->is_head ? len : 0},
    };
    return conn_write(c, parts, (int)(sizeof(parts) / sizeof(parts[0])));
}

void exchange_reply(struct exchange *x, int status, const char *content_type, const void *body,
                    size_t len)
{
    assert(!x->streaming && status >= 200 && status <= 999);
    struct conn *c = x->conn;
    if (!c) {
        (void)end(x);
        return;
    }
    bool has_body = http_status_has_body(status);
    x->keep = x->keep && !c->server->draining;
    int rc = set_content_type(x, has_body ? content_type : NULL);
    if (rc == 0)
        rc = write_head(x, status, has_body ? HTTP_LENGTH : HTTP_NO_BODY, has_body ? body : NULL,
                        has_body ? len : 0);
    bool keep = x->keep;
    (void)end(x);
    if (rc)
        conn_abort(c, true); /* no memory: nothing or half of it is out */
    else
        conn_finish(c, keep);
}

void exchange_stream_start(struct exchange *x, int status, const char *content_type)
{
    assert(!x->streaming && status >= 200 && status <= 999);
    x->streaming = true;
    struct conn *c = x->conn;
    if (!c)
        return;
    bool has_body = http_status_has_body(status);
    x->chunked = has_body && !x->is_1_0;
    x->keep = x->keep && !c->server->draining && (x->chunked || !has_body);
    bufferevent_setwatermark(c->bev, EV_WRITE, HTTP_STREAM_LOW_BYTES - 1, 0);
    enum http_framing framing = x->chunked ? HTTP_CHUNKED
                                : has_body ? HTTP_UNTIL_CLOSE
                                           : HTTP_NO_BODY;
    /* The owner hears of it as of a client that left, from the loop. */
    if (set_content_type(x, content_type) || write_head(x, status, framing, NULL, 0))
        conn_abort(c, true);
}

size_t exchange_stream_write(struct exchange *x, const void *bytes, size_t len)
{
    assert(x->streaming);
    struct conn *c = x->conn;
    if (!c || len == 0 || x->is_head || c->phase == CONN_FLUSH)
        return exchange_stream_queued(x);
    char size[24];
    int n = x->chunked ? snprintf(size, sizeof(size), "%zx\r\n", len) : 0;
    struct iovec parts[] = {
        {size, (size_t)n},
        {(void *)bytes, len},
        {(char *)"\r\n", x->chunked ? 2 : 0},
    };
    if (conn_write(c, parts, 3))
        conn_abort(c, true);
    size_t queued = conn_queued(c);
    x->was_high = x->was_high || queued > HTTP_STREAM_HIGH_BYTES;
    return queued;
}

size_t exchange_stream_queued(const struct exchange *x)
{
    return x->conn ? conn_queued(x->conn) : 0;
}

void exchange_on_drain(struct exchange *x, exchange_gone_fn fn, void *arg)
{
    x->drain = fn;
    x->drain_arg = arg;
}

void exchange_stream_end(struct exchange *x)
{
    assert(x->streaming);
    static char last[] = "0\r\n\r\n";
    bool is_broken = false, keep = x->keep;
    struct iovec part = {last, sizeof(last) - 1};
    if (x->conn && x->conn->phase == CONN_FLUSH)
        is_broken = true;
    else if (x->conn && x->chunked && !x->is_head)
        is_broken = conn_write(x->conn, &part, 1) != 0;
    struct conn *c = end(x);
    if (c && is_broken)
        conn_abort(c, true);
    else if (c)
        conn_finish(c, keep);
}

void exchange_stream_abort(struct exchange *x)
{
    /* Without chunks the end of the connection is the end of the body, so only a reset
     * tells the client. */
    bool reset = x->streaming && !x->chunked;
    struct conn *c = end(x);
    if (c)
        conn_abort(c, reset);
}

void exchange_on_gone(struct exchange *x, exchange_gone_fn fn, void *arg)
{
    x->gone = fn;
    x->gone_arg = arg;
}
