#include "common/file.h"

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
