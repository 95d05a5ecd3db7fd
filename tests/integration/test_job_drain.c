/* What a draining instance does with jobs that it was granted and has not started. */
#include "tests/support/core_kit.h"

#include "scheduler/job.h"

#define OK_BODY "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", OK_BODY)},
    {.op = FAKE_CLOSE}};

struct told {
    unsigned calls;
    char id[TICKET_ID_BYTES];
};

static void on_told(void *arg, const struct job_record *r, bool replayed,
                    const struct call_failure *failure)
{
    struct told *t = arg;
    (void)replayed;
    (void)failure;
    t->calls++;
    if (r)
        (void)snprintf(t->id, sizeof(t->id), "%s", r->id);
}

static void submit(struct core_kit *k, struct told *t)
{
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_NORMAL};
    *t = (struct told){.calls = 0};
    job_submit(k->jobs, &spec, on_told, t);
}

static void a_job_whose_record_is_on_its_way_goes_back_at_once(void **state)
{
    struct core_kit *k = *state;
    struct told t;
    core_kit_start(k, "rpm: 1000", NULL);
    FAKE_SCRIPT(k->provider, answers);
    submit(k, &t);
    CORE_UNTIL(k, jobs_running(k->jobs) == 1);
    scheduler_drain(k->scheduler);
    CORE_UNTIL(k, jobs_running(k->jobs) == 0 && t.calls > 0);
    CORE_UNTIL(k, scheduler_unsettled(k->scheduler) == 0);
    assert_true(core_is(k, t.id, "queued")); /* neither running nor in a backoff */
    assert_int_equal(core_running(k), 0);
    assert_int_equal(core_queued(k), 1);
    assert_int_equal(fake_provider_connections(k->provider), 0);
}

static void a_job_submitted_while_draining_is_left_to_others(void **state)
{
    struct core_kit *k = *state;
    struct told t;
    core_kit_start(k, "rpm: 1000", NULL);
    FAKE_SCRIPT(k->provider, answers);
    scheduler_drain(k->scheduler);
    submit(k, &t);
    CORE_UNTIL(k, t.calls > 0);
    CORE_UNTIL(k, scheduler_unsettled(k->scheduler) == 0);
    assert_true(core_is(k, t.id, "queued"));
    assert_int_equal(fake_provider_connections(k->provider), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_whose_record_is_on_its_way_goes_back_at_once,
                                        core_kit_setup, core_kit_teardown),
        cmocka_unit_test_setup_teardown(a_job_submitted_while_draining_is_left_to_others,
                                        core_kit_setup, core_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
