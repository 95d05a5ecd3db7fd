#include "api/batch/batch.h"

#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BATCH   "batch_1"
#define FILE_ID "file-1"
#define TENANT  "t"
#define OWNER   "another"

static const struct record_at the_batch = {SET_BATCHES, TENANT, BATCH};
static const struct record_at the_note = {SET_OPEN, "", BATCH};
static const struct record_at the_file = {SET_FILES, TENANT, FILE_ID};

struct rig {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct record_store *store;
    struct batches *batches;
    char text[4096]; /* of the last record; "" there was none */
    bool answered;
    json_t *ended; /* the batch as it was told of */
    bool keeps;    /* someone wants to know, and has not said yet that he will */
    unsigned told;
    struct batch_end end;
};

static int on_ended(void *arg, const struct batch_end *end)
{
    struct rig *r = arg;
    assert_string_equal(end->tenant, TENANT);
    r->told++;
    r->end = *end;
    json_decref(r->ended);
    r->ended = json_deep_copy(json_object_get(end->record, "batch"));
    return r->keeps ? 0 : 1;
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    if (!r || redis_fixture_start(&r->redis, NULL) || !redis_probe_open(&r->probe, r->redis.url) ||
        !redis_probe_wait_up(&r->probe))
        return -1;
    r->store = record_store_new(r->probe.link, 5000);
    return r->store ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    if (r->batches)
        batches_stop(r->batches);
    redis_probe_close(&r->probe);
    batches_free(r->batches);
    record_store_free(r->store);
    redis_fixture_stop(&r->redis);
    json_decref(r->ended);
    free(r);
    return 0;
}

static bool has_answer(void *arg)
{
    const struct rig *r = arg;
    return r->answered;
}

static bool has_ended(void *arg)
{
    const struct rig *r = arg;
    return r->ended != NULL;
}

static void on_answer(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct rig *r = arg;
    (void)len;
    assert_int_equal(status, REDIS_OK);
    (void)snprintf(r->text, sizeof(r->text), "%s", text ? text : "");
    r->answered = true;
}

static void put(struct rig *r, const struct record_at *at, const char *text)
{
    r->answered = false;
    record_store_put(r->store, at, text, on_answer, r);
    assert_true(wait_loop(r->probe.base, has_answer, r));
}

static const char *get(struct rig *r, const struct record_at *at)
{
    r->answered = false;
    record_store_get(r->store, at, on_answer, r);
    assert_true(wait_loop(r->probe.base, has_answer, r));
    return r->text;
}

static void lease(struct rig *r, const char *owner)
{
    r->answered = false;
    record_store_lease(r->store, BATCH, owner, 60000, on_answer, r);
    assert_true(wait_loop(r->probe.base, has_answer, r));
}

static void open_batch(struct rig *r, const char *status)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "{\"shape\":\"openai\",\"weight\":1,\"models\":\"\",\"batch\":{\"id\":\"" BATCH
                   "\",\"endpoint\":\"/v1/chat/completions\",\"input_file_id\":\"" FILE_ID
                   "\",\"status\":\"%s\",\"errors\":null}}",
                   status);
    put(r, &the_batch, text);
    put(r, &the_note, TENANT);
}

/* The folder is there and has no files. */
static void start(struct rig *r)
{
    struct batches_options options = {.base = r->probe.base,
                                      .store = r->store,
                                      .folder = r->redis.dir,
                                      .instance = "here",
                                      .ended = on_ended,
                                      .arg = r};
    r->batches = batches_new(&options);
    assert_non_null(r->batches);
}

/* A look reads the batch and its input, and the next one begins only when it has ended. */
static bool looked_twice(void *arg)
{
    struct rig *r = arg;
    batches_look(r->batches);
    return redis_fixture_info(&r->redis, "cmdstat_hget") >= 4;
}

static void check_failed(struct rig *r)
{
    json_t *record = json_loads(get(r, &the_batch), 0, NULL);
    json_t *batch = json_object_get(record, "batch");
    json_t *error = json_array_get(json_object_get(json_object_get(batch, "errors"), "data"), 0);
    assert_string_equal(json_string_value(json_object_get(batch, "status")), "failed");
    assert_true(json_integer_value(json_object_get(batch, "failed_at")) > 0);
    assert_string_equal(json_string_value(json_object_get(error, "code")), "input_file_missing");
    assert_string_equal(json_string_value(json_object_get(error, "param")), "input_file_id");
    assert_true(json_equal(batch, r->ended));
    assert_string_equal(get(r, &the_note), "");
    json_decref(record);
}

static void a_batch_whose_input_was_deleted_fails(void **state)
{
    static const char *const states[] = {"validating", "in_progress"};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        open_batch(r, states[i]);
        if (i == 0)
            start(r);
        else
            batches_look(r->batches);
        assert_true(wait_loop(r->probe.base, has_ended, r));
        check_failed(r);
        json_decref(r->ended);
        r->ended = NULL;
    }
}

static void a_batch_whose_input_is_on_another_disk_is_left_to_its_owner(void **state)
{
    struct rig *r = *state;
    put(r, &the_file, "{\"purpose\":\"batch\"}");
    open_batch(r, "in_progress");
    start(r);
    assert_true(wait_loop(r->probe.base, looked_twice, r));
    lease(r, OWNER);
    assert_string_equal(r->text, OWNER);
    assert_non_null(strstr(get(r, &the_batch), "in_progress"));
    assert_string_equal(get(r, &the_note), TENANT);
    assert_null(r->ended);
}

static void a_batch_that_another_instance_runs_goes_on_without_its_input(void **state)
{
    struct rig *r = *state;
    lease(r, OWNER);
    open_batch(r, "in_progress");
    start(r);
    assert_true(wait_loop(r->probe.base, looked_twice, r));
    lease(r, OWNER);
    assert_string_equal(r->text, OWNER);
    assert_non_null(strstr(get(r, &the_batch), "in_progress"));
    assert_null(r->ended);
}

static bool was_told_twice(void *arg)
{
    const struct rig *r = arg;
    return r->told >= 2;
}

static bool is_closed(void *arg)
{
    struct rig *r = arg;
    return !*get(r, &the_note);
}

/* Who runs it dies in between, and another instance finds it at its end, but still in the list. */
static void a_batch_stays_open_until_its_end_was_told(void **state)
{
    struct rig *r = *state;
    open_batch(r, "validating");
    r->keeps = true;
    start(r);
    assert_true(wait_loop(r->probe.base, has_ended, r));
    assert_string_equal(get(r, &the_note), TENANT);
    assert_non_null(strstr(get(r, &the_batch), "failed"));
    r->end.told(r->end.arg, false);
    assert_true(wait_loop(r->probe.base, was_told_twice, r));
    assert_string_equal(get(r, &the_note), TENANT);

    batches_stop(r->batches);
    r->end.told(r->end.arg, true);
    assert_string_equal(get(r, &the_note), TENANT); /* and Redis has answered all of the first */
    batches_free(r->batches);
    json_decref(r->ended);
    r->ended = NULL;
    start(r);
    assert_true(wait_loop(r->probe.base, has_ended, r));
    r->end.told(r->end.arg, true);
    assert_true(wait_loop(r->probe.base, is_closed, r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_batch_whose_input_was_deleted_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_whose_input_is_on_another_disk_is_left_to_its_owner,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_batch_that_another_instance_runs_goes_on_without_its_input, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_stays_open_until_its_end_was_told, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
