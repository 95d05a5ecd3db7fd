/*
 * server: HTTP/1.1 towards clients, on evhttp, behind the guards that evhttp lacks.
 *
 * An exchange is one request and its one answer. The handler gets it once the whole
 * body is there, and from then on the exchange ends exactly once, by one of
 *
 *   exchange_reply()                    a whole answer
 *   exchange_stream_end() / _abort()    after exchange_stream_start()
 *   the gone callback                   the client left; the exchange is freed after it
 *
 * and must not be touched after that. The answer may come at any later time.
 *
 * Guards (measured on libevent 2.1.12-stable-8+deb12u1): http_guard checks the bytes before
 * evhttp and http_filter what evhttp made of them, and both answer as JSON and close; a
 * deadline for the head and a least speed for the body; a bound on what is read while an
 * answer is open; a client that left is noticed at any time (conn.h says how, and why not
 * by EV_CLOSED); idle and write timeouts that do not cut waiting streams; accept errors
 * that pause the listener instead of spinning; a cap on connections; JSON for every error.
 *
 * A client that sends its FIN after the request (half-close) counts as gone.
 *
 * The process must ignore SIGPIPE: libevent writes with writev().
 *
 *   threads    one event loop; EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST saves it two system
 *              calls a request (measured: +30 to 50 % requests/s).
 */
#ifndef API_SERVER_H
#define API_SERVER_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct evbuffer;
struct server;
struct tls;
struct exchange;

typedef void (*exchange_fn)(void *arg, struct exchange *x);
typedef void (*exchange_gone_fn)(void *arg);

struct server_options {
    const char *listen;        /* "127.0.0.1:8080", "[::1]:0", "unix:PATH"; port 0 picks one */
    size_t max_body_bytes;     /* a larger body is answered 413 in JSON */
    const char *upload_target; /* whose bodies go to the disk; NULL: none. Kept */
    const char *upload_folder; /* where to; copied */
    /* Asked at the head of one, before anything of it is written: 0, or the status of a refusal and
     * in e why. key: "" none; secret. NULL: all are taken; on_request sees to it later. */
    int (*may_upload)(void *arg, const char *key, struct error *e);
    int max_connections; /* one more is answered 503 and closed */
    /* Times; 0 is the default in common/limits.h. */
    int header_ms;   /* from the connection, or a later request's first byte, to a whole head */
    int idle_ms;     /* keep-alive without a request */
    int body_ms;     /* for each HTTP_BODY_STEP_BYTES of a request body */
    int write_ms;    /* a client that takes nothing of its answer for so long is cut */
    struct tls *tls; /* kept; NULL: plain */
    bool reuse_port;
    /* Writes an error body in the dialect of the path, for errors the server finds itself
     * (400, 408, 413, 414, 417, 431, 501, 503, 505). path is raw, without the query, cut at
     * 63 bytes, and "" when none was read yet. May be NULL: OpenAI's shape. */
    void (*write_error)(const char *path, int status, const char *message, struct evbuffer *out);
};

struct server *server_new(struct event_base *base, const struct server_options *options,
                          exchange_fn on_request, void *arg, struct error *e);
/* The address as it was bound ("127.0.0.1:43117"). */
const char *server_address(const struct server *s);
/* Answers carry Connection: close from now on. Newcomers are still let in, so that they can be
 * told that the service is going, and when to come again. */
void server_drain(struct server *s);
void server_close(struct server *s); /* and now nobody is let in */
size_t server_open_exchanges(const struct server *s);
size_t server_connections(const struct server *s);
/* Closes everything; open exchanges are told that they are gone. Not from a callback. */
void server_free(struct server *s);

/* ---- reading; all borrowed, valid while the exchange is */
const char *exchange_method(const struct exchange *x);
const char *exchange_path(const struct exchange *x); /* decoded, without the query */
/* Decoded query value into out (cut never: -ENOENT absent, -ENOSPC too long, -EINVAL). */
int exchange_query(const struct exchange *x, const char *name, char *out, size_t size);
const char *exchange_header(const struct exchange *x, const char *name); /* NULL when absent */
void exchange_headers(const struct exchange *x,
                      void (*fn)(void *arg, const char *name, const char *value), void *arg);
const char *exchange_body(const struct exchange *x, size_t *ret_len); /* NUL-terminated */
/* Given, NUL-terminated: the caller frees it, and the exchange's body is empty after that.
 * NULL only when there is no body and no memory for an empty one. */
char *exchange_take_body(struct exchange *x, size_t *ret_len);
/* A body that went to the disk, as a file that is removed already; the caller closes it. -1: it is
 * in memory. */
int exchange_take_body_file(struct exchange *x);
const char *exchange_peer(const struct exchange *x); /* address, for logs; "unix" for one */
/* clock_mono_us() when the request was whole. */
int64_t exchange_started_us(const struct exchange *x);

/* ---- answering */
/* Adds a header; set before the answer starts. -EINVAL when the name is no token or one that
 * the server sets (Connection, Content-Length, Date, Keep-Alive, Transfer-Encoding), or the
 * value holds a control byte; -ENOSPC past HTTP_REPLY_HEADER_BYTES; -ENOMEM. */
MUST_CHECK int exchange_set_header(struct exchange *x, const char *name, const char *value);
/* content_type may be NULL (and is, for a status without a body); one that could not be a
 * header is sent as application/octet-stream. HEAD is answered with the length alone. */
void exchange_reply(struct exchange *x, int status, const char *content_type, const void *body,
                    size_t len);
void exchange_stream_start(struct exchange *x, int status, const char *content_type);
/* Bytes now queued for the client and not yet written to its socket. */
size_t exchange_stream_write(struct exchange *x, const void *bytes, size_t len);
size_t exchange_stream_queued(const struct exchange *x);
/* Called, from the loop, once the queue falls below HTTP_STREAM_LOW_BYTES after it was
 * above HTTP_STREAM_HIGH_BYTES. */
void exchange_on_drain(struct exchange *x, exchange_gone_fn fn, void *arg);
void exchange_stream_end(struct exchange *x);
/* Closes once what is queued is written, without the last chunk: not a clean end. */
void exchange_stream_abort(struct exchange *x);
/* Told when the client leaves before the exchange has ended; set it in the handler. The
 * request can still be read in the callback, and nothing can be answered. Without a callback
 * the exchange must still be ended, by an answer that goes nowhere. */
void exchange_on_gone(struct exchange *x, exchange_gone_fn fn, void *arg);

#endif
