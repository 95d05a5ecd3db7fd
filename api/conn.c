#include "api/conn.h"

#include "api/tls.h"

#include "api/exchange.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>

static const struct timeval *phase_limit(const struct conn *c)
{
    switch (c->phase) {
    case CONN_IDLE:
        return c->used ? &c->server->idle_tv : &c->server->header_tv;
    case CONN_HEAD:
        return &c->server->header_tv;
    case CONN_BODY:
        return &c->server->body_tv;
    case CONN_LINGER:
        return &c->server->linger_tv;
    case CONN_NEW:
    case CONN_ANSWER: /* conn_watch() sets one when it must */
    case CONN_FLUSH:  /* bounded by the bufferevent's write timeout */
        break;
    }
    return NULL;
}

static void enter(struct conn *c, enum conn_phase phase)
{
    c->phase = phase;
    c->step_bytes = 0;
    (void)event_del(&c->soon); /* was meant for the phase that ends */
    const struct timeval *limit = phase_limit(c);
    if (limit)
        (void)event_add(&c->timer, limit);
    else
        (void)event_del(&c->timer);
}

static void do_soon(struct conn *c)
{
    event_active(&c->soon, EV_TIMEOUT, 0);
}

/* As if the client had left: evhttp frees its side and calls on_closed(). */
static void close_now(struct conn *c)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    /* Sends the reset at once; SO_LINGER would not do, since evhttp sends a FIN first. */
    if (c->reset)
        (void)connect(bufferevent_getfd(c->bev), &nobody, sizeof(nobody));
    else if (c->server->options.tls)
        tls_say_end(c->bev);
    c->server->event_cb(c->bev, BEV_EVENT_READING | BEV_EVENT_EOF, c->evcon);
}

static void conn_spool_release(struct conn *c);

static void conn_free(struct conn *c)
{
    struct server *s = c->server;
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (s->current == c)
        s->current = NULL;
    if (s->handling == c)
        s->handling = NULL;
    s->connections--;
    (void)event_del(&c->timer);
    (void)event_del(&c->soon);
    conn_spool_release(c);
    buf_release(&c->head);
    explicit_bzero(c, sizeof(*c)); /* the guard may hold a key */
    free(c);
}

/* ---- callbacks of a bufferevent that is ours for now */

/* evhttp may call this one with its own argument, so it is not used. */
static void on_dropped(struct bufferevent *bev, void *arg)
{
    (void)arg;
    struct evbuffer *input = bufferevent_get_input(bev);
    (void)evbuffer_drain(input, evbuffer_get_length(input));
}

static void shut(struct conn *c)
{
    if (c->server->options.tls)
        tls_say_end(c->bev);
    (void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct conn *c = arg;
    (void)bev;
    if (c->phase == CONN_ANSWER && c->exchange)
        exchange_written(c->exchange);
    else if (c->phase == CONN_LINGER)
        shut(c);
    else if (c->phase == CONN_FLUSH)
        do_soon(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct conn *c = arg;
    c->server->event_cb(bev, what, c->evcon);
}

/* ---- reading */

static void scan(struct conn *c)
{
    struct http_guard *g = &c->guard;
    struct evbuffer *input = bufferevent_get_input(c->bev);
    size_t before = c->unseen;
    while (c->unseen > 0 && http_guard_phase(g) < HTTP_GUARD_DONE) {
        size_t n = http_guard_skip(g, c->unseen);
        struct evbuffer_ptr at;
        struct evbuffer_iovec part;
        if (n == 0) {
            size_t offset = evbuffer_get_length(input) - c->unseen;
            if (evbuffer_ptr_set(input, &at, offset, EVBUFFER_PTR_SET) ||
                evbuffer_peek(input, -1, &at, &part, 1) < 1)
                break;
            n = http_guard_feed(g, part.iov_base, part.iov_len);
        }
        c->unseen -= n;
    }
    c->step_bytes += before - c->unseen;
}

/* ---- a body that goes to the disk */

static void conn_spool_release(struct conn *c)
{
    if (c->spooling)
        c->server->uploads--;
    c->spooling = false;
    body_spool_release(&c->spool);
}

/* evhttp reads on, as if the body had just come. */
static void hand_over(struct conn *c, struct evbuffer *input)
{
    c->replaying = true;
    int rc = body_spool_replay(&c->spool, input);
    c->replaying = false;
    if (rc < 0) {
        conn_refuse(c, 503, "The service is out of memory.");
        return;
    }
    bufferevent_setcb(c->bev, c->server->read_cb, c->server->write_cb, c->server->event_cb,
                      c->evcon);
    c->server->current = c;
    c->server->read_cb(c->bev, c->evcon);
}

/* All that is there was shown to the guard: the end of the head, and behind it the body. */
static int open_spool(struct conn *c, struct evbuffer *input)
{
    static char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec part = {go_on, sizeof(go_on) - 1};
    const struct http_guard *g = &c->guard;
    size_t there = (size_t)(g->length - g->left) + c->unseen;
    int rc = body_spool_start(&c->spool, c->server->upload_folder, input,
                              evbuffer_get_length(input) - there, g->length);
    return rc == 0 && g->has_expect && there == 0 ? conn_write(c, &part, 1) : rc;
}

static void on_spool(struct bufferevent *bev, void *arg)
{
    struct conn *c = arg;
    struct evbuffer *input = bufferevent_get_input(bev);
    int rc = c->spool.open ? 0 : open_spool(c, input);
    if (rc == 0)
        rc = body_spool_take(&c->spool, input);
    if (rc < 0)
        conn_refuse(c, 507, "The upload cannot be written here.");
    else if (rc > 0)
        hand_over(c, input);
}

/* Called while bytes are added to the input; the reading callback follows. */
static void start_spool(struct conn *c)
{
    const struct server *s = c->server;
    struct error e;
    int status =
        s->options.may_upload ? s->options.may_upload(s->arg, http_guard_key(&c->guard), &e) : 0;
    if (status != 0) {
        conn_refuse(c, status, e.text);
        return;
    }
    if (c->server->uploads >= UPLOAD_MAX_OPEN) {
        conn_refuse(c, 503, "Too many uploads are on their way.");
        return;
    }
    c->server->uploads++;
    c->spooling = true;
    bufferevent_setcb(c->bev, on_spool, on_written, on_event, c);
}

/* Reads on with the guard and sets the deadline that fits. */
static void look(struct conn *c)
{
    scan(c);
    switch (http_guard_phase(&c->guard)) {
    case HTTP_GUARD_REFUSED:
        conn_refuse(c, c->guard.status, c->guard.why);
        break;
    case HTTP_GUARD_HEAD:
        if (c->phase != CONN_HEAD)
            enter(c, CONN_HEAD);
        break;
    case HTTP_GUARD_BODY:
        if (c->phase != CONN_BODY || c->step_bytes >= HTTP_BODY_STEP_BYTES)
            enter(c, CONN_BODY);
        if (!c->spooling && http_guard_is_large(&c->guard))
            start_spool(c);
        break;
    case HTTP_GUARD_START:
    case HTTP_GUARD_DONE: /* the deadline stays until the handler has it: no gap */
        break;
    }
}

static bool read_ahead_is_full(const struct conn *c)
{
    return evbuffer_get_length(bufferevent_get_input(c->bev)) >= HTTP_READ_AHEAD_BYTES;
}

/* Sees bytes as they come from the socket, before evhttp's reader is called. */
static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    (void)input;
    struct conn *c = arg;
    if (info->n_added == 0 || c->replaying)
        return;
    c->unseen += info->n_added;
    if (c->phase == CONN_LINGER) {
        c->step_bytes += info->n_added;
        if (c->step_bytes > HTTP_LINGER_BYTES)
            do_soon(c);
    } else if (c->phase == CONN_ANSWER) {
        if (read_ahead_is_full(c))
            (void)event_add(&c->timer, &c->server->check_tv);
    } else if (c->phase != CONN_FLUSH) {
        c->server->current = c;
        look(c);
    }
}

/* ---- deadlines */

static bool client_has_left(const struct conn *c)
{
    struct pollfd at = {.fd = bufferevent_getfd(c->bev), .events = POLLRDHUP};
    return poll(&at, 1, 0) > 0 && at.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    if (c->phase == CONN_HEAD || c->phase == CONN_BODY)
        conn_refuse(c, 408, "The request did not arrive in time.");
    else if (c->phase == CONN_ANSWER && !client_has_left(c))
        (void)event_add(&c->timer, &c->server->check_tv);
    else
        close_now(c);
}

/* ---- life */

/* The last thing evhttp says of a connection, whoever ends it. */
static void on_closed(struct evhttp_connection *evcon, void *arg)
{
    struct conn *c = arg;
    struct evhttp_request *request = c->request;
    struct exchange *x = c->exchange;
    (void)evcon;
    (void)evbuffer_remove_cb(bufferevent_get_input(c->bev), on_input, c);
    c->exchange = NULL;
    if (x)
        exchange_gone(x);
    /* evhttp lets go of a request that is not answered yet, and then it is ours. */
    if (request && !evhttp_request_get_connection(request))
        evhttp_request_free(request);
    conn_free(c);
}

/* evhttp has made its side by now, which conn_open() came too early for. Its connection is
 * the argument of the bufferevent's callbacks. */
static void adopt(struct conn *c)
{
    struct server *s = c->server;
    struct bufferevent *bev = c->bev;
    void *evcon = NULL;
    bufferevent_data_cb read_cb, write_cb;
    bufferevent_event_cb event_cb;
    bufferevent_getcb(bev, &read_cb, &write_cb, &event_cb, &evcon);
    if (!evcon || !evbuffer_add_cb(bufferevent_get_input(bev), on_input, c)) {
        conn_free(c); /* evhttp gave up on it; or no memory: served by nobody, see server.c */
        bufferevent_decref(bev);
        return;
    }
    s->read_cb = read_cb;
    s->write_cb = write_cb;
    s->event_cb = event_cb;
    c->evcon = evcon;
    evhttp_connection_set_closecb(evcon, on_closed, c);
    bufferevent_decref(bev);
    enter(c, CONN_IDLE);
    if (s->connections > (size_t)s->options.max_connections)
        conn_refuse(c, 503, "The service has too many connections.");
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    if (c->phase == CONN_NEW) {
        adopt(c);
    } else if (c->phase == CONN_FLUSH || c->phase == CONN_LINGER) {
        close_now(c);
    } else if (c->phase == CONN_IDLE && c->unseen > 0) {
        /* A request came before the last answer was out. evhttp has a read of its own
         * planned for it, after this; reading here, once the guard has seen the bytes,
         * cancels that. */
        c->server->current = c;
        look(c);
        if (c->phase != CONN_LINGER)
            c->server->read_cb(c->bev, c->evcon);
    }
}

struct bufferevent *conn_open(struct event_base *base, void *arg)
{
    struct server *s = arg;
    struct conn *c = calloc(1, sizeof(*c));
    struct bufferevent *bev = s->options.tls
                                  ? tls_accept(s->options.tls, base)
                                  : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!c || !bev) {
        free(c);
        return bev; /* evhttp goes on, and the handler closes what has no conn */
    }
    c->server = s;
    c->bev = bev;
    buf_init(&c->head, HTTP_REPLY_HEADER_BYTES);
    http_guard_init(&c->guard, s->options.max_body_bytes);
    c->guard.large_target = s->options.upload_target;
    c->guard.max_large_bytes = FILE_MAX_UPLOAD_BYTES;
    body_spool_init(&c->spool);
    (void)event_assign(&c->timer, base, -1, 0, on_timer, c);
    (void)event_assign(&c->soon, base, -1, 0, on_soon, c);
    (void)bufferevent_set_timeouts(bev, NULL, &s->write_tv);
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
    s->connections++;
    bufferevent_incref(bev); /* until adopt(), so that it is there to be asked */
    do_soon(c);
    return bev;
}

void conn_free_all(struct server *s)
{
    struct conn *next;
    for (struct conn *c = s->conns; c; c = next) {
        next = c->next;
        bufferevent_decref(c->bev);
        conn_free(c);
    }
}

/* ---- answering */

/* Before evhttp frees the request and turns to the next. */
static void on_complete(struct evhttp_request *request, void *arg)
{
    (void)request;
    struct conn *c = arg;
    c->request = NULL;
    c->used = true;
    if (c->watched)
        bufferevent_setwatermark(c->bev, EV_READ, 0, 0);
    c->watched = false;
    if (c->head.room > KIB)
        buf_release(&c->head);
    buf_clear(&c->head);
    conn_spool_release(c);
    http_guard_next(&c->guard);
    enter(c, CONN_IDLE);
    if (c->unseen > 0)
        do_soon(c);
}

void conn_begin(struct conn *c, struct evhttp_request *request)
{
    c->request = request;
    evhttp_request_set_on_complete_cb(request, on_complete, c);
    bufferevent_setcb(c->bev, NULL, on_written, on_event, c);
    enter(c, CONN_ANSWER);
}

void conn_watch(struct conn *c)
{
    bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_READ_AHEAD_BYTES);
    c->watched = true;
    if (read_ahead_is_full(c))
        (void)event_add(&c->timer, &c->server->check_tv);
    (void)bufferevent_enable(c->bev, EV_READ);
}

size_t conn_queued(const struct conn *c)
{
    return evbuffer_get_length(bufferevent_get_output(c->bev));
}

int conn_write(struct conn *c, struct iovec *parts, int count)
{
    struct evbuffer *output = bufferevent_get_output(c->bev);
    size_t sent = 0;
    if (evbuffer_get_length(output) == 0 && !c->server->options.tls) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t n = sendmsg(bufferevent_getfd(c->bev), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        /* An error shows again when the bufferevent writes the rest, and is dealt with there. */
        sent = n < 0 ? 0 : (size_t)n;
    }
    bool is_queued = false;
    for (int i = 0; i < count; i++) {
        size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        sent -= skip;
        if (skip == parts[i].iov_len)
            continue;
        is_queued = true;
        if (evbuffer_add(output, (char *)parts[i].iov_base + skip, parts[i].iov_len - skip))
            return -ENOMEM;
    }
    if (is_queued)
        (void)bufferevent_enable(c->bev, EV_WRITE);
    return 0;
}

void conn_finish(struct conn *c, bool keep)
{
    struct evhttp_request *request = c->request;
    if (!keep &&
        evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close")) {
        conn_abort(c, false);
        return;
    }
    bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
    bufferevent_setcb(c->bev, NULL, c->server->write_cb, c->server->event_cb, c->evcon);
    /* The answer was written here, framing and all. Not chunked, this only makes evhttp
     * wait for the output to drain and then go on with the connection. */
    request->chunked = 0;
    evhttp_send_reply_end(request);
}

void conn_abort(struct conn *c, bool reset)
{
    c->reset = reset;
    bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
    enter(c, CONN_FLUSH);
    if (conn_queued(c) == 0)
        do_soon(c);
}

static void write_error(struct conn *c, int status, const char *why, struct evbuffer *out)
{
    char path[HTTP_GUARD_TARGET_BYTES];
    size_t len = strcspn(c->guard.target, "?");
    memcpy(path, c->guard.target, len);
    path[len] = '\0';
    if (c->server->options.write_error)
        c->server->options.write_error(path, status, why, out);
    else
        http_default_error(path, status, why, out);
}

static int send_refusal(struct conn *c, int status, const char *why)
{
    static const char rest[] = "Content-Type: application/json\r\nConnection: close\r\n\r\n";
    static const char busy[] = "Retry-After: 1\r\n";
    char start[HTTP_REPLY_START_BYTES];
    struct evbuffer *body = evbuffer_new();
    if (!body)
        return -ENOMEM;
    write_error(c, status, why, body);
    size_t len = evbuffer_get_length(body);
    const char *date = http_date_text(&c->server->date, clock_wall_ms());
    struct iovec parts[] = {
        {start, http_reply_start(start, status, date, HTTP_LENGTH, len)},
        {(char *)busy, status == 503 ? sizeof(busy) - 1 : 0},
        {(char *)rest, sizeof(rest) - 1},
        {evbuffer_pullup(body, -1), c->guard.is_head ? 0 : len},
    };
    int rc = conn_write(c, parts, (int)(sizeof(parts) / sizeof(parts[0])));
    evbuffer_free(body);
    return rc;
}

void conn_refuse(struct conn *c, int status, const char *why)
{
    char number[LOG_NUMBER_BYTES];
    log_write(LOG_DEBUG, "request refused", "status", log_number(number, status), "reason", why,
              NULL);
    bufferevent_setcb(c->bev, on_dropped, on_written, on_event, c);
    enter(c, CONN_LINGER);
    c->unseen = 0;
    if (send_refusal(c, status, why)) {
        do_soon(c);
        return;
    }
    if (conn_queued(c) == 0)
        shut(c);
    (void)bufferevent_enable(c->bev, EV_READ);
}
