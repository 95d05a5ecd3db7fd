/* GET /v1/stats/history, of services that end and come back on the same Redis. */
#include "common/clock.h"
#include "common/limits.h"
#include "tests/support/api_kit.h"
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>

#define SOON "stats: {history_every_ms: 100}\n"
#define LATE "stats: {history_every_ms: 60000}\n"
#define POOL "sim:default:gpt-4o"

static struct redis_fixture redis;
static struct api_kit kit;

static int setup(void **state)
{
    (void)state;
    kit = (struct api_kit){.header = ""};
    sim_child_start(&kit.sim, "--latency-ms 1 --output-tokens 5");
    return redis_fixture_start(&redis, NULL);
}

static int teardown(void **state)
{
    (void)state;
    serve_child_stop(&kit.serve);
    sim_child_stop(&kit.sim);
    redis_fixture_stop(&redis);
    return 0;
}

/* One more service on the same Redis, in the place of the last. */
static void serve(struct api_kit *k, const char *more)
{
    char options[256];
    char *config = api_kit_config(&kit, more);
    (void)snprintf(options, sizeof(options), "--redis-url %s --allow-volatile", redis.url);
    serve_child_start(&k->serve, config, options);
    free(config);
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        if (api_kit_status(k, "GET", "/readyz", NULL) == 200)
            return;
    }
    fail_msg("sluice serve is not ready, see %s", k->serve.log);
}

static void end_by_kill(struct api_kit *k)
{
    (void)kill(k->serve.pid, SIGKILL);
    assert_int_equal(serve_child_wait(&k->serve), -SIGKILL);
    serve_child_stop(&k->serve);
}

static json_t *history(struct api_kit *k, const char *query)
{
    char path[1100];
    (void)snprintf(path, sizeof(path), "/v1/stats/history?%s", query);
    return api_kit_json(k, "GET", path, NULL, 200);
}

/* Of all points; -1: all are null. */
static double sum(struct api_kit *k, const char *query, const char *metric)
{
    json_t *h = history(k, query), *value = NULL;
    const json_t *list = json_object_get(json_object_get(h, "series"), metric);
    double total = -1;
    size_t i;
    assert_true(json_is_array(list));
    assert_int_equal(json_array_size(list), json_array_size(json_object_get(h, "times")));
    json_array_foreach(list, i, value)
    {
        if (!json_is_null(value))
            total = (total < 0 ? 0 : total) + json_number_value(value);
    }
    json_decref(h);
    return total;
}

static void sum_becomes(struct api_kit *k, const char *query, const char *metric, double wanted)
{
    double found = -1;
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        found = sum(k, query, metric);
        if (found == wanted)
            return;
    }
    fail_msg("%s of %s is %g, not %g", metric, query, found, wanted);
}

static void call(struct api_kit *k, int times)
{
    for (int i = 0; i < times; i++)
        assert_int_equal(api_kit_status(k, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
}

static void points_are_there_after_a_kill(void **state)
{
    static const char *const of[] = {"", ("pool=" POOL), "tenant=default"};
    (void)state;
    serve(&kit, SOON);
    call(&kit, 3);
    for (size_t i = 0; i < 3; i++)
        sum_becomes(&kit, of[i], "requests", 3);
    double reserved = sum(&kit, "pool=" POOL, "tokens_reserved");
    end_by_kill(&kit);

    serve(&kit, SOON);
    for (size_t i = 0; i < 3; i++) {
        char query[64];
        assert_true(sum(&kit, of[i], "requests") == 3);
        assert_true(sum(&kit, of[i], "tokens_output") == 15);
        (void)snprintf(query, sizeof(query), "%s&step=3600", of[i]);
        assert_true(sum(&kit, query, "tokens_output") == 15);
    }
    assert_true(sum(&kit, "pool=" POOL, "tokens_reserved") == reserved);
    assert_true(sum(&kit, "pool=" POOL, "wait_p99") >= 0);
    call(&kit, 1);
    sum_becomes(&kit, "pool=" POOL, "requests", 4);
}

static void what_was_counted_last_is_told_at_the_end(void **state)
{
    (void)state;
    serve(&kit, LATE);
    call(&kit, 2);
    serve_child_stop(&kit.serve);
    serve(&kit, LATE);
    assert_true(sum(&kit, "pool=" POOL, "requests") == 2);
    assert_true(sum(&kit, "tenant=default", "requests") == 2);
    assert_true(sum(&kit, "", "requests") == 2);
}

static void instances_add_up(void **state)
{
    struct api_kit other = {.header = ""};
    (void)state;
    serve(&kit, SOON);
    serve(&other, SOON);
    call(&kit, 2);
    call(&other, 3);
    sum_becomes(&kit, "", "requests", 5);
    sum_becomes(&other, "pool=" POOL, "requests", 5);
    sum_becomes(&other, "tenant=default", "tokens_output", 25);
    serve_child_stop(&other.serve);
}

static void levels_are_means_of_what_was_seen(void **state)
{
    (void)state;
    serve(&kit, SOON);
    call(&kit, 1);
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        if (sum(&kit, "pool=" POOL "&metrics=limit.tpm", "limit.tpm") > 0)
            break;
    }
    json_t *h = history(&kit, "pool=" POOL "&metrics=limit.tpm,level.tpm,queue_depth_max,"
                              "queue_depth.batch");
    const json_t *series = json_object_get(h, "series");
    size_t last = json_array_size(json_object_get(h, "times")) - 1;
    double limit = 0;
    for (size_t i = 0; i <= last; i++) {
        const json_t *value = json_array_get(json_object_get(series, "limit.tpm"), i);
        if (json_is_null(value))
            continue;
        limit = json_number_value(value);
        assert_true(json_number_value(json_array_get(json_object_get(series, "level.tpm"), i)) <=
                    limit);
    }
    assert_true(limit == 600000);
    assert_int_equal(json_object_size(series), 4);
    assert_true(sum(&kit, "metrics=queue_depth.batch", "queue_depth.batch") == 0);
    json_decref(h);
}

static void what_is_not_known_is_null(void **state)
{
    (void)state;
    serve(&kit, SOON);
    assert_true(sum(&kit, "pool=no:such:pool", "requests") == -1);
    assert_true(sum(&kit, "tenant=nobody", "requests") == -1);
    assert_true(sum(&kit, "from=60&to=120", "requests") == -1);
    api_kit_refused(&kit, "GET", "/v1/stats/history?metrics=nonsense", NULL, 400, "invalid_value");
    api_kit_refused(&kit, "GET", "/v1/stats/history?metrics=requests,", NULL, 400, "invalid_value");
    api_kit_refused(&kit, "GET", "/v1/stats/history?tenant=a&metrics=queue_depth", NULL, 400,
                    "invalid_value");
    api_kit_refused(&kit, "GET", "/v1/stats/history?step=61", NULL, 400, "invalid_value");
    api_kit_refused(&kit, "GET", "/v1/stats/history?from=then", NULL, 400, "invalid_value");
    api_kit_refused(&kit, "GET", "/v1/stats/history?from=120&to=60", NULL, 400, "invalid_value");
    api_kit_refused(&kit, "GET", "/v1/stats/history?pool=a&tenant=b", NULL, 400, "invalid_value");
    api_kit_refused(&kit, "GET", "/v1/stats/history?pool=", NULL, 400, "invalid_value");
}

static void an_answer_has_a_maximum_of_points_and_metrics(void **state)
{
    char path[1024], names[900] = "requests";
    (void)state;
    serve(&kit, LATE);
    (void)snprintf(path, sizeof(path), "from=60000&to=%d&metrics=requests",
                   60000 + 60 * HISTORY_MAX_POINTS);
    json_t *h = history(&kit, path);
    assert_int_equal(json_array_size(json_object_get(h, "times")), HISTORY_MAX_POINTS);
    json_decref(h);
    (void)snprintf(path, sizeof(path), "/v1/stats/history?from=60000&to=%d",
                   60001 + 60 * HISTORY_MAX_POINTS);
    api_kit_refused(&kit, "GET", path, NULL, 400, "too_many_points");
    for (int i = 1; i < HISTORY_MAX_METRICS; i++)
        (void)strcat(names, ",wait_p50");
    (void)snprintf(path, sizeof(path), "/v1/stats/history?metrics=%s", names);
    assert_int_equal(api_kit_status(&kit, "GET", path, NULL), 200);
    (void)strcat(path, ",refused");
    api_kit_refused(&kit, "GET", path, NULL, 400, "too_many_points");
}

static void a_tenant_sees_only_its_own(void **state)
{
    static const char keys[] =
        SOON "auth: {keys: [{key: sk-admin-0123456789, scopes: admin, tenant: ops},"
             " {key: sk-one-0123456789abc, scopes: 'proxy, stats', tenant: one},"
             " {key: sk-two-0123456789abc, scopes: 'proxy', tenant: two}]}\n";
    (void)state;
    (void)strcpy(kit.header, "x-api-key: sk-admin-0123456789");
    serve(&kit, keys);
    (void)strcpy(kit.header, "x-api-key: sk-two-0123456789abc");
    call(&kit, 2);
    api_kit_refused(&kit, "GET", "/v1/stats/history", NULL, 403, "insufficient_scope");
    (void)strcpy(kit.header, "x-api-key: sk-one-0123456789abc");
    call(&kit, 1);
    sum_becomes(&kit, "tenant=one", "requests", 1);
    api_kit_refused(&kit, "GET", "/v1/stats/history?tenant=two", NULL, 403, "insufficient_scope");
    (void)strcpy(kit.header, "x-api-key: sk-admin-0123456789");
    sum_becomes(&kit, "tenant=two", "requests", 2);
    kit.header[0] = '\0';
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(points_are_there_after_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_counted_last_is_told_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(instances_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(levels_are_means_of_what_was_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_known_is_null, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_has_a_maximum_of_points_and_metrics, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_tenant_sees_only_its_own, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
