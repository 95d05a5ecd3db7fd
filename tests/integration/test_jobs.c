/* Durable jobs on a real Redis, in one process. */
#include "tests/support/core_kit.h"

#include "scheduler/job_internal.h"

#define OK_BODY "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", OK_BODY)},
    {.op = FAKE_CLOSE}};
static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};

/* What a job_fn was told. */
struct told {
    unsigned calls;
    bool found, replayed;
    char id[TICKET_ID_BYTES], status[16], body[256], error[256];
    int64_t status_code;
    struct call_failure failure;
};

static void on_told(void *arg, const struct job_record *r, bool replayed,
                    const struct call_failure *failure)
{
    struct told *t = arg;
    t->calls++;
    t->found = r != NULL;
    t->replayed = replayed;
    assert_true(!r == !!failure);
    if (failure) {
        t->failure = *failure;
        return;
    }
    (void)snprintf(t->id, sizeof(t->id), "%s", r->id);
    (void)snprintf(t->status, sizeof(t->status), "%s", r->status);
    (void)snprintf(t->body, sizeof(t->body), "%.*s", (int)r->body_len, r->body);
    (void)snprintf(t->error, sizeof(t->error), "%s", r->error);
    t->status_code = r->status_code;
}

static struct told submit_job(struct core_kit *k, const char *body, const char *key)
{
    struct told t = {.calls = 0};
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(body),
                            .body_len = strlen(body),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_NORMAL,
                            .idempotency_key = key};
    job_submit(k->jobs, &spec, on_told, &t);
    CORE_UNTIL(k, t.calls > 0);
    return t;
}

static struct told get_job(struct core_kit *k, const char *id)
{
    struct told t = {.calls = 0};
    job_get(k->jobs, "default", id, on_told, &t);
    CORE_UNTIL(k, t.calls > 0);
    return t;
}

static struct told cancel_job(struct core_kit *k, const char *id)
{
    struct told t = {.calls = 0};
    job_cancel(k->jobs, "default", id, on_told, &t);
    CORE_UNTIL(k, t.calls > 0);
    return t;
}

static void a_job_runs_and_its_answer_is_kept(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, answers);
    struct told t = submit_job(k, CORE_BODY, NULL);
    assert_true(t.found);
    CORE_UNTIL(k, core_is(k, t.id, "done"));
    struct told end = get_job(k, t.id);
    assert_string_equal(end.status, "succeeded");
    assert_string_equal(end.body, OK_BODY);
    assert_int_equal(end.status_code, 200);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    assert_int_equal(jobs_running(k->jobs), 0);
}

static void an_answer_without_a_body_keeps_its_status(void **state)
{
    static const struct fake_step empty[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, empty);
    struct told t = submit_job(k, CORE_BODY, NULL);
    CORE_UNTIL(k, core_is(k, t.id, "done"));
    struct told end = get_job(k, t.id);
    assert_int_equal(end.status_code, 204);
    assert_string_equal(end.body, "");
}

static void no_more_jobs_run_here_than_were_allowed(void **state)
{
    struct core_kit *k = *state;
    struct told t[4];
    core_kit_start(k, "rpm: 100", "jobs: {max_running: 2}\n");
    FAKE_SCRIPT(k->provider, hangs);
    for (size_t i = 0; i < 4; i++)
        t[i] = submit_job(k, CORE_BODY, NULL);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) >= 2 && core_queued(k) == 2);
    assert_int_equal(jobs_running(k->jobs), 2);
    assert_string_equal(cancel_job(k, t[0].id).status, "running"); /* asked to stop */
    CORE_UNTIL(k, core_is(k, t[0].id, "cancelled"));
    CORE_UNTIL(k, core_is(k, t[2].id, "running") && jobs_running(k->jobs) == 2);
    assert_int_equal(core_queued(k), 1);
}

/* A ticket that runs here, though nobody has begun with it. */
static struct store_grant grant_job(struct core_kit *k, struct pool_view *v, unsigned n)
{
    struct store_grant g = {.fence = 1, .seq = 1, .is_job = true};
    const char *path = wire_path(WIRE_CHAT);
    struct store_field fields[] = {
        {"ep", path, strlen(path)}, {"rq", CORE_BODY, strlen(CORE_BODY)}, {"ten", "default", 7}};
    struct store_ticket ticket = {.id = g.id,
                                  .is_job = true,
                                  .class = CLASS_NORMAL,
                                  .tenant = "default",
                                  .weight = 1,
                                  .cost = {1},
                                  .fair_cost = 1,
                                  .fields = fields,
                                  .field_count = 3};
    (void)snprintf(g.id, sizeof(g.id), "job_%s%024x", pool_agent_pool(v->agent)->hash, n);
    pool_store_submit(k->store, pool_agent_pool(v->agent), &ticket, 0, NULL, NULL);
    CORE_UNTIL(k, core_is(k, g.id, "running"));
    return g;
}

static struct pool_view *the_pool(struct core_kit *k)
{
    size_t at = 0;
    return scheduler_next_pool(k->scheduler, &at);
}

static void a_job_that_is_cancelled_while_its_record_is_fetched_is_not_sent(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    struct pool_view *v = the_pool(k);
    struct store_grant before = grant_job(k, v, 1), after = grant_job(k, v, 2);
    char message[128];

    pool_agent_cancel(v->agent, before.id, NULL, NULL);
    job_run(k->jobs, v->agent, &before); /* its record bears the mark */
    job_run(k->jobs, v->agent, &after);
    (void)snprintf(message, sizeof(message), "cancel %s 0 0 " CORE_PREFIX, after.id);
    scheduler_message(k->scheduler, message); /* ahead of the record, which bears none */
    CORE_UNTIL(k, core_is(k, before.id, "cancelled") && core_is(k, after.id, "cancelled"));
    assert_int_equal(fake_provider_connections(k->provider), 0);
    assert_int_equal(jobs_running(k->jobs), 0);
    assert_int_equal(core_level(k, "rpm"), 100);
}

static void a_grant_that_is_out_of_date_is_not_run(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    struct pool_view *v = the_pool(k);
    struct store_grant g = grant_job(k, v, 1);
    g.fence = 0; /* the record says 1: granted anew since */
    job_run(k->jobs, v->agent, &g);
    CORE_UNTIL(k, jobs_running(k->jobs) == 0);
    assert_int_equal(fake_provider_connections(k->provider), 0);
    assert_true(core_is(k, g.id, "running"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_kit_setup, core_kit_teardown)
        CORE_TEST(a_job_runs_and_its_answer_is_kept),
        CORE_TEST(an_answer_without_a_body_keeps_its_status),
        CORE_TEST(no_more_jobs_run_here_than_were_allowed),
        CORE_TEST(a_job_that_is_cancelled_while_its_record_is_fetched_is_not_sent),
        CORE_TEST(a_grant_that_is_out_of_date_is_not_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
