#include "tests/support/redis_fixture.h"

#include "common/clock.h"
#include "common/limits.h"
#include "storage/redis_protocol.h"
#include "storage/redis_reply.h"

#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 15000
#define ASK_S    15

static int complain(const char *what)
{
    (void)fprintf(stderr, "redis_fixture: %s: %s\n", what, strerror(errno));
    return -1;
}

static int write_config(const struct redis_fixture *f, const char *config)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/redis.conf", f->dir);
    FILE *file = fopen(path, "we");
    if (!file)
        return complain(path);
    (void)fprintf(file,
                  "port 0\nunixsocket %s\nunixsocketperm 700\ndir %s\nlogfile %s/redis.log\n"
                  "save \"\"\nappendonly no\n%s\n",
                  f->socket, f->dir, f->dir, config ? config : "");
    return fclose(file) ? complain(path) : 0;
}

static void run_server(const struct redis_fixture *f, pid_t parent)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/redis.conf", f->dir);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    if (getppid() != parent || null < 0)
        _exit(1);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    (void)execlp("redis-server", "redis-server", path, f->is_sentinel ? "--sentinel" : NULL,
                 (char *)NULL);
    _exit(127);
}

int redis_fixture_spawn(struct redis_fixture *f)
{
    redis_fixture_kill(f);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return complain("fork");
    if (pid == 0)
        run_server(f, parent);
    f->pid = pid;
    return 0;
}

int redis_fixture_restart(struct redis_fixture *f)
{
    int64_t until_ms = clock_mono_ms() + START_MS;
    if (redis_fixture_spawn(f))
        return -1;
    while (!redis_fixture_says(f, "PONG", REDIS_ARGS("PING"))) {
        if (clock_mono_ms() > until_ms || waitpid(f->pid, NULL, WNOHANG) == f->pid) {
            (void)fprintf(stderr, "redis_fixture: no server in %s, see its redis.log\n", f->dir);
            return -1;
        }
        (void)usleep(5000);
    }
    return 0;
}

int redis_fixture_start(struct redis_fixture *f, const char *config)
{
    *f = (struct redis_fixture){.pid = 0};
    (void)strcpy(f->dir, "/tmp/sluice-redis-XXXXXX");
    if (!mkdtemp(f->dir)) {
        f->dir[0] = '\0';
        return complain("mkdtemp");
    }
    (void)snprintf(f->socket, sizeof(f->socket), "%s/redis.sock", f->dir);
    (void)snprintf(f->url, sizeof(f->url), "unix://%s", f->socket);
    f->is_sentinel = config && strstr(config, "sentinel monitor ");
    const char *password = config ? strstr(config, "requirepass ") : NULL;
    if (password)
        (void)sscanf(password, "requirepass %63s", f->password);
    return write_config(f, config) ? -1 : redis_fixture_restart(f);
}

void redis_fixture_kill(struct redis_fixture *f)
{
    if (!f->pid)
        return;
    (void)kill(f->pid, SIGKILL);
    (void)waitpid(f->pid, NULL, 0);
    f->pid = 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void redis_fixture_stop(struct redis_fixture *f)
{
    redis_fixture_kill(f);
    if (f->dir[0])
        (void)nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    f->dir[0] = '\0';
}

void redis_fixture_pause(struct redis_fixture *f)
{
    (void)kill(f->pid, SIGSTOP);
    (void)waitpid(f->pid, NULL, WUNTRACED);
}

void redis_fixture_resume(struct redis_fixture *f)
{
    (void)kill(f->pid, SIGCONT);
}

static int dial(const struct redis_fixture *f)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ASK_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    memcpy(to.sun_path, f->socket, sizeof(to.sun_path));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static int send_args(int fd, const struct redis_args *args)
{
    struct evbuffer *out = evbuffer_new();
    int rc = redis_encode(out, redis_encoded_bytes(args), args);
    while (!rc && evbuffer_get_length(out) > 0)
        rc = evbuffer_write(out, fd) < 0 ? -1 : 0;
    evbuffer_free(out);
    return rc;
}

static struct redisReply *read_reply(int fd)
{
    struct redis_reader *reader = redis_reader_new((size_t)REDIS_MAX_REPLY_BYTES);
    struct redisReply *reply = NULL;
    char bytes[16 * 1024];
    int rc = 0;
    while (rc == 0) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        rc = n <= 0 ? -1 : redis_reader_feed(reader, bytes, (size_t)n);
        if (!rc)
            rc = redis_reader_next(reader, &reply);
    }
    redis_reader_free(reader);
    return reply;
}

int redis_fixture_send(struct redis_fixture *f, const struct redis_args *args)
{
    int fd = dial(f), rc = 0;
    if (fd < 0)
        return -1;
    if (f->password[0]) {
        rc = send_args(fd, REDIS_ARGS("AUTH", f->password));
        if (!rc)
            redis_reply_free(read_reply(fd));
    }
    if (rc || send_args(fd, args)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

struct redisReply *redis_fixture_ask(struct redis_fixture *f, const struct redis_args *args)
{
    int fd = redis_fixture_send(f, args);
    if (fd < 0)
        return NULL;
    struct redisReply *reply = read_reply(fd);
    (void)close(fd);
    return reply;
}

int64_t redis_fixture_ask_int(struct redis_fixture *f, const struct redis_args *args)
{
    struct redisReply *reply = redis_fixture_ask(f, args);
    int64_t value = reply_int(reply, INT64_MIN);
    redis_reply_free(reply);
    return value;
}

bool redis_fixture_says(struct redis_fixture *f, const char *text, const struct redis_args *args)
{
    struct redisReply *reply = redis_fixture_ask(f, args);
    const char *got = reply_text(reply, NULL);
    bool same = got && strcmp(got, text) == 0;
    redis_reply_free(reply);
    return same;
}

int64_t redis_fixture_info(struct redis_fixture *f, const char *name)
{
    struct redisReply *reply = redis_fixture_ask(f, REDIS_ARGS("INFO", "everything"));
    const char *at = reply_text(reply, NULL);
    int64_t value = 0;
    size_t len = strlen(name);
    for (at = at ? strstr(at, name) : NULL; at; at = strstr(at + 1, name)) {
        if (at[-1] != '\n' || at[len] != ':')
            continue;
        at += len + 1;
        value = strtoll(at + strcspn(at, "-0123456789"), NULL, 10);
        break;
    }
    redis_reply_free(reply);
    return value;
}
