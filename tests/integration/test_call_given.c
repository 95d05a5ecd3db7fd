/* Calls that another one answers: no ticket, no request to the provider. */
#include "scheduler/call_given.h"
#include "tests/support/core_kit.h"

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", "{}")},
    {.op = FAKE_CLOSE}};

struct joined {
    struct call *call;
    unsigned starts, ends, fails, left, resumed;
    int status;
    char body[64], decision[16], type[32];
    bool cancels, pauses;
};

static void on_start(void *arg)
{
    struct joined *j = arg;
    const char *type = call_reply_header(j->call, "content-type");
    j->starts++;
    j->status = call_status(j->call);
    (void)snprintf(j->type, sizeof(j->type), "%s", type ? type : "");
    (void)snprintf(j->decision, sizeof(j->decision), "%s", call_decision(j->call));
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct joined *j = arg;
    size_t at = strlen(j->body);
    (void)snprintf(j->body + at, sizeof(j->body) - at, "%.*s", (int)len, bytes);
    if (j->pauses)
        call_pause(j->call);
    if (j->cancels)
        call_cancel(j->call);
}

static void on_end(void *arg)
{
    struct joined *j = arg;
    j->ends++;
}

static void on_fail(void *arg, const struct call_failure *f)
{
    struct joined *j = arg;
    j->fails++;
    j->status = f->status;
}

static const struct call_sink sink = {
    .start = on_start, .data = on_data, .end = on_end, .fail = on_fail};

static void on_left(void *arg)
{
    struct joined *j = arg;
    j->left++;
}

static void on_resume(void *arg)
{
    struct joined *j = arg;
    j->resumed++;
}

static const struct call_giver giver = {.left = on_left, .resume = on_resume};

static void join(struct core_kit *k, struct joined *j, int64_t max_wait_ms)
{
    struct call_failure f;
    struct call_spec spec = {
        .endpoint = WIRE_CHAT, .tenant = "default", .weight = 1, .max_wait_ms = max_wait_ms};
    spec.body = strdup(CORE_BODY);
    spec.body_len = strlen(CORE_BODY);
    j->call = call_new(k->scheduler, &spec, &sink, j, &f);
    assert_non_null(j->call);
    call_join(j->call, "cached", &giver, j);
}

static void an_answer_that_is_given_costs_nothing(void **state)
{
    struct core_kit *k = *state;
    struct joined j = {.starts = 0};
    struct wire_usage usage = {.known = true, .input = 7, .output = 9};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    join(k, &j, CORE_WAIT_MS);
    core_kit_step(k);
    assert_int_equal(j.starts, 0);
    call_given_start(j.call, 200, "application/json", COUNT_cached);
    call_given_data(j.call, "{\"a\":", 5);
    call_given_data(j.call, "1}", 2);
    const struct pool_stats *stats = pool_agent_stats(call_pool(j.call)->agent);
    call_given_end(j.call, &usage);
    assert_int_equal(j.ends, 1);
    assert_int_equal(j.status, 200);
    assert_string_equal(j.body, "{\"a\":1}");
    assert_string_equal(j.type, "application/json");
    assert_string_equal(j.decision, "cached");
    assert_int_equal(j.left, 0);
    assert_int_equal(stats->count[COUNT_cached], 1);
    assert_int_equal(stats->count[COUNT_tokens_input], 0);
    core_kit_step(k);
    assert_int_equal(fake_provider_connections(k->provider), 0);
    assert_int_equal(core_queued(k) + core_running(k), 0);
}

static void a_giver_is_told_once_of_who_leaves(void **state)
{
    struct core_kit *k = *state;
    struct joined waits = {.starts = 0}, reads = {.cancels = true};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    join(k, &waits, CORE_WAIT_MS);
    join(k, &reads, CORE_WAIT_MS);
    core_kit_step(k);
    call_cancel(waits.call);
    assert_int_equal(waits.left, 1);
    call_given_start(reads.call, 200, "application/json", COUNT_cached);
    call_given_data(reads.call, "{}", 2);
    assert_int_equal(reads.left, 1);
    assert_int_equal(waits.ends + waits.fails + reads.ends + reads.fails, 0);
}

static void a_call_that_is_given_nothing_in_time_fails(void **state)
{
    struct core_kit *k = *state;
    struct joined j = {.starts = 0};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    join(k, &j, 20);
    CORE_UNTIL(k, j.fails == 1);
    assert_int_equal(j.status, 504);
    assert_int_equal(j.left, 1);
    assert_int_equal(j.ends, 0);
}

static void a_failure_that_is_given_is_told(void **state)
{
    struct core_kit *k = *state;
    struct joined j = {.starts = 0};
    struct call_failure f;
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    join(k, &j, CORE_WAIT_MS);
    core_kit_step(k);
    call_failure_set(&f, 502, "provider_error", "It failed.");
    call_given_fail(j.call, &f);
    assert_int_equal(j.fails, 1);
    assert_int_equal(j.status, 502);
    assert_int_equal(j.left, 0);
}

static void a_call_may_go_its_own_way_after_all(void **state)
{
    struct core_kit *k = *state;
    struct joined j = {.starts = 0};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    FAKE_SCRIPT(k->provider, answers);
    join(k, &j, CORE_WAIT_MS);
    core_kit_step(k);
    call_part(j.call);
    CORE_UNTIL(k, j.ends == 1);
    assert_string_equal(j.decision, "admitted");
    assert_int_equal(j.left, 0);
    assert_int_equal(fake_provider_connections(k->provider), 1);
    CORE_UNTIL(k, core_running(k) == 0);
}

static void a_giver_hears_when_its_reader_takes_more(void **state)
{
    struct core_kit *k = *state;
    struct joined j = {.pauses = true};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    join(k, &j, CORE_WAIT_MS);
    core_kit_step(k);
    call_given_start(j.call, 200, "text/event-stream", COUNT_cached);
    assert_false(call_is_paused(j.call));
    call_given_data(j.call, "data: 1\n\n", 9);
    assert_true(call_is_paused(j.call));
    assert_int_equal(j.resumed, 0);
    call_resume(j.call);
    assert_false(call_is_paused(j.call));
    assert_int_equal(j.resumed, 1);
    call_resume(j.call);
    assert_int_equal(j.resumed, 1);
    call_given_end(j.call, NULL);
    assert_int_equal(j.ends, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_that_is_given_costs_nothing),
        TEST(a_giver_is_told_once_of_who_leaves),
        TEST(a_call_that_is_given_nothing_in_time_fails),
        TEST(a_failure_that_is_given_is_told),
        TEST(a_call_may_go_its_own_way_after_all),
        TEST(a_giver_hears_when_its_reader_takes_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
