/* The listener under TLS, with a real client of it (libcurl). */
#include "tests/support/api_kit.h"
#include "tests/support/raw_http.h"
#include "tests/support/tls_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <curl/curl.h>

#define STREAM                                                                                     \
    "{\"model\":\"gpt-4o\",\"stream\":true,\"max_tokens\":200,\"messages\":[{\"role\":\"user\","   \
    "\"content\":\"[[sim output=200]] hello\"}]}"

struct rig {
    struct api_kit kit;
    char dir[64], cert[96], key[96], other_cert[96], other_key[96];
    CURL *curl;
};

struct reply {
    CURLcode rc;
    long status, connects;
    size_t len;
    char text[1 << 20];
};

static size_t keep(char *bytes, size_t size, size_t count, void *arg)
{
    struct reply *reply = arg;
    assert_true(reply->len + size * count < sizeof(reply->text));
    memcpy(reply->text + reply->len, bytes, size * count);
    reply->len += size * count;
    reply->text[reply->len] = '\0';
    return size * count;
}

/* Over the rig's connection, when it is kept. */
static struct reply *ask(struct rig *r, const char *path, const char *body, const char *trusted)
{
    static struct reply reply;
    char url[256];
    reply.len = 0;
    reply.text[0] = '\0';
    (void)snprintf(url, sizeof(url), "%s%s", r->kit.serve.url, path);
    curl_easy_reset(r->curl);
    curl_easy_setopt(r->curl, CURLOPT_URL, url);
    curl_easy_setopt(r->curl, CURLOPT_CAINFO, trusted);
    curl_easy_setopt(r->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(r->curl, CURLOPT_TIMEOUT_MS, 20000L);
    curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, &reply);
    if (body)
        curl_easy_setopt(r->curl, CURLOPT_POSTFIELDS, body);
    reply.rc = curl_easy_perform(r->curl);
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &reply.status);
    curl_easy_getinfo(r->curl, CURLINFO_NUM_CONNECTS, &reply.connects);
    return &reply;
}

static void start(struct rig *r)
{
    char more[320];
    *r = (struct rig){.dir = "/tmp/sluice-tls-XXXXXX"};
    assert_non_null(mkdtemp(r->dir));
    (void)snprintf(r->cert, sizeof(r->cert), "%s/cert.pem", r->dir);
    (void)snprintf(r->key, sizeof(r->key), "%s/key.pem", r->dir);
    (void)snprintf(r->other_cert, sizeof(r->other_cert), "%s/cert2.pem", r->dir);
    (void)snprintf(r->other_key, sizeof(r->other_key), "%s/key2.pem", r->dir);
    assert_true(tls_certificate(r->cert, r->key, "IP:127.0.0.1"));
    (void)snprintf(more, sizeof(more),
                   "http: {max_body_bytes: 100000}\ntls: {certificate: %s, key: %s}\n", r->cert,
                   r->key);
    sim_child_start(&r->kit.sim, "--latency-ms 1 --output-tokens 5");
    char *config = api_kit_config(&r->kit, more);
    serve_child_start(&r->kit.serve, config, NULL);
    free(config);
    r->curl = curl_easy_init();
    assert_non_null(r->curl);
    int tries = 0;
    while (ask(r, "/readyz", NULL, r->cert)->status != 200)
        assert_true(tries++ < 20000);
}

static int set_up(void **state)
{
    static struct rig rig;
    start(&rig);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    curl_easy_cleanup(r->curl);
    api_kit_stop(&r->kit);
    (void)unlink(r->cert);
    (void)unlink(r->key);
    return rmdir(r->dir);
}

static void calls_and_streams_pass_on_a_kept_connection(void **state)
{
    struct rig *r = *state;
    assert_memory_equal(r->kit.serve.url, "https://", 8);
    struct reply *a = ask(r, "/healthz", NULL, r->cert);
    assert_int_equal(a->rc, CURLE_OK);
    assert_int_equal(a->status, 200);
    a = ask(r, KIT_CHAT_PATH, KIT_CHAT("gpt-4o"), r->cert);
    assert_int_equal(a->status, 200);
    assert_int_equal(a->connects, 0);
    assert_non_null(strstr(a->text, "\"usage\""));
    a = ask(r, KIT_CHAT_PATH, STREAM, r->cert);
    assert_int_equal(a->rc, CURLE_OK);
    assert_int_equal(a->status, 200);
    assert_non_null(strstr(a->text, "data: [DONE]"));
    a = ask(r, "/openapi.yaml", NULL, r->cert);
    assert_int_equal(a->rc, CURLE_OK);
    assert_true(a->len > 20000);
    assert_int_equal(a->connects, 0);
}

static void what_is_refused_is_told_whole_before_the_end(void **state)
{
    struct rig *r = *state;
    char *large = calloc(1, 200001);
    assert_non_null(large);
    memset(large, 'x', 200000);
    struct reply *a = ask(r, KIT_CHAT_PATH, large, r->cert);
    assert_int_equal(a->status, 413);
    assert_non_null(strstr(a->text, "too large"));
    free(large);
    a = ask(r, "/healthz", NULL, r->cert); /* on a new connection */
    assert_int_equal(a->status, 200);
}

static void who_does_not_speak_tls_gets_no_answer(void **state)
{
    struct rig *r = *state;
    struct raw_http raw;
    raw_http_open(&raw, r->kit.serve.url);
    raw_http_send(&raw, "GET", "/healthz", NULL);
    char alert[64];
    ssize_t n = recv(raw.fd, alert, sizeof(alert), 0);
    assert_true(n <= 0 || alert[0] == 0x15); /* nothing, or TLS's own alert */
    raw_http_close(&raw);
    assert_int_equal(ask(r, "/healthz", NULL, r->cert)->status, 200);
}

static void a_client_that_does_not_trust_the_certificate_leaves(void **state)
{
    struct rig *r = *state;
    assert_true(tls_certificate(r->other_cert, r->other_key, "IP:127.0.0.1"));
    curl_easy_cleanup(r->curl);
    r->curl = curl_easy_init();
    assert_non_null(r->curl);
    assert_int_equal(ask(r, "/healthz", NULL, r->other_cert)->rc, CURLE_PEER_FAILED_VERIFICATION);
    assert_int_equal(ask(r, "/healthz", NULL, r->cert)->status, 200);
}

/* The last: it changes the files. */
static void a_new_certificate_holds_after_a_signal_and_a_bad_one_does_not(void **state)
{
    struct rig *r = *state;
    FILE *bad = fopen(r->key, "w");
    assert_non_null(bad);
    assert_true(fputs("no key\n", bad) >= 0);
    assert_int_equal(fclose(bad), 0);
    assert_int_equal(kill(r->kit.serve.pid, SIGHUP), 0);
    assert_true(serve_child_says(&r->kit.serve, "the old certificate stays"));
    curl_easy_cleanup(r->curl);
    r->curl = curl_easy_init();
    assert_int_equal(ask(r, "/healthz", NULL, r->cert)->status, 200);

    char trusted[96];
    (void)snprintf(trusted, sizeof(trusted), "%s/new.pem", r->dir);
    assert_int_equal(link(r->other_cert, trusted), 0);
    assert_int_equal(rename(r->other_key, r->key), 0);
    assert_int_equal(rename(r->other_cert, r->cert), 0);
    assert_int_equal(kill(r->kit.serve.pid, SIGHUP), 0);
    bool changed = false;
    for (int i = 0; i < 2000 && !changed; i++) {
        curl_easy_cleanup(r->curl);
        r->curl = curl_easy_init();
        changed = ask(r, "/healthz", NULL, trusted)->rc == CURLE_OK;
    }
    assert_true(changed);
    assert_int_equal(unlink(trusted), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_and_streams_pass_on_a_kept_connection),
        cmocka_unit_test(what_is_refused_is_told_whole_before_the_end),
        cmocka_unit_test(who_does_not_speak_tls_gets_no_answer),
        cmocka_unit_test(a_client_that_does_not_trust_the_certificate_leaves),
        cmocka_unit_test(a_new_certificate_holds_after_a_signal_and_a_bad_one_does_not),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
