#include "tests/support/serve_child.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_ARGUMENTS 32
#define LOOK_MS       5

static void look_again(void)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    (void)nanosleep(&pause, NULL);
}

static void run_child(const struct serve_child *s, int out, char *options)
{
    char data[96],
        own[9][24] = {"sluice", "serve", "--config", "", "--listen", "127.0.0.1:0", "--data-dir"};
    char *arguments[MAX_ARGUMENTS];
    int count = 7, log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const char *binary = getenv("SLUICE_BINARY");
    for (int i = 0; i < count; i++)
        arguments[i] = own[i];
    (void)snprintf(data, sizeof(data), "%s/data", s->dir);
    arguments[3] = (char *)(uintptr_t)s->file;
    arguments[count++] = data;
    for (char *word = strtok(options, " "); word && count < MAX_ARGUMENTS - 1;
         word = strtok(NULL, " "))
        arguments[count++] = word;
    arguments[count] = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    if (binary)
        (void)execv(binary, arguments);
    _exit(127);
}

void serve_child_write(const struct serve_child *s, const char *config)
{
    FILE *out = fopen(s->file, "w");
    assert_non_null(out);
    assert_true(fputs(config, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

void serve_child_start(struct serve_child *s, const char *config, const char *options)
{
    static const char says[] = "listening on ";
    char line[128] = "";
    int ends[2];
    *s = (struct serve_child){.dir = "/tmp/sluice-serve-XXXXXX"};
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->log, sizeof(s->log), "%s/log", s->dir);
    (void)snprintf(s->file, sizeof(s->file), "%s/sluice.yaml", s->dir);
    serve_child_write(s, config);
    char *copy = strdup(options ? options : "");
    assert_non_null(copy);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0)
        run_child(s, ends[1], copy);
    free(copy);
    (void)close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    assert_non_null(out);
    if (fgets(line, sizeof(line), out) && strncmp(line, says, sizeof(says) - 1) == 0) {
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(s->url, sizeof(s->url), "%.60s", line + sizeof(says) - 1);
    }
    (void)fclose(out);
}

static void remove_folder(const struct serve_child *s)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", s->dir);
    assert_int_equal(system(command), 0);
}

int serve_child_wait(struct serve_child *s)
{
    int status = 0;
    int64_t until_ms = clock_mono_ms() + SERVE_CHILD_WAIT_MS;
    pid_t pid;
    while ((pid = waitpid(s->pid, &status, WNOHANG)) == 0) {
        if (clock_mono_ms() > until_ms)
            fail_msg("sluice serve has not ended, see %s", s->log);
        look_again();
    }
    assert_int_equal(pid, s->pid);
    s->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void serve_child_stop(struct serve_child *s)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGTERM);
        int code = serve_child_wait(s);
        if (code != 0)
            fail_msg("sluice serve ended with %d, see %s", code, s->log);
    }
    if (*s->dir)
        remove_folder(s);
    *s->dir = '\0';
}

bool serve_child_said(const struct serve_child *s, const char *text)
{
    size_t len = 0;
    char *log = malloc(1 * MIB);
    assert_non_null(log);
    bool said = file_read(s->log, log, 1 * MIB, &len) == 0 && strstr(log, text);
    free(log);
    return said;
}

bool serve_child_says(const struct serve_child *s, const char *text)
{
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        if (serve_child_said(s, text))
            return true;
        look_again();
    }
    return false;
}
