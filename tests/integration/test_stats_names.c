/* GET /v1/stats by tenant and by model. */
#include "common/clock.h"
#include "common/limits.h"
#include "tests/support/api_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>

#define TRUST "stats: {history_every_ms: 100}\nauth: {trust_tenant_header: true}\n"

static struct api_kit kit;

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

static void as(const char *tenant)
{
    (void)snprintf(kit.header, sizeof(kit.header), "x-sluice-tenant: %s", tenant);
}

/* Borrowed; NULL: it is not there. */
static const json_t *row(const json_t *stats, const char *part, const char *kind, const char *name)
{
    json_t *one = NULL;
    size_t i;
    json_array_foreach(json_object_get(stats, part), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, kind)), name) == 0)
            return one;
    }
    return NULL;
}

static json_int_t number(const json_t *row, const char *part, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(row, part), name));
}

static void each_tenant_has_its_share(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5",
                  TRUST "tenants: [{name: a, weight: 3}]\n");
    as("a");
    for (int i = 0; i < 3; i++)
        assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    as("b");
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_MESSAGE_PATH, KIT_CHAT("claude-x")), 200);

    json_t *stats = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    const json_t *a = row(stats, "tenants", "tenant", "a");
    const json_t *b = row(stats, "tenants", "tenant", "b");
    assert_int_equal(number(a, "counts", "requests"), 3);
    assert_int_equal(number(a, "counts", "succeeded"), 3);
    assert_int_equal(number(a, "counts", "answered"), 3);
    assert_int_equal(number(a, "tokens", "output"), 15);
    assert_int_equal(json_integer_value(json_object_get(a, "weight")), 3);
    assert_int_equal(json_integer_value(json_object_get(b, "weight")), 1);
    assert_int_equal(json_integer_value(json_object_get(a, "queued")), 0);
    double shares = json_number_value(json_object_get(a, "share")) +
                    json_number_value(json_object_get(b, "share"));
    assert_true(shares > 0.999 && shares < 1.001);
    assert_true(number(a, "upstream_ms", "total") >= 3);
    const json_t *model = row(stats, "models", "model", "gpt-4o");
    assert_int_equal(number(model, "counts", "requests"), 4);
    assert_int_equal(number(model, "tokens", "output"), 20);
    assert_int_equal(number(row(stats, "models", "model", "claude-*"), "counts", "requests"), 1);
    json_decref(stats);
}

static bool four_wait(const json_t *stats)
{
    const json_t *a = row(stats, "tenants", "tenant", "a"),
                 *b = row(stats, "tenants", "tenant", "b");
    return a && b && json_integer_value(json_object_get(a, "queued")) == 3 &&
           json_integer_value(json_object_get(b, "queued")) == 1 &&
           json_integer_value(json_object_get(a, "running")) == 2 &&
           json_integer_value(json_object_get(b, "running")) == 0;
}

static void who_waits_and_who_runs_is_told_by_tenant(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1500", TRUST);
    as("a");
    for (int i = 0; i < 5; i++)
        assert_int_equal(api_kit_status(&kit, "POST", "/v1/jobs", KIT_JOB("slow")), 202);
    as("b");
    assert_int_equal(api_kit_status(&kit, "POST", "/v1/jobs", KIT_JOB("slow")), 202);
    json_decref(api_kit_stats_until(&kit, four_wait));
}

/* Lines of the page that begin so. */
static size_t series(const char *begin)
{
    struct http_answer a = api_kit_ask(&kit, "GET", "/metrics", NULL);
    size_t n = 0;
    assert_int_equal(a.status, 200);
    for (const char *line = a.body.data; (line = strstr(line, begin)); line++)
        n++;
    http_answer_release(&a);
    return n;
}

/* Redis is told of them now and then only. */
static void series_become(const char *begin, size_t wanted)
{
    size_t found = 0;
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        found = series(begin);
        if (found == wanted)
            return;
    }
    fail_msg("%zu series of %s, not %zu", found, begin, wanted);
}

static void models_past_the_maximum_are_one(void **state)
{
    char rows[8192], body[256];
    (void)state;
    api_kit_start(&kit, "--latency-ms 0 --output-tokens 1", TRUST);
    char *config = api_kit_config(&kit, TRUST);
    size_t used = (size_t)snprintf(rows, sizeof(rows), "%s", config);
    free(config);
    used +=
        (size_t)snprintf(rows + used, sizeof(rows) - used,
                         "  - {name: many, format: openai, base_url: %s/v1, api_key: sk-many-0123, "
                         "models: [",
                         kit.sim.url);
    for (int i = 0; i < STATS_MAX_MODELS + 3; i++)
        used += (size_t)snprintf(rows + used, sizeof(rows) - used,
                                 "{name: m%02d, pool: m, rpm: 60000},", i);
    (void)snprintf(rows + used, sizeof(rows) - used, "]}\n");
    serve_child_write(&kit.serve, rows);
    assert_int_equal(kill(kit.serve.pid, SIGHUP), 0);
    assert_true(serve_child_says(&kit.serve, "configuration reloaded"));
    for (int i = 0; i < STATS_MAX_MODELS + 3; i++) {
        (void)snprintf(body, sizeof(body),
                       "{\"model\":\"m%02d\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\","
                       "\"content\":\"hi\"}]}",
                       i);
        assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, body), 200);
    }
    series_become("sluice_model_answers_total{", STATS_MAX_MODELS + 1);
    series_become("sluice_model_answers_total{model=\"other\"} 3", 1);
}

static void tenants_past_the_maximum_are_one(void **state)
{
    char tenant[32];
    (void)state;
    api_kit_start(&kit, "--latency-ms 0 --output-tokens 1", TRUST);
    for (int i = 0; i < STATS_MAX_TENANTS + 3; i++) {
        (void)snprintf(tenant, sizeof(tenant), "t%03d", i);
        as(tenant);
        assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    }
    json_t *stats = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(stats, "tenants")), STATS_MAX_TENANTS + 1);
    assert_int_equal(number(row(stats, "tenants", "tenant", "other"), "counts", "requests"), 3);
    assert_int_equal(number(row(stats, "tenants", "tenant", "t127"), "counts", "requests"), 1);
    assert_null(row(stats, "tenants", "tenant", "t128"));
    json_decref(stats);
    series_become("sluice_tenant_wait_seconds_total{", STATS_MAX_TENANTS + 1);
    series_become("sluice_tenant_requests_total{tenant=\"other\",outcome=\"succeeded\"} 3", 1);
}

static void a_key_sees_its_own_tenant_alone(void **state)
{
    static const char keys[] =
        "auth: {keys: [{key: sk-admin-0123456789, scopes: admin, tenant: ops},"
        " {key: sk-one-0123456789abc, scopes: 'proxy, stats', tenant: one}]}\n";
    (void)state;
    (void)strcpy(kit.header, "x-api-key: sk-admin-0123456789");
    struct api_kit started = {.header = ""};
    api_kit_start(&started, "--latency-ms 1", keys);
    (void)strcpy(started.header, "x-api-key: sk-admin-0123456789");
    kit = started;
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    json_t *stats = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    assert_non_null(row(stats, "tenants", "tenant", "ops"));
    json_decref(stats);
    (void)strcpy(kit.header, "x-api-key: sk-one-0123456789abc");
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    stats = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(stats, "tenants")), 1);
    assert_non_null(row(stats, "tenants", "tenant", "one"));
    json_decref(stats);
    assert_int_equal(series("tenant=\"ops\""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_tenant_has_its_share, stop),
        cmocka_unit_test_teardown(who_waits_and_who_runs_is_told_by_tenant, stop),
        cmocka_unit_test_teardown(tenants_past_the_maximum_are_one, stop),
        cmocka_unit_test_teardown(models_past_the_maximum_are_one, stop),
        cmocka_unit_test_teardown(a_key_sees_its_own_tenant_alone, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
