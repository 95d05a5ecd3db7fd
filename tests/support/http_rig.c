#include "tests/support/http_rig.h"

#include "common/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

/* ---- the server's side */

static void on_gone(void *arg)
{
    struct rig *rig = arg;
    rig->gone++;
    rig->held = NULL;
}

static void on_drain(void *arg)
{
    struct rig *rig = arg;
    rig->drains++;
}

static void hold(struct rig *rig, struct exchange *x)
{
    exchange_on_gone(x, on_gone, rig);
    rig->held = x;
}

static void on_request(void *arg, struct exchange *x)
{
    struct rig *rig = arg;
    const char *path = exchange_path(x);
    size_t len;
    rig->requests++;
    if (rig->observe)
        rig->observe(rig, x);
    if (strcmp(path, "/echo") == 0) {
        const char *body = exchange_body(x, &len);
        exchange_reply(x, 200, "text/plain", body, len);
    } else if (strcmp(path, "/take") == 0) {
        char *body = exchange_take_body(x, &len);
        assert_non_null(body);
        exchange_reply(x, 200, "text/plain", body, len);
        free(body);
    } else if (strcmp(path, "/hold") == 0) {
        hold(rig, x);
    } else if (strcmp(path, "/deaf") == 0) {
        rig->held = x;
    } else if (strcmp(path, "/stream") == 0) {
        hold(rig, x);
        exchange_on_drain(x, on_drain, rig);
        exchange_stream_start(x, 200, "text/event-stream");
    } else {
        exchange_reply(x, 200, "text/plain", "hello", 5);
    }
}

static void on_patience_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct rig *rig = arg;
    rig->out_of_patience = true;
}

struct server_options rig_options(void)
{
    return (struct server_options){
        .listen = "127.0.0.1:0", .max_body_bytes = RIG_MAX_BODY, .max_connections = 1000};
}

void rig_start(struct rig *rig, const struct server_options *options)
{
    struct error e = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    *rig = (struct rig){.base = event_base_new()};
    assert_non_null(rig->base);
    rig->patience = evtimer_new(rig->base, on_patience_end, rig);
    assert_non_null(rig->patience);
    rig->server = server_new(rig->base, options, on_request, rig, &e);
    if (!rig->server)
        fail_msg("%s", e.text);
}

void rig_stop(struct rig *rig)
{
    server_free(rig->server);
    event_free(rig->patience);
    event_base_free(rig->base);
}

void rig_turn(struct rig *rig)
{
    (void)event_base_loop(rig->base, EVLOOP_NONBLOCK);
}

/* Runs the loop until is_true(arg). */
static void until(struct rig *rig, bool (*is_true)(void *arg), void *arg, const char *what)
{
    struct timeval patience = {.tv_sec = RIG_PATIENCE_S};
    rig->out_of_patience = false;
    (void)event_add(rig->patience, &patience);
    while (!is_true(arg)) {
        (void)event_base_loop(rig->base, EVLOOP_ONCE);
        if (rig->out_of_patience)
            fail_msg("waited %d s for %s", RIG_PATIENCE_S, what);
    }
    (void)event_del(rig->patience);
}

struct goal {
    const size_t *count;
    size_t want;
    struct rig *rig;
    struct client *client;
    const char *text;
    size_t searched; /* bytes that text cannot start in */
};

static bool count_is_reached(void *arg)
{
    struct goal *goal = arg;
    return *goal->count >= goal->want;
}

static bool is_held(void *arg)
{
    return ((struct goal *)arg)->rig->held != NULL;
}

static bool is_not_held(void *arg)
{
    return ((struct goal *)arg)->rig->held == NULL;
}

static bool connections_are(void *arg)
{
    struct goal *goal = arg;
    return server_connections(goal->rig->server) == goal->want;
}

static bool time_is_up(void *arg)
{
    const struct goal *goal = arg;
    return clock_mono_ms() >= (int64_t)goal->want;
}

static void on_pass(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

void rig_pass(struct rig *rig, int ms)
{
    struct goal goal = {.want = (size_t)(clock_mono_ms() + ms)};
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 + 1000};
    assert_int_equal(event_base_once(rig->base, -1, EV_TIMEOUT, on_pass, NULL, &wait), 0);
    until(rig, time_is_up, &goal, "time to pass");
}

void rig_until(struct rig *rig, const size_t *count, size_t want)
{
    struct goal goal = {.count = count, .want = want};
    until(rig, count_is_reached, &goal, "a count");
}

void rig_until_held(struct rig *rig, bool held)
{
    struct goal goal = {.rig = rig};
    until(rig, held ? is_held : is_not_held, &goal, "an exchange to be held or let go");
}

void rig_until_connections(struct rig *rig, size_t want)
{
    struct goal goal = {.rig = rig, .want = want};
    until(rig, connections_are, &goal, "a number of connections");
}

/* ---- the clients' side */

static void keep(struct client *c, const char *bytes, size_t len)
{
    if (c->len + len + 1 > c->room) {
        c->room = (c->len + len + 1) * 2;
        c->in = realloc(c->in, c->room);
        assert_non_null(c->in);
    }
    memcpy(c->in + c->len, bytes, len);
    c->len += len;
    c->in[c->len] = '\0';
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct client *c = arg;
    char bytes[16384];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0) {
        keep(c, bytes, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        c->ended = true;
        c->reset = n < 0;
        (void)event_del(c->readable);
    }
}

static int connect_to(const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    if (is_unix)
        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
    else
        in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(is_unix ? connect(fd, (struct sockaddr *)&un, sizeof(un))
                             : connect(fd, (struct sockaddr *)&in, sizeof(in)),
                     0);
    return fd;
}

void client_open(struct client *c, struct rig *rig)
{
    *c = (struct client){.rig = rig, .fd = connect_to(server_address(rig->server))};
    keep(c, "", 0);
    c->readable = event_new(rig->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    assert_non_null(c->readable);
    client_read_on(c);
}

void client_close(struct client *c)
{
    if (c->fd < 0)
        return;
    event_free(c->readable);
    close(c->fd);
    free(c->in);
    *c = (struct client){.fd = -1};
}

void client_close_by_reset(struct client *c)
{
    struct linger linger = {.l_onoff = 1};
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    client_close(c);
}

void client_half_close(struct client *c)
{
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
}

size_t client_push(struct client *c, const void *bytes, size_t len)
{
    ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? 0 : (size_t)n;
}

struct sending {
    struct client *client;
    const char *at;
    size_t left;
};

static bool is_sent(void *arg)
{
    struct sending *s = arg;
    size_t n = client_push(s->client, s->at, s->left);
    s->at += n;
    s->left -= n;
    return s->left == 0 || s->client->ended;
}

void client_send_bytes(struct client *c, const void *bytes, size_t len)
{
    struct sending sending = {c, bytes, len};
    until(c->rig, is_sent, &sending, "bytes to be taken");
}

void client_send(struct client *c, const char *text)
{
    client_send_bytes(c, text, strlen(text));
}

void client_stop_reading(struct client *c)
{
    (void)event_del(c->readable);
}

void client_read_on(struct client *c)
{
    (void)event_add(c->readable, NULL);
}

static bool has_text(void *arg)
{
    struct goal *goal = arg;
    struct client *c = goal->client;
    if (strstr(c->in + goal->searched, goal->text))
        return true;
    if (c->ended)
        fail_msg("closed without '%s' in: %s", goal->text, c->in);
    size_t len = strlen(goal->text);
    goal->searched = c->len > len ? c->len - len : 0;
    return false;
}

static bool has_bytes(void *arg)
{
    struct goal *goal = arg;
    return goal->client->len >= goal->want;
}

static bool has_ended(void *arg)
{
    return ((struct goal *)arg)->client->ended;
}

void client_until(struct client *c, const char *text)
{
    struct goal goal = {.client = c, .text = text};
    until(c->rig, has_text, &goal, text);
}

void client_until_bytes(struct client *c, size_t len)
{
    struct goal goal = {.client = c, .want = len};
    until(c->rig, has_bytes, &goal, "bytes");
}

void client_until_end(struct client *c)
{
    struct goal goal = {.client = c};
    until(c->rig, has_ended, &goal, "the connection to end");
}

size_t client_count(const struct client *c, const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(c->in, text); at; at = strstr(at + 1, text))
        count++;
    return count;
}
