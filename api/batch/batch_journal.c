#include "api/batch/batch_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct told {
    batch_done_fn fn;
    void *arg;
};

/* Bytes of whole, sound lines at the start of the text. */
static size_t scan(const char *text, size_t len, int which, const struct told *told)
{
    size_t at = 0;
    struct error e;
    while (at < len) {
        const char *stop = memchr(text + at, '\n', len - at);
        if (!stop)
            break;
        struct json_span line = {text + at, (size_t)(stop - text) - at};
        if (json_scan_check(line.at, line.len, &e) < 0)
            break;
        told->fn(told->arg, which, line);
        at += line.len + 1;
    }
    return at;
}

static int recover(struct batch_journal *j, int which, const struct told *told)
{
    struct stat st;
    size_t good = 0;
    if (fstat(j->fds[which], &st))
        return -errno;
    size_t len = (size_t)st.st_size;
    if (len > 0) {
        char *text = mmap(NULL, len, PROT_READ, MAP_PRIVATE, j->fds[which], 0);
        if (text == MAP_FAILED)
            return -errno;
        good = scan(text, len, which, told);
        (void)munmap(text, len);
    }
    j->bytes[which] = (int64_t)good;
    return good < len && ftruncate(j->fds[which], (off_t)good) ? -errno : 0;
}

static int open_one(struct batch_journal *j, int which, const char *path)
{
    j->paths[which] = strdup(path);
    if (!j->paths[which])
        return -ENOMEM;
    j->fds[which] = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (j->fds[which] < 0 || flock(j->fds[which], LOCK_EX | LOCK_NB))
        return -errno;
    return 0;
}

int batch_journal_open(struct batch_journal *j, const char *output_path, const char *error_path,
                       batch_done_fn fn, void *arg)
{
    struct told told = {fn, arg};
    *j = (struct batch_journal){.fds = {-1, -1}};
    int rc = open_one(j, 0, output_path);
    if (rc == 0 && error_path)
        rc = open_one(j, 1, error_path);
    if (rc == 0)
        rc = recover(j, 0, &told);
    if (rc == 0 && error_path)
        rc = recover(j, 1, &told);
    if (rc < 0)
        batch_journal_release(j);
    return rc;
}

void batch_journal_release(struct batch_journal *j)
{
    for (int i = 0; i < 2; i++) {
        if (j->paths[i] && j->fds[i] >= 0)
            (void)close(j->fds[i]);
        free(j->paths[i]);
        j->paths[i] = NULL;
    }
}

int batch_journal_add(struct batch_journal *j, int which, const char *text, size_t len)
{
    int at = j->paths[which] ? which : 0;
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(j->fds[at], text + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int rc = n < 0 ? -errno : -EIO;
            /* Half a line before the next one would end the reading after a restart. */
            return ftruncate(j->fds[at], (off_t)j->bytes[at]) ? -errno : rc;
        }
        done += (size_t)n;
    }
    j->bytes[at] += (int64_t)len;
    return 0;
}

int batch_journal_finish(struct batch_journal *j)
{
    for (int i = 0; i < 2; i++)
        if (j->paths[i] && fdatasync(j->fds[i]))
            return -errno;
    return 0;
}
