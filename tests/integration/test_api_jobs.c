/* Durable jobs over HTTP: what is accepted, at its limits; whose they are; lists and pages. */
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

#define ALICE "authorization: Bearer alice-0123456789abcdef"
#define BOB   "x-api-key: bob-0123456789abcdef0"

static struct api_kit kit;

static void as(const char *header)
{
    (void)snprintf(kit.header, sizeof(kit.header), "%s", header);
}

static int start(void **state)
{
    (void)state;
    sim_child_start(&kit.sim, "--latency-ms 1 --output-tokens 5");
    char *config = api_kit_config(&kit, "auth:\n"
                                        "  keys:\n"
                                        "    - {key: alice-0123456789abcdef, tenant: alice}\n"
                                        "    - {key: bob-0123456789abcdef0, tenant: bob}\n");
    serve_child_start(&kit.serve, config, NULL);
    free(config);
    assert_true(*kit.serve.url != '\0');
    assert_true(serve_child_says(&kit.serve, "redis connected"));
    as(ALICE);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

/* A job's path in a static text. */
static const char *path_of(const json_t *job, const char *rest)
{
    static char path[160];
    (void)snprintf(path, sizeof(path), "/v1/jobs/%s%s", json_text_at(job, "id"), rest);
    return path;
}

/* ---- who may call */

static void a_route_that_is_not_open_needs_a_key(void **state)
{
    (void)state;
    static const char *const headers[] = {"x-nothing: 1", "authorization: Bearer wrong",
                                          "authorization: Basic YTpi", "x-api-key: "};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        as(headers[i]);
        api_kit_refused(&kit, "GET", "/v1/stats", NULL, 401, "invalid_api_key");
        api_kit_refused(&kit, "GET", "/v1/jobs", NULL, 401, "invalid_api_key");
        api_kit_refused(&kit, "POST", KIT_CHAT_PATH, "{}", 401, "invalid_api_key");
        json_t *a = api_kit_json(&kit, "POST", KIT_MESSAGE_PATH, "{}", 401);
        assert_string_equal(json_text_at(a, "error/type"), "authentication_error");
        json_decref(a);
        assert_int_equal(api_kit_status(&kit, "GET", "/healthz", NULL), 200);
        assert_int_equal(api_kit_status(&kit, "GET", "/openapi.yaml", NULL), 200);
    }
    as(ALICE);
    assert_int_equal(api_kit_status(&kit, "GET", "/v1/stats", NULL), 200);
    as(BOB);
    assert_int_equal(api_kit_status(&kit, "GET", "/v1/stats", NULL), 200);
    as(ALICE);
}

static void the_key_of_a_caller_does_not_reach_the_provider(void **state)
{
    (void)state;
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    json_t *ledger = sim_child_ledger(&kit.sim);
    size_t keys = json_object_size(json_object_get(ledger, "keys"));
    json_decref(ledger);
    assert_int_equal(keys, 1); /* the one of the configuration */
    assert_false(serve_child_said(&kit.serve, "alice-0123456789abcdef"));
}

static void another_tenants_job_is_a_404(void **state)
{
    (void)state;
    json_t *job = api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    as(BOB);
    api_kit_refused(&kit, "GET", path_of(job, ""), NULL, 404, "job_not_found");
    api_kit_refused(&kit, "GET", path_of(job, "?wait=5"), NULL, 404, "job_not_found");
    api_kit_refused(&kit, "DELETE", path_of(job, ""), NULL, 404, "job_not_found");
    api_kit_refused(&kit, "GET", path_of(job, "/events"), NULL, 404, "job_not_found");
    json_t *list = api_kit_json(&kit, "GET", "/v1/jobs", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 0);
    json_decref(list);
    as(ALICE);
    json_decref(api_kit_json(&kit, "GET", path_of(job, "?wait=20"), NULL, 200));
    json_decref(job);
}

static void another_tenants_job_is_no_cursor(void **state)
{
    (void)state;
    json_t *job = api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    char path[128];
    (void)snprintf(path, sizeof(path), "/v1/jobs?after=%s", json_text_at(job, "id"));
    assert_int_equal(api_kit_status(&kit, "GET", path, NULL), 200);
    as(BOB);
    assert_int_equal(api_kit_status(&kit, "GET", path, NULL), 400);
    as(ALICE);
    json_decref(job);
}

/* ---- what a job may be */

static void a_broken_job_is_400_and_names_the_field(void **state)
{
    static const struct {
        const char *body, *param;
        int status;
    } cases[] = {
        {"[]", "job", 400},
        {"{}", "endpoint", 400},
        {"{\"endpoint\":\"/v1/models\",\"body\":{}}", "endpoint", 400},
        {"{\"endpoint\":\"/v1/chat/completions\"}", "body", 400},
        {"{\"endpoint\":\"/v1/chat/completions\",\"body\":[]}", "body", 400},
        {"{\"endpoint\":\"/v1/chat/completions\",\"body\":{},\"priority\":\"urgent\"}", "priority",
         400},
        {"{\"endpoint\":\"/v1/chat/completions\",\"body\":{},\"deadline_ms\":0}", "deadline_ms",
         400},
        {"{\"endpoint\":\"/v1/chat/completions\",\"body\":{},\"deadline_ms\":2592000001}",
         "deadline_ms", 400},
        {"{\"endpoint\":\"/v1/chat/completions\",\"body\":{},\"metadata\":[]}", "metadata", 400},
        {"{\"endpoint\":\"/v1/chat/completions\",\"body\":{\"model\":\"gpt-4o\",\"messages\":[],"
         "\"stream\":true}}",
         "body.stream", 400},
        {"{\"endpoint\":\"/v1/chat/completions\",\"body\":{\"model\":\"none\",\"messages\":[]}}",
         "model", 404},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *a = api_kit_json(&kit, "POST", "/v1/jobs", cases[i].body, cases[i].status);
        assert_string_equal(json_text_at(a, "error/param"), cases[i].param);
        json_decref(a);
    }
    api_kit_refused(&kit, "POST", "/v1/jobs", "", 400, "invalid_json");
    api_kit_refused(&kit, "POST", "/v1/jobs", "{\"endpoint\"", 400, "invalid_json");
}

/* A job whose metadata takes so many bytes, braces included. */
static char *job_of(size_t metadata_bytes)
{
    static const char before[] = "{\"endpoint\":\"" KIT_CHAT_PATH
                                 "\",\"body\":" KIT_CHAT("gpt-4o") ",\"metadata\":{\"a\":\"";
    size_t filler = metadata_bytes - strlen("{\"a\":\"\"}");
    char *text = malloc(sizeof(before) + filler + 8);
    assert_non_null(text);
    memcpy(text, before, sizeof(before) - 1);
    memset(text + sizeof(before) - 1, 'm', filler);
    (void)strcpy(text + sizeof(before) - 1 + filler, "\"}}");
    return text;
}

static void metadata_may_have_its_limit_and_not_one_byte_more(void **state)
{
    (void)state;
    char *fits = job_of(JOB_MAX_METADATA_BYTES), *over = job_of(JOB_MAX_METADATA_BYTES + 1);
    json_t *job = api_kit_json(&kit, "POST", "/v1/jobs", fits, 202);
    json_t *done = api_kit_json(&kit, "GET", path_of(job, "?wait=20"), NULL, 200);
    assert_string_equal(json_text_at(done, "status"), "succeeded");
    assert_int_equal(strlen(json_text_at(done, "metadata/a")),
                     JOB_MAX_METADATA_BYTES - strlen("{\"a\":\"\"}"));
    json_t *refused = api_kit_json(&kit, "POST", "/v1/jobs", over, 400);
    assert_string_equal(json_text_at(refused, "error/param"), "metadata");
    json_decref(refused);
    json_decref(done);
    json_decref(job);
    free(fits);
    free(over);
}

/* ---- Idempotency-Key: a kit sends one header, so this one goes to a service without keys */

static struct api_kit open_kit;

static int start_open(void **state)
{
    (void)state;
    api_kit_start(&open_kit, "--latency-ms 1 --output-tokens 5", NULL);
    return 0;
}

static int stop_open(void **state)
{
    (void)state;
    api_kit_stop(&open_kit);
    return 0;
}

static void with_key(size_t bytes, char filler)
{
    size_t n = (size_t)snprintf(open_kit.header, sizeof(open_kit.header), "idempotency-key: ");
    memset(open_kit.header + n, filler, bytes);
    open_kit.header[n + bytes] = '\0';
}

static void a_key_may_have_its_limit_and_not_one_byte_more(void **state)
{
    (void)state;
    with_key(IDEMPOTENCY_KEY_BYTES, 'k');
    assert_int_equal(api_kit_status(&open_kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o")), 202);
    with_key(IDEMPOTENCY_KEY_BYTES + 1, 'k');
    api_kit_refused(&open_kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 400, "invalid_header");
}

static void a_key_that_comes_again_gets_its_job_again(void **state)
{
    char text[64];
    (void)state;
    with_key(20, 'r');
    json_t *first = api_kit_json(&open_kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    struct http_answer a = api_kit_ask(&open_kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"));
    assert_int_equal(a.status, 202);
    assert_string_equal(http_answer_header(&a, "idempotent-replayed", text, sizeof(text)), "true");
    assert_non_null(strstr(a.body.data, json_text_at(first, "id")));
    assert_true(strlen(http_answer_header(&a, "location", text, sizeof(text))) > 10);
    http_answer_release(&a);
    api_kit_refused(&open_kit, "POST", "/v1/jobs", KIT_JOB("slow"), 422, "idempotency_key_reused");
    json_decref(first);
}

static void an_empty_key_is_refused(void **state)
{
    (void)state;
    (void)snprintf(open_kit.header, sizeof(open_kit.header), "idempotency-key;");
    api_kit_refused(&open_kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 400, "invalid_header");
}

/* ---- many at once */

static void as_lines(void)
{
    (void)snprintf(open_kit.header, sizeof(open_kit.header), "content-type: application/x-ndjson");
}

static void a_bad_line_fails_alone_and_is_told_by_its_number(void **state)
{
    (void)state;
    as_lines();
    json_t *a = api_kit_json(
        &open_kit, "POST", "/v1/jobs",
        "\r\n" KIT_JOB("gpt-4o") "\n\n{\"x\"\n" KIT_JOB("none") "\n \n" KIT_JOB("gpt-4o"), 202);
    assert_int_equal(json_array_size(json_object_get(a, "data")), 4);
    assert_string_equal(json_text_at(a, "data/0/object"), "job");
    assert_string_equal(json_text_at(a, "data/1/object"), "error");
    assert_int_equal(json_at(a, "data/1/line"), 4);
    assert_string_equal(json_text_at(a, "data/1/error/code"), "invalid_json");
    assert_int_equal(json_at(a, "data/2/line"), 5);
    assert_int_equal(json_at(a, "data/2/error/status"), 404);
    assert_string_equal(json_text_at(a, "data/3/object"), "job");
    json_decref(a);
    a = api_kit_json(&open_kit, "POST", "/v1/jobs", "\n\n", 202);
    assert_int_equal(json_array_size(json_object_get(a, "data")), 0);
    json_decref(a);
}

static void a_body_may_have_so_many_lines_and_not_one_more(void **state)
{
    size_t lines = JOB_MAX_LINES;
    char *text = malloc(2 * (lines + 1) + 1);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i <= lines; i++)
        memcpy(text + 2 * i, "1\n", 3);
    as_lines();
    api_kit_refused(&open_kit, "POST", "/v1/jobs", text, 413, "too_many_jobs");
    text[2 * lines] = '\0';
    json_t *a = api_kit_json(&open_kit, "POST", "/v1/jobs", text, 202);
    assert_int_equal(json_array_size(json_object_get(a, "data")), lines);
    json_decref(a);
    free(text);
}

/* ---- groups */

static const char *group_path(const char *id, const char *rest)
{
    static char path[160];
    (void)snprintf(path, sizeof(path), "/v1/job-groups/%s%s", id, rest);
    return path;
}

static json_t *group_until(struct api_kit *k, const char *id, int64_t ended)
{
    for (;;) {
        json_t *g = api_kit_json(k, "GET", group_path(id, ""), NULL, 200);
        int64_t open = json_at(g, "counts/queued") + json_at(g, "counts/running") +
                       json_at(g, "counts/retrying");
        if (json_at(g, "counts/total") - open >= ended)
            return g;
        json_decref(g);
    }
}

static void lines_are_one_group_that_tells_how_far_they_are(void **state)
{
    (void)state;
    as_lines();
    json_t *a =
        api_kit_json(&open_kit, "POST", "/v1/jobs",
                     KIT_JOB("gpt-4o") "\n{}\n" KIT_JOB("claude-3") "\n" KIT_JOB("gpt-4o"), 202);
    char id[64];
    (void)snprintf(id, sizeof(id), "%s", json_text_at(a, "group"));
    assert_string_equal(json_text_at(a, "data/0/group"), id);
    json_decref(a);
    *open_kit.header = '\0';
    a = group_until(&open_kit, id, 2);
    assert_string_equal(json_text_at(a, "object"), "job_group");
    assert_string_equal(json_text_at(a, "id"), id);
    assert_int_equal(json_at(a, "counts/total"), 2); /* what was refused is no job */
    assert_int_equal(json_at(a, "counts/succeeded"), 2);
    assert_string_equal(json_text_at(a, "status"), "finished");
    assert_int_equal(json_at(a, "eta_ms"), 0);
    assert_true(json_at(a, "finished_at") >= json_at(a, "created_at"));
    json_decref(a);
}

static void more_lines_may_come_into_a_group(void **state)
{
    char path[128];
    (void)state;
    as_lines();
    json_t *a = api_kit_json(&open_kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    (void)snprintf(path, sizeof(path), "/v1/jobs?group=%s", json_text_at(a, "group"));
    json_decref(api_kit_json(&open_kit, "POST", path, KIT_JOB("gpt-4o"), 202));
    api_kit_refused(&open_kit, "POST", "/v1/jobs?group=mine", KIT_JOB("gpt-4o"), 400,
                    "invalid_value");
    *open_kit.header = '\0';
    json_t *g = group_until(&open_kit, json_text_at(a, "group"), 2);
    assert_int_equal(json_at(g, "counts/total"), 2);
    json_decref(g);
    json_decref(a);
}

static void a_group_is_cancelled_as_a_whole(void **state)
{
    (void)state;
    as_lines();
    json_t *a = api_kit_json(&open_kit, "POST", "/v1/jobs",
                             KIT_JOB("slow") "\n" KIT_JOB("slow") "\n" KIT_JOB("slow") "\n" KIT_JOB(
                                 "slow") "\n" KIT_JOB("slow"),
                             202);
    *open_kit.header = '\0';
    json_decref(api_kit_json(&open_kit, "POST", group_path(json_text_at(a, "group"), "/cancel"),
                             NULL, 200));
    json_t *g = group_until(&open_kit, json_text_at(a, "group"), 5);
    assert_int_equal(json_at(g, "counts/total"), 5);
    assert_int_equal(json_at(g, "counts/queued"), 0);
    assert_true(json_at(g, "counts/cancelled") >= 3);
    json_decref(g);
    json_decref(a);
}

static void another_tenants_group_is_a_404(void **state)
{
    (void)state;
    (void)snprintf(kit.header, sizeof(kit.header), ALICE "\ncontent-type: application/x-ndjson");
    json_t *a = api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    as(BOB);
    api_kit_refused(&kit, "GET", group_path(json_text_at(a, "group"), ""), NULL, 404,
                    "job_group_not_found");
    api_kit_refused(&kit, "POST", group_path(json_text_at(a, "group"), "/cancel"), NULL, 404,
                    "job_group_not_found");
    api_kit_refused(&kit, "GET", "/v1/job-groups/job_group_1", NULL, 404, "job_group_not_found");
    as(ALICE);
    json_decref(group_until(&kit, json_text_at(a, "group"), 1));
    json_decref(a);
}

/* ---- pages */

static void pages_follow_each_other_without_a_gap(void **state)
{
    char path[160] = "/v1/jobs?limit=2", last[64] = "";
    int seen = 0;
    (void)state;
    *open_kit.header = '\0';
    for (int i = 0; i < 5; i++)
        json_decref(api_kit_json(&open_kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202));
    json_t *whole = api_kit_json(&open_kit, "GET", "/v1/jobs?limit=100", NULL, 200);
    size_t total = json_array_size(json_object_get(whole, "data"));
    assert_true(total >= 5 && json_is_false(json_object_get(whole, "has_more")));
    for (bool more = true; more;) {
        json_t *page = api_kit_json(&open_kit, "GET", path, NULL, 200), *job;
        size_t i;
        json_array_foreach(json_object_get(page, "data"), i, job)
        {
            char at[32];
            (void)snprintf(at, sizeof(at), "data/%d/id", seen++);
            (void)snprintf(last, sizeof(last), "%s", json_text_at(job, "id"));
            assert_string_equal(last, json_text_at(whole, at));
        }
        more = json_is_true(json_object_get(page, "has_more"));
        assert_true(!more || i == 2);
        (void)snprintf(path, sizeof(path), "/v1/jobs?limit=2&after=%s", last);
        json_decref(page);
    }
    assert_int_equal(seen, total);
    json_decref(whole);
}

static void a_page_has_1_to_100_jobs(void **state)
{
    static const struct {
        const char *path;
        int status;
    } cases[] = {
        {"/v1/jobs?limit=1", 200},
        {"/v1/jobs?limit=100", 200},
        {"/v1/jobs?limit=0", 400},
        {"/v1/jobs?limit=101", 400},
        {"/v1/jobs?limit=-1", 400},
        {"/v1/jobs?limit=", 400},
        {"/v1/jobs?limit=2x", 400},
        {"/v1/jobs?limit=4294967297", 400},
        {"/v1/jobs?limit=00000000000000000020", 400},
        {"/v1/jobs?limit=20&after=job_1", 404},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (api_kit_status(&open_kit, "GET", cases[i].path, NULL) != cases[i].status)
            fail_msg("%s is not answered %d", cases[i].path, cases[i].status);
}

static void a_wait_has_0_to_300_seconds(void **state)
{
    static const struct {
        const char *rest;
        int status;
    } cases[] = {{"?wait=0", 200},  {"?wait=300", 200}, {"?wait=0.01", 200}, {"?wait=300.1", 400},
                 {"?wait=-1", 400}, {"?wait=nan", 400}, {"?wait=", 400},     {"?wait=1s", 400}};
    (void)state;
    *open_kit.header = '\0';
    json_t *job = api_kit_json(&open_kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (api_kit_status(&open_kit, "GET", path_of(job, cases[i].rest), NULL) != cases[i].status)
            fail_msg("%s is not answered %d", cases[i].rest, cases[i].status);
    json_decref(job);
}

static void an_id_that_no_job_can_have_is_404(void **state)
{
    static const char *const paths[] = {
        "/v1/jobs/x",
        "/v1/jobs/job_",
        "/v1/jobs/job_000000000000000000000000000000000",
        "/v1/jobs/job_00000000000000000000000000000000000000000000000000000000000000000000",
        "/v1/jobs/%00",
        "/v1/jobs/a%20b%0d%0aset%20x%20y",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int wanted = strstr(paths[i], "%00") ? 400 : 404;
        assert_int_equal(api_kit_status(&open_kit, "GET", paths[i], NULL), wanted);
        assert_int_equal(api_kit_status(&open_kit, "DELETE", paths[i], NULL), wanted);
    }
}

static void a_job_that_has_ended_is_submitted_again(void **state)
{
    (void)state;
    json_t *job = api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    json_decref(api_kit_json(&kit, "GET", path_of(job, "?wait=20"), NULL, 200));
    json_t *again = api_kit_json(&kit, "POST", path_of(job, "/retry"), NULL, 202);
    assert_string_not_equal(json_text_at(again, "id"), json_text_at(job, "id"));
    assert_string_equal(json_text_at(again, "retry_of"), json_text_at(job, "id"));
    assert_string_equal(json_text_at(again, "endpoint"), json_text_at(job, "endpoint"));
    json_t *end = api_kit_json(&kit, "GET", path_of(again, "?wait=20"), NULL, 200);
    assert_string_equal(json_text_at(end, "status"), "succeeded");
    json_decref(end);
    as(BOB);
    api_kit_refused(&kit, "POST", path_of(job, "/retry"), NULL, 404, "job_not_found");
    as(ALICE);
    json_decref(again);
    json_decref(job);
}

static void a_job_that_has_not_ended_is_not_submitted_again(void **state)
{
    (void)state;
    *open_kit.header = '\0';
    json_t *jobs[4];
    for (size_t i = 0; i < 4; i++) /* two of them may run at once */
        jobs[i] = api_kit_json(&open_kit, "POST", "/v1/jobs", KIT_JOB("slow"), 202);
    api_kit_refused(&open_kit, "POST", path_of(jobs[3], "/retry"), NULL, 409, "job_not_over");
    for (size_t i = 0; i < 4; i++) {
        json_decref(api_kit_json(&open_kit, "DELETE", path_of(jobs[i], ""), NULL, 200));
        json_decref(jobs[i]);
    }
}

static void a_cancelled_job_stays_cancelled(void **state)
{
    (void)state;
    *open_kit.header = '\0';
    json_t *job = NULL;
    for (int i = 0; i < 4; i++) { /* two of them may run at once */
        json_decref(job);
        job = api_kit_json(&open_kit, "POST", "/v1/jobs", KIT_JOB("slow"), 202);
    }
    assert_string_equal(json_text_at(job, "status"), "queued");
    for (int i = 0; i < 2; i++) {
        json_t *a = api_kit_json(&open_kit, "DELETE", path_of(job, ""), NULL, 200);
        assert_string_equal(json_text_at(a, "status"), "cancelled");
        assert_true(json_is_null(json_object_get(a, "position")));
        json_decref(a);
    }
    json_decref(job);
}

int main(void)
{
    const struct CMUnitTest keyed[] = {
        cmocka_unit_test(a_route_that_is_not_open_needs_a_key),
        cmocka_unit_test(the_key_of_a_caller_does_not_reach_the_provider),
        cmocka_unit_test(another_tenants_job_is_a_404),
        cmocka_unit_test(another_tenants_job_is_no_cursor),
        cmocka_unit_test(another_tenants_group_is_a_404),
        cmocka_unit_test(a_job_that_has_ended_is_submitted_again),
        cmocka_unit_test(a_broken_job_is_400_and_names_the_field),
        cmocka_unit_test(metadata_may_have_its_limit_and_not_one_byte_more),
    };
    const struct CMUnitTest open[] = {
        cmocka_unit_test(a_key_may_have_its_limit_and_not_one_byte_more),
        cmocka_unit_test(a_key_that_comes_again_gets_its_job_again),
        cmocka_unit_test(an_empty_key_is_refused),
        cmocka_unit_test(a_bad_line_fails_alone_and_is_told_by_its_number),
        cmocka_unit_test(a_body_may_have_so_many_lines_and_not_one_more),
        cmocka_unit_test(lines_are_one_group_that_tells_how_far_they_are),
        cmocka_unit_test(more_lines_may_come_into_a_group),
        cmocka_unit_test(a_group_is_cancelled_as_a_whole),
        cmocka_unit_test(pages_follow_each_other_without_a_gap),
        cmocka_unit_test(a_page_has_1_to_100_jobs),
        cmocka_unit_test(a_wait_has_0_to_300_seconds),
        cmocka_unit_test(an_id_that_no_job_can_have_is_404),
        cmocka_unit_test(a_job_that_has_not_ended_is_not_submitted_again),
        cmocka_unit_test(a_cancelled_job_stays_cancelled),
    };
    return cmocka_run_group_tests(keyed, start, stop) +
           cmocka_run_group_tests(open, start_open, stop_open);
}
