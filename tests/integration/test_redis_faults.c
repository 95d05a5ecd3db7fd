#include "storage/redis_conn.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT 200

struct faults {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct redis_answer answers[COUNT];
};

static int set_up(void **state)
{
    struct faults *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || redis_fixture_start(&f->redis, "appendonly yes\nappendfsync always\n"
                                             "lua-time-limit 20\n"))
        return -1;
    return redis_probe_open(&f->probe, f->redis.url) && redis_probe_wait_up(&f->probe) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct faults *f = *state;
    redis_probe_close(&f->probe);
    redis_fixture_stop(&f->redis);
    free(f);
    return 0;
}

static void send_incrs(struct faults *f, int deadline_ms)
{
    for (size_t i = 0; i < COUNT; i++)
        redis_command(f->probe.conn, REDIS_ARGS("INCR", "n"), deadline_ms, redis_answer_take,
                      &f->answers[i]);
}

static void assert_all(const struct faults *f, enum redis_status status)
{
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(f->answers[i].calls, 1);
        assert_int_equal(f->answers[i].status, status);
    }
}

static void a_deadline_drops_the_connection_and_it_comes_back(void **state)
{
    struct faults *f = *state;
    struct redis_answer soon = {.calls = 0};
    redis_fixture_pause(&f->redis);
    send_incrs(f, 60000);
    redis_command(f->probe.conn, REDIS_ARGS("PING"), 50, redis_answer_take, &soon);
    assert_true(redis_probe_wait_answers(&f->probe, &soon, 1));
    assert_true(redis_probe_wait_answers(&f->probe, f->answers, COUNT));
    assert_int_equal(soon.status, REDIS_LOST);
    assert_all(f, REDIS_LOST);
    assert_false(redis_conn_is_up(f->probe.conn));
    assert_int_equal(f->probe.downs, 1);
    assert_non_null(strstr(f->probe.reason, "deadline"));

    redis_fixture_resume(&f->redis);
    assert_true(redis_probe_wait_up(&f->probe));
    assert_int_equal(f->probe.ups, 2);
    assert_string_equal(redis_probe_call(&f->probe, REDIS_ARGS("PING")).text, "PONG");
}

static void an_earlier_deadline_of_a_later_command_counts(void **state)
{
    struct faults *f = *state;
    redis_fixture_pause(&f->redis);
    redis_command(f->probe.conn, REDIS_ARGS("PING"), 1000000, redis_answer_take, &f->answers[0]);
    wait_loop_turns(f->probe.base, 3);
    redis_command(f->probe.conn, REDIS_ARGS("PING"), 20, redis_answer_take, &f->answers[1]);
    assert_true(redis_probe_wait_answers(&f->probe, f->answers, 2));
    assert_int_equal(f->answers[0].status, REDIS_LOST);
    assert_int_equal(f->answers[1].status, REDIS_LOST);
}

static void replies_that_came_in_time_are_read_when_our_loop_was_late(void **state)
{
    struct faults *f = *state;
    char text[400];
    memset(text, 't', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (size_t i = 0; i < COUNT - 1; i++) /* more than one read takes */
        redis_command(f->probe.conn, REDIS_ARGS("ECHO", text), 300, redis_answer_take,
                      &f->answers[i]);
    redis_command(f->probe.conn, REDIS_ARGS("INCR", "n"), 300, redis_answer_take,
                  &f->answers[COUNT - 1]);
    wait_loop_turns(f->probe.base, 1); /* sent; now the loop stands still */
    while (redis_fixture_ask_int(&f->redis, REDIS_ARGS("GET", "n")) != 1)
        (void)usleep(1000);
    (void)usleep(320 * 1000); /* longer than the deadline: that is what is tested */
    assert_true(redis_probe_wait_answers(&f->probe, f->answers, COUNT));
    assert_all(f, REDIS_OK);
}

static void commands_in_flight_are_lost_when_redis_is_killed(void **state)
{
    struct faults *f = *state;
    redis_fixture_pause(&f->redis);
    send_incrs(f, 60000);
    wait_loop_turns(f->probe.base, 2);
    redis_fixture_kill(&f->redis);
    assert_true(redis_probe_wait_answers(&f->probe, f->answers, COUNT));
    assert_all(f, REDIS_LOST);

    struct redis_answer down = redis_probe_call(&f->probe, REDIS_ARGS("PING"));
    assert_int_equal(down.status, REDIS_DOWN);
    assert_int_equal(redis_fixture_restart(&f->redis), 0);
    assert_true(redis_probe_wait_up(&f->probe));
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("INCR", "n")).number, 1);
}

static void an_idle_connection_notices_that_its_peer_is_gone(void **state)
{
    struct faults *f = *state;
    redis_fixture_pause(&f->redis);
    assert_true(redis_probe_wait_down(&f->probe));
    redis_fixture_resume(&f->redis);
    assert_true(redis_probe_wait_up(&f->probe));
}

static void a_full_memory_is_oom(void **state)
{
    struct faults *f = *state;
    assert_true(redis_fixture_says(&f->redis, "OK", REDIS_ARGS("CONFIG", "SET", "maxmemory", "1")));
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("SET", "k", "v")).status, REDIS_OOM);
    struct redis_answer script = redis_probe_call(
        &f->probe, REDIS_ARGS("EVAL", "return redis.call('SET', KEYS[1], '1')", "1", "k"));
    assert_int_equal(script.status, REDIS_OOM);
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("GET", "k")).status, REDIS_OK);
}

static void a_replica_is_readonly(void **state)
{
    struct faults *f = *state;
    assert_true(redis_fixture_says(&f->redis, "OK", REDIS_ARGS("REPLICAOF", "127.0.0.1", "1")));
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("SET", "k", "v")).status,
                     REDIS_READONLY);
    assert_true(redis_fixture_says(&f->redis, "OK", REDIS_ARGS("REPLICAOF", "NO", "ONE")));
    assert_true(redis_fixture_says(&f->redis, "OK",
                                   REDIS_ARGS("CONFIG", "SET", "min-replicas-to-write", "1")));
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("SET", "k", "v")).status,
                     REDIS_READONLY);
}

static bool is_busy(void *arg)
{
    return redis_probe_call(arg, REDIS_ARGS("GET", "k")).status == REDIS_BUSY;
}

static void a_script_that_blocks_the_server_is_busy(void **state)
{
    struct faults *f = *state;
    int fd = redis_fixture_send(&f->redis, REDIS_ARGS("EVAL", "while true do end", "0"));
    assert_true(fd >= 0);
    assert_true(wait_loop(f->probe.base, is_busy, &f->probe));
    assert_string_equal(redis_probe_call(&f->probe, REDIS_ARGS("SCRIPT", "KILL")).text, "OK");
    assert_true(redis_conn_is_up(f->probe.conn));
    (void)close(fd);
}

static void other_errors_keep_their_text(void **state)
{
    struct faults *f = *state;
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("SET", "k", "v")).status, REDIS_OK);
    struct redis_answer a = redis_probe_call(&f->probe, REDIS_ARGS("LPUSH", "k", "v"));
    assert_int_equal(a.status, REDIS_ERROR);
    assert_non_null(strstr(a.text, "WRONGTYPE"));
    a = redis_probe_call(&f->probe,
                         REDIS_ARGS("EVALSHA", "0123456789012345678901234567890123456789", "0"));
    assert_int_equal(a.status, REDIS_NOSCRIPT);
}

static void a_user_without_the_right_is_denied(void **state)
{
    struct faults *f = *state;
    assert_true(redis_fixture_says(
        &f->redis, "OK", REDIS_ARGS("ACL", "SETUSER", "default", "on", "nopass", "-set")));
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("SET", "k", "v")).status, REDIS_DENIED);
}

static bool is_told_loading(void *arg)
{
    return strstr(((struct redis_probe *)arg)->reason, "LOADING") != NULL;
}

static void a_server_that_loads_is_down_and_comes_up_by_itself(void **state)
{
    struct faults *f = *state;
    static const char fill[] = "for i = 1, 4000 do redis.call('SET', 'key' .. i, i) end";
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("EVAL", fill, "0")).status, REDIS_OK);
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("BGREWRITEAOF")).status, REDIS_OK);
    while (redis_fixture_info(&f->redis, "aof_rewrite_in_progress") != 0)
        (void)usleep(5000);
    redis_fixture_kill(&f->redis);

    char path[128];
    (void)snprintf(path, sizeof(path), "%s/redis.conf", f->redis.dir);
    FILE *conf = fopen(path, "ae");
    assert_non_null(conf);
    (void)fprintf(conf, "key-load-delay 400\nloading-process-events-interval-bytes 1024\n");
    assert_int_equal(fclose(conf), 0);
    assert_int_equal(redis_fixture_spawn(&f->redis), 0);

    assert_true(wait_loop(f->probe.base, is_told_loading, &f->probe));
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("GET", "key1")).status, REDIS_DOWN);
    assert_true(redis_probe_wait_up(&f->probe));
    assert_int_equal(redis_probe_call(&f->probe, REDIS_ARGS("GET", "key4000")).number, 4000);
}

#define FAULT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT(a_deadline_drops_the_connection_and_it_comes_back),
        FAULT(an_earlier_deadline_of_a_later_command_counts),
        FAULT(replies_that_came_in_time_are_read_when_our_loop_was_late),
        FAULT(commands_in_flight_are_lost_when_redis_is_killed),
        FAULT(an_idle_connection_notices_that_its_peer_is_gone),
        FAULT(a_full_memory_is_oom),
        FAULT(a_replica_is_readonly),
        FAULT(a_script_that_blocks_the_server_is_busy),
        FAULT(other_errors_keep_their_text),
        FAULT(a_user_without_the_right_is_denied),
        FAULT(a_server_that_loads_is_down_and_comes_up_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
