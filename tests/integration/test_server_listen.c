/* The listening side: addresses, too many clients, too few descriptors, draining. */
#include "tests/support/http_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
#define HOLD  "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"

static void start(struct rig *rig, const char *listen, int max_connections, bool reuse_port)
{
    struct server_options options = rig_options();
    options.listen = listen;
    options.max_connections = max_connections;
    options.reuse_port = reuse_port;
    rig_start(rig, &options);
}

static void check_hello(struct rig *rig)
{
    struct client c;
    client_open(&c, rig);
    client_send(&c, HELLO);
    client_until(&c, "\r\n\r\nhello");
    client_close(&c);
}

static void handle_nothing(void *arg, struct exchange *x)
{
    (void)arg;
    (void)x;
}

static void check_refuses(struct rig *rig, const char *listen, const char *says)
{
    struct error e = {0};
    struct server_options options = rig_options();
    options.listen = listen;
    assert_null(server_new(rig->base, &options, handle_nothing, NULL, &e));
    if (!strstr(e.text, says))
        fail_msg("'%s' does not say '%s'", e.text, says);
}

static void addresses_that_cannot_be_bound_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct rig rig;
    start(&rig, "127.0.0.1:0", 10, false);
    check_refuses(&rig, "8080", "not an address");
    check_refuses(&rig, ":8080", "not an address");
    check_refuses(&rig, "127.0.0.1:", "not an address");
    check_refuses(&rig, "[::1:80", "not an address");
    check_refuses(&rig, "unix:", "a path has 1 to");
    check_refuses(&rig, "unix:/nowhere/at/all", "No such file");
    check_refuses(&rig, server_address(rig.server), "in use");
    char host[300];
    (void)snprintf(host, sizeof(host), "%0250d:80", 0);
    check_refuses(&rig, host, "not an address");
    rig_stop(&rig);
}

static void two_servers_share_a_port_when_told_to(void **state)
{
    (void)state;
    struct rig one, two;
    char address[64];
    start(&one, "127.0.0.1:0", 10, true);
    (void)snprintf(address, sizeof(address), "%s", server_address(one.server));
    start(&two, address, 10, true);
    assert_string_equal(server_address(two.server), address);
    rig_stop(&one);
    check_hello(&two);
    rig_stop(&two);
}

static void note_peer(struct rig *rig, struct exchange *x)
{
    (void)snprintf(rig->seen, sizeof(rig->seen), "%s", exchange_peer(x));
}

static void a_unix_socket_is_private_and_goes_away_with_its_server(void **state)
{
    (void)state;
    struct rig rig;
    char dir[] = "/tmp/sluice-test-XXXXXX", address[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(address, sizeof(address), "unix:%s/s", dir);
    const char *path = address + strlen("unix:");

    mode_t mask = umask(0);
    start(&rig, address, 10, false);
    umask(mask);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_string_equal(server_address(rig.server), address);
    rig.observe = note_peer;
    check_hello(&rig);
    assert_string_equal(rig.seen, "unix");
    check_refuses(&rig, address, "in use"); /* and the first still serves: */
    check_hello(&rig);
    rig_stop(&rig);
    assert_int_equal(stat(path, &file), -1);
    assert_int_equal(rmdir(dir), 0);
}

static void a_stale_unix_socket_is_replaced_and_a_file_is_not(void **state)
{
    (void)state;
    struct rig rig;
    char dir[] = "/tmp/sluice-test-XXXXXX", address[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(address, sizeof(address), "unix:%s/s", dir);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", address + strlen("unix:"));

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd); /* leaves the file, as a killed server does */
    start(&rig, address, 10, false);
    check_hello(&rig);
    rig_stop(&rig);

    FILE *file = fopen(at.sun_path, "w");
    assert_non_null(file);
    (void)fclose(file);
    start(&rig, "127.0.0.1:0", 10, false);
    check_refuses(&rig, address, "File exists");
    rig_stop(&rig);
    assert_int_equal(unlink(at.sun_path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void one_connection_past_the_cap_is_told_so(void **state)
{
    (void)state;
    struct rig rig;
    struct client first, second, third;
    start(&rig, "127.0.0.1:0", 2, false);
    client_open(&first, &rig);
    client_open(&second, &rig);
    rig_until_connections(&rig, 2);
    client_open(&third, &rig);
    client_send(&third, HELLO);
    client_until_end(&third);
    assert_int_equal(strncmp(third.in, "HTTP/1.1 503 ", 13), 0);
    assert_int_equal(client_count(&third, "{\"error\":"), 1);
    assert_int_equal(client_count(&third, "\r\nRetry-After: "), 1);
    assert_int_equal(rig.requests, 0);
    client_close(&third);
    rig_until_connections(&rig, 2);

    client_send(&second, HELLO); /* those inside are served on */
    client_until(&second, "\r\n\r\nhello");
    client_close(&first);
    rig_until_connections(&rig, 1);
    check_hello(&rig);
    client_close(&second);
    rig_stop(&rig);
}

static void draining_ends_what_runs_and_closing_lets_nobody_in(void **state)
{
    (void)state;
    struct rig rig;
    struct client running, idle, late;
    start(&rig, "127.0.0.1:0", 10, false);
    client_open(&running, &rig);
    client_send(&running, HOLD);
    rig_until_held(&rig, true);
    client_open(&idle, &rig);
    client_send(&idle, HELLO);
    client_until(&idle, "\r\n\r\nhello");

    server_drain(rig.server);
    client_open(&late, &rig); /* is let in, told, and not kept */
    client_send(&late, HELLO);
    client_until_end(&late);
    assert_int_equal(client_count(&late, "Connection: close\r\n"), 1);
    client_close(&late);
    server_close(rig.server);
    check_refuses(&rig, "unix:", "a path has"); /* a second server is none of its business */
    struct sockaddr_storage any;
    socklen_t len = sizeof(any);
    assert_int_equal(getpeername(running.fd, (struct sockaddr *)&any, &len), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&any, len), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);

    client_send(&idle, HELLO);
    client_until_end(&idle);
    assert_int_equal(client_count(&idle, "Connection: close\r\n"), 1);
    exchange_reply(rig.held, 200, "text/plain", "done", 4);
    client_until_end(&running);
    assert_int_equal(client_count(&running, "\r\n\r\ndone"), 1);
    assert_int_equal(client_count(&running, "Connection: close\r\n"), 1);
    assert_int_equal(server_open_exchanges(rig.server), 0);
    client_close(&idle);
    client_close(&running);
    rig_stop(&rig);
}

/* ---- file descriptors: the server runs in a child, where their number is cut */

static void on_parent_done(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(arg);
}

static int64_t cpu_ms(void)
{
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000 +
           (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1000;
}

/* Serves until stop_fd is readable; then tells the CPU time it took. */
static void serve_with_few_descriptors(int stop_fd, int tell_fd, FILE *log)
{
    struct rig rig;
    struct rlimit few = {24, 24};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* no server stays when the test fails */
    (void)dup2(fileno(log), STDERR_FILENO);
    start(&rig, "127.0.0.1:0", 1000, false);
    struct event *done = event_new(rig.base, stop_fd, EV_READ, on_parent_done, rig.base);
    (void)event_add(done, NULL);
    if (setrlimit(RLIMIT_NOFILE, &few))
        _exit(3);
    (void)dprintf(tell_fd, "%s\n", server_address(rig.server));
    int64_t before_ms = cpu_ms();
    (void)event_base_dispatch(rig.base);
    (void)dprintf(tell_fd, "%d\n", (int)(cpu_ms() - before_ms));
    _exit(0);
}

static int connect_port(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = RIG_PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

/* What the server says to a request, up to its end or to the answer's. */
static void talk(int fd, char *out, size_t size)
{
    size_t len = 0;
    (void)send(fd, HELLO, strlen(HELLO), MSG_NOSIGNAL);
    out[0] = '\0';
    while (len < size - 1 && !strstr(out, "\r\n\r\nhello")) {
        ssize_t n = recv(fd, out + len, size - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        out[len] = '\0';
    }
}

/* Closes those that were answered, which is with 503 here; returns how many. */
static int drop_answered(struct pollfd *fds, int count)
{
    int dropped = 0;
    for (int i = 0; i < count; i++) {
        char answer[16] = "";
        if (fds[i].fd < 0 || !fds[i].revents)
            continue;
        assert_true(recv(fds[i].fd, answer, sizeof(answer) - 1, 0) > 12);
        assert_string_equal(answer, "HTTP/1.1 503 Se");
        close(fds[i].fd);
        fds[i].fd = -1;
        dropped++;
    }
    return dropped;
}

static void count_lines(FILE *log, int *ret_lines)
{
    rewind(log);
    *ret_lines = 0;
    for (int c = fgetc(log); c != EOF; c = fgetc(log))
        *ret_lines += c == '\n';
}

static void without_descriptors_it_neither_spins_nor_stays_away(void **state)
{
    (void)state;
    enum { CLIENTS = 200 };
    int stop[2] = {0}, tell[2] = {0}, port = 0, used_ms = 0, lines, status, busy = 0;
    struct pollfd fds[CLIENTS] = {0};
    char answer[1024];
    FILE *log = tmpfile();
    assert_non_null(log);
    assert_int_equal(pipe(stop) || pipe(tell), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        serve_with_few_descriptors(stop[0], tell[1], log);
    FILE *told = fdopen(tell[0], "r");
    assert_int_equal(fscanf(told, "%*[^:]:%d", &port), 1);

    for (int i = 0; i < CLIENTS; i++)
        fds[i] = (struct pollfd){.fd = connect_port(port), .events = POLLIN};
    /* One is told every 200 ms, so the shortage lasts for about a second. */
    while (busy < 5) {
        assert_true(poll(fds, CLIENTS, RIG_PATIENCE_S * 1000) > 0);
        busy += drop_answered(fds, CLIENTS);
    }
    for (int i = 0; i < CLIENTS; i++)
        if (fds[i].fd >= 0)
            close(fds[i].fd);
    int fd = connect_port(port);
    talk(fd, answer, sizeof(answer));
    if (!strstr(answer, "hello")) { /* the last 503 of the shortage */
        close(fd);
        fd = connect_port(port);
        talk(fd, answer, sizeof(answer));
    }
    assert_non_null(strstr(answer, "\r\n\r\nhello"));
    close(fd);
    assert_int_equal(write(stop[1], "x", 1), 1);
    assert_int_equal(fscanf(told, "%d", &used_ms), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    count_lines(log, &lines);
    assert_in_range(lines, 1, 50);    /* five a second: not one for each client */
    assert_in_range(used_ms, 0, 500); /* a spinning loop takes all of that second */
    (void)fclose(told);
    (void)fclose(log);
    close(stop[0]);
    close(stop[1]);
    close(tell[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_cannot_be_bound_are_refused_with_a_reason),
        cmocka_unit_test(two_servers_share_a_port_when_told_to),
        cmocka_unit_test(a_unix_socket_is_private_and_goes_away_with_its_server),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_and_a_file_is_not),
        cmocka_unit_test(one_connection_past_the_cap_is_told_so),
        cmocka_unit_test(draining_ends_what_runs_and_closing_lets_nobody_in),
        cmocka_unit_test(without_descriptors_it_neither_spins_nor_stays_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
