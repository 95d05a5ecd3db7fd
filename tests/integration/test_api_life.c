/* The life of a service: drain, reload, Redis that goes and comes back, idling. */
#include "common/clock.h"
#include "tests/support/api_kit.h"
#include "tests/support/raw_http.h"
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <unistd.h>

#include <cmocka.h>

#define IDLE_S       5
#define IDLE_PERCENT 2 /* twice what is promised: other programs share the machine */
#define CHAT_SAYS(say)                                                                             \
    "{\"model\":\"gpt-4o\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"" say  \
    "\"}]}"

static struct api_kit kit;
static struct redis_fixture redis;

static int start(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5", NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

static bool status_becomes(const char *path, int status)
{
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        if (api_kit_status(&kit, "GET", path, NULL) == status)
            return true;
    }
    return false;
}

/* ---- the end */

static bool one_runs(const json_t *stats)
{
    size_t i;
    json_t *pool;
    int64_t running = 0;
    json_array_foreach(json_object_get(stats, "pools"), i, pool) running +=
        json_at(pool, "in_flight");
    return running == 1;
}

static void a_drain_refuses_the_new_and_finishes_the_old(void **state)
{
    static const struct {
        const char *method, *path, *body, *says;
    } refused[] = {
        {"GET", "/readyz", NULL, "{\"status\":\"draining\"}"},
        {"POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o"), "\"code\":\"draining\""},
        {"POST", KIT_MESSAGE_PATH, KIT_CHAT("claude-x"), "\"type\":\"overloaded_error\""},
        {"POST", "/v1/jobs", KIT_JOB("gpt-4o"), "\"code\":\"draining\""},
    };
    enum { COUNT = sizeof(refused) / sizeof(refused[0]) };
    struct raw_http kept[COUNT], running, alive;
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        raw_http_open(&kept[i], kit.serve.url);
        raw_http_send(&kept[i], "GET", "/healthz", NULL);
        assert_int_equal(raw_http_read(&kept[i]), 200);
    }
    raw_http_open(&alive, kit.serve.url);
    raw_http_open(&running, kit.serve.url);
    raw_http_send(&running, "POST", KIT_CHAT_PATH, CHAT_SAYS("[[sim latency_ms=3000]]"));
    json_decref(api_kit_stats_until(&kit, one_runs));
    assert_int_equal(kill(kit.serve.pid, SIGTERM), 0);
    assert_true(serve_child_says(&kit.serve, "draining: "));
    for (int i = 0; i < COUNT; i++) {
        raw_http_send(&kept[i], refused[i].method, refused[i].path, refused[i].body);
        assert_int_equal(raw_http_read(&kept[i]), 503);
        assert_non_null(strstr(kept[i].reply, refused[i].says));
        assert_non_null(strcasestr(kept[i].reply, "\r\nconnection: close\r\n"));
        if (i > 0)
            assert_non_null(strcasestr(kept[i].reply, "\r\nretry-after: "));
        raw_http_close(&kept[i]);
    }
    raw_http_send(&alive, "GET", "/healthz", NULL);
    assert_int_equal(raw_http_read(&alive), 200); /* the process lives */
    raw_http_close(&alive);
    assert_int_equal(raw_http_read(&running), 200);
    raw_http_close(&running);
    assert_int_equal(serve_child_wait(&kit.serve), 0);
    assert_true(serve_child_said(&kit.serve, "\"drained\""));
}

static void a_second_signal_stops_now(void **state)
{
    struct raw_http stalled;
    (void)state;
    raw_http_open(&stalled, kit.serve.url);
    raw_http_send(&stalled, "POST", KIT_CHAT_PATH, CHAT_SAYS("[[sim stall]]"));
    json_decref(api_kit_stats_until(&kit, one_runs));
    assert_int_equal(kill(kit.serve.pid, SIGTERM), 0);
    assert_true(serve_child_says(&kit.serve, "draining: "));
    assert_int_equal(kill(kit.serve.pid, SIGTERM), 0);
    assert_int_equal(serve_child_wait(&kit.serve), 0);
    assert_true(serve_child_said(&kit.serve, "second signal"));
    assert_int_equal(raw_http_read(&stalled), 0);
    raw_http_close(&stalled);
}

static int start_impatient(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1", "drain_timeout_ms: 300\n");
    return 0;
}

static void a_drain_has_an_end(void **state)
{
    struct raw_http stalled;
    (void)state;
    raw_http_open(&stalled, kit.serve.url);
    raw_http_send(&stalled, "POST", KIT_CHAT_PATH, CHAT_SAYS("[[sim stall]]"));
    json_decref(api_kit_stats_until(&kit, one_runs));
    assert_int_equal(kill(kit.serve.pid, SIGTERM), 0);
    assert_int_equal(serve_child_wait(&kit.serve), 0);
    assert_true(serve_child_said(&kit.serve, "drain time is over"));
    raw_http_close(&stalled);
}

/* ---- reload */

static int64_t configured_rpm(const json_t *stats, const char *id)
{
    size_t i;
    json_t *pool;
    json_array_foreach(json_object_get(stats, "pools"), i, pool)
    {
        if (strcmp(json_text_at(pool, "pool"), id) == 0)
            return json_at(pool, "limits/rpm/configured");
    }
    return -1;
}

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *out = malloc(strlen(text) + strlen(to) + 1);
    assert_non_null(at);
    assert_non_null(out);
    (void)sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static bool slow_is_fast(const json_t *stats)
{
    return configured_rpm(stats, "sim:default:slow") == 6000;
}

static void a_reload_changes_limits_of_what_waits(void **state)
{
    char *config = api_kit_config(&kit, NULL), path[160];
    char *faster = replaced(config, "{name: slow, rpm: 2}",
                            "{name: slow, rpm: 6000}\n      - {name: fresh, rpm: 9}");
    json_t *job = NULL;
    (void)state;
    for (int i = 0; i < 4; i++) {
        json_decref(job);
        job = api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("slow"), 202);
    }
    assert_string_equal(json_text_at(job, "status"), "queued");
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("fresh"), 404, "model_not_found");

    serve_child_write(&kit.serve, faster);
    assert_int_equal(kill(kit.serve.pid, SIGHUP), 0);
    assert_true(serve_child_says(&kit.serve, "\"configuration reloaded\""));
    json_decref(api_kit_stats_until(&kit, slow_is_fast));
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("fresh")), 200);
    (void)snprintf(path, sizeof(path), "/v1/jobs/%s?wait=15", json_text_at(job, "id"));
    json_t *done = api_kit_json(&kit, "GET", path, NULL, 200);
    assert_string_equal(json_text_at(done, "status"), "succeeded"); /* with rpm 2 in 45 s */
    json_decref(done);
    json_decref(job);
    free(config);
    free(faster);
}

static void a_reload_with_a_mistake_changes_nothing(void **state)
{
    char *config = api_kit_config(&kit, NULL);
    char *wrong = replaced(config, "{name: slow, rpm: 2}",
                           "{name: slow, rpm: 6000}\n      - {name: fresh, rpn: 9}");
    (void)state;
    serve_child_write(&kit.serve, wrong);
    assert_int_equal(kill(kit.serve.pid, SIGHUP), 0);
    assert_true(serve_child_says(&kit.serve, "configuration not reloaded"));
    assert_true(serve_child_said(&kit.serve, "sluice.yaml:")); /* file, line and reason */
    json_t *stats = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    assert_int_equal(configured_rpm(stats, "sim:default:slow"), 2);
    json_decref(stats);
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("fresh"), 404, "model_not_found");

    serve_child_write(&kit.serve, config); /* and the next one is taken */
    assert_int_equal(kill(kit.serve.pid, SIGHUP), 0);
    assert_true(serve_child_says(&kit.serve, "\"configuration reloaded\""));
    free(config);
    free(wrong);
}

/* ---- Redis */

static int start_on_outage(const char *redis_config, const char *options, const char *mode)
{
    char more[256];
    kit = (struct api_kit){.header = ""};
    if (redis_fixture_start(&redis, redis_config) < 0)
        return -1;
    sim_child_start(&kit.sim, "--latency-ms 1 --output-tokens 5");
    (void)snprintf(more, sizeof(more),
                   "redis: {url: \"%s\", command_timeout_ms: 500, on_outage: %s}\n", redis.url,
                   mode);
    char *config = api_kit_config(&kit, more);
    serve_child_start(&kit.serve, config, options);
    free(config);
    return 0;
}

static int start_on_redis(const char *redis_config, const char *options)
{
    return start_on_outage(redis_config, options, "closed");
}

static int start_local(void **state)
{
    (void)state;
    return start_on_outage("appendonly yes\nappendfsync everysec\n", NULL, "local");
}

static int start_safe(void **state)
{
    (void)state;
    return start_on_redis("appendonly yes\nappendfsync everysec\n", NULL);
}

static int start_volatile(void **state)
{
    (void)state;
    return start_on_redis(NULL, NULL);
}

static int start_allowed(void **state)
{
    (void)state;
    return start_on_redis(NULL, "--allow-volatile");
}

static int stop_redis(void **state)
{
    int rc = stop(state);
    redis_fixture_stop(&redis);
    return rc;
}

static void readiness_follows_a_redis_that_stops_and_goes_on(void **state)
{
    (void)state;
    assert_true(status_becomes("/readyz", 200));
    redis_fixture_pause(&redis);
    assert_true(status_becomes("/readyz", 503));
    assert_int_equal(api_kit_status(&kit, "GET", "/healthz", NULL), 200);
    redis_fixture_resume(&redis);
    assert_true(status_becomes("/readyz", 200));
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
}

static void readiness_follows_a_redis_that_dies_and_is_started_again(void **state)
{
    char path[160];
    (void)state;
    assert_true(status_becomes("/readyz", 200));
    json_t *job = api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    (void)snprintf(path, sizeof(path), "/v1/jobs/%s?wait=20", json_text_at(job, "id"));
    json_decref(api_kit_json(&kit, "GET", path, NULL, 200));
    redis_fixture_kill(&redis);
    assert_true(status_becomes("/readyz", 503));
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o"), 503, "storage_unavailable");
    api_kit_refused(&kit, "GET", path, NULL, 503, "storage_unavailable");
    assert_int_equal(redis_fixture_restart(&redis), 0);
    assert_true(status_becomes("/readyz", 200));
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    json_t *kept = api_kit_json(&kit, "GET", path, NULL, 200);
    assert_string_equal(json_text_at(kept, "id"), json_text_at(job, "id"));
    json_decref(kept);
    json_decref(job);
}

static bool redis_is_down(const json_t *stats)
{
    return json_is_false(json_object_get(json_object_get(stats, "redis"), "up"));
}

static void stats_without_redis_say_so_and_invent_nothing(void **state)
{
    (void)state;
    assert_true(status_becomes("/readyz", 200));
    redis_fixture_kill(&redis);
    assert_true(status_becomes("/readyz", 503));
    json_t *stats = api_kit_stats_until(&kit, redis_is_down);
    const json_t *pool = json_array_get(json_object_get(stats, "pools"), 0);
    const json_t *normal = json_object_get(json_object_get(pool, "queue"), "normal");
    assert_true(json_is_false(json_object_get(pool, "known")));
    assert_true(json_is_null(json_object_get(normal, "depth")));
    json_decref(stats);
    api_kit_refused(&kit, "GET", "/v1/jobs", NULL, 503, "storage_unavailable");
}

static bool one_was_granted_here(const json_t *stats)
{
    return json_is_true(json_object_get(json_object_get(stats, "redis"), "up")) &&
           json_at(stats, "totals/counts/local_grants") == 1;
}

static void ready_for_calls_and_not_for_jobs_on_a_local_share(void **state)
{
    (void)state;
    assert_true(status_becomes("/readyz", 200));
    json_t *stats = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    assert_string_equal(json_text_at(stats, "outage/mode"), "central");
    json_decref(stats);
    redis_fixture_kill(&redis);
    json_decref(api_kit_stats_until(&kit, redis_is_down));
    json_t *ready = api_kit_json(&kit, "GET", "/readyz", NULL, 200);
    assert_string_equal(json_text_at(ready, "status"),
                        "ready for calls, not for jobs: redis is not reachable");
    json_decref(ready);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    api_kit_refused(&kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 503, "storage_unavailable");
    assert_int_equal(redis_fixture_restart(&redis), 0);
    json_decref(api_kit_stats_until(&kit, one_was_granted_here));
}

static void a_redis_that_forgets_is_refused(void **state)
{
    (void)state;
    assert_int_equal(serve_child_wait(&kit.serve), 1);
    assert_true(serve_child_said(&kit.serve, "appendonly"));
    assert_true(serve_child_said(&kit.serve, "--allow-volatile"));
}

static void a_redis_that_forgets_may_be_allowed(void **state)
{
    (void)state;
    assert_true(serve_child_says(&kit.serve, "may lose accepted jobs"));
    assert_true(status_becomes("/readyz", 200));
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
}

/* ---- idling */

static long cpu_ticks(pid_t pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
    (void)fclose(f);
    const char *after = strrchr(text, ')'); /* the name may hold anything */
    assert_non_null(after);
    assert_int_equal(
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
        2);
    return (long)(user + system);
}

static void an_idle_service_hardly_uses_a_processor(void **state)
{
    const struct timespec measured = {.tv_sec = IDLE_S};
    (void)state;
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    long before = cpu_ticks(kit.serve.pid);
    (void)nanosleep(&measured, NULL);
    long used = cpu_ticks(kit.serve.pid) - before;
    assert_in_range(used, 0, IDLE_S * sysconf(_SC_CLK_TCK) * IDLE_PERCENT / 100);
}

#define TEST(name, setup, teardown) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_drain_refuses_the_new_and_finishes_the_old, start, stop),
        TEST(a_second_signal_stops_now, start, stop),
        TEST(a_drain_has_an_end, start_impatient, stop),
        TEST(a_reload_changes_limits_of_what_waits, start, stop),
        TEST(a_reload_with_a_mistake_changes_nothing, start, stop),
        TEST(readiness_follows_a_redis_that_stops_and_goes_on, start_safe, stop_redis),
        TEST(readiness_follows_a_redis_that_dies_and_is_started_again, start_safe, stop_redis),
        TEST(stats_without_redis_say_so_and_invent_nothing, start_safe, stop_redis),
        TEST(ready_for_calls_and_not_for_jobs_on_a_local_share, start_local, stop_redis),
        TEST(a_redis_that_forgets_is_refused, start_volatile, stop_redis),
        TEST(a_redis_that_forgets_may_be_allowed, start_allowed, stop_redis),
        TEST(an_idle_service_hardly_uses_a_processor, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
