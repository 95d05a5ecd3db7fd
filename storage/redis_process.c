#include "storage/redis_process.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONFIG_BYTES   (32 * KIB) /* less than a pipe holds */
#define TRY_EVERY_MS   10
#define ANSWER_MS      1000
#define LOG_TAIL_BYTES 256

/* As redis.conf wants it: inside quotes, with escapes. */
static void add_quoted(struct buf *b, const char *text)
{
    (void)buf_adds(b, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            (void)buf_addf(b, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            (void)buf_addf(b, "\\x%02x", c);
        else
            (void)buf_add(b, text, 1);
    }
    (void)buf_adds(b, "\"\n");
}

static int make_config(struct buf *b, const struct redis_process_options *o)
{
    (void)buf_adds(b, "port 0\nunixsocketperm 700\nunixsocket ");
    add_quoted(b, o->socket);
    (void)buf_adds(b, "dir ");
    add_quoted(b, o->dir);
    (void)buf_adds(b, "logfile ");
    add_quoted(b, o->log);
    (void)buf_adds(b, "pidfile ");
    char pid_file[PATH_MAX + 16];
    (void)snprintf(pid_file, sizeof(pid_file), "%s/redis.pid", o->dir);
    add_quoted(b, pid_file);
    (void)buf_addf(b,
                   "daemonize no\nsupervised no\nsave \"\"\nappendonly yes\nappendfsync %s\n"
                   "maxmemory-policy noeviction\n",
                   o->fsync_always ? "always" : "everysec");
    return b->failed;
}

/* The read end of a pipe that holds the text and has no writer any more. */
static int pipe_with(const struct buf *text)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    ssize_t n = write(ends[1], text->data, text->len);
    int rc = n == (ssize_t)text->len ? ends[0] : -EIO;
    (void)close(ends[1]);
    if (rc < 0)
        (void)close(ends[0]);
    return rc;
}

/* Grows only by restarts and rewrites, so one look at each start is enough. */
static int open_log(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && st.st_size > REDIS_MAX_LOG_BYTES) {
        char old[PATH_MAX + 2];
        (void)snprintf(old, sizeof(old), "%s.1", path);
        (void)rename(path, old);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

/* A session of its own: the Ctrl-C that ends us must not end the store before us. No
 * environment: ours may hold the keys of providers. posix_spawn has no attribute for the
 * umask, so ours is changed meanwhile. */
static int spawn_with(pid_t *ret, const char *binary, int in, int out)
{
    char name[] = "redis-server", dash[] = "-";
    char *argv[] = {name, dash, NULL};
    char *no_environment[] = {NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    if (posix_spawn_file_actions_init(&files))
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes)) {
        (void)posix_spawn_file_actions_destroy(&files);
        return -ENOMEM;
    }
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
    if (!rc)
        rc = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF);
    if (!rc) {
        mode_t ours = umask(077);
        rc = posix_spawnp(ret, binary, &files, &attributes, argv, no_environment);
        (void)umask(ours);
    }
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return -rc;
}

static int watch(struct redis_process *p, pid_t pid, bool is_child, struct error *e)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return error_set(e, -errno, "redis-server (pid %d) cannot be watched: %s", (int)pid,
                         strerror(errno));
    *p = (struct redis_process){.pid = pid, .pidfd = fd, .is_child = is_child};
    return 0;
}

static int spawn_logged(struct redis_process *p, const struct redis_process_options *o, int in,
                        struct error *e)
{
    const char *binary = o->binary ? o->binary : "redis-server";
    pid_t pid = 0;
    int log = open_log(o->log);
    if (log < 0)
        return error_set(e, log, "%s cannot be written: %s", o->log, strerror(-log));
    int rc = spawn_with(&pid, binary, in, log);
    (void)close(log);
    if (rc == -ENOENT)
        return error_set(e, rc, "%s is not installed (Debian: apt-get install redis-server)",
                         binary);
    if (rc)
        return error_set(e, rc, "%s cannot be started: %s", binary, strerror(-rc));
    rc = watch(p, pid, true, e);
    if (rc) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    return rc;
}

int redis_process_spawn(struct redis_process *p, const struct redis_process_options *o,
                        struct error *e)
{
    struct buf config;
    buf_init(&config, CONFIG_BYTES);
    int rc = make_config(&config, o);
    int in = rc ? rc : pipe_with(&config);
    buf_release(&config);
    if (in < 0)
        return error_set(e, in, "the configuration of redis-server cannot be passed: %s",
                         strerror(-in));
    rc = spawn_logged(p, o, in, e);
    (void)close(in);
    return rc;
}

static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ANSWER_MS / 1000};
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    int rc = -errno;
    (void)close(fd);
    return rc;
}

/* Sends an inline command and gives the first line of the answer; "" when there is none. */
static void ask(int fd, const char *line, char *ret, size_t room)
{
    size_t len = 0;
    ret[0] = '\0';
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
        return;
    while (len + 1 < room && !memchr(ret, '\n', len)) {
        ssize_t n = recv(fd, ret + len, room - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    ret[len] = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
}

static int adopt_peer(struct redis_process *p, int fd, const struct redis_process_options *o,
                      struct error *e)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    char text[128], line[64];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
        return error_set(e, -errno, "the owner of %s is unknown: %s", o->socket, strerror(errno));
    if (peer.uid != geteuid() || peer.pid <= 0)
        return error_set(e, -EPERM, "%s belongs to another user or container", o->socket);

    ask(fd, "PING\r\n", text, sizeof(text));
    if (strcmp(text, "+PONG") != 0 && text[0] != '-') /* -LOADING, -BUSY: alive too */
        return error_set(e, -EBUSY, "a process (pid %d) listens on %s and does not answer as Redis",
                         (int)peer.pid, o->socket);
    /* It runs with the options of the instance that started it. */
    (void)snprintf(line, sizeof(line), "CONFIG SET appendfsync %s\r\n",
                   o->fsync_always ? "always" : "everysec");
    ask(fd, line, text, sizeof(text));
    int rc = watch(p, peer.pid, false, e);
    return rc ? rc : 1;
}

int redis_process_adopt(struct redis_process *p, const struct redis_process_options *o,
                        struct error *e)
{
    int fd = connect_to(o->socket);
    if (fd == -ENOENT || fd == -ECONNREFUSED)
        return 0;
    if (fd < 0)
        return error_set(e, fd, "%s cannot be used: %s", o->socket, strerror(-fd));
    int rc = adopt_peer(p, fd, o, e);
    (void)close(fd);
    return rc;
}

/* The end of the log as one line, to say why a server ended. */
static void log_tail(const char *path, char *ret, size_t room)
{
    ret[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)room - 1 ? size - ((off_t)room - 1) : 0;
    ssize_t n = pread(fd, ret, room - 1, from);
    (void)close(fd);
    ret[n < 0 ? 0 : n] = '\0';
    for (char *at = ret; *at; at++)
        if ((unsigned char)*at < 0x20)
            *at = at[1] ? '|' : '\0';
}

static bool has_ended(const struct redis_process *p, int timeout_ms)
{
    struct pollfd wait = {.fd = p->pidfd, .events = POLLIN};
    return poll(&wait, 1, timeout_ms) > 0;
}

int redis_process_wait_ready(struct redis_process *p, const struct redis_process_options *o,
                             int timeout_ms, struct error *e)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    char text[128] = "", tail[LOG_TAIL_BYTES];
    do {
        if (has_ended(p, TRY_EVERY_MS)) {
            redis_process_collect(p, text, sizeof(text));
            log_tail(o->log, tail, sizeof(tail));
            return error_set(e, -ECHILD, "redis-server ended at its start (%.24s): ...%s", text,
                             tail);
        }
        int fd = connect_to(o->socket);
        if (fd < 0)
            continue;
        ask(fd, "PING\r\n", text, sizeof(text));
        (void)close(fd);
        if (strcmp(text, "+PONG") == 0)
            return 0;
    } while (clock_mono_ms() < until_ms);

    if (strncmp(text, "-LOADING", 8) == 0)
        return 0;
    return error_set(e, -ETIMEDOUT, "redis-server did not answer within %d ms, see %s", timeout_ms,
                     o->log);
}

void redis_process_collect(struct redis_process *p, char *ret_how, size_t room)
{
    int status = 0;
    (void)snprintf(ret_how, room, "ended");
    if (p->is_child && waitpid(p->pid, &status, 0) == p->pid) {
        if (WIFSIGNALED(status))
            (void)snprintf(ret_how, room, "signal %d", WTERMSIG(status));
        else
            (void)snprintf(ret_how, room, "exit code %d", WEXITSTATUS(status));
    }
    redis_process_release(p);
}

void redis_process_end(struct redis_process *p, int timeout_ms)
{
    char how[32];
    if (p->pid == 0)
        return;
    /* By the pidfd: the number of an adopted process may belong to another one by now. */
    (void)pidfd_send_signal(p->pidfd, SIGTERM, NULL, 0);
    if (!has_ended(p, timeout_ms)) {
        (void)pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
        (void)has_ended(p, -1);
    }
    redis_process_collect(p, how, sizeof(how));
}

void redis_process_release(struct redis_process *p)
{
    if (p->pid)
        (void)close(p->pidfd);
    *p = (struct redis_process){.pidfd = -1};
}
