#include "tests/support/fake_provider.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#define HEAD_BYTES 65536
#define FILL_BYTES 65536

struct conn {
    LIST_ENTRY(conn) link;
    struct fake_provider *provider;
    int fd;
    struct event event; /* one wish at a time: to read, to write, or the next pass */
    const struct fake_step *steps;
    size_t step_count, at;
    size_t done; /* bytes of the running step */
    bool stalled;
    char head[HEAD_BYTES + 1];
    size_t head_len, head_end, body_len, body_left;
};

LIST_HEAD(conns, conn);

struct fake_provider {
    struct event_base *base;
    int fd;
    struct event accept;
    const struct fake_step *steps;
    size_t step_count;
    struct conns conns;
    char url[64];
    uint16_t port;
    size_t connections, open, requests;
    uint64_t sent;
    char head[HEAD_BYTES + 1];
    size_t body_len;
    char fill[FILL_BYTES];
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

static void run(struct conn *conn);

static void conn_close(struct conn *conn)
{
    event_del(&conn->event);
    (void)close(conn->fd);
    LIST_REMOVE(conn, link);
    conn->provider->open--;
    free(conn);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    if (what & EV_CLOSED)
        conn_close(arg);
    else
        run(arg);
}

static void wait_for(struct conn *conn, short what)
{
    event_del(&conn->event);
    event_assign(&conn->event, conn->provider->base, conn->fd, what, on_event, conn);
    must(event_add(&conn->event, NULL) == 0, "event_add");
}

/* The next piece goes out only after the client had a chance to read this one. */
static void wait_for_next_pass(struct conn *conn)
{
    static const struct timeval soon = {.tv_usec = 500};
    event_del(&conn->event);
    event_assign(&conn->event, conn->provider->base, -1, 0, on_event, conn);
    must(event_add(&conn->event, &soon) == 0, "event_add");
}

enum outcome { NEXT, WAIT, GONE };

static enum outcome failed(struct conn *conn, short what)
{
    if (errno == EAGAIN || errno == EINTR) {
        wait_for(conn, what);
        return WAIT;
    }
    conn_close(conn);
    return GONE;
}

static void read_head(struct conn *conn)
{
    conn->head[conn->head_len] = '\0';
    const char *end = strstr(conn->head, "\r\n\r\n");
    if (!end)
        return;
    conn->head_end = (size_t)(end - conn->head) + 4;
    const char *length = strcasestr(conn->head, "\r\ncontent-length:");
    conn->body_len = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
    size_t here = conn->head_len - conn->head_end;
    conn->body_left = here < conn->body_len ? conn->body_len - here : 0;
}

static void request_is_whole(struct conn *conn)
{
    struct fake_provider *p = conn->provider;
    p->requests++;
    p->body_len = conn->body_len;
    memcpy(p->head, conn->head, conn->head_end);
    p->head[conn->head_end] = '\0';
    conn->head_len = conn->head_end = 0;
}

static enum outcome step_read(struct conn *conn)
{
    char scratch[16384];
    while (!conn->head_end || conn->body_left) {
        size_t room = conn->head_end ? sizeof(scratch) : HEAD_BYTES - conn->head_len;
        must(room > 0, "a request head fits");
        ssize_t n = recv(conn->fd, conn->head_end ? scratch : conn->head + conn->head_len, room, 0);
        if (n == 0) {
            conn_close(conn);
            return GONE;
        }
        if (n < 0)
            return failed(conn, EV_READ);
        if (conn->head_end) {
            conn->body_left -= (size_t)n;
        } else {
            conn->head_len += (size_t)n;
            read_head(conn);
        }
    }
    request_is_whole(conn);
    return NEXT;
}

static enum outcome step_send(struct conn *conn, const struct fake_step *step)
{
    bool fill = step->op == FAKE_FILL;
    size_t len = fill || step->len ? step->len : strlen(step->bytes);
    bool endless = fill && len == 0;
    while (endless || conn->done < len) {
        size_t n = endless ? FILL_BYTES : len - conn->done;
        if (fill && n > FILL_BYTES)
            n = FILL_BYTES;
        if (step->slice && n > step->slice)
            n = step->slice;
        const char *from = fill ? conn->provider->fill : step->bytes + conn->done;
        ssize_t sent = send(conn->fd, from, n, MSG_NOSIGNAL);
        if (sent < 0)
            return failed(conn, EV_WRITE);
        conn->done += (size_t)sent;
        conn->provider->sent += (uint64_t)sent;
        if (step->slice || endless) {
            wait_for_next_pass(conn);
            return WAIT;
        }
    }
    return NEXT;
}

static enum outcome step_close(struct conn *conn, bool reset)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        must(setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0,
             "SO_LINGER");
    conn_close(conn);
    return GONE;
}

static enum outcome step_stall(struct conn *conn)
{
    if (conn->done)
        return NEXT; /* fake_provider_go() was called */
    wait_for(conn, EV_CLOSED);
    conn->stalled = true;
    return WAIT;
}

static enum outcome do_step(struct conn *conn, const struct fake_step *step)
{
    switch (step->op) {
    case FAKE_READ:
        return step_read(conn);
    case FAKE_SEND:
    case FAKE_FILL:
        return step_send(conn, step);
    case FAKE_STALL:
        return step_stall(conn);
    case FAKE_RESET:
    case FAKE_CLOSE:
        return step_close(conn, step->op == FAKE_RESET);
    case FAKE_DEAF:
        wait_for(conn, EV_CLOSED);
        return WAIT;
    }
    abort();
}

static void run(struct conn *conn)
{
    for (;;) {
        if (do_step(conn, &conn->steps[conn->at]) != NEXT)
            return;
        conn->at = (conn->at + 1) % conn->step_count;
        conn->done = 0;
    }
}

void fake_provider_go(struct fake_provider *p)
{
    for (struct conn *conn = LIST_FIRST(&p->conns), *next; conn; conn = next) {
        next = LIST_NEXT(conn, link); /* running it may close it */
        if (!conn->stalled)
            continue;
        conn->stalled = false;
        conn->done = 1;
        run(conn);
    }
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
    (void)what;
    struct fake_provider *p = arg;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct conn *conn = calloc(1, sizeof(*conn));
        must(conn, "calloc");
        conn->provider = p;
        conn->fd = fd;
        conn->steps = p->steps;
        conn->step_count = p->step_count;
        event_assign(&conn->event, p->base, fd, EV_READ, on_event, conn);
        LIST_INSERT_HEAD(&p->conns, conn, link);
        p->connections++;
        p->open++;
        run(conn);
    }
}

static void listen_on_loopback(struct fake_provider *p)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(p->fd >= 0, "socket");
    must(bind(p->fd, (const struct sockaddr *)&address, len) == 0, "bind");
    must(listen(p->fd, 1024) == 0, "listen");
    must(getsockname(p->fd, (struct sockaddr *)&address, &len) == 0, "getsockname");
    p->port = ntohs(address.sin_port);
    (void)snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%u", p->port);
}

struct fake_provider *fake_provider_new(struct event_base *base)
{
    struct fake_provider *p = calloc(1, sizeof(*p));
    must(p, "calloc");
    p->base = base;
    LIST_INIT(&p->conns);
    memset(p->fill, 'x', sizeof(p->fill));
    listen_on_loopback(p);
    event_assign(&p->accept, base, p->fd, EV_READ | EV_PERSIST, on_accept, p);
    must(event_add(&p->accept, NULL) == 0, "event_add");
    return p;
}

void fake_provider_free(struct fake_provider *p)
{
    if (!p)
        return;
    for (struct conn *conn = LIST_FIRST(&p->conns), *next; conn; conn = next) {
        next = LIST_NEXT(conn, link);
        conn_close(conn);
    }
    event_del(&p->accept);
    (void)close(p->fd);
    free(p);
}

void fake_provider_script(struct fake_provider *p, const struct fake_step *steps, size_t count)
{
    p->steps = steps;
    p->step_count = count;
}

const char *fake_provider_url(const struct fake_provider *p)
{
    return p->url;
}

uint16_t fake_provider_port(const struct fake_provider *p)
{
    return p->port;
}

size_t fake_provider_connections(const struct fake_provider *p)
{
    return p->connections;
}

size_t fake_provider_open(const struct fake_provider *p)
{
    return p->open;
}

size_t fake_provider_requests(const struct fake_provider *p)
{
    return p->requests;
}

size_t fake_provider_stalled(const struct fake_provider *p)
{
    size_t count = 0;
    const struct conn *conn;
    for (conn = LIST_FIRST(&p->conns); conn; conn = LIST_NEXT(conn, link))
        count += conn->stalled;
    return count;
}

uint64_t fake_provider_sent(const struct fake_provider *p)
{
    return p->sent;
}

const char *fake_provider_head(const struct fake_provider *p)
{
    return p->head;
}

size_t fake_provider_body_len(const struct fake_provider *p)
{
    return p->body_len;
}
