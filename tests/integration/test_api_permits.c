/* Permits and the admission check over HTTP, on a whole service before a simulated provider. */
#include "tests/support/api_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PERMITS   "/v1/permits"
#define ADMISSION "/v1/admission/check"
#define SMALL     "{\"model\":\"gpt-4o\",\"input_tokens\":10,\"max_output_tokens\":5}"
#define NOBODY    "/v1/permits/permit_00000000000000000000000000000000"

static struct api_kit kit;

static int start(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5",
                  "auth: {trust_tenant_header: true}\ntenants: [{name: tight, tpm: 50}]\n");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

struct path {
    char text[128];
};

static struct path path_of(const json_t *permit, const char *rest)
{
    struct path p;
    (void)snprintf(p.text, sizeof(p.text), PERMITS "/%.60s%.20s", json_text_at(permit, "id"), rest);
    return p;
}

static int64_t number_at(const json_t *value, const char *key)
{
    return json_integer_value(json_object_get(value, key));
}

static void a_permit_lives_from_ask_to_settle(void **state)
{
    char text[128];
    (void)state;
    struct http_answer a = api_kit_ask(&kit, "POST", PERMITS, SMALL);
    assert_int_equal(a.status, 200);
    json_t *asked = json_loadb(a.body.data, a.body.len, 0, NULL);
    struct path look = path_of(asked, ""), renew = path_of(asked, "/renew"),
                settle = path_of(asked, "/settle");
    assert_string_equal(http_answer_header(&a, "location", text, sizeof(text)), look.text);
    assert_string_equal(json_text_at(asked, "object"), "permit");
    assert_string_equal(json_text_at(asked, "status"), "granted");
    assert_int_equal(number_at(asked, "input_tokens"), 10);
    assert_int_equal(number_at(asked, "max_output_tokens"), 5);
    assert_true(json_is_null(json_object_get(asked, "settlement")));

    json_t *seen = api_kit_json(&kit, "GET", look.text, NULL, 200);
    assert_string_equal(json_text_at(seen, "id"), json_text_at(asked, "id"));
    json_t *longer = api_kit_json(&kit, "POST", renew.text, "{\"ttl_ms\":3600000}", 200);
    assert_in_range(number_at(longer, "expires_in_ms"), 3500000, 3600000);
    json_t *settled = api_kit_json(&kit, "POST", settle.text,
                                   "{\"usage\":{\"input_tokens\":9,\"output_tokens\":4}}", 200);
    assert_string_equal(json_text_at(settled, "status"), "settled");
    assert_string_equal(json_text_at(settled, "settlement/outcome"), "ok");
    assert_true(json_is_null(json_object_get(settled, "expires_at")));
    api_kit_refused(&kit, "DELETE", look.text, NULL, 409, "permit_settled");
    api_kit_refused(&kit, "POST", settle.text, "{\"status\":500}", 409, "permit_settled");
    json_decref(asked);
    json_decref(seen);
    json_decref(longer);
    json_decref(settled);
    http_answer_release(&a);
}

static void a_permit_is_its_tenants_alone(void **state)
{
    (void)state;
    (void)snprintf(kit.header, sizeof(kit.header), "x-sluice-tenant: a");
    json_t *asked = api_kit_json(&kit, "POST", PERMITS, SMALL, 200);
    struct path look = path_of(asked, ""), renew = path_of(asked, "/renew"),
                settle = path_of(asked, "/settle");
    (void)snprintf(kit.header, sizeof(kit.header), "x-sluice-tenant: b");
    api_kit_refused(&kit, "GET", look.text, NULL, 404, "permit_not_found");
    api_kit_refused(&kit, "POST", settle.text, "{}", 404, "permit_not_found");
    api_kit_refused(&kit, "POST", renew.text, "{}", 404, "permit_not_found");
    api_kit_refused(&kit, "DELETE", look.text, NULL, 404, "permit_not_found");
    (void)snprintf(kit.header, sizeof(kit.header), "x-sluice-tenant: a");
    json_t *released = api_kit_json(&kit, "DELETE", look.text, NULL, 200);
    assert_string_equal(json_text_at(released, "status"), "released");
    kit.header[0] = '\0';
    json_decref(asked);
    json_decref(released);
}

static void what_is_wrong_is_refused_with_its_name(void **state)
{
    static const struct {
        const char *path, *body;
        int status;
        const char *code;
    } cases[] = {
        {PERMITS, "", 400, "invalid_json"},
        {PERMITS, "{", 400, "invalid_json"},
        {PERMITS, "{\"model\":\"gpt-4o\"}", 400, "invalid_value"},
        {PERMITS, "{\"model\":\"other\",\"input_tokens\":1}", 404, "model_not_found"},
        {PERMITS, "{\"model\":\"gpt-4o\",\"input_tokens\":1,\"format\":\"anthropic\"}", 404,
         "model_not_found"},
        {PERMITS, "{\"model\":\"gpt-4o\",\"input_tokens\":900000000}", 413, "request_too_large"},
        {PERMITS, "{\"model\":\"gpt-4o\",\"input_tokens\":1,\"priority\":\"x\"}", 400,
         "invalid_value"},
        {PERMITS, "{\"body\":{\"model\":\"gpt-4o\"}}", 400, "invalid_request"},
        {NOBODY "/settle", "{}", 404, "permit_not_found"},
        {NOBODY "/renew", "{}", 404, "permit_not_found"},
        {NOBODY "/renew", "{\"ttl_ms\":1}", 400, "invalid_value"},
        {ADMISSION, "{}", 400, "invalid_value"},
        {ADMISSION, "{\"endpoint\":\"/v1/x\",\"body\":{\"model\":\"gpt-4o\"}}", 400,
         "invalid_value"},
        {ADMISSION, "{\"model\":\"other\",\"input_tokens\":1}", 404, "model_not_found"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        api_kit_refused(&kit, "POST", cases[i].path, cases[i].body, cases[i].status, cases[i].code);
    api_kit_refused(&kit, "GET", NOBODY, NULL, 404, "permit_not_found");
    api_kit_refused(&kit, "GET", PERMITS "/job_1", NULL, 404, "permit_not_found");
    api_kit_refused(&kit, "DELETE", PERMITS, NULL, 405, "method_not_allowed");
    json_t *asked = api_kit_json(&kit, "POST", PERMITS, SMALL, 200);
    struct path settle = path_of(asked, "/settle");
    api_kit_refused(&kit, "POST", settle.text, "{\"status\":1}", 400, "invalid_value");
    api_kit_refused(&kit, "POST", settle.text, "", 400, "invalid_value");
    assert_int_equal(api_kit_status(&kit, "POST", settle.text, "{}"), 200);
    json_decref(asked);
}

static void a_jobs_id_is_no_permits_and_the_other_way_round(void **state)
{
    char path[128];
    (void)state;
    json_t *asked = api_kit_json(&kit, "POST", PERMITS, SMALL, 200);
    (void)snprintf(path, sizeof(path), "/v1/jobs/%.60s", json_text_at(asked, "id"));
    api_kit_refused(&kit, "GET", path, NULL, 404, "job_not_found");
    api_kit_refused(&kit, "DELETE", path, NULL, 404, "job_not_found");
    json_t *job = api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("gpt-4o"), 202);
    (void)snprintf(path, sizeof(path), PERMITS "/%.60s", json_text_at(job, "id"));
    api_kit_refused(&kit, "GET", path, NULL, 404, "permit_not_found");
    struct path look = path_of(asked, "");
    assert_int_equal(api_kit_status(&kit, "DELETE", look.text, NULL), 200);
    json_decref(asked);
    json_decref(job);
}

static void an_admission_tells_what_a_request_would_meet(void **state)
{
    (void)state;
    json_t *now =
        api_kit_json(&kit, "POST", ADMISSION,
                     "{\"endpoint\":\"" KIT_CHAT_PATH "\",\"body\":" KIT_CHAT("gpt-4o") "}", 200);
    assert_string_equal(json_text_at(now, "decision"), "admit");
    assert_string_equal(json_text_at(now, "model"), "gpt-4o");
    assert_true(number_at(now, "input_tokens") > 0);
    assert_int_equal(number_at(now, "output_tokens_reserved"), 10);
    assert_true(json_is_null(json_object_get(now, "binding_limit")));
    json_t *never = api_kit_json(&kit, "POST", ADMISSION,
                                 "{\"model\":\"gpt-4o\",\"input_tokens\":900000000}", 200);
    assert_string_equal(json_text_at(never, "decision"), "refuse");
    assert_string_equal(json_text_at(never, "owner"), "pool");
    assert_non_null(strstr(json_text_at(never, "reason"), "never"));
    assert_true(json_is_null(json_object_get(now, "trim")));
    json_decref(now);
    json_decref(never);
}

#define WORDS                                                                                      \
    "lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt "
#define TURN                                                                                       \
    "{\"role\":\"user\",\"content\":\"" WORDS WORDS "\"},"                                         \
    "{\"role\":\"assistant\",\"content\":\"" WORDS "\"},"

static void an_admission_tells_what_the_proxy_would_cut(void **state)
{
    static const char ask[] = "{\"model\":\"small\",\"messages\":[" TURN TURN TURN
                              "{\"role\":\"user\",\"content\":\"hello\"}]}";
    (void)state;
    json_t *cut = api_kit_json(&kit, "POST", ADMISSION, ask, 200);
    assert_string_equal(json_text_at(cut, "decision"), "shrink");
    const json_t *trim = json_object_get(cut, "trim");
    assert_true(number_at(trim, "trimmed_tokens") > 20);
    assert_true(*json_text_at(trim, "policy") != '\0');
    assert_true(json_is_null(json_object_get(trim, "max_output_tokens")));
    (void)snprintf(kit.header, sizeof(kit.header), "x-sluice-shrink: never");
    json_t *whole = api_kit_json(&kit, "POST", ADMISSION, ask, 200);
    assert_string_equal(json_text_at(whole, "decision"), "refuse");
    assert_true(json_is_null(json_object_get(whole, "trim")));
    kit.header[0] = '\0';
    json_decref(cut);
    json_decref(whole);
}

static void a_tenants_own_limit_is_told_as_its_own(void **state)
{
    (void)state;
    (void)snprintf(kit.header, sizeof(kit.header), "x-sluice-tenant: tight");
    json_t *never =
        api_kit_json(&kit, "POST", ADMISSION, "{\"model\":\"gpt-4o\",\"input_tokens\":60}", 200);
    assert_string_equal(json_text_at(never, "owner"), "tenant");
    assert_string_equal(json_text_at(never, "binding_limit"), "tpm");
    json_decref(api_kit_json(&kit, "POST", PERMITS,
                             "{\"model\":\"gpt-4o\",\"input_tokens\":30,\"max_output_tokens\":15}",
                             200));
    json_t *late = api_kit_json(
        &kit, "POST", PERMITS,
        "{\"model\":\"gpt-4o\",\"input_tokens\":30,\"max_output_tokens\":15,\"wait_ms\":0}", 429);
    assert_non_null(strstr(json_text_at(late, "error/message"), "for tpm of"));
    assert_non_null(strstr(json_text_at(late, "error/message"), "the tenant's own limit"));
    kit.header[0] = '\0';
    json_decref(never);
    json_decref(late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_permit_lives_from_ask_to_settle),
        cmocka_unit_test(a_permit_is_its_tenants_alone),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_name),
        cmocka_unit_test(a_jobs_id_is_no_permits_and_the_other_way_round),
        cmocka_unit_test(an_admission_tells_what_a_request_would_meet),
        cmocka_unit_test(an_admission_tells_what_the_proxy_would_cut),
        cmocka_unit_test(a_tenants_own_limit_is_told_as_its_own),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
