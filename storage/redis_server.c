#include "storage/redis_server.h"

#include "common/clock.h"
#include "common/log.h"
#include "storage/redis_address.h"
#include "storage/redis_process.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READY_MS         10000
#define STOP_MS          10000
#define STABLE_MS        10000 /* lived so long: the next restart is at once again */
#define BACKOFF_LEAST_MS 100
#define BACKOFF_MOST_MS  5000

struct redis_server {
    struct event_base *base;
    struct redis_process_options options;
    char *binary;
    char url[sizeof("unix://") + 3 * REDIS_PATH_BYTES]; /* each byte may need an escape */
    int lock;                                           /* held as long as we own the directory */
    struct redis_process process;
    struct event on_end;   /* the pidfd; assigned while process.pid is set */
    struct event on_retry; /* timer */
    int64_t started_ms;
    int64_t backoff_ms; /* 0: the next restart is at once */
};

static int open_dir(const char *data_dir, char *ret_path, struct error *e)
{
    struct stat st;
    if (mkdir(data_dir, 0700) && errno != EEXIST)
        return error_set(e, -errno, "data_dir %s cannot be created: %s", data_dir, strerror(errno));
    if (stat(data_dir, &st) || !realpath(data_dir, ret_path))
        return error_set(e, -errno, "data_dir %s cannot be used: %s", data_dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return error_set(e, -ENOTDIR, "data_dir %s is no directory", ret_path);
    if (st.st_uid != geteuid())
        return error_set(e, -EPERM, "data_dir %s belongs to another user (uid %u)", ret_path,
                         (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(e, -EPERM, "data_dir %s is writable by others; chmod 700 it", ret_path);
    if (access(ret_path, W_OK | X_OK))
        return error_set(e, -errno, "data_dir %s cannot be written: %s", ret_path, strerror(errno));
    return 0;
}

static int set_paths(struct redis_server *s, const char *data_dir, struct error *e)
{
    struct redis_process_options *o = &s->options;
    int rc = open_dir(data_dir, o->dir, e);
    if (rc)
        return rc;
    size_t room = sizeof(o->socket) - sizeof("/redis.sock");
    if (strlen(o->dir) > room)
        return error_set(e, -ENAMETOOLONG,
                         "data_dir %.120s is too long for a socket: %zu bytes, at most %zu", o->dir,
                         strlen(o->dir), room);
    (void)snprintf(o->socket, sizeof(o->socket), "%.*s/redis.sock", (int)room, o->dir);
    (void)snprintf(o->log, sizeof(o->log), "%.*s/redis.log", (int)room, o->dir);
    return 0;
}

/* In the URL a path may hold no bytes that mean something there. */
static void set_url(struct redis_server *s)
{
    char *to = s->url + sprintf(s->url, "unix://");
    for (const char *at = s->options.socket; *at; at++) {
        unsigned char c = (unsigned char)*at;
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c > 0x7f ||
                     strchr("/._-", c);
        to += sprintf(to, plain ? "%c" : "%%%02x", c);
    }
}

static int lock_taken(struct redis_server *s, struct error *e)
{
    char owner[24] = "?";
    ssize_t n = pread(s->lock, owner, sizeof(owner) - 1, 0);
    if (n > 0)
        owner[strspn(owner, "0123456789")] = '\0';
    return error_set(e, -EBUSY, "data_dir %s is in use by another sluice (pid %s)", s->options.dir,
                     owner);
}

/* The file stays when we end: removing it would let two instances lock two files. */
static int take_lock(struct redis_server *s, struct error *e)
{
    char path[PATH_MAX + 16], pid[24];
    (void)snprintf(path, sizeof(path), "%s/sluice.lock", s->options.dir);
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0)
        return error_set(e, -errno, "%s cannot be opened: %s", path, strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK
                   ? lock_taken(s, e)
                   : error_set(e, -errno, "%s cannot be locked: %s", path, strerror(errno));
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(s->lock, 0) || pwrite(s->lock, pid, (size_t)n, 0) != n)
        return error_set(e, -EIO, "%s cannot be written", path);
    return 0;
}

static void on_end(evutil_socket_t fd, short what, void *arg);

static int supervise(struct redis_server *s)
{
    s->started_ms = clock_mono_ms();
    (void)event_assign(&s->on_end, s->base, s->process.pidfd, EV_READ, on_end, s);
    return event_add(&s->on_end, NULL) ? -ENOMEM : 0;
}

static void retry_later(struct redis_server *s)
{
    struct timeval tv = {.tv_sec = s->backoff_ms / 1000, .tv_usec = s->backoff_ms % 1000 * 1000};
    (void)event_add(&s->on_retry, &tv);
    s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : BACKOFF_LEAST_MS;
    if (s->backoff_ms > BACKOFF_MOST_MS)
        s->backoff_ms = BACKOFF_MOST_MS;
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct redis_server *s = arg;
    char how[32], wait[LOG_NUMBER_BYTES];
    (void)event_del(&s->on_end);
    redis_process_collect(&s->process, how, sizeof(how));
    if (clock_mono_ms() - s->started_ms >= STABLE_MS)
        s->backoff_ms = 0;
    log_write(LOG_ERROR, "redis-server died and is started again", "how", how, "after_ms",
              log_number(wait, s->backoff_ms), "log", s->options.log, NULL);
    retry_later(s);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct redis_server *s = arg;
    struct error e;
    int rc = redis_process_spawn(&s->process, &s->options, &e);
    if (!rc && supervise(s))
        redis_process_end(&s->process, 0);
    if (s->process.pid)
        return;
    log_write(LOG_ERROR, "redis-server cannot be started", "reason", rc ? e.text : "no memory",
              NULL);
    retry_later(s);
}

/* A fresh server counts as having died never; so does an adopted one. */
static int find_or_spawn(struct redis_server *s, struct error *e)
{
    int rc = redis_process_adopt(&s->process, &s->options, e);
    if (rc == 0)
        rc = redis_process_spawn(&s->process, &s->options, e);
    if (rc >= 0)
        rc = redis_process_wait_ready(&s->process, &s->options, READY_MS, e);
    if (!rc && supervise(s))
        rc = error_set(e, -ENOMEM, "out of memory for redis-server");
    return rc;
}

static void server_free(struct redis_server *s)
{
    if (s->lock >= 0)
        (void)close(s->lock);
    free(s->binary);
    free(s);
}

struct redis_server *redis_server_start(struct event_base *base,
                                        const struct redis_server_options *options, struct error *e)
{
    struct redis_server *s = calloc(1, sizeof(*s));
    if (!s || (options->binary && !(s->binary = strdup(options->binary)))) {
        free(s);
        (void)error_set(e, -ENOMEM, "out of memory for redis-server");
        return NULL;
    }
    s->base = base;
    s->lock = -1;
    s->process.pidfd = -1;
    s->options.binary = s->binary;
    s->options.fsync_always = options->fsync_always;
    (void)event_assign(&s->on_retry, base, -1, 0, on_retry, s);
    if (set_paths(s, options->data_dir, e) || take_lock(s, e)) {
        server_free(s);
        return NULL;
    }
    set_url(s);
    if (find_or_spawn(s, e)) {
        /* One that was found alive may only be busy: it is left as it was. */
        if (s->process.is_child)
            redis_process_end(&s->process, STOP_MS);
        redis_process_release(&s->process);
        server_free(s);
        return NULL;
    }
    return s;
}

const char *redis_server_url(const struct redis_server *s)
{
    return s->url;
}

pid_t redis_server_pid(const struct redis_server *s)
{
    return s->process.pid;
}

bool redis_server_adopted(const struct redis_server *s)
{
    return s->process.pid != 0 && !s->process.is_child;
}

void redis_server_stop(struct redis_server *s)
{
    if (!s)
        return;
    if (s->process.pid)
        (void)event_del(&s->on_end);
    (void)event_del(&s->on_retry);
    redis_process_end(&s->process, STOP_MS);
    server_free(s);
}
