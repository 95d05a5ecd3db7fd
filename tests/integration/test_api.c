/* The service as its clients see it: routes, errors in the dialect of the path, limits. */
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

#define BODY_LIMIT 65536

static struct api_kit kit;

static int start(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5",
                  "http: {max_body_bytes: 65536}\nqueue: {max_depth: 3}\n");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

/* ---- routes */

static void an_unknown_route_is_404_in_the_dialect_of_its_path(void **state)
{
    (void)state;
    api_kit_refused(&kit, "GET", "/v1/nothing", NULL, 404, "not_found");
    api_kit_refused(&kit, "GET", "/v1/jobs/a/b", NULL, 404, "not_found");
    api_kit_refused(&kit, "GET", "/healthz/", NULL, 404, "not_found");
    json_t *a = api_kit_json(&kit, "POST", "/v1/messages/nothing", "{}", 404);
    assert_string_equal(json_text_at(a, "type"), "error");
    assert_string_equal(json_text_at(a, "error/type"), "not_found_error");
    json_decref(a);
}

static void a_wrong_method_is_405_with_the_right_ones(void **state)
{
    static const struct {
        const char *method, *path, *allow;
    } cases[] = {
        {"GET", KIT_CHAT_PATH, "POST"},   {"DELETE", "/v1/models", "GET"},
        {"PUT", "/v1/jobs", "POST, GET"}, {"POST", "/v1/jobs/job_1", "GET, DELETE"},
        {"POST", "/healthz", "GET"},      {"GET", KIT_MESSAGE_PATH, "POST"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char allow[64];
        struct http_answer a = api_kit_ask(&kit, cases[i].method, cases[i].path, NULL);
        assert_int_equal(a.status, 405);
        assert_string_equal(http_answer_header(&a, "allow", allow, sizeof(allow)), cases[i].allow);
        bool anthropic = strstr(a.body.data, "{\"type\":\"error\"") != NULL;
        assert_int_equal(anthropic, strcmp(cases[i].path, KIT_MESSAGE_PATH) == 0);
        http_answer_release(&a);
    }
}

static void a_path_that_is_no_text_is_answered_by_text(void **state)
{
    (void)state;
    api_kit_refused(&kit, "GET", "/%ff%fe", NULL, 404, "not_found");
    /* 100 bytes are quoted: the last character is cut inside */
    char path[400] = "/a";
    for (int i = 0; i < 40; i++)
        (void)strcat(path, "%e2%82%ac");
    api_kit_refused(&kit, "GET", path, NULL, 404, "not_found");
}

static void health_needs_nothing(void **state)
{
    (void)state;
    assert_int_equal(api_kit_status(&kit, "GET", "/healthz", NULL), 200);
    assert_int_equal(api_kit_status(&kit, "GET", "/health/liveliness", NULL), 200);
    assert_int_equal(api_kit_status(&kit, "GET", "/readyz", NULL), 200);
    assert_int_equal(api_kit_status(&kit, "GET", "/health/readiness", NULL), 200);
}

static void models_are_the_configured_names_without_patterns(void **state)
{
    (void)state;
    json_t *a = api_kit_json(&kit, "GET", "/v1/models", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(a, "data")), 3);
    assert_string_equal(json_text_at(a, "data/0/id"), "gpt-4o");
    assert_string_equal(json_text_at(a, "data/0/owned_by"), "sim");
    json_decref(a);
}

/* ---- requests */

static void a_broken_request_is_400_and_says_what_is_wrong(void **state)
{
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"", "valid JSON"},
        {"{\"model\":", "byte 9"},
        {"[]", "expected an object"},
        {"{\"messages\":[]}", "model: is missing"},
        {"{\"model\":7,\"messages\":[]}", "model: found a number"},
        {"{\"model\":\"\",\"messages\":[]}", "model"},
        {"{\"model\":\"gpt-4o\"}", "messages: is missing"},
        {"{\"model\":\"gpt-4o\",\"messages\":[],\"stream\":\"yes\"}", "stream"},
        {"{\"model\":\"gpt-4o\",\"messages\":[],\"max_tokens\":-1}", "max_tokens"},
    };
    static const char *const paths[] = {KIT_CHAT_PATH, KIT_MESSAGE_PATH};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *a = api_kit_json(&kit, "POST", paths[i % 2], cases[i / 2].body, 400);
        assert_string_equal(json_text_at(a, "error/type"), "invalid_request_error");
        assert_string_equal(json_text_at(a, "type"), i % 2 ? "error" : "");
        if (!strstr(json_text_at(a, "error/message"), cases[i / 2].says))
            fail_msg("%s: %s", cases[i / 2].body, json_text_at(a, "error/message"));
        json_decref(a);
    }
}

static void a_model_that_nobody_serves_is_404(void **state)
{
    (void)state;
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("other"), 404, "model_not_found");
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("nobody/gpt-4o"), 404, "model_not_found");
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("sim/gpt-4o")), 200);
    json_t *a = api_kit_json(&kit, "POST", KIT_MESSAGE_PATH, KIT_CHAT("gpt-4o"), 404);
    assert_string_equal(json_text_at(a, "error/type"), "not_found_error");
    json_decref(a);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_MESSAGE_PATH, KIT_CHAT("claude-x")), 200);
}

static void headers_that_say_nonsense_are_400(void **state)
{
    static const struct {
        const char *line, *path;
        int status;
    } cases[] = {
        {"x-sluice-priority: urgent", KIT_CHAT_PATH, 400},
        {"x-sluice-priority: urgent", KIT_MESSAGE_PATH, 400},
        {"x-sluice-priority: \xff", KIT_CHAT_PATH, 400},
        {"x-sluice-priority: 2147483648", KIT_CHAT_PATH, 400},
        {"x-sluice-priority: 1.5", KIT_CHAT_PATH, 400},
        {"x-sluice-priority: -7", KIT_CHAT_PATH, 200},
        {"x-sluice-priority: 2147483647", KIT_CHAT_PATH, 200},
        {"x-sluice-max-wait-ms: -1", KIT_CHAT_PATH, 400},
        {"x-sluice-max-wait-ms: 1.5", KIT_CHAT_PATH, 400},
        {"x-sluice-max-wait-ms: 86400001", KIT_CHAT_PATH, 400},
        {"x-sluice-max-wait-ms: 86400000", KIT_CHAT_PATH, 200},
        {"x-sluice-max-wait-ms: 0", KIT_CHAT_PATH, 200},
        {"x-sluice-priority: interactive", KIT_CHAT_PATH, 200},
        {"x-sluice-priority: batch", KIT_CHAT_PATH, 200},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool claude = strcmp(cases[i].path, KIT_MESSAGE_PATH) == 0;
        (void)snprintf(kit.header, sizeof(kit.header), "%s", cases[i].line);
        json_t *a =
            api_kit_json(&kit, "POST", cases[i].path,
                         claude ? KIT_CHAT("claude-x") : KIT_CHAT("gpt-4o"), cases[i].status);
        assert_string_equal(json_text_at(a, "type"), claude ? "error" : "");
        json_decref(a);
    }
    kit.header[0] = '\0';
}

static void an_answer_tells_what_became_of_the_request(void **state)
{
    char text[128];
    (void)state;
    (void)snprintf(kit.header, sizeof(kit.header), "x-request-id: mine-7");
    struct http_answer a = api_kit_ask(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o"));
    assert_int_equal(a.status, 200);
    assert_string_equal(http_answer_header(&a, "x-sluice-decision", text, sizeof(text)),
                        "admitted");
    assert_string_equal(http_answer_header(&a, "x-sluice-attempts", text, sizeof(text)), "1");
    assert_string_equal(http_answer_header(&a, "x-sluice-queue-ms", text, sizeof(text)), "0");
    assert_string_equal(http_answer_header(&a, "x-request-id", text, sizeof(text)), "mine-7");
    assert_string_equal(http_answer_header(&a, "x-ratelimit-limit-requests", text, sizeof(text)),
                        "6000");
    assert_true(atoi(http_answer_header(&a, "x-sluice-input-tokens", text, sizeof(text))) > 0);
    assert_string_equal(http_answer_header(&a, "server", text, sizeof(text)), "");
    http_answer_release(&a);
    kit.header[0] = '\0';
}

static void a_request_that_never_went_out_has_no_attempts(void **state)
{
    char text[64];
    (void)state;
    struct http_answer a = api_kit_ask(&kit, "POST", KIT_CHAT_PATH,
                                       "{\"model\":\"small\",\"max_tokens\":200,\"messages\":[]}");
    assert_int_equal(a.status, 413);
    assert_string_equal(http_answer_header(&a, "x-sluice-attempts", text, sizeof(text)), "0");
    assert_string_equal(http_answer_header(&a, "x-should-retry", text, sizeof(text)), "false");
    assert_non_null(strstr(a.body.data, "tpm"));
    http_answer_release(&a);
    a = api_kit_ask(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o"));
    http_answer_release(&a);
    a = api_kit_ask(&kit, "POST", KIT_CHAT_PATH,
                    "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"[[sim "
                    "status=400]]\"}]}");
    assert_int_equal(a.status, 400);
    assert_string_equal(http_answer_header(&a, "x-sluice-attempts", text, sizeof(text)), "1");
    http_answer_release(&a);
}

static void a_wait_that_is_too_long_is_504(void **state)
{
    (void)state;
    (void)snprintf(kit.header, sizeof(kit.header), "x-sluice-max-wait-ms: 50");
    int status = 200;
    json_t *a = NULL;
    for (int i = 0; status == 200 && i < 4; i++) {
        struct http_answer answer = api_kit_ask(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("slow"));
        status = answer.status;
        json_decref(a);
        a = json_loads(answer.body.data, 0, NULL);
        http_answer_release(&answer);
    }
    assert_int_equal(status, 504);
    assert_string_equal(json_text_at(a, "error/code"), "queue_timeout");
    json_decref(a);
    kit.header[0] = '\0';
}

/* ---- limits */

static char *chat_of(size_t bytes)
{
    static const char before[] =
        "{\"model\":\"gpt-4o\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"";
    static const char after[] = "\"}]}";
    char *text = malloc(bytes + 1);
    size_t filler = bytes - (sizeof(before) - 1) - (sizeof(after) - 1);
    assert_non_null(text);
    memcpy(text, before, sizeof(before) - 1);
    memset(text + sizeof(before) - 1, 'a', filler);
    memcpy(text + sizeof(before) - 1 + filler, after, sizeof(after));
    return text;
}

static void a_body_may_have_its_limit_and_not_one_byte_more(void **state)
{
    (void)state;
    char *fits = chat_of(BODY_LIMIT), *over = chat_of(BODY_LIMIT + 1);
    assert_int_equal(strlen(fits), BODY_LIMIT);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, fits), 200);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, over), 413);
    json_t *a = api_kit_json(&kit, "POST", KIT_MESSAGE_PATH, over, 413);
    assert_string_equal(json_text_at(a, "error/type"), "request_too_large");
    json_decref(a);
    free(fits);
    free(over);
}

static int64_t slow_depth(const json_t *stats)
{
    size_t i;
    json_t *pool;
    json_array_foreach(json_object_get(stats, "pools"), i, pool)
    {
        if (strcmp(json_text_at(pool, "pool"), "sim:default:slow") == 0)
            return json_at(pool, "queue/normal/depth");
    }
    return -1;
}

static bool is_full(const json_t *stats)
{
    return slow_depth(stats) == 3;
}

static bool is_empty(const json_t *stats)
{
    return slow_depth(stats) == 0;
}

static void cancel_all(void)
{
    json_t *list = api_kit_json(&kit, "GET", "/v1/jobs?limit=100", NULL, 200), *job;
    size_t i;
    char path[128];
    json_array_foreach(json_object_get(list, "data"), i, job)
    {
        (void)snprintf(path, sizeof(path), "/v1/jobs/%s", json_text_at(job, "id"));
        assert_int_equal(api_kit_status(&kit, "DELETE", path, NULL), 200);
    }
    json_decref(list);
    json_decref(api_kit_stats_until(&kit, is_empty));
}

static void a_queue_takes_its_depth_and_refuses_the_next(void **state)
{
    char text[64];
    int status = 202, queued = 0;
    (void)state;
    for (int i = 0; i < 6 && status == 202; i++) {
        struct http_answer a = api_kit_ask(&kit, "POST", "/v1/jobs", KIT_JOB("slow"));
        status = a.status;
        queued += strstr(a.body.data, "\"status\":\"queued\"") != NULL;
        if (status != 202)
            assert_true(atoi(http_answer_header(&a, "retry-after-ms", text, sizeof(text))) > 0);
        http_answer_release(&a);
    }
    assert_int_equal(queued, 3);
    assert_int_equal(status, 503);
    api_kit_refused(&kit, "POST", "/v1/jobs", KIT_JOB("slow"), 503, "queue_full");
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("slow"), 503, "queue_full");

    json_t *stats = api_kit_stats_until(&kit, is_full);
    json_decref(stats);
    cancel_all();
}

/* ---- what waits is told */

static const json_t *pool_of(const json_t *stats, const char *id)
{
    size_t i;
    json_t *pool;
    json_array_foreach(json_object_get(stats, "pools"), i, pool)
    {
        if (strcmp(json_text_at(pool, "pool"), id) == 0)
            return pool;
    }
    fail_msg("no pool %s in the stats", id);
    return NULL;
}

static bool two_wait_a_while(const json_t *stats)
{
    const json_t *pool = pool_of(stats, "sim:default:slow");
    return json_at(pool, "queue/batch/depth") == 2 && json_at(pool, "queue/batch/oldest_ms") > 0;
}

static void stats_tell_what_waits_and_why(void **state)
{
    static const char job[] =
        "{\"endpoint\":\"" KIT_CHAT_PATH "\",\"priority\":\"batch\",\"body\":" KIT_CHAT("slow") "}";
    (void)state;
    for (int waiting = 0; waiting < 2;) {
        json_t *a = api_kit_json(&kit, "POST", "/v1/jobs", job, 202);
        if (strcmp(json_text_at(a, "status"), "queued") == 0) {
            assert_int_equal(json_at(a, "position"), ++waiting);
            assert_string_equal(json_text_at(a, "binding_limit"), "rpm");
            assert_in_range(json_at(a, "eta_ms"), 1, 120000);
        }
        json_decref(a);
    }
    json_t *stats = api_kit_stats_until(&kit, two_wait_a_while);
    const json_t *pool = pool_of(stats, "sim:default:slow");
    assert_int_equal(json_at(pool, "queue/interactive/depth"), 0);
    assert_int_equal(json_at(pool, "queue/normal/depth"), 0);
    assert_string_equal(json_text_at(pool, "binding_limit"), "rpm");
    assert_in_range(json_at(pool, "eta_ms"), 1, 180000);
    assert_int_equal(json_at(pool, "limits/rpm/configured"), 2);
    assert_true(json_at(pool, "limits/rpm/remaining") <= 1); /* the headroom is never spent */
    assert_string_equal(json_text_at(pool, "models/0"), "slow");
    assert_int_equal(json_array_size(json_object_get(stats, "instances")), 1);
    assert_true(json_at(stats, "instances/0/uptime_ms") > 0);
    assert_int_equal(json_at(stats, "totals/requests_open_here"), 1);
    json_decref(stats);
    cancel_all();
}

static bool all_counted(const json_t *stats)
{
    return json_at(pool_of(stats, "sim:default:gpt-4o"), "counts/succeeded") >= 3;
}

static void jobs_and_calls_are_counted_alike(void **state)
{
    (void)state;
    json_t *before = api_kit_json(&kit, "GET", "/v1/stats", NULL, 200);
    const json_t *pool = pool_of(before, "sim:default:gpt-4o");
    int64_t admitted = json_at(pool, "counts/admitted") + json_at(pool, "counts/delayed");
    json_t *job = api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    char path[128];
    (void)snprintf(path, sizeof(path), "/v1/jobs/%s?wait=20", json_text_at(job, "id"));
    json_decref(api_kit_json(&kit, "GET", path, NULL, 200));
    json_t *after = api_kit_stats_until(&kit, all_counted);
    pool = pool_of(after, "sim:default:gpt-4o");
    assert_int_equal(json_at(pool, "counts/admitted") + json_at(pool, "counts/delayed"),
                     admitted + 1);
    assert_true(json_at(pool, "tokens/reserved") > json_at(before, "totals/tokens/cached"));
    json_decref(before);
    json_decref(after);
    json_decref(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_route_is_404_in_the_dialect_of_its_path),
        cmocka_unit_test(a_wrong_method_is_405_with_the_right_ones),
        cmocka_unit_test(a_path_that_is_no_text_is_answered_by_text),
        cmocka_unit_test(health_needs_nothing),
        cmocka_unit_test(models_are_the_configured_names_without_patterns),
        cmocka_unit_test(a_broken_request_is_400_and_says_what_is_wrong),
        cmocka_unit_test(a_model_that_nobody_serves_is_404),
        cmocka_unit_test(headers_that_say_nonsense_are_400),
        cmocka_unit_test(an_answer_tells_what_became_of_the_request),
        cmocka_unit_test(a_request_that_never_went_out_has_no_attempts),
        cmocka_unit_test(a_wait_that_is_too_long_is_504),
        cmocka_unit_test(a_body_may_have_its_limit_and_not_one_byte_more),
        cmocka_unit_test(a_queue_takes_its_depth_and_refuses_the_next),
        cmocka_unit_test(stats_tell_what_waits_and_why),
        cmocka_unit_test(jobs_and_calls_are_counted_alike),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
