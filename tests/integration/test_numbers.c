/* /v1/stats, its stream, /metrics and the dashboard's files, as clients see them. */
#include "tests/support/api_kit.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

static struct api_kit kit;

static int start(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5", "");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

/* ---- the metrics page, line by line */

/* The value of a sample, written just as it stands on the page; -1: it is not there. */
static double sample(const char *page, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = page; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            return strtod(line + len, NULL);
    return -1;
}

#define OF_POOL "{provider=\"sim\",account=\"default\",pool=\"gpt-4o\""

/* Asks until the sample has the value: Redis is told of counts now and then only. */
static void metric_becomes(const char *name, double wanted)
{
    int64_t until_ms = clock_mono_ms() + SERVE_CHILD_WAIT_MS;
    double found = -1;
    while (clock_mono_ms() < until_ms) {
        struct http_answer a = api_kit_ask(&kit, "GET", "/metrics", NULL);
        assert_int_equal(a.status, 200);
        found = sample(a.body.data, name);
        http_answer_release(&a);
        if (found == wanted)
            return;
    }
    fail_msg("%s is %g, not %g", name, found, wanted);
}

static void metrics_tell_what_happened(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    metric_becomes("sluice_requests_total" OF_POOL ",outcome=\"succeeded\"}", 3);
    metric_becomes("sluice_decisions_total" OF_POOL ",decision=\"admitted\"}", 3);
    metric_becomes("sluice_tokens_total" OF_POOL ",kind=\"output\"}", 15);
    metric_becomes("sluice_queue_wait_seconds_count" OF_POOL ",class=\"normal\"}", 3);
    metric_becomes("sluice_queue_wait_seconds_count" OF_POOL ",class=\"batch\"}", 0);
    metric_becomes("sluice_queue_wait_seconds_bucket" OF_POOL ",class=\"normal\",le=\"+Inf\"}", 3);
    metric_becomes("sluice_upstream_seconds_count" OF_POOL "}", 3);
    metric_becomes("sluice_time_to_first_token_seconds_count" OF_POOL "}", 0);
    metric_becomes("sluice_estimate_ratio_count" OF_POOL "}", 3);
    metric_becomes("sluice_model_requests_total{model=\"gpt-4o\",outcome=\"succeeded\"}", 3);
    metric_becomes("sluice_tenant_tokens_total{tenant=\"default\",kind=\"output\"}", 15);
    metric_becomes("sluice_in_flight" OF_POOL "}", 0);
    metric_becomes("sluice_redis_up", 1);
    metric_becomes("sluice_ready", 1);
    metric_becomes("sluice_instances", 1);
}

static void streams_tell_when_their_first_token_came(void **state)
{
    static const char body[] = "{\"model\":\"gpt-4o\",\"stream\":true,\"max_tokens\":10,"
                               "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
    (void)state;
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, body), 200);
    metric_becomes("sluice_time_to_first_token_seconds_count" OF_POOL "}", 1);
    metric_becomes("sluice_upstream_seconds_count" OF_POOL "}", 4);
}

static void what_bound_a_request_is_told_with_its_fate(void **state)
{
    static const char small[] = "{\"model\":\"small\",\"max_tokens\":5000,\"messages\":[{\"role\":"
                                "\"user\",\"content\":\"hello\"}]}";
    (void)state;
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, small), 413);
    metric_becomes("sluice_bound_decisions_total{provider=\"sim\",account=\"default\",pool="
                   "\"small\",decision=\"refused\",limit=\"tpm\"}",
                   1);
}

static void commands_to_redis_are_timed(void **state)
{
    (void)state;
    struct http_answer a = api_kit_ask(&kit, "GET", "/metrics", NULL);
    double all = sample(a.body.data, "sluice_redis_command_seconds_count");
    assert_true(all > 3);
    assert_true(sample(a.body.data, "sluice_redis_command_seconds_bucket{le=\"+Inf\"}") == all);
    assert_true(sample(a.body.data, "sluice_redis_command_seconds_sum") > 0);
    http_answer_release(&a);
}

static void metrics_are_text_of_the_right_kind(void **state)
{
    char value[96];
    (void)state;
    struct http_answer a = api_kit_ask(&kit, "GET", "/metrics", NULL);
    assert_string_equal(http_answer_header(&a, "content-type", value, sizeof(value)),
                        "text/plain; version=0.0.4; charset=utf-8");
    assert_true(sample(a.body.data, "process_resident_memory_bytes") > 1e6);
    assert_true(sample(a.body.data, "process_cpu_seconds_total") > 0);
    assert_true(sample(a.body.data, "process_open_fds") > 3);
    assert_true(sample(a.body.data, "process_start_time_seconds") > 1.6e9);
    assert_true(sample(a.body.data, "sluice_bucket_capacity" OF_POOL ",limit=\"rpm\"}") > 0);
    http_answer_release(&a);
}

/* ---- stats */

static void stats_have_the_histogram_whose_sum_is_the_count(void **state)
{
    int64_t sum = 0, granted = 0;
    size_t i, k;
    json_t *pool, *bucket;
    (void)state;
    json_t *stats = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    assert_true(json_is_true(json_object_get(json_object_get(stats, "redis"), "up")));
    json_array_foreach(json_object_get(stats, "pools"), i, pool)
    {
        json_array_foreach(json_object_get(json_object_get(pool, "wait_ms"), "buckets"), k, bucket)
            sum += json_integer_value(json_array_get(bucket, 1));
        granted += json_at(pool, "counts/admitted") + json_at(pool, "counts/delayed");
        assert_true(json_is_true(json_object_get(pool, "known")));
        assert_null(json_object_get(json_object_get(pool, "counts"), "waited_ms"));
    }
    assert_true(granted >= 3);
    assert_int_equal(sum, granted);
    json_decref(stats);
}

static void pools_stand_in_the_order_of_their_names(void **state)
{
    const char *before = "";
    size_t i;
    json_t *pool;
    (void)state;
    json_t *stats = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    assert_true(json_array_size(json_object_get(stats, "pools")) >= 2);
    json_array_foreach(json_object_get(stats, "pools"), i, pool)
    {
        const char *id = json_text_at(pool, "pool");
        assert_true(strcmp(before, id) < 0);
        before = id;
    }
    json_decref(stats);
}

/* Reads from a stream until so many events came; the objects' counts never step back. */
static void read_events(const char *header, int wanted)
{
    char command[512], line[65536];
    int seen = 0;
    json_int_t requests = 0;
    (void)snprintf(command, sizeof(command), "exec curl -sN -m 20 %s%s%s '%s/v1/stats/stream'",
                   header ? "-H '" : "", header ? header : "", header ? "'" : "", kit.serve.url);
    FILE *p = popen(command, "re");
    assert_non_null(p);
    while (seen < wanted && fgets(line, sizeof(line), p)) {
        if (strncmp(line, "data: ", 6) != 0)
            continue;
        json_t *stats = json_loads(line + 6, 0, NULL);
        assert_non_null(stats);
        json_int_t now = json_at(stats, "totals/counts/succeeded");
        assert_true(now >= requests);
        requests = now;
        json_decref(stats);
        seen++;
    }
    (void)pclose(p);
    assert_int_equal(seen, wanted);
}

static void the_stream_tells_again_and_again(void **state)
{
    (void)state;
    read_events(NULL, 3);
}

static void many_watchers_and_askers_are_all_answered(void **state)
{
    FILE *p[12];
    char command[256], line[64] = "";
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        (void)snprintf(command, sizeof(command),
                       "curl -sN -m 20 '%s/v1/stats/stream' | grep -m 2 -c '^data: '",
                       kit.serve.url);
        p[i] = popen(command, "re");
        assert_non_null(p[i]);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(api_kit_status(&kit, "GET", "/v1/stats", NULL), 200);
    for (size_t i = 0; i < 12; i++) {
        assert_non_null(fgets(line, sizeof(line), p[i]));
        assert_string_equal(line, "2\n");
        (void)pclose(p[i]);
    }
}

static void a_head_of_the_stream_ends(void **state)
{
    char command[256], text[1024];
    (void)state;
    (void)snprintf(command, sizeof(command), "curl -sI -m 20 '%s/v1/stats/stream' '%s/healthz'",
                   kit.serve.url, kit.serve.url);
    FILE *p = popen(command, "re");
    assert_non_null(p);
    text[fread(text, 1, sizeof(text) - 1, p)] = '\0';
    assert_int_equal(pclose(p), 0);
    assert_non_null(strstr(text, "Content-Type: text/event-stream"));
    assert_non_null(strstr(text, "Content-Type: application/json")); /* on the same connection */
}

static void the_stream_ends_when_the_service_drains(void **state)
{
    struct api_kit *k = &kit;
    char command[2048], line[65536];
    (void)state;
    /* The bound is what the compiler cannot know of the url, which stands in a larger struct. */
    (void)snprintf(command, sizeof(command), "curl -sN -m 30 '%.64s/v1/stats/stream'",
                   k->serve.url);
    FILE *p = popen(command, "re");
    assert_non_null(p);
    assert_non_null(fgets(line, sizeof(line), p));
    assert_int_equal(kill(k->serve.pid, SIGTERM), 0);
    while (fgets(line, sizeof(line), p)) {
    }
    assert_int_equal(pclose(p), 0); /* a clean end, not a cut one (18) or curl's own (28) */
    assert_int_equal(serve_child_wait(&k->serve), 0);
    api_kit_stop(k);
    api_kit_start(k, "--latency-ms 1 --output-tokens 5", "");
}

/* ---- keys */

static void numbers_need_a_key_where_there_are_keys_and_files_do_not(void **state)
{
    static const char keys[] = "auth: {keys: [{key: sk-0123456789abcdef0123}]}\n";
    struct api_kit k = {.header = ""};
    (void)state;
    api_kit_start(&k, "--latency-ms 1", keys);
    k.header[0] = '\0';
    api_kit_refused(&k, "GET", "/metrics", NULL, 401, "invalid_api_key");
    api_kit_refused(&k, "GET", "/v1/stats/stream", NULL, 401, "invalid_api_key");
    assert_int_equal(api_kit_status(&k, "GET", "/", NULL), 200);
    assert_int_equal(api_kit_status(&k, "GET", "/ui/app.js", NULL), 200);
    (void)strcpy(k.header, "Authorization: Bearer sk-0123456789abcdef0123");
    assert_int_equal(api_kit_status(&k, "GET", "/metrics", NULL), 200);
    api_kit_stop(&k);
}

static void callers_with_keys_of_their_own_are_one_account_in_metrics(void **state)
{
    static const char providers[] =
        "\n  - {name: own, format: openai, base_url: %s/v1, models: [{name: mine, rpm: 60}]}\n";
    struct api_kit k = {.header = ""};
    char more[256];
    (void)state;
    api_kit_start(&k, "--latency-ms 1", "");
    char *config = api_kit_config(&k, "");
    (void)snprintf(more, sizeof(more), providers, k.sim.url);
    char *whole = malloc(strlen(config) + sizeof(more));
    assert_non_null(whole);
    (void)strcpy(whole, config);
    (void)strcat(whole, more);
    serve_child_write(&k.serve, whole);
    assert_int_equal(kill(k.serve.pid, SIGHUP), 0);
    assert_true(serve_child_says(&k.serve, "configuration reloaded"));
    for (int i = 0; i < 3; i++) {
        (void)snprintf(k.header, sizeof(k.header), "Authorization: Bearer sk-of-caller-%d", i);
        assert_int_equal(api_kit_status(&k, "POST", KIT_CHAT_PATH, KIT_CHAT("mine")), 200);
    }
    struct http_answer a = api_kit_ask(&k, "GET", "/metrics", NULL);
    static const char limit[] =
        "sluice_limit{provider=\"own\",account=\"callers\",pool=\"mine\",limit=\"rpm\"}";
    assert_true(sample(a.body.data, limit) == 180);
    assert_ptr_equal(strstr(strstr(a.body.data, limit) + 1, limit), NULL);
    http_answer_release(&a);
    free(whole);
    free(config);
    api_kit_stop(&k);
}

/* ---- the dashboard's files */

static void the_page_allows_nothing_but_its_own_files(void **state)
{
    static const char *const paths[] = {"/", "/ui/app.js", "/ui/style.css"};
    static const char *const types[] = {
        "text/html; charset=utf-8", "text/javascript; charset=utf-8", "text/css; charset=utf-8"};
    char value[512];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct http_answer a = api_kit_ask(&kit, "GET", paths[i], NULL);
        assert_int_equal(a.status, 200);
        assert_string_equal(http_answer_header(&a, "content-type", value, sizeof(value)), types[i]);
        (void)http_answer_header(&a, "content-security-policy", value, sizeof(value));
        assert_non_null(strstr(value, "default-src 'none'; script-src 'self'; style-src 'self'"));
        assert_null(strstr(value, "unsafe"));
        assert_string_equal(http_answer_header(&a, "x-content-type-options", value, sizeof(value)),
                            "nosniff");
        assert_string_equal(http_answer_header(&a, "cache-control", value, sizeof(value)),
                            "no-cache");
        assert_null(strstr(a.body.data, "https://"));
        http_answer_release(&a);
    }
}

static void a_file_that_the_client_has_is_304(void **state)
{
    char tag[64], line[128], other[64];
    (void)state;
    struct http_answer a = api_kit_ask(&kit, "GET", "/ui/app.js", NULL);
    (void)http_answer_header(&a, "etag", tag, sizeof(tag));
    http_answer_release(&a);
    assert_int_equal(strlen(tag), 34);
    (void)snprintf(line, sizeof(line), "If-None-Match: \"x\", W/%s", tag);
    a = http_ask("GET", kit.serve.url, "/ui/app.js", NULL, line);
    assert_int_equal(a.status, 304);
    assert_int_equal(a.body.len, 0);
    assert_string_equal(http_answer_header(&a, "etag", other, sizeof(other)), tag);
    http_answer_release(&a);
    a = http_ask("GET", kit.serve.url, "/ui/style.css", NULL, line);
    assert_int_equal(a.status, 200);
    http_answer_release(&a);
}

static void other_files_are_404(void **state)
{
    (void)state;
    api_kit_refused(&kit, "GET", "/ui/openapi.yaml", NULL, 404, "not_found");
    api_kit_refused(&kit, "GET", "/ui/..%2fapp.js", NULL, 404, "not_found");
    api_kit_refused(&kit, "GET", "/ui/", NULL, 404, "not_found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_tell_what_happened),
        cmocka_unit_test(streams_tell_when_their_first_token_came),
        cmocka_unit_test(what_bound_a_request_is_told_with_its_fate),
        cmocka_unit_test(commands_to_redis_are_timed),
        cmocka_unit_test(metrics_are_text_of_the_right_kind),
        cmocka_unit_test(stats_have_the_histogram_whose_sum_is_the_count),
        cmocka_unit_test(pools_stand_in_the_order_of_their_names),
        cmocka_unit_test(the_stream_tells_again_and_again),
        cmocka_unit_test(many_watchers_and_askers_are_all_answered),
        cmocka_unit_test(a_head_of_the_stream_ends),
        cmocka_unit_test(numbers_need_a_key_where_there_are_keys_and_files_do_not),
        cmocka_unit_test(callers_with_keys_of_their_own_are_one_account_in_metrics),
        cmocka_unit_test(the_page_allows_nothing_but_its_own_files),
        cmocka_unit_test(a_file_that_the_client_has_is_304),
        cmocka_unit_test(other_files_are_404),
        cmocka_unit_test(the_stream_ends_when_the_service_drains),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
