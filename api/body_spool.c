#include "api/body_spool.h"

#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZERO_BYTES  (64 * KIB)
#define PIECE_BYTES (256 * KIB)

void body_spool_init(struct body_spool *s)
{
    *s = (struct body_spool){.fd = -1};
}

void body_spool_release(struct body_spool *s)
{
    if (s->head)
        evbuffer_free(s->head);
    if (s->fd >= 0)
        (void)close(s->fd);
    body_spool_init(s);
}

int body_spool_start(struct body_spool *s, const char *folder, struct evbuffer *input,
                     size_t head_bytes, uint64_t length)
{
    s->head = evbuffer_new();
    s->left = s->length = length;
    s->open = true;
    s->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return -errno;
    if (!s->head || evbuffer_remove_buffer(input, s->head, head_bytes) != (int)head_bytes)
        return -ENOMEM;
    return 0;
}

int body_spool_take(struct body_spool *s, struct evbuffer *input)
{
    while (s->left > 0 && evbuffer_get_length(input) > 0) {
        size_t most = s->left < (uint64_t)PIECE_BYTES ? (size_t)s->left : (size_t)PIECE_BYTES;
        int n = evbuffer_write_atmost(input, s->fd, (ev_ssize_t)most);
        if (n <= 0)
            return errno ? -errno : -EIO;
        s->left -= (uint64_t)n;
    }
    return s->left == 0;
}

int body_spool_replay(struct body_spool *s, struct evbuffer *input)
{
    static const char zeros[ZERO_BYTES];
    struct evbuffer *all = s->head;
    int rc = 0;
    for (uint64_t left = s->length; left > 0 && rc == 0;) {
        size_t n = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
        rc = evbuffer_add_reference(all, zeros, n, NULL, NULL);
        left -= n;
    }
    if (rc == 0)
        rc = evbuffer_prepend_buffer(input, all);
    s->open = false;
    return rc ? -ENOMEM : 0;
}

int body_spool_give(struct body_spool *s)
{
    int fd = s->fd;
    s->fd = -1;
    return fd;
}
