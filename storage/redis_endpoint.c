#include "storage/redis_endpoint.h"

#include <errno.h>
#include <event2/buffer.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WRITE_PIECES 32

_Static_assert(REDIS_PATH_BYTES == sizeof(((struct sockaddr_un *)0)->sun_path), "path fits");

/* 0 or a code of getaddrinfo(). What does not fit is left out: a name has a few addresses. */
static int resolve(struct redis_endpoint *p, const struct redis_place *place, int flags)
{
    char port[16];
    struct addrinfo *all = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    (void)snprintf(port, sizeof(port), "%d", place->port);
    int rc = getaddrinfo(place->host, port, &hints, &all);
    if (rc)
        return rc;
    for (const struct addrinfo *a = all; a && p->count < ENDPOINT_MAX_SOCKETS; a = a->ai_next) {
        memcpy(&p->all[p->count], a->ai_addr, a->ai_addrlen);
        p->lens[p->count++] = a->ai_addrlen;
    }
    freeaddrinfo(all);
    return 0;
}

int redis_endpoint_init(struct redis_endpoint *p, const struct redis_address *address,
                        struct error *e)
{
    *p = (struct redis_endpoint){.count = 0};
    if (address->path[0]) {
        memcpy(p->path, address->path, sizeof(p->path));
        return 0;
    }
    const char *unknown = NULL;
    int failure = 0;
    for (size_t i = 0; i < address->place_count; i++) {
        int rc = resolve(p, &address->places[i], 0);
        if (rc) {
            unknown = address->places[i].host;
            failure = rc;
        }
    }
    if (unknown && p->count == 0)
        return error_set(e, -EHOSTUNREACH, "redis host %s cannot be resolved: %s", unknown,
                         gai_strerror(failure));
    return 0;
}

int redis_endpoint_move(struct redis_endpoint *p, const struct redis_place *place)
{
    struct redis_endpoint moved = {.count = 0};
    if (resolve(&moved, place, AI_NUMERICHOST) || moved.count == 0)
        return -EINVAL;
    *p = moved;
    return 0;
}

bool redis_endpoint_is_set(const struct redis_endpoint *p)
{
    return p->path[0] || p->count > 0;
}

/* Gives the descriptor, or closes it and gives the error. */
static int connect_or_close(int fd, const struct sockaddr *to, socklen_t len)
{
    if (connect(fd, to, len) == 0 || errno == EINPROGRESS)
        return fd;
    int rc = -errno;
    (void)close(fd);
    return rc;
}

static int open_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, path, sizeof(to.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : connect_or_close(fd, (const struct sockaddr *)&to, sizeof(to));
}

int redis_endpoint_open(struct redis_endpoint *p)
{
    if (p->path[0])
        return open_unix(p->path);

    if (p->count == 0)
        return -EDESTADDRREQ;
    const struct sockaddr *to = (const struct sockaddr *)&p->all[p->next];
    socklen_t len = p->lens[p->next];
    p->next = (p->next + 1) % p->count;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Commands of one turn of the loop leave in one write already. */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return connect_or_close(fd, to, len);
}

int redis_endpoint_send(int fd, struct evbuffer *out)
{
    struct evbuffer_iovec pieces[WRITE_PIECES];
    int n = evbuffer_peek(out, -1, NULL, pieces, WRITE_PIECES);
    struct msghdr message = {.msg_iov = pieces,
                             .msg_iovlen = (size_t)(n < WRITE_PIECES ? n : WRITE_PIECES)};
    /* evbuffer_write() would raise SIGPIPE. */
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0)
        return -errno;
    (void)evbuffer_drain(out, (size_t)sent);
    return 0;
}

bool redis_endpoint_has_input(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}
