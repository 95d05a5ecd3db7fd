#include "common/file.h"

#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Fills up to size bytes; the number read, or negative errno. */
static ssize_t read_all(int fd, char *bytes, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, bytes + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

int file_read(const char *path, char *bytes, size_t size, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    ssize_t len = read_all(fd, bytes, size);
    (void)close(fd);
    if (len >= 0 && (size_t)len == size)
        len = -EFBIG;
    if (len < 0) {
        explicit_bzero(bytes, size);
        return (int)len;
    }
    bytes[len] = '\0';
    *ret_len = (size_t)len;
    return 0;
}

#define CHUNK_BYTES (64 * KIB)

static int append_all(int fd, struct buf *into)
{
    char chunk[CHUNK_BYTES];
    for (;;) {
        ssize_t n = read_all(fd, chunk, sizeof(chunk));
        if (n <= 0)
            return (int)n;
        int rc = buf_add(into, chunk, (size_t)n);
        if (rc < 0)
            return rc == -ENOSPC ? -EFBIG : rc;
    }
}

int file_append(const char *path, struct buf *into)
{
    if (strcmp(path, "-") == 0)
        return append_all(STDIN_FILENO, into);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = append_all(fd, into);
    (void)close(fd);
    return rc;
}
