/* The proxy spoils what it is told to, and nothing else. A real redis-server answers behind it. */
#include "tests/support/chaos_proxy.h"

#include "common/clock.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT     50
#define BIG_BYTES 300000

struct rig {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct chaos_proxy *proxy;
    struct redis_answer answers[COUNT];
};

/* probe.base is where the proxy runs too, so it must be there first: a link to nowhere. */
static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    char back[128], front[128], url[160];
    *state = r;
    if (!r || redis_fixture_start(&r->redis, NULL))
        return -1;
    (void)snprintf(back, sizeof(back), "unix:%s", r->redis.socket);
    (void)snprintf(front, sizeof(front), "unix:%s/front.sock", r->redis.dir);
    (void)snprintf(url, sizeof(url), "unix://%s/front.sock", r->redis.dir);
    if (!redis_probe_open(&r->probe, url))
        return -1;
    r->proxy = chaos_proxy_new(r->probe.base, front, back, 1);
    return r->proxy && redis_probe_wait_up(&r->probe) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    chaos_proxy_free(r->proxy);
    redis_probe_close(&r->probe);
    redis_fixture_stop(&r->redis);
    free(r);
    return 0;
}

static void tell(struct rig *r, const char *command)
{
    char answer[CHAOS_LINE_BYTES];
    if (!chaos_proxy_tell(r->proxy, command, answer))
        fail_msg("%s: %s", command, answer);
}

static int64_t count(struct rig *r, const char *name)
{
    char answer[CHAOS_LINE_BYTES], field[32];
    assert_true(chaos_proxy_tell(r->proxy, "status", answer));
    (void)snprintf(field, sizeof(field), "\"%s\":", name);
    const char *at = strstr(answer, field);
    assert_non_null(at);
    return strtoll(at + strlen(field), NULL, 10);
}

static void send_pings(struct rig *r, size_t n, int deadline_ms)
{
    memset(r->answers, 0, sizeof(r->answers));
    for (size_t i = 0; i < n; i++)
        redis_command(r->probe.conn, REDIS_ARGS("INCR", "n"), deadline_ms, redis_answer_take,
                      &r->answers[i]);
}

static void a_calm_proxy_changes_nothing(void **state)
{
    struct rig *r = *state;
    char *big = malloc(BIG_BYTES);
    memset(big, 'x', BIG_BYTES);
    const char *argv[] = {"SET", "big", big};
    const size_t lens[] = {3, 3, BIG_BYTES};
    assert_int_equal(redis_probe_call(&r->probe, &(struct redis_args){3, argv, lens}).status,
                     REDIS_OK);
    assert_int_equal(redis_probe_call(&r->probe, REDIS_ARGS("STRLEN", "big")).number, BIG_BYTES);
    assert_int_equal(redis_probe_call(&r->probe, REDIS_ARGS("GET", "big")).status, REDIS_OK);
    assert_true(count(r, "up") > BIG_BYTES);
    assert_true(count(r, "down") > BIG_BYTES);
    assert_int_equal(count(r, "open"), 1);
    assert_int_equal(count(r, "accepted"), 1);
    free(big);
}

static void latency_delays_and_keeps_the_order(void **state)
{
    struct rig *r = *state;
    tell(r, "latency 30 20");
    int64_t before_ms = clock_mono_ms();
    send_pings(r, COUNT, 20000);
    assert_true(redis_probe_wait_answers(&r->probe, r->answers, COUNT));
    assert_true(clock_mono_ms() - before_ms >= 60); /* there and back */
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(r->answers[i].number, (int64_t)i + 1);
    tell(r, "calm");
}

static void slices_arrive_whole(void **state)
{
    struct rig *r = *state;
    tell(r, "slice 1 0");
    send_pings(r, COUNT, 20000);
    assert_true(redis_probe_wait_answers(&r->probe, r->answers, COUNT));
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(r->answers[i].number, (int64_t)i + 1);
    tell(r, "slice 3 1");
    assert_string_equal(redis_probe_call(&r->probe, REDIS_ARGS("ECHO", "0123456789")).text,
                        "0123456789");
}

static bool has_come_back(void *arg)
{
    struct rig *r = arg;
    return r->probe.downs > 0 && redis_link_is_up(r->probe.link);
}

static void cut_reset_and_refuse_end_connections(void **state)
{
    static const char *const ways[] = {"cut", "reset"};
    struct rig *r = *state;
    for (size_t i = 0; i < 2; i++) {
        r->probe.downs = 0;
        tell(r, ways[i]);
        assert_int_equal(count(r, "open"), 0);
        assert_int_equal(count(r, "ended"), (int64_t)i + 1);
        assert_true(wait_loop(r->probe.base, has_come_back, r));
    }
    tell(r, "refuse on");
    tell(r, "cut");
    assert_true(redis_probe_wait_down(&r->probe));
    int64_t accepted = count(r, "accepted");
    wait_loop_turns(r->probe.base, 10);
    tell(r, "refuse off");
    assert_true(redis_probe_wait_up(&r->probe));
    assert_true(count(r, "accepted") > accepted);
}

static void a_connection_is_reset_after_just_so_many_bytes(void **state)
{
    struct rig *r = *state;
    int64_t before = count(r, "up") + count(r, "down");
    tell(r, "reset-after 200");
    tell(r, "cut");
    assert_true(redis_probe_wait_down(&r->probe));
    assert_true(redis_probe_wait_up(&r->probe));
    send_pings(r, COUNT, 20000);
    assert_true(redis_probe_wait_answers(&r->probe, r->answers, COUNT));
    assert_int_equal(r->answers[COUNT - 1].status, REDIS_LOST);
    assert_int_equal(count(r, "up") + count(r, "down") - before, 200);
    tell(r, "calm");
    assert_true(redis_probe_wait_up(&r->probe));
}

static bool first_is_answered(void *arg)
{
    return ((struct rig *)arg)->answers[0].calls > 0;
}

static void a_stall_holds_without_a_word_and_lets_go(void **state)
{
    static const char *const ways[] = {"stall up", "stall down", "stall both"};
    struct rig *r = *state;
    for (size_t i = 0; i < 3; i++) {
        tell(r, ways[i]);
        send_pings(r, 1, 60000);
        assert_false(wait_loop_for(r->probe.base, first_is_answered, r, 30));
        assert_int_equal(count(r, "open"), 1);
        /* Only the answer is held when it is the way down: Redis has run the command. */
        assert_int_equal(redis_fixture_ask_int(&r->redis, REDIS_ARGS("EXISTS", "n")), i > 0);
        tell(r, "stall off");
        assert_true(redis_probe_wait_answers(&r->probe, r->answers, 1));
        assert_int_equal(r->answers[0].number, (int64_t)i + 1);
    }
}

static void what_is_no_command_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",        "dance",       "latency",        "latency -1", "latency 1 2 3", "slice x",
        "cut now", "stall",       "stall maybe",    "refuse",     "refuse maybe",  "status please",
        "reset 1", "reset-after", "reset-after 1 2"};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char answer[CHAOS_LINE_BYTES];
        if (chaos_proxy_tell(r->proxy, wrong[i], answer))
            fail_msg("'%s' was taken", wrong[i]);
        assert_memory_equal(answer, "error: ", 7);
    }
    assert_int_equal(redis_probe_call(&r->probe, REDIS_ARGS("PING")).status, REDIS_OK);
}

/* ---- the program */

struct program {
    pid_t pid;
    int in, out;
};

static bool start_program(struct program *p, struct rig *r, const char *control)
{
    char path[512], back[128];
    int in[2], out[2];
    const char *binary = getenv("SLUICE_BINARY");
    (void)snprintf(path, sizeof(path), "%.*s/tests/chaosproxy",
                   binary ? (int)(strrchr(binary, '/') - binary) : 1, binary ? binary : ".");
    (void)snprintf(back, sizeof(back), "unix:%s", r->redis.socket);
    if (access(path, X_OK) != 0 || pipe(in) || pipe(out))
        return false;
    p->pid = fork();
    if (p->pid == 0) {
        (void)dup2(in[0], STDIN_FILENO);
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close_range(3, ~0U, 0);
        (void)execl(path, path, "127.0.0.1:0", back, control, (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    p->in = in[1];
    p->out = out[0];
    return p->pid > 0;
}

static void the_program_takes_lines_and_ends_with_its_input(void **state)
{
    struct rig *r = *state;
    struct program p = {.pid = 0};
    struct redis_probe probe;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char text[256] = "", url[128], answer[CHAOS_LINE_BYTES] = "";
    int port = 0, how = -1;
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%.60s/control.sock", r->redis.dir);
    if (!start_program(&p, r, to.sun_path))
        skip(); /* built on its own: tests/chaosproxy */
    assert_true(read(p.out, text, sizeof(text) - 1) > 0);
    assert_int_equal(sscanf(text, "chaosproxy on 127.0.0.1:%d", &port), 1);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%d", port);
    assert_true(redis_probe_open(&probe, url));
    assert_true(redis_probe_wait_up(&probe));

    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, "refuse on\ncut\n", 14), 14);
    size_t len = 0;
    while (len < 6)
        len += (size_t)read(fd, answer + len, sizeof(answer) - 1 - len);
    assert_string_equal(answer, "ok\nok\n");
    assert_true(redis_probe_wait_down(&probe));
    (void)close(fd);
    redis_probe_close(&probe);
    (void)close(p.in);
    (void)close(p.out);
    assert_int_equal(waitpid(p.pid, &how, 0), p.pid);
    assert_int_equal(how, 0);
    assert_int_not_equal(access(to.sun_path, F_OK), 0);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIG(a_calm_proxy_changes_nothing),
        RIG(latency_delays_and_keeps_the_order),
        RIG(slices_arrive_whole),
        RIG(cut_reset_and_refuse_end_connections),
        RIG(a_connection_is_reset_after_just_so_many_bytes),
        RIG(a_stall_holds_without_a_word_and_lets_go),
        RIG(what_is_no_command_is_refused),
        RIG(the_program_takes_lines_and_ends_with_its_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
