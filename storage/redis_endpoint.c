#include "storage/redis_endpoint.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(REDIS_PATH_BYTES == sizeof(((struct sockaddr_un *)0)->sun_path), "path fits");

int redis_endpoint_init(struct redis_endpoint *p, const struct redis_address *address,
                        struct error *e)
{
    *p = (struct redis_endpoint){.all = NULL};
    if (address->path[0]) {
        memcpy(p->path, address->path, sizeof(p->path));
        return 0;
    }

    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    (void)snprintf(port, sizeof(port), "%d", address->port);
    int rc = getaddrinfo(address->host, port, &hints, &p->all);
    if (rc)
        return error_set(e, -EHOSTUNREACH, "redis host %s cannot be resolved: %s", address->host,
                         gai_strerror(rc));
    p->next = p->all;
    return 0;
}

void redis_endpoint_release(struct redis_endpoint *p)
{
    if (p->all)
        freeaddrinfo(p->all);
    *p = (struct redis_endpoint){.all = NULL};
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

    const struct addrinfo *to = p->next;
    p->next = to->ai_next ? to->ai_next : p->all;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Commands of one turn of the loop leave in one write already. */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return connect_or_close(fd, to->ai_addr, to->ai_addrlen);
}
