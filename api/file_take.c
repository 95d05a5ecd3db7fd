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
#define FORM_BYTES  (4 * MIB) /* that are looked through in one turn of the loop */

struct taking {
    char *body;
    size_t body_len;
    bool mapped;
    struct multipart form;
    struct multipart_part part, file;
    bool in_form, has_file, has_purpose;
    char anchor[32];
    int64_t expires_s;
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

/* ---- the form */

static int64_t part_number(const struct multipart_part *part)
{
    char digits[16];
    char *end;
    if (part->len == 0 || part->len >= sizeof(digits))
        return -1;
    memcpy(digits, part->data, part->len);
    digits[part->len] = '\0';
    long long n = strtoll(digits, &end, 10);
    return *end ? -1 : n;
}

static void take_part(struct taking *t)
{
    const struct multipart_part *part = &t->part;
    if (strcmp(part->name, "file") == 0) {
        t->file = *part;
        t->has_file = true;
    } else if (strcmp(part->name, "purpose") == 0) {
        t->has_purpose = part->len == 5 && memcmp(part->data, "batch", 5) == 0;
    } else if (strcmp(part->name, "expires_after[anchor]") == 0) {
        (void)snprintf(t->anchor, sizeof(t->anchor), "%.*s",
                       (int)(part->len < sizeof(t->anchor) ? part->len : 0), part->data);
    } else if (strcmp(part->name, "expires_after[seconds]") == 0) {
        t->expires_s = part_number(part);
    }
}

static int check_form(struct taking *t, struct error *e)
{
    if (!t->has_purpose)
        return error_set(e, -EINVAL, "purpose must be batch.");
    if (!t->has_file)
        return error_set(e, -EINVAL, "file is missing.");
    if (t->file.len > FILE_MAX_BYTES)
        return error_set(e, -EFBIG, "A file has at most 200 MB.");
    bool expires = t->expires_s != 0 || *t->anchor;
    if (expires && (t->expires_s < FILE_LEAST_EXPIRY_S || t->expires_s > FILE_MOST_EXPIRY_S ||
                    strcmp(t->anchor, "created_at") != 0))
        return error_set(e, -EINVAL,
                         "expires_after needs the anchor created_at and seconds from 3600 to "
                         "2592000.");
    if (!*t->file.filename)
        (void)snprintf(t->file.filename, sizeof(t->file.filename), "upload.jsonl");
    return 0;
}

/* -EAGAIN: there is more of it. */
static int read_form(struct taking *t, struct error *e)
{
    int rc = multipart_next(&t->form, &t->part);
    if (rc == -EAGAIN)
        return rc;
    if (rc < 0)
        return error_set(e, rc,
                         "The body must be multipart/form-data, whole, with file and "
                         "purpose.");
    if (rc > 0)
        take_part(t);
    return rc > 0 && !multipart_is_end(&t->form) ? -EAGAIN : check_form(t, e);
}

/* ---- the file */

/* 1: there is more; 0: it is whole and has its name. */
static int write_piece(struct taking *t)
{
    size_t left = t->file.len - t->done;
    ssize_t n = left > 0 ? write(t->fd, t->file.data + t->done,
                                 left < (size_t)PIECE_BYTES ? left : (size_t)PIECE_BYTES)
                         : 0;
    if (n <= 0)
        return n < 0 ? -errno : name_it(t);
    /* Starts the writing now, so that little is left to wait for at the end. */
    (void)sync_file_range(t->fd, (off_t)t->done, n, SYNC_FILE_RANGE_WRITE);
    t->done += (size_t)n;
    return 1;
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
    struct taking *t = arg;
    struct error e = {.text = ""};
    int rc = t->in_form ? read_form(t, &e) : write_piece(t);
    (void)fd;
    (void)what;
    if (t->in_form && rc == 0) {
        t->in_form = false;
        rc = 1;
    }
    if (rc == -EAGAIN || rc > 0) {
        event_active(t->next, EV_TIMEOUT, 0);
        return;
    }
    if (rc < 0)
        (void)unlink(t->beside);
    struct file_taken taken = {.rc = rc,
                               .why = e.text,
                               .name = t->file.filename,
                               .bytes = (int64_t)t->file.len,
                               .expires_s = t->expires_s};
    t->fn(t->arg, &taken);
    taking_free(t);
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
    *t = (struct taking){.fd = -1, .fn = fn, .arg = arg, .in_form = true};
    (void)error_set(e, 0, "The file cannot be written here.");
    int rc = take_body(t, x);
    if (rc == 0 &&
        multipart_start(&t->form, exchange_header(x, "content-type"), t->body, t->body_len) < 0)
        rc = error_set(e, -EINVAL, "The body must be multipart/form-data with a boundary.");
    t->form.budget = FORM_BYTES;
    if (rc == 0)
        rc = prepare(t, base, path);
    if (rc < 0) {
        taking_free(t);
        return rc;
    }
    event_active(t->next, EV_TIMEOUT, 0);
    return 0;
}
