/* A client with a guard connects to no address that the guard refuses, whatever the URL says. */
#include "scheduler/http_client.h"

#include "tests/support/http_call.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static const struct fake_step plain[] = {{.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = OK_2}};

struct guard {
    bool open;
    unsigned asked;
    uint32_t seen; /* the last IPv4 address */
};

static bool is_allowed(void *arg, const struct sockaddr *address)
{
    struct guard *g = arg;
    struct sockaddr_in v4;
    g->asked++;
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        g->seen = ntohl(v4.sin_addr.s_addr);
    }
    return g->open;
}

static void post(struct http_calls *f, struct http_call *call, const char *host)
{
    char url[128];
    struct http_request r = {.method = "POST", .url = url, .body = "{}", .body_len = 2};
    (void)snprintf(url, sizeof(url), "http://%s:%u/", host, fake_provider_port(f->provider));
    http_call_start(f, call, &r);
    RUN_UNTIL(f, call->done);
}

static void an_address_that_is_refused_is_not_connected_to(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    struct http_calls *f = *state;
    struct guard g = {.open = false};
    FAKE_SCRIPT(f->provider, plain);
    http_client_guard(f->client, is_allowed, &g);
    for (size_t i = 0; i < 2; i++) {
        struct http_call call = {0};
        unsigned before = g.asked;
        post(f, &call, hosts[i]);
        assert_int_equal(call.result, HTTP_NOT_SENT);
        assert_non_null(strstr(call.detail, "not allowed"));
        assert_true(g.asked > before);
        assert_int_equal(g.seen, INADDR_LOOPBACK);
    }
    assert_int_equal(fake_provider_connections(f->provider), 0);
}

/* The name means the same all the time, as far as the client knows: only the guard's mind changes.
 */
static void the_guard_is_asked_for_each_new_connection(void **state)
{
    struct http_calls *f = *state;
    struct guard g = {.open = true};
    struct http_call first = {0}, second = {0}, third = {0};
    static const struct fake_step once[] = {
        {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = OK_2}, {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(f->provider, once);
    http_client_guard(f->client, is_allowed, &g);
    post(f, &first, "127.0.0.1");
    assert_int_equal(first.result, HTTP_DONE);
    RUN_UNTIL(f, fake_provider_open(f->provider) == 0);
    g.open = false;
    post(f, &second, "127.0.0.1");
    assert_int_equal(second.result, HTTP_NOT_SENT);
    g.open = true;
    post(f, &third, "127.0.0.1");
    assert_int_equal(third.result, HTTP_DONE);
    assert_string_equal(third.detail, "");
    assert_int_equal(fake_provider_connections(f->provider), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_address_that_is_refused_is_not_connected_to,
                                        http_calls_setup, http_calls_teardown),
        cmocka_unit_test_setup_teardown(the_guard_is_asked_for_each_new_connection,
                                        http_calls_setup, http_calls_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
