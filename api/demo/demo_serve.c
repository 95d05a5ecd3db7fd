#include "api/demo/demo_serve.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS   20
#define MAX_DEPTH 16

static int write_config(const struct demo_serve *s, const struct demo_work *w,
                        const char *provider_url, struct error *e)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/sluice.yaml", s->dir);
    FILE *file = fopen(path, "we");
    if (!file)
        return error_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
    int written = fprintf(file,
                          "data_dir: %s/data\n"
                          "providers:\n"
                          "  - name: demo\n"
                          "    format: openai\n"
                          "    base_url: %s/v1\n"
                          "    api_key: demo\n"
                          "    models:\n"
                          "      - {name: demo, rpm: %" PRId64 ", tpm: %" PRId64 "}\n",
                          s->dir, provider_url, w->rpm, w->tpm);
    if (fclose(file) != 0 || written < 0)
        return error_set(e, -EIO, "cannot write %s", path);
    return 0;
}

static void run_child(const struct demo_serve *s, int out)
{
    char config[96], log[96];
    char words[5][16] = {"sluice", "serve", "--config", "--listen", "127.0.0.1:0"};
    char *arguments[] = {words[0], words[1], words[2], config, words[3], words[4], NULL};
    (void)snprintf(config, sizeof(config), "%s/sluice.yaml", s->dir);
    (void)snprintf(log, sizeof(log), "%s/log", s->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)setpgid(0, 0); /* Ctrl-C is ours; we end the child when we are through */
    if (fd >= 0)
        (void)dup2(fd, STDERR_FILENO);
    (void)dup2(out, STDOUT_FILENO);
    (void)execv("/proc/self/exe", arguments);
    _exit(127);
}

/* Reads the child's first line, until the deadline. */
static int read_line(int fd, char *line, size_t size)
{
    int64_t until_ms = clock_mono_ms() + DEMO_START_MS;
    size_t len = 0;
    while (len + 1 < size && !memchr(line, '\n', len)) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left_ms = until_ms - clock_mono_ms();
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) == 0)
            return -ETIMEDOUT;
        ssize_t got = read(fd, line + len, size - len - 1);
        if (got == 0)
            return -EPIPE;
        if (got < 0 && errno != EINTR)
            return -errno;
        len += got > 0 ? (size_t)got : 0;
    }
    line[len] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return 0;
}

/* The last line of the child's log, which says why it ended. */
static void read_reason(const struct demo_serve *s, char *reason, size_t size)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/log", s->dir);
    FILE *file = fopen(path, "re");
    (void)snprintf(reason, size, "it said nothing");
    while (file && fgets(reason, (int)size, file))
        reason[strcspn(reason, "\n")] = '\0';
    if (file)
        (void)fclose(file);
}

static int start_child(struct demo_serve *s, struct error *e)
{
    static const char says[] = "listening on ";
    char line[128] = "", reason[200];
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(e, -errno, "cannot make a pipe: %s", strerror(errno));
    s->pid = fork();
    if (s->pid == 0)
        run_child(s, ends[1]);
    (void)close(ends[1]);
    if (s->pid < 0) {
        s->pid = 0;
        (void)close(ends[0]);
        return error_set(e, -EAGAIN, "cannot start a process");
    }
    int rc = read_line(ends[0], line, sizeof(line));
    (void)close(ends[0]);
    if (rc < 0 || strncmp(line, says, sizeof(says) - 1) != 0) {
        read_reason(s, reason, sizeof(reason));
        return error_set(e, rc < 0 ? rc : -EPROTO, "sluice serve did not start: %s", reason);
    }
    (void)snprintf(s->url, sizeof(s->url), "%s", line + sizeof(says) - 1);
    return 0;
}

int demo_serve_start(struct demo_serve *s, const struct demo_work *w, const char *provider_url,
                     struct error *e)
{
    *s = (struct demo_serve){.pid = 0};
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(s->dir, sizeof(s->dir), "%.40s/sluice-demo-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(s->dir)) {
        int code = -errno;
        s->dir[0] = '\0';
        return error_set(e, code, "cannot make a temporary folder: %s", strerror(-code));
    }
    int rc = write_config(s, w, provider_url, e);
    if (rc == 0)
        rc = start_child(s, e);
    if (rc < 0)
        demo_serve_stop(s);
    return rc;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

void demo_serve_stop(struct demo_serve *s)
{
    int64_t until_ms = clock_mono_ms() + DEMO_STOP_MS;
    if (s->pid > 0) {
        (void)kill(s->pid, SIGTERM);
        while (waitpid(s->pid, NULL, WNOHANG) == 0) {
            if (clock_mono_ms() >= until_ms)
                (void)kill(s->pid, SIGKILL);
            (void)poll(NULL, 0, POLL_MS);
        }
        s->pid = 0;
    }
    if (*s->dir)
        (void)nftw(s->dir, remove_entry, MAX_DEPTH, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    s->dir[0] = '\0';
}
