/* Confirmations by a real replica, and WAITAOF by a stand-in, since it needs a newer Redis. */
#include "storage/redis_confirm.h"

#include "tests/support/redis_group.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT      50
#define TIMEOUT_MS 100

struct told {
    int calls;
    enum redis_status status;
    int64_t copies;
};

struct rig {
    struct redis_node master, replica;
    struct redis_probe probe;
    struct redis_confirm *confirm;
    struct told told[COUNT];
    struct redis_asker askers[COUNT];
    uint64_t stamp;
};

static void on_told(void *arg, enum redis_status status, int64_t copies)
{
    struct told *t = arg;
    t->calls++;
    t->status = status;
    t->copies = copies;
}

static bool open_confirm(struct rig *r, const char *url, int replicas)
{
    if (!redis_probe_open(&r->probe, url) || !redis_probe_wait_up(&r->probe))
        return false;
    const struct redis_confirm_options options = {
        .link = r->probe.link, .replicas = replicas, .timeout_ms = TIMEOUT_MS, .command_ms = 5000};
    r->confirm = redis_confirm_new(&options);
    return r->confirm != NULL;
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    if (!r || redis_node_start(&r->master, NULL) ||
        redis_replica_start(&r->replica, &r->master, NULL))
        return -1;
    return open_confirm(r, r->master.redis.url, 1) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    if (r->replica.redis.pid)
        redis_fixture_resume(&r->replica.redis);
    redis_probe_close(&r->probe);
    redis_confirm_free(r->confirm);
    redis_node_stop(&r->replica);
    redis_node_stop(&r->master);
    free(r);
    return 0;
}

static void on_write(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct rig *r = arg;
    (void)reply;
    assert_int_equal(status, REDIS_OK);
    r->stamp = redis_link_stamp(r->probe.link);
}

static bool is_written(void *arg)
{
    return ((struct rig *)arg)->stamp != 0;
}

static void write_one(struct rig *r)
{
    r->stamp = 0;
    redis_link_command(r->probe.link, REDIS_ARGS("SET", "k", "v"), 5000, on_write, r);
    assert_true(wait_loop(r->probe.base, is_written, r));
}

static bool all_told(void *arg)
{
    const struct rig *r = arg;
    for (size_t i = 0; i < COUNT; i++)
        if (r->told[i].calls == 0)
            return false;
    return true;
}

static void ask(struct rig *r)
{
    memset(r->told, 0, sizeof(r->told));
    for (size_t i = 0; i < COUNT; i++)
        redis_confirm_ask(r->confirm, &r->askers[i], r->stamp, "w", on_told, &r->told[i]);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(r->told[i].calls, 0);
}

static void ask_all(struct rig *r)
{
    ask(r);
    assert_true(wait_loop(r->probe.base, all_told, r));
}

static void all_are(const struct rig *r, enum redis_status status, int64_t copies)
{
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(r->told[i].calls, 1);
        assert_int_equal(r->told[i].status, status);
        assert_int_equal(r->told[i].copies, copies);
    }
}

static void many_writes_share_a_wait(void **state)
{
    struct rig *r = *state;
    write_one(r);
    ask_all(r);
    all_are(r, REDIS_OK, 1);
    /* The first goes alone; the others wait for it and go together. */
    assert_int_equal(redis_fixture_info(&r->master.redis, "cmdstat_wait"), 2);
}

static void a_replica_that_is_silent_is_not_counted(void **state)
{
    struct rig *r = *state;
    write_one(r);
    redis_fixture_pause(&r->replica.redis);
    ask_all(r);
    all_are(r, REDIS_OK, 0);
    redis_fixture_resume(&r->replica.redis);
    write_one(r);
    ask_all(r);
    all_are(r, REDIS_OK, 1);
}

static void what_only_was_read_is_waited_for_all_the_same(void **state)
{
    struct rig *r = *state;
    redis_fixture_pause(&r->replica.redis);
    assert_true(redis_fixture_says(&r->master.redis, "OK", REDIS_ARGS("SET", "of", "another")));
    redis_link_command(r->probe.link, REDIS_ARGS("GET", "of"), 5000, on_write, r);
    assert_true(wait_loop(r->probe.base, is_written, r));
    ask_all(r);
    all_are(r, REDIS_OK, 0);
}

static void another_connection_confirms_nothing(void **state)
{
    struct rig *r = *state;
    write_one(r);
    redis_fixture_kill(&r->master.redis);
    assert_true(redis_probe_wait_down(&r->probe));
    ask_all(r);
    all_are(r, REDIS_LOST, 0);
    assert_int_equal(redis_fixture_restart(&r->master.redis), 0);
    assert_true(redis_probe_wait_up(&r->probe));
    ask_all(r);
    all_are(r, REDIS_LOST, 0);
    /* Without a stamp nothing is confirmed either. */
    r->stamp = 0;
    ask_all(r);
    all_are(r, REDIS_LOST, 0);
}

static void who_waits_is_told_before_it_is_freed(void **state)
{
    struct rig *r = *state;
    write_one(r);
    redis_fixture_pause(&r->replica.redis);
    ask(r); /* one is under way, the others wait for it */
    redis_confirm_free(r->confirm);
    r->confirm = NULL;
    all_are(r, REDIS_LOST, 0);
    /* What Redis says of the one under way finds nobody; the tear down answers it if not Redis. */
    write_one(r);
    all_are(r, REDIS_LOST, 0);
}

static void who_waits_is_told_when_the_link_goes_first(void **state)
{
    struct rig *r = *state;
    write_one(r);
    redis_fixture_pause(&r->replica.redis);
    ask(r);
    redis_probe_close(&r->probe);
    all_are(r, REDIS_LOST, 0);
    assert_true(redis_probe_open(&r->probe, r->master.redis.url));
}

/* ---- the stand-in: answers by the first word of a command */

struct stand_in {
    struct evconnlistener *listener;
    struct bufferevent *client;
    int waits;
};

static void answer(struct stand_in *s, const char *line)
{
    struct evbuffer *out = bufferevent_get_output(s->client);
    if (strcmp(line, "PING") == 0) {
        (void)evbuffer_add_printf(out, "+PONG\r\n");
    } else if (strcmp(line, "SET") == 0) {
        (void)evbuffer_add_printf(out, "+OK\r\n");
    } else if (strcmp(line, "WAITAOF") == 0) {
        s->waits++;
        (void)evbuffer_add_printf(out, "*2\r\n:%d\r\n:0\r\n", s->waits == 1);
    }
}

static void on_bytes(struct bufferevent *b, void *arg)
{
    char *line;
    while ((line = evbuffer_readln(bufferevent_get_input(b), NULL, EVBUFFER_EOL_CRLF_STRICT))) {
        answer(arg, line);
        free(line);
    }
}

static void on_client(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int len,
                      void *arg)
{
    struct stand_in *s = arg;
    (void)from, (void)len;
    s->client = bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
    assert_non_null(s->client);
    bufferevent_setcb(s->client, on_bytes, NULL, NULL, s);
    (void)bufferevent_enable(s->client, EV_READ | EV_WRITE);
}

static void the_disk_is_asked_with_waitaof(void **state)
{
    struct rig r = {.stamp = 0};
    struct stand_in s = {.waits = 0};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/sluice-confirm-XXXXXX", url[160];
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", dir);
    (void)snprintf(url, sizeof(url), "unix://%s", at.sun_path);
    assert_true(redis_probe_open(&r.probe, url));
    s.listener = evconnlistener_new_bind(r.probe.base, on_client, &s, LEV_OPT_CLOSE_ON_FREE, 1,
                                         (struct sockaddr *)&at, sizeof(at));
    assert_non_null(s.listener);
    assert_true(redis_probe_wait_up(&r.probe));
    const struct redis_confirm_options options = {
        .link = r.probe.link, .timeout_ms = TIMEOUT_MS, .command_ms = 5000};
    r.confirm = redis_confirm_new(&options);
    write_one(&r);
    ask_all(&r);
    assert_int_equal(s.waits, 2);
    assert_int_equal(r.told[0].copies, 1);
    assert_int_equal(r.told[1].copies, 0); /* the disk did not make it in time */
    assert_int_equal(r.told[1].status, REDIS_OK);

    bufferevent_free(s.client);
    evconnlistener_free(s.listener);
    redis_probe_close(&r.probe);
    redis_confirm_free(r.confirm);
    (void)unlink(at.sun_path);
    (void)rmdir(dir);
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIG(many_writes_share_a_wait),
        RIG(a_replica_that_is_silent_is_not_counted),
        RIG(what_only_was_read_is_waited_for_all_the_same),
        RIG(another_connection_confirms_nothing),
        RIG(who_waits_is_told_before_it_is_freed),
        RIG(who_waits_is_told_when_the_link_goes_first),
        cmocka_unit_test(the_disk_is_asked_with_waitaof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
