#include "storage/redis_conn.h"

#include "common/limits.h"
#include "storage/redis_protocol.h"
#include "storage/redis_reply.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct redis_fixture redis;

static int start_redis(void **state)
{
    (void)state;
    return redis_fixture_start(&redis, NULL);
}

static int stop_redis(void **state)
{
    (void)state;
    redis_fixture_stop(&redis);
    return 0;
}

static void open_up(struct redis_probe *p)
{
    assert_true(redis_probe_open(p, redis.url));
    assert_true(redis_probe_wait_up(p));
}

static struct redis_answer *new_answers(size_t count)
{
    struct redis_answer *answers = calloc(count, sizeof(*answers));
    assert_non_null(answers);
    return answers;
}

static void commands_are_answered_in_order_after_the_return(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct redis_probe p;
    struct redis_answer *answers = new_answers(COUNT);
    open_up(&p);
    for (int i = 0; i < COUNT; i++)
        redis_command(p.conn, REDIS_ARGS("INCR", "order"), 10000, redis_answer_take, &answers[i]);
    assert_int_equal(redis_conn_pending(p.conn), COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(answers[i].calls, 0);

    assert_true(redis_probe_wait_answers(&p, answers, COUNT));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].status, REDIS_OK);
        assert_int_equal(answers[i].number, i + 1);
        assert_int_equal(answers[i].order, answers[0].order + i);
    }
    assert_int_equal(redis_conn_pending(p.conn), 0);
    redis_probe_close(&p);
    free(answers);
}

static void arguments_are_bytes_and_are_copied(void **state)
{
    (void)state;
    struct redis_probe p;
    struct redis_answer set = {.calls = 0};
    char value[] = "a\0\r\n$3\r\n";
    const char *const argv[] = {"SET", "bytes", value};
    const size_t lens[] = {3, 5, 9};
    open_up(&p);
    redis_command(p.conn, &(struct redis_args){3, argv, lens}, 5000, redis_answer_take, &set);
    memset(value, 'x', sizeof(value));
    assert_true(redis_probe_wait_answers(&p, &set, 1));
    assert_string_equal(set.text, "OK");
    assert_int_equal(redis_probe_call(&p, REDIS_ARGS("STRLEN", "bytes")).number, 9);
    assert_string_equal(redis_probe_call(&p, REDIS_ARGS("GETRANGE", "bytes", "2", "8")).text,
                        "\r\n$3\r\n");
    redis_probe_close(&p);
}

static void a_command_before_the_connection_is_up_is_refused_and_does_not_run(void **state)
{
    (void)state;
    struct redis_probe p;
    struct redis_answer early = {.calls = 0};
    assert_true(redis_probe_open(&p, redis.url));
    redis_command(p.conn, REDIS_ARGS("SET", "early", "1"), 5000, redis_answer_take, &early);
    assert_int_equal(early.calls, 0);
    assert_int_equal(redis_conn_pending(p.conn), 1);
    assert_true(redis_probe_wait_answers(&p, &early, 1));
    assert_int_equal(early.status, REDIS_DOWN);
    assert_true(redis_probe_wait_up(&p));
    assert_int_equal(redis_probe_call(&p, REDIS_ARGS("EXISTS", "early")).number, 0);
    redis_probe_close(&p);
}

static void an_answer_that_nobody_wants_keeps_the_order(void **state)
{
    (void)state;
    struct redis_probe p;
    struct redis_answer last = {.calls = 0};
    open_up(&p);
    redis_command(p.conn, REDIS_ARGS("ECHO", "unwanted"), 5000, NULL, NULL);
    redis_command(p.conn, REDIS_ARGS("ECHO", "wanted"), 5000, redis_answer_take, &last);
    assert_true(redis_probe_wait_answers(&p, &last, 1));
    assert_string_equal(last.text, "wanted");
    redis_probe_close(&p);
}

struct chain {
    struct redis_probe *probe;
    int left;
    bool after_return;
};

static void next_link(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct chain *chain = arg;
    (void)reply;
    assert_int_equal(status, REDIS_OK);
    assert_true(chain->after_return);
    if (--chain->left == 0)
        return;
    chain->after_return = false;
    redis_command(chain->probe->conn, REDIS_ARGS("PING"), 5000, next_link, chain);
    chain->after_return = true;
}

static bool is_chain_done(void *arg)
{
    return ((struct chain *)arg)->left == 0;
}

static void a_callback_may_send_commands(void **state)
{
    (void)state;
    struct redis_probe p;
    struct chain chain = {&p, 500, true};
    open_up(&p);
    redis_command(p.conn, REDIS_ARGS("PING"), 5000, next_link, &chain);
    assert_true(wait_loop(p.base, is_chain_done, &chain));
    redis_probe_close(&p);
}

static void the_number_of_pending_commands_has_a_maximum(void **state)
{
    (void)state;
    struct redis_probe p;
    struct redis_answer *answers = new_answers(REDIS_MAX_PENDING + 1);
    open_up(&p);
    for (size_t i = 0; i < REDIS_MAX_PENDING + 1; i++)
        redis_command(p.conn, REDIS_ARGS("INCR", "maximum"), 20000, redis_answer_take, &answers[i]);
    assert_true(redis_probe_wait_answers(&p, answers, REDIS_MAX_PENDING + 1));
    for (size_t i = 0; i < REDIS_MAX_PENDING; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].status, REDIS_OK);
    }
    assert_int_equal(answers[REDIS_MAX_PENDING].status, REDIS_BUSY_LOCAL);
    assert_int_equal(redis_probe_call(&p, REDIS_ARGS("GET", "maximum")).number, REDIS_MAX_PENDING);
    redis_probe_close(&p);
    free(answers);
}

static void the_bytes_of_unsent_commands_have_a_maximum(void **state)
{
    (void)state;
    enum { COUNT = REDIS_MAX_QUEUED_BYTES / MIB };
    struct redis_probe p;
    struct redis_answer *answers = new_answers(COUNT + 1);
    char *key = malloc(MIB);
    const char *const argv[] = {"GET", key};
    size_t lens[] = {3, MIB};
    struct redis_args args = {2, argv, lens};
    memset(key, 'k', MIB);
    lens[1] -= redis_encoded_bytes(&args) - MIB;
    assert_int_equal(redis_encoded_bytes(&args), MIB);
    open_up(&p);
    for (int i = 0; i < COUNT; i++)
        redis_command(p.conn, &args, 20000, redis_answer_take, &answers[i]);
    redis_command(p.conn, REDIS_ARGS("PING"), 20000, redis_answer_take, &answers[COUNT]);
    wait_loop_turns(p.base, 2);
    assert_int_equal(answers[COUNT].status, REDIS_BUSY_LOCAL);
    assert_int_equal(answers[COUNT - 1].calls, 0);
    assert_true(redis_probe_wait_answers(&p, answers, COUNT));
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(answers[i].status, REDIS_OK);
    redis_probe_close(&p);
    free(answers);
    free(key);
}

static void more_refusals_than_can_wait_are_all_told_once(void **state)
{
    (void)state;
    enum { COUNT = REDIS_MAX_PENDING + 10 };
    struct redis_probe p;
    struct redis_answer *answers = new_answers(COUNT);
    assert_true(redis_probe_open(&p, redis.url));
    for (int i = 0; i < COUNT; i++)
        redis_command(p.conn, REDIS_ARGS("PING"), 5000, redis_answer_take, &answers[i]);
    assert_int_equal(answers[REDIS_MAX_PENDING - 1].calls, 0);
    assert_true(redis_probe_wait_answers(&p, answers, COUNT));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].status, REDIS_DOWN);
    }
    redis_probe_close(&p);
    free(answers);
}

struct resend {
    struct redis_conn *conn;
    struct redis_answer again;
    int calls;
    enum redis_status status;
};

static void send_again(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct resend *r = arg;
    (void)reply;
    r->calls++;
    r->status = status;
    redis_command(r->conn, REDIS_ARGS("PING"), 5000, redis_answer_take, &r->again);
    assert_int_equal(r->again.calls, 0);
}

static void freeing_answers_all_that_is_pending_exactly_once(void **state)
{
    (void)state;
    struct redis_probe p;
    struct resend resends[100];
    open_up(&p);
    for (size_t i = 0; i < 100; i++) {
        resends[i] = (struct resend){.conn = p.conn};
        redis_command(p.conn, REDIS_ARGS("PING"), 5000, send_again, &resends[i]);
    }
    redis_probe_close(&p);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(resends[i].calls, 1);
        assert_int_equal(resends[i].status, REDIS_LOST);
        assert_int_equal(resends[i].again.calls, 1);
        assert_int_equal(resends[i].again.status, REDIS_DOWN);
    }
    redis_conn_free(NULL);
}

/* A port that was free a moment ago: Redis cannot be told to choose one. */
static int free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(any);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
    (void)close(fd);
    return ntohs(any.sin_port);
}

static void a_name_leads_to_a_server_that_listens_on_ipv4_only(void **state)
{
    (void)state;
    struct redis_fixture tcp;
    struct redis_probe p;
    char config[64], url[64];
    int port = free_port();
    (void)snprintf(config, sizeof(config), "port %d\nbind 127.0.0.1\n", port);
    (void)snprintf(url, sizeof(url), "redis://localhost:%d", port);
    assert_int_equal(redis_fixture_start(&tcp, config), 0);
    assert_true(redis_probe_open(&p, url));
    assert_true(redis_probe_wait_up(&p));
    assert_string_equal(redis_probe_call(&p, REDIS_ARGS("PING")).text, "PONG");
    redis_probe_close(&p);
    redis_fixture_stop(&tcp);
}

static void a_name_that_does_not_exist_is_an_error_at_once(void **state)
{
    (void)state;
    struct redis_address address;
    struct error e = {""};
    struct event_base *base = event_base_new();
    assert_int_equal(redis_address_parse("redis://:pw@no-such-host.invalid", &address, &e), 0);
    assert_null(redis_conn_new(base, &address, NULL, NULL, &e));
    assert_non_null(strstr(e.text, "no-such-host.invalid"));
    assert_null(strstr(e.text, "pw"));
    event_base_free(base);
}

static void login_and_database_are_set_before_it_is_up(void **state)
{
    (void)state;
    struct redis_fixture locked;
    struct redis_probe p;
    char url[256];
    assert_int_equal(
        redis_fixture_start(&locked, "requirepass top\nuser bob on >s/p@c allkeys +@all\n"), 0);
    (void)snprintf(url, sizeof(url), "unix://bob:s%%2fp%%40c@%s?db=3", locked.socket);
    assert_true(redis_probe_open(&p, url));
    assert_true(redis_probe_wait_up(&p));
    assert_string_equal(redis_probe_call(&p, REDIS_ARGS("ACL", "WHOAMI")).text, "bob");
    assert_int_equal(redis_probe_call(&p, REDIS_ARGS("SET", "in3", "1")).status, REDIS_OK);
    redis_probe_close(&p);

    (void)snprintf(url, sizeof(url), "unix://:top@%s?db=3", locked.socket);
    assert_true(redis_probe_open(&p, url));
    assert_true(redis_probe_wait_up(&p));
    assert_int_equal(redis_probe_call(&p, REDIS_ARGS("EXISTS", "in3")).number, 1);
    assert_int_equal(redis_probe_call(&p, REDIS_ARGS("MOVE", "in3", "0")).number, 1);
    redis_probe_close(&p);
    redis_fixture_stop(&locked);
}

static bool is_refused_often(void *arg)
{
    return redis_fixture_info(arg, "errorstat_WRONGPASS") >= 3;
}

static void a_wrong_password_is_told_once_and_not_quoted(void **state)
{
    (void)state;
    struct redis_fixture locked;
    struct redis_probe p;
    char url[256];
    assert_int_equal(redis_fixture_start(&locked, "requirepass top\n"), 0);
    (void)snprintf(url, sizeof(url), "unix://:hunter2@%s", locked.socket);
    assert_true(redis_probe_open(&p, url));
    assert_true(wait_loop(p.base, is_refused_often, &locked));
    assert_int_equal(p.ups, 0);
    assert_int_equal(p.downs, 1);
    assert_non_null(strstr(p.reason, "WRONGPASS"));
    assert_null(strstr(p.reason, "hunter2"));
    redis_probe_close(&p);
    redis_fixture_stop(&locked);
}

static bool is_told_down(void *arg)
{
    return ((struct redis_probe *)arg)->downs > 0;
}

/* Redis quotes the arguments of a command that it does not know. */
static void a_server_that_echoes_the_password_does_not_spread_it(void **state)
{
    (void)state;
    struct redis_fixture renamed;
    struct redis_probe p;
    char url[256];
    assert_int_equal(redis_fixture_start(&renamed, "rename-command AUTH \"\"\n"), 0);
    (void)snprintf(url, sizeof(url), "unix://:hunter2@%s", renamed.socket);
    assert_true(redis_probe_open(&p, url));
    assert_true(wait_loop(p.base, is_told_down, &p));
    assert_non_null(strstr(p.reason, "ERR"));
    assert_null(strstr(p.reason, "hunter2"));
    redis_probe_close(&p);
    redis_fixture_stop(&renamed);
}

/* A server that answers anything with the same bytes, for what Redis would not send. */
struct liar {
    int fd;
    const char *bytes;
    struct event *on_accept;
};

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct liar *liar = arg;
    (void)what;
    int peer = accept(fd, NULL, NULL);
    if (peer < 0)
        return;
    (void)!send(peer, liar->bytes, strlen(liar->bytes), MSG_NOSIGNAL);
    (void)shutdown(peer, SHUT_WR);
    (void)close(peer);
}

static void senseless_and_unasked_replies_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *reason;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "no reply"},
        {"+PONG\r\n+PONG\r\n", "nothing asked for"},
        {"-ERR max number of clients reached\r\n", "ERR"},
        {"", "redis"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        struct redis_probe p;
        char url[160];
        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/liar%zu", redis.dir, i);
        (void)snprintf(url, sizeof(url), "unix://%s", at.sun_path);
        struct liar liar = {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .bytes = cases[i].bytes};
        assert_int_equal(bind(liar.fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(listen(liar.fd, 8), 0);

        assert_true(redis_probe_open(&p, url));
        liar.on_accept = event_new(p.base, liar.fd, EV_READ | EV_PERSIST, on_accept, &liar);
        (void)event_add(liar.on_accept, NULL);
        assert_true(wait_loop(p.base, is_told_down, &p));
        if (!strstr(p.reason, cases[i].reason))
            fail_msg("case %zu: '%s'", i, p.reason);
        event_free(liar.on_accept);
        (void)close(liar.fd);
        redis_probe_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_answered_in_order_after_the_return),
        cmocka_unit_test(arguments_are_bytes_and_are_copied),
        cmocka_unit_test(a_command_before_the_connection_is_up_is_refused_and_does_not_run),
        cmocka_unit_test(an_answer_that_nobody_wants_keeps_the_order),
        cmocka_unit_test(a_callback_may_send_commands),
        cmocka_unit_test(the_number_of_pending_commands_has_a_maximum),
        cmocka_unit_test(the_bytes_of_unsent_commands_have_a_maximum),
        cmocka_unit_test(more_refusals_than_can_wait_are_all_told_once),
        cmocka_unit_test(freeing_answers_all_that_is_pending_exactly_once),
        cmocka_unit_test(a_name_leads_to_a_server_that_listens_on_ipv4_only),
        cmocka_unit_test(a_name_that_does_not_exist_is_an_error_at_once),
        cmocka_unit_test(login_and_database_are_set_before_it_is_up),
        cmocka_unit_test(a_wrong_password_is_told_once_and_not_quoted),
        cmocka_unit_test(a_server_that_echoes_the_password_does_not_spread_it),
        cmocka_unit_test(senseless_and_unasked_replies_end_the_connection),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
