#include "api/tcp_bind.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int split_address(const char *address, char *host, size_t size, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || colon[1] == '\0')
        return -EINVAL;
    size_t len = (size_t)(colon - address);
    if (address[0] == '[') {
        if (len < 3 || address[len - 1] != ']')
            return -EINVAL;
        address++;
        len -= 2;
    }
    if (len >= size)
        return -EINVAL;
    memcpy(host, address, len);
    host[len] = '\0';
    *ret_port = colon + 1;
    return 0;
}

/* Set on the listening socket: Linux gives them on to every accepted one. A peer that
 * vanished without a word is found after about two minutes. */
static void set_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60}, {IPPROTO_TCP, TCP_KEEPINTVL, 15},
        {IPPROTO_TCP, TCP_KEEPCNT, 4},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 120000},
        {SOL_SOCKET, SO_REUSEADDR, 1},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static int bind_tcp(const struct addrinfo *found, bool reuse_port)
{
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_tcp_options(fd);
    int on = 1;
    if ((reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) ||
        bind(fd, found->ai_addr, found->ai_addrlen)) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static void name_tcp(int fd, char *ret_address)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&at, &len) ||
        getnameinfo((struct sockaddr *)&at, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return;
    (void)snprintf(ret_address, TCP_ADDRESS_BYTES,
                   strchr(host, ':') ? "[%.80s]:%.40s" : "%.80s:%.40s", host, port);
}

int tcp_bind(const char *address, bool reuse_port, char ret_address[TCP_ADDRESS_BYTES],
             struct error *e)
{
    char host[128];
    const char *port;
    if (split_address(address, host, sizeof(host), &port))
        return error_set(e, -EINVAL, "'%s' is not an address: HOST:PORT or unix:PATH", address);

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed)
        return error_set(e, -EINVAL, "cannot listen on %s: %s", address, gai_strerror(failed));
    int fd = bind_tcp(found, reuse_port);
    freeaddrinfo(found);
    if (fd < 0)
        return error_set(e, fd, "cannot listen on %s: %s", address, strerror(-fd));
    name_tcp(fd, ret_address);
    return fd;
}
