#include "api/job_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct caller caller = {.tenant = "team", .weight = 3};

static int read_job(const char *text, struct job_input *in, struct call_failure *f)
{
    return job_input_read(text, strlen(text), &caller, in, f);
}

#define BODY "{\"model\": \"m\", \"n\":1}"

static void a_job_is_read_and_its_body_keeps_its_bytes(void **state)
{
    (void)state;
    struct job_input in;
    struct call_failure f;
    assert_int_equal(read_job("{\"endpoint\":\"/v1/messages\",\"body\":" BODY
                              ",\"priority\":\"batch\",\"deadline_ms\":5000,"
                              "\"metadata\":{\"a\": 1}}",
                              &in, &f),
                     0);
    assert_int_equal(in.spec.endpoint, WIRE_MESSAGES);
    assert_int_equal(in.spec.class, CLASS_BATCH);
    assert_int_equal(in.spec.deadline_ms, 5000);
    assert_string_equal(in.spec.body, BODY);
    assert_int_equal(in.spec.body_len, strlen(BODY));
    assert_string_equal(in.spec.metadata, "{\"a\": 1}");
    assert_string_equal(in.spec.tenant, "team");
    assert_int_equal(in.spec.weight, 3);
    free(in.spec.body);
    job_input_release(&in);
    assert_int_equal(read_job("{\"endpoint\":\"/v1/embeddings\",\"body\":{},\"priority\":null,"
                              "\"deadline_ms\":null,\"metadata\":null}",
                              &in, &f),
                     0);
    assert_int_equal(in.spec.class, CLASS_NORMAL);
    assert_int_equal(in.spec.deadline_ms, 0);
    assert_null(in.spec.metadata);
    free(in.spec.body);
    job_input_release(&in);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *param;
    } rows[] = {
        {"[]", "job"},
        {"{\"body\":{}}", "endpoint"},
        {"{\"endpoint\":\"/v1/nothing\",\"body\":{}}", "endpoint"},
        {"{\"endpoint\":\"/v1/messages\"}", "body"},
        {"{\"endpoint\":\"/v1/messages\",\"body\":\"{}\"}", "body"},
        {"{\"endpoint\":\"/v1/messages\",\"body\":{},\"priority\":\"high\"}", "priority"},
        {"{\"endpoint\":\"/v1/messages\",\"body\":{},\"priority\":1.5}", "priority"},
        {"{\"endpoint\":\"/v1/messages\",\"body\":{},\"deadline_ms\":0}", "deadline_ms"},
        {"{\"endpoint\":\"/v1/messages\",\"body\":{},\"deadline_ms\":1.5}", "deadline_ms"},
        {"{\"endpoint\":\"/v1/messages\",\"body\":{},\"deadline_ms\":2592000001}", "deadline_ms"},
        {"{\"endpoint\":\"/v1/messages\",\"body\":{},\"metadata\":[]}", "metadata"},
        {"{\"endpoint\":\"/v1/messages\",\"body\":{}", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct job_input in;
        struct call_failure f;
        if (read_job(rows[i].text, &in, &f) == 0)
            fail_msg("taken: %s", rows[i].text);
        assert_int_equal(f.status, 400);
        assert_string_equal(f.param, rows[i].param);
    }
}

static void metadata_is_taken_up_to_its_maximum(void **state)
{
    (void)state;
    const char *start = "{\"endpoint\":\"/v1/messages\",\"body\":{},\"metadata\":{\"a\":\"";
    for (size_t extra = 0; extra <= 1; extra++) {
        size_t fill = JOB_MAX_METADATA_BYTES - strlen("{\"a\":\"\"}") + extra;
        char *text = calloc(1, strlen(start) + fill + 8);
        assert_non_null(text);
        (void)strcpy(text, start);
        memset(text + strlen(start), 'x', fill);
        (void)strcpy(text + strlen(start) + fill, "\"}}");
        struct job_input in;
        struct call_failure f;
        int rc = read_job(text, &in, &f);
        assert_int_equal(rc == 0, extra == 0);
        if (rc == 0) {
            free(in.spec.body);
            job_input_release(&in);
        }
        free(text);
    }
}

static struct job_record record(const char *status)
{
    return (struct job_record){.id = "job_1",
                               .status = status,
                               .endpoint = "/v1/messages",
                               .model = "m",
                               .class = "normal",
                               .tenant = "team",
                               .created_ms = 5000,
                               .binding = "",
                               .decision = "",
                               .usage = "",
                               .error = "",
                               .metadata = "",
                               .body = ""};
}

static bool is_null(const json_t *job, const char *name)
{
    const json_t *value = json_object_get(job, name);
    assert_non_null(value);
    return json_is_null(value);
}

static void a_waiting_job_has_a_place_and_no_answer(void **state)
{
    (void)state;
    struct job_record r = record("queued");
    r.ahead = 2;
    r.eta_ms = 700;
    r.binding = "tpm";
    r.finished_ms = 1; /* of a run before */
    json_t *job = job_json(&r);
    assert_int_equal(json_integer_value(json_object_get(job, "position")), 3);
    assert_int_equal(json_integer_value(json_object_get(job, "eta_ms")), 700);
    assert_string_equal(json_string_value(json_object_get(job, "binding_limit")), "tpm");
    assert_int_equal(json_integer_value(json_object_get(job, "created_at")), 5);
    assert_true(is_null(job, "started_at") && is_null(job, "finished_at"));
    assert_true(is_null(job, "response") && is_null(job, "error") && is_null(job, "metadata"));
    json_decref(job);
}

static void an_answer_is_json_where_it_can_be(void **state)
{
    (void)state;
    struct job_record r = record("succeeded");
    r.finished_ms = 9000;
    r.status_code = 200;
    r.body = "{\"a\":[1]}";
    r.body_len = strlen(r.body);
    r.metadata = "{\"k\":true}";
    json_t *job = job_json(&r);
    const json_t *response = json_object_get(job, "response");
    assert_int_equal(json_integer_value(json_object_get(response, "status_code")), 200);
    assert_int_equal(json_array_size(json_object_get(json_object_get(response, "body"), "a")), 1);
    assert_true(json_is_true(json_object_get(json_object_get(job, "metadata"), "k")));
    assert_int_equal(json_integer_value(json_object_get(job, "finished_at")), 9);
    assert_true(is_null(job, "position") && is_null(job, "eta_ms"));
    json_decref(job);
    r.body = "<html>";
    r.body_len = 6;
    job = job_json(&r);
    response = json_object_get(job, "response");
    assert_string_equal(json_string_value(json_object_get(response, "body")), "<html>");
    json_decref(job);
    r.body = "\xff\xfe"; /* no text at all */
    r.body_len = 2;
    job = job_json(&r);
    assert_true(is_null(json_object_get(job, "response"), "body"));
    json_decref(job);
}

static void an_explanation_says_what_the_answer_moved(void **state)
{
    (void)state;
    struct job_record r = {.id = "job_1",
                           .status = "succeeded",
                           .endpoint = "/v1/embeddings",
                           .model = "m",
                           .class = "normal",
                           .binding = "",
                           .explain = "{\"whose\":\"tenant\"}",
                           .hint = "tpm rate 6000->4800"};
    json_t *job = job_json(&r), *explain = json_object_get(job, "explain");
    assert_string_equal(json_string_value(json_object_get(explain, "hint")), r.hint);
    assert_string_equal(json_string_value(json_object_get(explain, "whose")), "tenant");
    json_decref(job);
    r.hint = "";
    job = job_json(&r);
    assert_true(json_is_null(json_object_get(json_object_get(job, "explain"), "hint")));
    json_decref(job);
    r.explain = "";
    job = job_json(&r);
    assert_true(json_is_null(json_object_get(job, "explain")));
    json_decref(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_read_and_its_body_keeps_its_bytes),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(metadata_is_taken_up_to_its_maximum),
        cmocka_unit_test(a_waiting_job_has_a_place_and_no_answer),
        cmocka_unit_test(an_answer_is_json_where_it_can_be),
        cmocka_unit_test(an_explanation_says_what_the_answer_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
