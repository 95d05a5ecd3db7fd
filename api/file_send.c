#include "api/file_send.h"

#include "common/limits.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE_BYTES (64 * KIB)

struct sending {
    struct exchange *exchange;
    struct event *next;
    int fd;
    char piece[PIECE_BYTES];
};

static void sending_free(struct sending *s)
{
    if (s->next)
        event_free(s->next);
    if (s->fd >= 0)
        (void)close(s->fd);
    free(s);
}

static void on_gone(void *arg)
{
    sending_free(arg);
}

/* One piece a turn, so that a fast reader of a long file does not keep the loop to itself. */
static void on_next(evutil_socket_t fd, short what, void *arg)
{
    struct sending *s = arg;
    (void)fd;
    (void)what;
    ssize_t n = read(s->fd, s->piece, sizeof(s->piece));
    if (n <= 0) {
        struct exchange *x = s->exchange;
        sending_free(s);
        if (n == 0)
            exchange_stream_end(x);
        else
            exchange_stream_abort(x);
        return;
    }
    if (exchange_stream_write(s->exchange, s->piece, (size_t)n) <= HTTP_STREAM_HIGH_BYTES)
        event_active(s->next, EV_TIMEOUT, 0);
}

static void on_drain(void *arg)
{
    struct sending *s = arg;
    event_active(s->next, EV_TIMEOUT, 0);
}

int file_send(struct event_base *base, struct exchange *x, const char *path,
              const char *content_type)
{
    struct sending *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->exchange = x;
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = s->fd < 0 ? -errno : 0;
    s->next = evtimer_new(base, on_next, s);
    if (rc < 0 || !s->next) {
        sending_free(s);
        return rc < 0 ? rc : -ENOMEM;
    }
    exchange_on_gone(x, on_gone, s);
    exchange_on_drain(x, on_drain, s);
    exchange_stream_start(x, 200, content_type);
    event_active(s->next, EV_TIMEOUT, 0);
    return 0;
}
