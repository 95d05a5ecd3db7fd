/*
 * conn: one client connection, between evhttp and the exchanges on it.
 *
 * Internal to api/: server.c makes them, exchange.c answers on them. evhttp owns the
 * bufferevent and the evhttp_connection; a conn is told when they end (on every path, by
 * evhttp's close callback) and ends with them.
 *
 *   NEW --> IDLE --> HEAD --> BODY --> ANSWER --> IDLE ...
 *             |        |        |         |
 *             |        +--------+---------+-----> LINGER   refused: our answer is out, what
 *             |                           |                still comes is read and dropped
 *             +-- idle too long: closed   +-----> FLUSH    aborted: closed when written
 *
 * Before evhttp reads a byte, on_input() has shown it to the guard. From a whole request to
 * the end of its answer the bufferevent's callbacks are ours and evhttp's reader is off:
 * with it on, one more byte from the client makes libevent end the process ("illegal
 * connection state"). Bytes that come then stay in the buffer, up to HTTP_READ_AHEAD_BYTES.
 *
 * Reading stays on all the while, which is how a client that left is noticed. EV_CLOSED was
 * rejected: after a reset, epoll reports EPOLLERR, which libevent 2.1.12 turns into
 * EV_READ|EV_WRITE; an event for EV_CLOSED alone is never told and the loop spins (measured:
 * a whole core). While reading rests at its limit, the socket is looked at once a second.
 *
 *   threads    one event loop.
 */
#ifndef API_CONN_H
#define API_CONN_H

#include "api/body_spool.h"
#include "api/http_guard.h"
#include "api/http_reply.h"
#include "api/server.h"
#include "common/buf.h"

#include <sys/time.h>
#include <sys/uio.h>

#include <event2/bufferevent.h>
#include <event2/event_struct.h>

struct evhttp;
struct evhttp_connection;
struct evhttp_request;
struct listener;

enum conn_phase {
    CONN_NEW,
    CONN_IDLE,
    CONN_HEAD,
    CONN_BODY,
    CONN_ANSWER,
    CONN_LINGER,
    CONN_FLUSH,
};

struct conn {
    struct server *server;
    struct conn *prev, *next; /* in server->conns */
    struct bufferevent *bev;
    struct evhttp_connection *evcon; /* NULL while NEW */
    struct evhttp_request *request;  /* from the handler until its answer is written */
    struct exchange *exchange;       /* until it ends */
    struct event timer;              /* the phase's deadline */
    struct event soon;               /* what must not happen inside somebody's callback */
    struct http_guard guard;
    struct body_spool spool;
    struct buf head;   /* header lines of the answer, kept from one to the next */
    size_t unseen;     /* bytes at the end of the input that the guard has not read */
    size_t step_bytes; /* of a body since the deadline moved; or dropped while lingering */
    enum conn_phase phase;
    bool used;      /* has carried an answer */
    bool reset;     /* close with a reset */
    bool spooling;  /* counts among the server's uploads */
    bool replaying; /* what is added to the input comes from here */
    bool watched;   /* reading is limited to HTTP_READ_AHEAD_BYTES */
};

struct server {
    struct event_base *base;
    struct evhttp *http;
    struct listener *listener;
    struct server_options options;
    exchange_fn on_request;
    void *arg;
    struct conn *conns;
    struct conn *current;  /* whose bytes evhttp is reading now */
    struct conn *handling; /* whose handler runs; NULL again if it was closed in there */
    size_t connections, open_exchanges, uploads;
    char *upload_folder;
    bool draining;
    struct timeval header_tv, idle_tv, body_tv, linger_tv, check_tv, write_tv;
    bufferevent_data_cb read_cb, write_cb; /* evhttp's own */
    bufferevent_event_cb event_cb;
    struct http_date date;
};

/* evhttp_set_bevcb()'s callback; arg is the server. */
struct bufferevent *conn_open(struct event_base *base, void *arg);
/* Frees conns that evhttp never took, when evhttp is gone. */
void conn_free_all(struct server *s);

/* The connection is the exchange's now. */
void conn_begin(struct conn *c, struct evhttp_request *request);
/* Notices a client that leaves while the answer is not there yet. */
void conn_watch(struct conn *c);
/* Sends now what the kernel takes and queues the rest; -ENOMEM. */
MUST_CHECK int conn_write(struct conn *c, struct iovec *parts, int count);
size_t conn_queued(const struct conn *c);
/* The answer is complete; c may be gone on return. keep: for another request. */
void conn_finish(struct conn *c, bool keep);
/* Closes once what is queued is written; with reset, so that the client sees an error
 * where the end of the connection would otherwise be the end of the body (a unix socket has
 * no reset, so there it does not). */
void conn_abort(struct conn *c, bool reset);
/* Answers an error of the server's own and closes. */
void conn_refuse(struct conn *c, int status, const char *why);

#endif
