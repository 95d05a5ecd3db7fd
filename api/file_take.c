#include "api/file_take.h"

#include "api/multipart.h"
#include "common/limits.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (1 * MIB)

struct taking {
    char *body;
    size_t body_len;
    bool mapped;
    struct multipart_part file;
    size_t done;
    int fd;
    char *path, *beside;
    struct event *next;
    file_take_fn fn;
    void *arg;
};

static void taking_free(struct taking *t)
{
    if (t->fd >= 0)
        (void)close(t->fd);
    if (t->next)
        event_free(t->next);
    if (t->mapped && t->body)
        (void)munmap(t->body, t->body_len);
    else
        free(t->body);
    free(t->path);
    free(t->beside);
    free(t);
}

/* The rename is on the disk when its folder is. */
static int sync_folder(char *path)
{
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) ? -errno : 0;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static int name_it(struct taking *t)
{
    if (fdatasync(t->fd) || rename(t->beside, t->path))
        return -errno;
    return sync_folder(t->beside);
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
    struct taking *t = arg;
    size_t left = t->file.len - t->done;
    ssize_t n = left > 0 ? write(t->fd, t->file.data + t->done,
                                 left < (size_t)PIECE_BYTES ? left : (size_t)PIECE_BYTES)
                         : 0;
    int rc = n < 0 ? -errno : 0;
    (void)fd;
    (void)what;
    if (n > 0) {
        /* Starts the writing now, so that little is left to wait for at the end. */
        (void)sync_file_range(t->fd, (off_t)t->done, n, SYNC_FILE_RANGE_WRITE);
        t->done += (size_t)n;
        event_active(t->next, EV_TIMEOUT, 0);
        return;
    }
    if (rc == 0)
        rc = name_it(t);
    else
        (void)unlink(t->beside);
    t->fn(t->arg, rc, t->file.filename, (int64_t)t->file.len);
    taking_free(t);
}

static int read_form(struct taking *t, const char *content_type, struct error *e)
{
    struct multipart m;
    struct multipart_part part;
    bool has_file = false, has_purpose = false;
    int rc = multipart_start(&m, content_type, t->body, t->body_len);
    while (rc == 0 && (rc = multipart_next(&m, &part)) > 0) {
        rc = 0;
        if (strcmp(part.name, "file") == 0) {
            t->file = part;
            has_file = true;
        } else if (strcmp(part.name, "purpose") == 0) {
            has_purpose = part.len == 5 && memcmp(part.data, "batch", 5) == 0;
        }
        if (multipart_is_end(&m))
            break;
    }
    if (rc < 0)
        return error_set(e, -EINVAL,
                         "The body must be multipart/form-data, whole, with file and "
                         "purpose.");
    if (!has_purpose)
        return error_set(e, -EINVAL, "purpose must be batch.");
    if (!has_file)
        return error_set(e, -EINVAL, "file is missing.");
    if (t->file.len > FILE_MAX_BYTES)
        return error_set(e, -EFBIG, "A file has at most 200 MB.");
    if (!*t->file.filename)
        (void)snprintf(t->file.filename, sizeof(t->file.filename), "upload.jsonl");
    return 0;
}

static int take_body(struct taking *t, struct exchange *x)
{
    struct stat st;
    int fd = exchange_take_body_file(x);
    if (fd < 0) {
        t->body = exchange_take_body(x, &t->body_len);
        return t->body ? 0 : -ENOMEM;
    }
    t->mapped = true;
    void *map = MAP_FAILED;
    if (fstat(fd, &st) == 0)
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    t->body = map == MAP_FAILED ? NULL : map;
    t->body_len = map == MAP_FAILED ? 0 : (size_t)st.st_size;
    return t->body ? 0 : -ENOMEM;
}

static int prepare(struct taking *t, struct event_base *base, const char *path)
{
    size_t size = strlen(path) + sizeof(".part");
    t->path = strdup(path);
    t->beside = malloc(size);
    t->next = evtimer_new(base, on_next, t);
    if (!t->path || !t->beside || !t->next)
        return -ENOMEM;
    (void)snprintf(t->beside, size, "%s.part", path);
    t->fd = open(t->beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return t->fd < 0 ? -errno : 0;
}

int file_take(struct event_base *base, struct exchange *x, const char *path, file_take_fn fn,
              void *arg, struct error *e)
{
    struct taking *t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(e, -ENOMEM, "Sluice is out of memory.");
    *t = (struct taking){.fd = -1, .fn = fn, .arg = arg};
    (void)error_set(e, 0, "The file cannot be written here.");
    int rc = take_body(t, x);
    if (rc == 0)
        rc = read_form(t, exchange_header(x, "content-type"), e);
    if (rc == 0)
        rc = prepare(t, base, path);
    if (rc < 0) {
        taking_free(t);
        return rc;
    }
    event_active(t->next, EV_TIMEOUT, 0);
    return 0;
}
