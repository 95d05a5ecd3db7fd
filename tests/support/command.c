#include "tests/support/command.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_WORDS 64

static void run_child(const int fds[3], const char *const *words)
{
    const char *arguments[MAX_WORDS] = {"sluice"};
    const char *binary = getenv("SLUICE_BINARY");
    for (size_t i = 0; i < MAX_WORDS - 2 && words[i]; i++)
        arguments[i + 1] = words[i];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 3; i++)
        (void)dup2(fds[i], i);
    if (binary)
        (void)execv(binary, (char **)(uintptr_t)arguments);
    _exit(127);
}

static int take_code(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int memory_file(const char *text)
{
    int fd = memfd_create("command", MFD_CLOEXEC);
    assert_true(fd >= 0);
    if (text) {
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    }
    return fd;
}

static void take_text(int fd, char text[COMMAND_BYTES])
{
    ssize_t n = pread(fd, text, COMMAND_BYTES, 0);
    assert_in_range(n, 0, COMMAND_BYTES - 1);
    text[n] = '\0';
    (void)close(fd);
}

void command_run(struct command *c, const char *input, const char *const *words)
{
    int fds[3] = {memory_file(input), memory_file(NULL), memory_file(NULL)};
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_child(fds, words);
    c->code = take_code(pid);
    (void)close(fds[0]);
    take_text(fds[1], c->out);
    take_text(fds[2], c->err);
}

/* Until the last writer has gone, which Linux tells by EIO. */
static void read_terminal(int master, char text[COMMAND_BYTES])
{
    size_t len = 0;
    ssize_t n;
    while ((n = read(master, text + len, COMMAND_BYTES - 1 - len)) > 0)
        len += (size_t)n;
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\r' || (i + 1 < len && text[i + 1] != '\n'))
            text[kept++] = text[i];
    }
    text[kept] = '\0';
}

void command_run_on_terminal(struct command *c, const char *const *words)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    int fds[3] = {slave, slave, slave};
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_child(fds, words);
    (void)close(slave);
    read_terminal(master, c->out);
    (void)close(master);
    c->err[0] = '\0';
    c->code = take_code(pid);
}

bool command_wrote(const struct command *c, const char *text)
{
    return strstr(c->out, text) != NULL;
}

bool command_told(const struct command *c, const char *text)
{
    return strstr(c->err, text) != NULL;
}

size_t command_lines(const char *text)
{
    size_t n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}
