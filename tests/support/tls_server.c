#include "tests/support/tls_server.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* Standard output goes to output, the rest nowhere. */
static bool spawn(const char *const argv[], int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    must(posix_spawn_file_actions_init(&actions) == 0, "posix_spawn");
    must(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0 &&
             posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) == 0 &&
             posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) == 0 &&
             (output < 0 || posix_spawn_file_actions_adddup2(&actions, output, 1) == 0),
         "posix_spawn");
    int rc = posix_spawnp(ret_pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc == 0;
}

bool tls_certificate(const char *cert, const char *key, const char *alt_name)
{
    char extension[128];
    (void)snprintf(extension, sizeof(extension), "subjectAltName=%s", alt_name);
    const char *argv[] = {
        "openssl", "req",      "-x509",   "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes",  "-keyout",  key,       "-out",    cert, "-days",    "2",
        "-subj",   "/CN=test", "-addext", extension, NULL};
    pid_t pid;
    int status = 1;
    return spawn(argv, -1, &pid) && waitpid(pid, &status, 0) == pid && status == 0;
}

/* The server names its port in the line "ACCEPT 127.0.0.1:PORT". */
static void read_port(struct tls_server *s)
{
    char text[512];
    size_t len = 0;
    const char *line = NULL;
    while (!line || !strchr(line, '\n')) {
        ssize_t n = read(s->output, text + len, sizeof(text) - 1 - len);
        must(n > 0, "openssl s_server");
        len += (size_t)n;
        text[len] = '\0';
        line = strstr(text, "ACCEPT ");
    }
    const char *colon = strrchr(line, ':');
    must(colon, "the port of openssl s_server");
    s->port = (unsigned)strtoul(colon + 1, NULL, 10);
}

bool tls_server_start(struct tls_server *s, const char *alt_name)
{
    *s = (struct tls_server){.pid = -1, .output = -1};
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/sluice-tls-XXXXXX");
    must(mkdtemp(s->dir), "mkdtemp");
    (void)snprintf(s->cert, sizeof(s->cert), "%s/cert.pem", s->dir);
    (void)snprintf(s->key, sizeof(s->key), "%s/key.pem", s->dir);
    if (!tls_certificate(s->cert, s->key, alt_name)) {
        tls_server_stop(s);
        return false;
    }
    int ends[2];
    must(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    const char *argv[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert",
                          s->cert,   "-key",     s->key,    "-www",        NULL};
    must(spawn(argv, ends[1], &s->pid), "openssl s_server");
    (void)close(ends[1]);
    s->output = ends[0];
    read_port(s);
    return true;
}

void tls_server_stop(struct tls_server *s)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
    }
    if (s->output >= 0)
        (void)close(s->output);
    (void)unlink(s->cert);
    (void)unlink(s->key);
    (void)rmdir(s->dir);
}
