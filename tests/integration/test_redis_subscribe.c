#include "storage/redis_conn.h"

#include "common/limits.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct listener {
    struct redis_fixture redis;
    struct redis_probe probe;
    int messages;
    char channel[32], payload[32];
    size_t len;
};

static void on_message(void *arg, const char *channel, const char *payload, size_t len)
{
    struct listener *l = arg;
    l->messages++;
    l->len = len;
    (void)snprintf(l->channel, sizeof(l->channel), "%s", channel);
    (void)snprintf(l->payload, sizeof(l->payload), "%s", payload);
}

static int set_up(void **state)
{
    struct listener *l = calloc(1, sizeof(*l));
    *state = l;
    if (!l || redis_fixture_start(&l->redis, NULL) || !redis_probe_open(&l->probe, l->redis.url))
        return -1;
    redis_conn_on_message(l->probe.conn, on_message, l);
    return 0;
}

static int tear_down(void **state)
{
    struct listener *l = *state;
    redis_probe_close(&l->probe);
    redis_fixture_stop(&l->redis);
    free(l);
    return 0;
}

static int64_t publish(struct listener *l, const char *channel, const char *text)
{
    return redis_fixture_ask_int(&l->redis, REDIS_ARGS("PUBLISH", channel, text));
}

static bool has_message(void *arg)
{
    return ((struct listener *)arg)->messages > 0;
}

static void assert_hears(struct listener *l, const char *channel, const char *text)
{
    l->messages = 0;
    assert_int_equal(publish(l, channel, text), 1);
    assert_true(wait_loop(l->probe.base, has_message, l));
    assert_string_equal(l->channel, channel);
    assert_string_equal(l->payload, text);
    assert_int_equal(l->len, strlen(text));
}

static void up_means_that_every_channel_is_heard(void **state)
{
    struct listener *l = *state;
    assert_int_equal(redis_subscribe(l->probe.conn, "a"), 0);
    assert_int_equal(redis_subscribe(l->probe.conn, "b"), 0);
    assert_int_equal(redis_subscribe(l->probe.conn, "a"), 0);
    assert_true(redis_probe_wait_up(&l->probe));
    assert_hears(l, "a", "one");
    assert_hears(l, "b", "two");
}

static bool is_heard(void *arg)
{
    struct listener *l = arg;
    return publish(l, "late", "x") == 1;
}

static void a_channel_may_come_later_and_go(void **state)
{
    struct listener *l = *state;
    assert_int_equal(redis_subscribe(l->probe.conn, "stays"), 0);
    assert_true(redis_probe_wait_up(&l->probe));
    assert_int_equal(redis_subscribe(l->probe.conn, "late"), 0);
    assert_true(wait_loop(l->probe.base, is_heard, l));
    assert_true(wait_loop(l->probe.base, has_message, l)); /* the "x" that was heard */
    assert_hears(l, "late", "y");

    redis_unsubscribe(l->probe.conn, "late");
    (void)publish(l, "late", "not wanted");
    assert_hears(l, "stays", "z");
    assert_int_equal(l->messages, 1);
    assert_true(redis_conn_is_up(l->probe.conn));
}

static void channels_are_kept_over_a_restart(void **state)
{
    struct listener *l = *state;
    assert_int_equal(redis_subscribe(l->probe.conn, "a"), 0);
    assert_true(redis_probe_wait_up(&l->probe));
    redis_fixture_kill(&l->redis);
    assert_true(redis_probe_wait_down(&l->probe));
    assert_int_equal(redis_subscribe(l->probe.conn, "b"), 0);
    assert_int_equal(redis_fixture_restart(&l->redis), 0);
    assert_true(redis_probe_wait_up(&l->probe));
    assert_hears(l, "a", "again");
    assert_hears(l, "b", "too");
}

struct ping_count {
    struct redis_fixture *redis;
    int64_t before;
};

static bool is_pinged(void *arg)
{
    struct ping_count *p = arg;
    return redis_fixture_info(p->redis, "cmdstat_ping") >= p->before + 1;
}

static void a_silent_subscriber_is_kept_alive_by_pings(void **state)
{
    struct listener *l = *state;
    assert_int_equal(redis_subscribe(l->probe.conn, "a"), 0);
    assert_true(redis_probe_wait_up(&l->probe));
    struct ping_count p = {&l->redis, redis_fixture_info(&l->redis, "cmdstat_ping")};
    assert_true(wait_loop(l->probe.base, is_pinged, &p));
    assert_hears(l, "a", "still here");
    assert_int_equal(l->probe.downs, 0);
}

static void a_subscriber_takes_no_commands(void **state)
{
    struct listener *l = *state;
    assert_true(redis_probe_wait_up(&l->probe));
    assert_int_equal(redis_probe_call(&l->probe, REDIS_ARGS("PING")).status, REDIS_DOWN);
}

static bool is_denied(void *arg)
{
    return strstr(((struct redis_probe *)arg)->reason, "NOPERM") != NULL;
}

static void a_refused_channel_is_told_and_not_swallowed(void **state)
{
    struct listener *l = *state;
    assert_true(redis_fixture_says(
        &l->redis, "OK", REDIS_ARGS("ACL", "SETUSER", "default", "resetchannels", "&allowed")));
    assert_int_equal(redis_subscribe(l->probe.conn, "allowed"), 0);
    assert_true(redis_probe_wait_up(&l->probe));
    assert_int_equal(redis_subscribe(l->probe.conn, "forbidden"), 0);
    assert_true(wait_loop(l->probe.base, is_denied, &l->probe));
    redis_unsubscribe(l->probe.conn, "forbidden");
    assert_true(redis_probe_wait_up(&l->probe));
}

static void the_number_of_channels_has_a_maximum(void **state)
{
    struct listener *l = *state;
    char name[16];
    for (int i = 0; i < REDIS_MAX_CHANNELS; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(redis_subscribe(l->probe.conn, name), 0);
    }
    assert_int_equal(redis_subscribe(l->probe.conn, "one more"), -ENOSPC);
    assert_true(redis_probe_wait_up(&l->probe));
    assert_hears(l, name, "last");
    redis_unsubscribe(l->probe.conn, name);
    assert_int_equal(redis_subscribe(l->probe.conn, "one more"), 0);
}

#define LISTENER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LISTENER(up_means_that_every_channel_is_heard),
        LISTENER(a_channel_may_come_later_and_go),
        LISTENER(channels_are_kept_over_a_restart),
        LISTENER(a_silent_subscriber_is_kept_alive_by_pings),
        LISTENER(a_subscriber_takes_no_commands),
        LISTENER(a_refused_channel_is_told_and_not_swallowed),
        LISTENER(the_number_of_channels_has_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
