#include "common/clock.h"
#include "storage/redis_reply.h"
#include "tests/support/redis_group.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FAILOVER_MS 30000

struct group {
    struct redis_node master, replica, sentinel;
    struct redis_probe probe;
    char url[128];
};

static int set_up(void **state)
{
    struct group *g = calloc(1, sizeof(*g));
    *state = g;
    if (!g || redis_node_start(&g->master, NULL) ||
        redis_replica_start(&g->replica, &g->master, NULL) ||
        redis_sentinel_start(&g->sentinel, &g->master, 1))
        return -1;
    (void)snprintf(g->url, sizeof(g->url), "redis+sentinel://127.0.0.1:1,127.0.0.1:%d/main/3",
                   g->sentinel.port);
    return redis_probe_open(&g->probe, g->url) && redis_probe_wait_up(&g->probe) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct group *g = *state;
    if (g->probe.base)
        redis_probe_close(&g->probe);
    redis_node_stop(&g->sentinel);
    redis_node_stop(&g->replica);
    redis_node_stop(&g->master);
    free(g);
    return 0;
}

static int64_t port_of(struct redis_probe *p)
{
    struct redis_answer a = redis_probe_call(
        p, REDIS_ARGS("EVAL", "return redis.call('INFO', 'server'):match('tcp_port:(%d+)')", "0"));
    return a.status == REDIS_OK ? strtoll(a.text, NULL, 10) : 0;
}

struct move {
    struct group *group;
    int port;
};

static bool has_moved(void *arg)
{
    struct move *m = arg;
    return redis_link_is_up(m->group->probe.link) && port_of(&m->group->probe) == m->port;
}

static void commands_go_to_the_master_and_to_its_database(void **state)
{
    struct group *g = *state;
    assert_int_equal(redis_probe_call(&g->probe, REDIS_ARGS("SET", "k", "v")).status, REDIS_OK);
    assert_int_equal(redis_fixture_info(&g->master.redis, "db3"), 1);
}

static void a_failover_that_is_asked_for_is_followed(void **state)
{
    struct group *g = *state;
    struct move m = {g, g->replica.port};
    assert_int_equal(redis_probe_call(&g->probe, REDIS_ARGS("SET", "k", "v")).status, REDIS_OK);
    assert_int_equal(redis_probe_call(&g->probe, REDIS_ARGS("WAIT", "1", "5000")).number, 1);
    assert_true(
        redis_fixture_says(&g->sentinel.redis, "OK", REDIS_ARGS("SENTINEL", "FAILOVER", "main")));
    assert_true(wait_loop_for(g->probe.base, has_moved, &m, FAILOVER_MS));
    assert_string_equal(redis_probe_call(&g->probe, REDIS_ARGS("GET", "k")).text, "v");
    assert_int_equal(redis_probe_call(&g->probe, REDIS_ARGS("SET", "k", "w")).status, REDIS_OK);
    assert_true(g->probe.downs > 0);
}

static void a_killed_master_is_replaced_and_comes_back_as_a_replica(void **state)
{
    struct group *g = *state;
    struct move m = {g, g->replica.port};
    assert_int_equal(redis_probe_call(&g->probe, REDIS_ARGS("SET", "k", "v")).status, REDIS_OK);
    assert_int_equal(redis_probe_call(&g->probe, REDIS_ARGS("WAIT", "1", "5000")).number, 1);
    redis_fixture_kill(&g->master.redis);
    assert_true(wait_loop_for(g->probe.base, has_moved, &m, FAILOVER_MS));
    assert_string_equal(redis_probe_call(&g->probe, REDIS_ARGS("GET", "k")).text, "v");

    /* The old one calls itself a master for a while: nobody goes back to it. */
    assert_int_equal(redis_fixture_restart(&g->master.redis), 0);
    assert_int_equal(redis_probe_call(&g->probe, REDIS_ARGS("SET", "k", "w")).status, REDIS_OK);
    assert_int_equal(port_of(&g->probe), g->replica.port);
}

/* Nobody tells the sentinel: only the answer READONLY says that the master is none. */
static void a_demoted_master_is_left_at_its_first_refusal(void **state)
{
    struct group *g = *state;
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", g->replica.port);
    assert_true(redis_fixture_says(
        &g->sentinel.redis, "OK",
        REDIS_ARGS("SENTINEL", "SET", "main", "down-after-milliseconds", "600000")));
    assert_true(redis_fixture_says(&g->replica.redis, "OK", REDIS_ARGS("REPLICAOF", "NO", "ONE")));
    assert_true(
        redis_fixture_says(&g->master.redis, "OK", REDIS_ARGS("REPLICAOF", "127.0.0.1", port)));
    struct redis_answer a = redis_probe_call(&g->probe, REDIS_ARGS("SET", "k", "v"));
    assert_int_equal(a.status, REDIS_DOWN);
    assert_false(redis_link_is_up(g->probe.link));
    assert_non_null(strstr(g->probe.reason, "no master"));
}

static bool has_reason(void *arg)
{
    return ((struct redis_probe *)arg)->downs > 0;
}

static void a_name_that_no_sentinel_knows_is_told(void **state)
{
    struct group *g = *state;
    struct redis_probe p;
    char url[128];
    (void)snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%d/other", g->sentinel.port);
    assert_true(redis_probe_open(&p, url));
    assert_true(wait_loop(p.base, has_reason, &p));
    assert_non_null(strstr(p.reason, "know no master of this name"));
    redis_probe_close(&p);
}

static void a_sentinel_that_is_away_does_not_part_us_from_the_master(void **state)
{
    struct group *g = *state;
    int downs = g->probe.downs; /* the first sentinel of the list is not there */
    redis_fixture_kill(&g->sentinel.redis);
    for (int i = 0; i < 3; i++)
        assert_int_equal(redis_probe_call(&g->probe, REDIS_ARGS("PING")).status, REDIS_OK);
    assert_int_equal(g->probe.downs, downs);
}

int main(void)
{
#define GROUP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        GROUP(commands_go_to_the_master_and_to_its_database),
        GROUP(a_failover_that_is_asked_for_is_followed),
        GROUP(a_killed_master_is_replaced_and_comes_back_as_a_replica),
        GROUP(a_demoted_master_is_left_at_its_first_refusal),
        GROUP(a_name_that_no_sentinel_knows_is_told),
        GROUP(a_sentinel_that_is_away_does_not_part_us_from_the_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
