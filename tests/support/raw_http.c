#include "tests/support/raw_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_S 20

void raw_http_open(struct raw_http *r, const char *url)
{
    const char *port = strrchr(url, ':');
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = WAIT_S};
    assert_non_null(port);
    to.sin_port = htons((uint16_t)atoi(port + 1));
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

void raw_http_close(struct raw_http *r)
{
    if (r->fd >= 0)
        (void)close(r->fd);
    r->fd = -1;
}

void raw_http_send(struct raw_http *r, const char *method, const char *path, const char *body)
{
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", method,
                     path, body ? strlen(body) : 0, body ? body : "");
    assert_in_range(n, 1, sizeof(text) - 1);
    assert_int_equal(send(r->fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

/* Bytes of the whole answer, once its head is there. */
static size_t whole_bytes(const char *reply)
{
    const char *end = strstr(reply, "\r\n\r\n");
    const char *length = strcasestr(reply, "\r\ncontent-length: ");
    if (!end)
        return SIZE_MAX;
    return (size_t)(end + 4 - reply) +
           (length && length < end ? strtoul(length + 18, NULL, 10) : 0);
}

int raw_http_read(struct raw_http *r)
{
    size_t have = 0;
    r->reply[0] = '\0';
    while (have < whole_bytes(r->reply)) {
        ssize_t n = recv(r->fd, r->reply + have, sizeof(r->reply) - 1 - have, 0);
        if (n <= 0)
            break;
        have += (size_t)n;
        r->reply[have] = '\0';
    }
    return have > 12 ? atoi(r->reply + 9) : 0;
}
