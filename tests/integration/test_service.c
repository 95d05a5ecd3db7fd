/* A whole service in the test's process: what its end does to what is open. */
#include "api/service.h"

#include "common/clock.h"
#include "scheduler/scheduler.h"
#include "storage/redis_reply.h"
#include "tests/support/fake_provider.h"
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS     20000
#define MAX_CLIENTS 16
#define CHAT                                                                                       \
    "{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

struct kit {
    struct redis_fixture redis;
    struct event_base *outside; /* of the provider */
    struct fake_provider *provider;
    struct service *service;
    struct event *tick;
    int clients[MAX_CLIENTS];
    size_t count;
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static void step(struct kit *k)
{
    (void)event_base_loop(k->outside, EVLOOP_NONBLOCK);
    (void)event_base_loop(service_base(k->service), EVLOOP_ONCE);
}

#define UNTIL(k, condition)                                                                        \
    do {                                                                                           \
        int64_t until_ms = clock_mono_ms() + WAIT_MS;                                              \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms() > until_ms)                                                        \
                fail_msg("waited in vain for %s", #condition);                                     \
            step(k);                                                                               \
        }                                                                                          \
    } while (0)

static bool is_ready(struct kit *k)
{
    const char *why;
    return service_is_ready(k->service, &why);
}

static int set_up(void **state)
{
    static const struct timeval often = {.tv_usec = 2000};
    struct kit *k = calloc(1, sizeof(*k));
    struct service_options options = {.allow_volatile = true};
    struct config *config = NULL;
    struct error e = {.text = ""};
    char text[1024];
    *state = k;
    if (!k || redis_fixture_start(&k->redis, NULL) != 0)
        return -1;
    k->outside = event_base_new();
    k->provider = fake_provider_new(k->outside);
    (void)snprintf(text, sizeof(text),
                   "listen: \"127.0.0.1:0\"\nredis: {url: \"%s\"}\nproviders:\n"
                   "  - {name: p, format: openai, base_url: \"%s/v1\", api_key: sk-service,\n"
                   "     models: [{name: m, rpm: 100}]}\nlog: {level: error}\n",
                   k->redis.url, fake_provider_url(k->provider));
    if (config_parse("test", text, strlen(text), &config, &e) < 0)
        fail_msg("%s", e.text);
    k->service = service_new(&options, config, &e);
    if (!k->service)
        fail_msg("%s", e.text);
    k->tick = event_new(service_base(k->service), -1, EV_PERSIST, on_tick, NULL);
    assert_int_equal(event_add(k->tick, &often), 0);
    UNTIL(k, is_ready(k));
    return 0;
}

static void end_service(struct kit *k)
{
    if (!k->service)
        return;
    event_free(k->tick);
    service_free(k->service);
    k->service = NULL;
}

static int tear_down(void **state)
{
    struct kit *k = *state;
    end_service(k);
    for (size_t i = 0; i < k->count; i++)
        (void)close(k->clients[i]);
    fake_provider_free(k->provider);
    event_base_free(k->outside);
    redis_fixture_stop(&k->redis);
    free(k);
    return 0;
}

/* Sends a request and returns the socket, which the kit closes. */
static int ask(struct kit *k, const char *method, const char *path, const char *headers,
               const char *body)
{
    char text[4096];
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *port = strrchr(service_address(k->service), ':') + 1;
    to.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && k->count < MAX_CLIENTS);
    k->clients[k->count++] = fd;
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    int n =
        snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s",
                 method, path, headers, strlen(body), body);
    assert_int_equal(write(fd, text, (size_t)n), n);
    return fd;
}

#define JOB "{\"endpoint\":\"/v1/chat/completions\",\"body\":" CHAT "}"

static void the_service_may_end_while_redis_answers_nobody(void **state)
{
    struct kit *k = *state;
    redis_fixture_pause(&k->redis);
    (void)ask(k, "POST", "/v1/chat/completions", "", CHAT);
    (void)ask(k, "POST", "/v1/jobs", "", JOB);
    (void)ask(k, "POST", "/v1/jobs", "Idempotency-Key: a\r\n", JOB);
    (void)ask(k, "POST", "/v1/jobs", "Content-Type: application/x-ndjson\r\n", JOB "\n" JOB "\n");
    (void)ask(k, "GET", "/v1/jobs", "", "");
    (void)ask(k, "GET", "/v1/stats", "", "");
    UNTIL(k, service_open_exchanges(k->service) == 6);
    end_service(k); /* the sanitizer is the judge */
    redis_fixture_resume(&k->redis);
}

static void the_service_may_end_while_redis_is_gone(void **state)
{
    struct kit *k = *state;
    redis_fixture_kill(&k->redis);
    UNTIL(k, !scheduler_is_connected(service_scheduler(k->service)));
    (void)ask(k, "POST", "/v1/chat/completions", "", CHAT);
    (void)ask(k, "POST", "/v1/jobs", "", JOB);
    UNTIL(k, service_open_exchanges(k->service) == 2);
    end_service(k);
}

static int64_t number(struct kit *k, const struct redis_args *args)
{
    return redis_fixture_ask_int(&k->redis, args);
}

static void calls_that_run_at_the_end_give_their_slots_back(void **state)
{
    static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};
    struct kit *k = *state;
    FAKE_SCRIPT(k->provider, hangs);
    (void)ask(k, "POST", "/v1/chat/completions", "", CHAT);
    UNTIL(k, fake_provider_stalled(k->provider) == 1);
    assert_int_equal(number(k, REDIS_ARGS("ZCARD", "sluice:{p:default:m}:inf")), 1);
    end_service(k);
    assert_int_equal(number(k, REDIS_ARGS("ZCARD", "sluice:{p:default:m}:inf")), 0);
    assert_int_equal(number(k, REDIS_ARGS("ZCARD", "sluice:{insts}")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SERVICE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        SERVICE_TEST(the_service_may_end_while_redis_answers_nobody),
        SERVICE_TEST(the_service_may_end_while_redis_is_gone),
        SERVICE_TEST(calls_that_run_at_the_end_give_their_slots_back),
    };
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
