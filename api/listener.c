#include "api/listener.h"

#include "api/tcp_bind.h"
#include "common/limits.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#define UNIX_PREFIX "unix:"
#define CHECK_MS    3600000

struct listener {
    struct evhttp *http;
    struct evhttp_bound_socket *bound; /* NULL once stopped */
    struct event *check;
    bool is_unix;
    int spare_fd; /* given up for a moment when there is no other; -1 while it is */
    char address[TCP_ADDRESS_BYTES];
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* of a unix socket, or "" */
};

static const char busy_reply[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    "Content-Length: 111\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
    "{\"error\":{\"message\":\"The service has no free file descriptor.\","
    "\"type\":\"server_error\",\"param\":null,\"code\":null}}";

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- opening */

static int open_tcp(struct listener *l, const char *address, bool reuse_port, struct error *e)
{
    return tcp_bind(address, reuse_port, l->address, e);
}

/* Removes a socket that nobody serves any more; leaves everything else alone. */
static int remove_stale(const struct sockaddr_un *at)
{
    struct stat file;
    if (lstat(at->sun_path, &file))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(file.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, (const struct sockaddr *)at, sizeof(*at)) ? -errno : -EADDRINUSE;
    close(fd);
    if (rc == -EAGAIN) /* served, with a full backlog */
        return -EADDRINUSE;
    if (rc != -ECONNREFUSED)
        return rc;
    return unlink(at->sun_path) ? -errno : 0;
}

static int bind_unix(const struct sockaddr_un *at)
{
    int rc = remove_stale(at);
    if (rc)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Before bind, so that the file never has a wider mode; Linux takes it from here. */
    if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)at, sizeof(*at)) ||
        chmod(at->sun_path, 0600)) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static int open_unix(struct listener *l, const char *address, struct error *e)
{
    const char *path = address + strlen(UNIX_PREFIX);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(at.sun_path))
        return error_set(e, -EINVAL, "cannot listen on '%s': a path has 1 to %zu bytes", address,
                         sizeof(at.sun_path) - 1);
    memcpy(at.sun_path, path, len + 1);
    int fd = bind_unix(&at);
    if (fd < 0)
        return error_set(e, fd, "cannot listen on %s: %s", address, strerror(-fd));
    memcpy(l->path, path, len + 1);
    (void)snprintf(l->address, sizeof(l->address), "%s", address);
    return fd;
}

/* ---- accept() that fails */

static void check_again_in(struct listener *l, int ms)
{
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};
    (void)event_add(l->check, &wait);
}

/* Runs after a pause, and rarely otherwise. */
static void on_check(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct listener *l = arg;
    if (l->spare_fd < 0)
        l->spare_fd = open_spare();
    if (l->bound)
        (void)evconnlistener_enable(evhttp_bound_socket_get_listener(l->bound));
    check_again_in(l, CHECK_MS);
}

struct search {
    const struct evconnlistener *wanted;
    struct listener *found;
};

static int is_wanted(const struct event_base *base, const struct event *event, void *arg)
{
    (void)base;
    struct search *search = arg;
    if (event_get_callback(event) != on_check)
        return 0;
    struct listener *l = event_get_callback_arg(event);
    if (!l->bound || evhttp_bound_socket_get_listener(l->bound) != search->wanted)
        return 0;
    search->found = l;
    return 1;
}

/* The error callback's argument is the evhttp, put there by evhttp_bind_listener(), and an
 * evhttp leads nowhere. Our own event on the same base, which is always pending, does. */
static struct listener *find(struct evconnlistener *listener)
{
    struct search search = {.wanted = listener};
    (void)event_base_foreach_event(evconnlistener_get_base(listener), is_wanted, &search);
    return search.found;
}

/* Tells one waiting client, which would otherwise wait without a word. */
static void answer_busy(struct listener *l, int listen_fd)
{
    if (l->spare_fd < 0)
        return;
    close(l->spare_fd);
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)send(fd, busy_reply, sizeof(busy_reply) - 1, MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        close(fd);
    }
    l->spare_fd = open_spare();
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    int error = errno;
    struct listener *l = find(listener);
    if (!l)
        return;
    (void)evconnlistener_disable(listener);
    if (error == EMFILE || error == ENFILE)
        answer_busy(l, evconnlistener_get_fd(listener));
    check_again_in(l, HTTP_ACCEPT_PAUSE_MS);
    log_write(LOG_WARN, "cannot accept a connection", "reason", strerror(error), NULL);
}

/* ---- life */

static int start(struct listener *l, struct event_base *base, int fd, struct error *e)
{
    l->spare_fd = open_spare();
    l->check = evtimer_new(base, on_check, l);
    struct evconnlistener *listener = evconnlistener_new(
        base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, HTTP_BACKLOG, fd);
    if (!listener) {
        int rc = error_set(e, -errno, "cannot listen on %s: %s", l->address, strerror(errno));
        close(fd);
        return rc;
    }
    l->bound = l->check ? evhttp_bind_listener(l->http, listener) : NULL;
    if (!l->bound) {
        evconnlistener_free(listener);
        return error_set(e, -ENOMEM, "out of memory");
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    check_again_in(l, CHECK_MS);
    return 0;
}

struct listener *listener_new(struct event_base *base, struct evhttp *http, const char *address,
                              bool reuse_port, struct error *e)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (!l) {
        error_set(e, -ENOMEM, "out of memory");
        return NULL;
    }
    l->http = http;
    l->spare_fd = -1;
    l->is_unix = strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
    int fd = l->is_unix ? open_unix(l, address, e) : open_tcp(l, address, reuse_port, e);
    if (fd < 0 || start(l, base, fd, e)) {
        listener_free(l);
        return NULL;
    }
    return l;
}

const char *listener_address(const struct listener *l)
{
    return l->address;
}

bool listener_is_unix(const struct listener *l)
{
    return l->is_unix;
}

void listener_stop(struct listener *l)
{
    if (l->check)
        (void)event_del(l->check);
    if (l->bound)
        evhttp_del_accept_socket(l->http, l->bound);
    l->bound = NULL;
    /* Only after the close, and only what was bound here: a path is set by a good bind. */
    if (l->path[0])
        (void)unlink(l->path);
    l->path[0] = '\0';
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    listener_stop(l);
    if (l->check)
        event_free(l->check);
    if (l->spare_fd >= 0)
        close(l->spare_fd);
    free(l);
}
