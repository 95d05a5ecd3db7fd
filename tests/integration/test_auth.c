/* Who calls and what they ask for, read from real requests. */
#include "api/auth.h"
#include "api/request_options.h"

#include "common/digest.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY_A  "sk-sluice-aaaaaaaaaaaa"
#define CONFIG "providers: [{name: p, format: openai, base_url: http://x/v1}]\n"
#define KEYS   "auth: {keys: [{key: " KEY_A ", tenant: a}, {key: sk-sluice-bbbbbbbbbbbb}]}\n"

struct asked {
    struct config *config;
    struct access *access;
    enum access_scope scope;
    bool done;
    int auth_rc, options_rc;
    struct caller caller;
    struct request_options options;
    char key[64]; /* to be passed on */
    struct error auth_error, options_error;
};

static struct redis_fixture redis;

static int group_setup(void **state)
{
    (void)state;
    return redis_fixture_start(&redis, "");
}

static int group_teardown(void **state)
{
    (void)state;
    redis_fixture_stop(&redis);
    return 0;
}

static void on_redis(void *arg, bool up, const char *reason)
{
    struct asked *a = arg;
    (void)reason;
    if (a->access)
        access_connected(a->access, up);
}

static bool is_known(void *arg)
{
    return access_is_known(((struct asked *)arg)->access);
}

static void on_request(void *arg, struct exchange *x)
{
    struct asked *a = arg;
    struct auth_rules rules = {a->config, a->access, a->scope};
    a->auth_rc = auth_caller(&rules, x, &a->caller, &a->auth_error);
    if (a->auth_rc == 0)
        (void)snprintf(a->key, sizeof(a->key), "%s",
                       a->caller.provider_key ? a->caller.provider_key : "(none)");
    a->options_rc = request_options_read(a->config, x, &a->options, &a->options_error);
    a->done = true;
    exchange_reply(x, 200, NULL, NULL, 0);
}

static bool is_done(void *arg)
{
    return ((struct asked *)arg)->done;
}

/* What a request with these header lines is read as, under a configuration. */
static struct asked ask_for(enum access_scope scope, const char *config, const char *headers)
{
    struct asked a = {.scope = scope};
    struct redis_address address;
    struct error e = {.text = ""};
    const struct server_options options = {
        .listen = "127.0.0.1:0", .max_body_bytes = 1000, .max_connections = 2};
    struct sockaddr_in to = {.sin_family = AF_INET};
    char text[2048];
    if (config_parse("test", config, strlen(config), &a.config, &e) < 0)
        fail_msg("%s", e.text);
    struct event_base *base = event_base_new();
    assert_int_equal(redis_address_parse(redis.url, &address, &e), 0);
    struct redis_link *link = redis_link_new(base, &address, on_redis, &a, &e);
    a.access = access_new(base, link);
    assert_int_equal(access_configure(a.access, a.config), 0);
    struct server *server = server_new(base, &options, on_request, &a, &e);
    assert_non_null(server);
    assert_true(wait_loop(base, is_known, &a));
    to.sin_port = htons((uint16_t)strtoul(strrchr(server_address(server), ':') + 1, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
    assert_int_equal(write(fd, text, (size_t)n), n);
    assert_true(wait_loop(base, is_done, &a));
    server_free(server);
    redis_link_free(link);
    access_free(a.access);
    event_base_free(base);
    (void)close(fd);
    config_free(a.config);
    return a;
}

static struct asked ask(const char *config, const char *headers)
{
    return ask_for(SCOPE_PROXY, config, headers);
}

static void without_keys_everybody_is_the_default_tenant(void **state)
{
    (void)state;
    struct asked a = ask(CONFIG, "");
    assert_int_equal(a.auth_rc, 0);
    assert_string_equal(a.caller.tenant, "default");
    assert_int_equal(a.caller.weight, 1);
    assert_string_equal(a.key, "(none)");
    assert_string_equal(ask(CONFIG, "Authorization: Bearer sk-theirs\r\n").key, "sk-theirs");
    assert_string_equal(ask(CONFIG, "x-api-key: sk-theirs\r\n").key, "sk-theirs");
    assert_string_equal(ask(CONFIG, "authorization: bearer sk-theirs\r\n").key, "sk-theirs");
    assert_string_equal(ask(CONFIG, "Authorization: Basic dTpw\r\n").key, "(none)");
    assert_string_equal(ask(CONFIG, "x-api-key:\r\n").key, "(none)");
}

static void with_keys_one_of_them_must_be_given(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "Authorization: Bearer sk-sluice-aaaaaaaaaaab\r\n",
        "Authorization: Bearer sk-sluice-aaaaaaaaaaa\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: " KEY_A "\r\n",
        "x-api-key: SK-SLUICE-AAAAAAAAAAAA\r\n",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct asked a = ask(CONFIG KEYS, refused[i]);
        assert_int_equal(a.auth_rc, -EACCES);
        assert_null(strstr(a.auth_error.text, "sk-sluice-a")); /* nobody's key in a message */
    }
    struct asked a = ask(CONFIG KEYS, "Authorization: Bearer " KEY_A "\r\n");
    assert_int_equal(a.auth_rc, 0);
    assert_string_equal(a.caller.tenant, "a");
    assert_string_equal(a.key, "(none)"); /* ours: never the provider's to see */
    assert_string_equal(ask(CONFIG KEYS, "x-api-key: sk-sluice-bbbbbbbbbbbb\r\n").caller.tenant,
                        "default");
}

#define SCOPED "auth: {keys: [{key: " KEY_A ", scopes: \"jobs, stats\"}]}\n"

static void a_key_opens_what_its_scopes_name(void **state)
{
    static const char line[] = "x-api-key: " KEY_A "\r\n";
    (void)state;
    assert_int_equal(ask_for(SCOPE_JOBS, CONFIG SCOPED, line).auth_rc, 0);
    assert_int_equal(ask_for(SCOPE_STATS, CONFIG SCOPED, line).auth_rc, 0);
    struct asked a = ask_for(SCOPE_PROXY, CONFIG SCOPED, line);
    assert_int_equal(a.auth_rc, -EPERM);
    assert_non_null(strstr(a.auth_error.text, "'proxy'"));
    assert_int_equal(ask_for(SCOPE_ADMIN, CONFIG SCOPED, line).auth_rc, -EPERM);
    assert_int_equal(ask_for(SCOPE_ADMIN, CONFIG KEYS, line).auth_rc, 0); /* none named: all */
    assert_int_equal(ask_for(SCOPE_ADMIN, CONFIG, "").auth_rc, 0);        /* an open service */
}

static void a_digest_is_no_key(void **state)
{
    (void)state;
    char sum[DIGEST_HEX_BYTES], line[256];
    digest_hex(KEY_A, strlen(KEY_A), sum, 64);
    (void)snprintf(line, sizeof(line), "x-api-key: %s\r\n", sum);
    assert_int_equal(ask(CONFIG KEYS, line).auth_rc, -EACCES);
}

#define TRUST   "auth: {trust_tenant_header: true}\n"
#define TENANTS "tenants: [{name: research, weight: 7}]\n"

static void a_tenant_is_believed_only_where_the_configuration_says_so(void **state)
{
    (void)state;
    struct asked a = ask(CONFIG TENANTS, "x-sluice-tenant: research\r\n");
    assert_string_equal(a.caller.tenant, "default");
    assert_int_equal(a.caller.weight, 1);
    a = ask(CONFIG TENANTS TRUST, "x-sluice-tenant: research\r\n");
    assert_string_equal(a.caller.tenant, "research");
    assert_int_equal(a.caller.weight, 7);
    assert_int_equal(ask(CONFIG TRUST, "x-sluice-tenant: other.one_x@y-z\r\n").caller.weight, 1);
}

static void tenant_names_have_a_form_and_a_length(void **state)
{
    (void)state;
    char line[256];
    static const char *const bad[] = {"a b", "a:b", "a/b", "{a}", "\xc3\xa4", "a*"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(line, sizeof(line), "x-sluice-tenant: %s\r\n", bad[i]);
        assert_int_equal(ask(CONFIG TRUST, line).auth_rc, -EINVAL);
    }
    assert_int_equal(ask(CONFIG TRUST, "x-sluice-tenant:\r\n").auth_rc, -EINVAL);
    for (int len = TENANT_NAME_BYTES; len <= TENANT_NAME_BYTES + 1; len++) {
        (void)snprintf(line, sizeof(line), "x-sluice-tenant: %0*d\r\n", len, 0);
        assert_int_equal(ask(CONFIG TRUST, line).auth_rc, len == TENANT_NAME_BYTES ? 0 : -EINVAL);
    }
}

static void options_have_defaults_and_bounds(void **state)
{
    (void)state;
    struct asked a = ask(CONFIG "queue: {max_wait_ms: 1234}\n", "");
    assert_int_equal(a.options_rc, 0);
    assert_int_equal(a.options.class, CLASS_NORMAL);
    assert_int_equal(a.options.max_wait_ms, 1234);
    a = ask(CONFIG, "x-sluice-priority: batch\r\nx-sluice-max-wait-ms: 0\r\n");
    assert_int_equal(a.options.class, CLASS_BATCH);
    assert_int_equal(a.options.max_wait_ms, 0);
    assert_int_equal(ask(CONFIG, "x-sluice-max-wait-ms: 86400000\r\n").options.max_wait_ms,
                     REQUEST_MAX_WAIT_MS);
    static const char *const bad[] = {
        "x-sluice-priority: high\r\n",    "x-sluice-priority: Batch\r\n",
        "x-sluice-priority:\r\n",         "x-sluice-max-wait-ms:\r\n",
        "x-sluice-max-wait-ms: -1\r\n",   "x-sluice-max-wait-ms: 1.5\r\n",
        "x-sluice-max-wait-ms: 10s\r\n",  "x-sluice-max-wait-ms: 86400001\r\n",
        "x-sluice-max-wait-ms: 0x10\r\n", "x-sluice-max-wait-ms: 99999999999999999999\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ask(CONFIG, bad[i]).options_rc != -EINVAL)
            fail_msg("taken: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_keys_everybody_is_the_default_tenant),
        cmocka_unit_test(with_keys_one_of_them_must_be_given),
        cmocka_unit_test(a_key_opens_what_its_scopes_name),
        cmocka_unit_test(a_digest_is_no_key),
        cmocka_unit_test(a_tenant_is_believed_only_where_the_configuration_says_so),
        cmocka_unit_test(tenant_names_have_a_form_and_a_length),
        cmocka_unit_test(options_have_defaults_and_bounds),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
