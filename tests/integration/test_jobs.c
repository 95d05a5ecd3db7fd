/* Durable jobs on a real Redis, in one process. */
#include "tests/support/core_kit.h"

#include "scheduler/job_internal.h"
#include "storage/redis_reply.h"

#include <hiredis.h>

#define OK_BODY "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"

#define OTHER_BODY   "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"ho\"}]}"
#define TWO_WAY_BODY "{\"model\":\"m\",\"input\":\"a\",\"prompt\":\"a\"}"

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

static struct told submit_to(struct core_kit *k, enum wire_endpoint endpoint, const char *body,
                             const char *key)
{
    struct told t = {.calls = 0};
    struct job_spec spec = {.endpoint = endpoint,
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

static struct told submit_job(struct core_kit *k, const char *body, const char *key)
{
    return submit_to(k, WIRE_CHAT, body, key);
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

static int64_t index_time(struct core_kit *k, const char *id)
{
    struct key key = key_jobs(CORE_POOL, "default");
    struct redisReply *r = redis_fixture_ask(&k->redis, REDIS_ARGS("ZSCORE", key.text, id));
    int64_t time_us = reply_int(r, -1);
    freeReplyObject(r);
    return time_us;
}

static void an_idempotency_key_stands_for_one_job(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, answers);
    struct told first = submit_job(k, CORE_BODY, "key");
    int64_t created_us = core_field(k, first.id, "cr");
    assert_false(first.replayed);
    CORE_UNTIL(k, core_is(k, first.id, "done"));

    struct told again = submit_job(k, CORE_BODY, "key");
    assert_true(again.replayed);
    assert_string_equal(again.id, first.id);
    assert_string_equal(again.status, "succeeded");
    assert_int_equal(fake_provider_requests(k->provider), 1);
    assert_int_equal(core_field(k, first.id, "cr"), created_us);
    assert_int_equal(index_time(k, first.id), created_us); /* or pages would miss it */

    struct told other = submit_job(k, OTHER_BODY, "key");
    assert_false(other.found);
    assert_int_equal(other.failure.status, 422);
    struct told elsewhere = submit_to(k, WIRE_RESPONSES, TWO_WAY_BODY, "two");
    assert_true(elsewhere.found);
    assert_int_equal(submit_to(k, WIRE_COMPLETIONS, TWO_WAY_BODY, "two").failure.status, 422);
    CORE_UNTIL(k, jobs_running(k->jobs) == 0);
}

static int status_of(struct core_kit *k, const char *trim, bool never_shrink)
{
    struct told t = {.calls = 0};
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_NORMAL,
                            .idempotency_key = "cut",
                            .trim = trim,
                            .never_shrink = never_shrink};
    job_submit(k->jobs, &spec, on_told, &t);
    CORE_UNTIL(k, t.calls > 0);
    return t.found ? 202 : t.failure.status;
}

static void a_job_that_is_to_be_trimmed_otherwise_is_another_one(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, answers);
    assert_int_equal(status_of(k, "balanced", false), 202);
    assert_int_equal(status_of(k, "balanced", false), 202);
    assert_int_equal(status_of(k, "none", false), 422);
    assert_int_equal(status_of(k, NULL, false), 422);
    assert_int_equal(status_of(k, "balanced", true), 422);
    CORE_UNTIL(k, jobs_running(k->jobs) == 0);
}

static void a_claim_without_its_job_is_made_good(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, answers);
    struct told first = submit_job(k, CORE_BODY, "key");
    CORE_UNTIL(k, core_is(k, first.id, "done"));
    char key[128];
    (void)snprintf(key, sizeof(key), CORE_PREFIX "j:%s", first.id);
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("DEL", key)), 1);
    struct told again = submit_job(k, CORE_BODY, "key"); /* as after a crash between the two */
    assert_string_equal(again.id, first.id);
    CORE_UNTIL(k, core_is(k, first.id, "done"));
    assert_int_equal(fake_provider_requests(k->provider), 2);
}

static void a_store_that_is_away_is_told_and_nothing_is_promised(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    redis_fixture_kill(&k->redis);
    CORE_UNTIL(k, !k->up);
    struct told t = submit_job(k, CORE_BODY, "key");
    assert_false(t.found);
    assert_int_equal(t.failure.status, 503);
    assert_int_equal(get_job(k, "job_0123456701234567890123456789abcd0123").failure.status, 404);
}

static void a_job_is_submitted_over_a_short_outage(void **state)
{
    struct core_kit *k = *state;
    struct told t = {.calls = 0};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, answers);
    redis_fixture_kill(&k->redis);
    CORE_UNTIL(k, !k->up);
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_NORMAL};
    job_submit(k->jobs, &spec, on_told, &t);
    assert_int_equal(redis_fixture_restart(&k->redis), 0);
    CORE_UNTIL(k, t.calls > 0);
    assert_true(t.found);
    CORE_UNTIL(k, core_is(k, t.id, "done"));
    assert_int_equal(t.calls, 1);
}

static void a_job_whose_model_is_gone_fails_with_the_reason(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100, max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    struct told first = submit_job(k, CORE_BODY, NULL), second = submit_job(k, CORE_BODY, NULL);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    struct config *c = core_kit_config(k, "rpm: 100, max_parallel_requests: 1", NULL);
    c->providers[0].models[0].name[0] = 'x'; /* the pool stays, the model does not */
    scheduler_reload(k->scheduler, c);
    (void)cancel_job(k, first.id);
    CORE_UNTIL(k, core_is(k, second.id, "failed"));
    struct told end = get_job(k, second.id);
    assert_non_null(strstr(end.error, "model_not_found"));
    assert_string_equal(get_job(k, first.id).status, "cancelled");
    assert_int_equal(core_running(k), 0);
}

static void a_waiting_job_is_cancelled_and_another_tenants_is_not(void **state)
{
    struct core_kit *k = *state;
    struct told t = {.calls = 0};
    core_kit_start(k, "max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    (void)submit_job(k, CORE_BODY, NULL);
    struct told second = submit_job(k, CORE_BODY, NULL);
    assert_string_equal(second.status, "queued");
    job_cancel(k->jobs, "other", second.id, on_told, &t);
    CORE_UNTIL(k, t.calls > 0);
    assert_int_equal(t.failure.status, 404);
    assert_string_equal(cancel_job(k, second.id).status, "cancelled");
    assert_string_equal(cancel_job(k, second.id).status, "cancelled");
    assert_int_equal(core_queued(k), 0);
}

struct heard {
    struct job_watch watch;
    unsigned calls;
    bool leaves;
    char last[16];
};

static void on_heard(void *arg, const char *state)
{
    struct heard *h = arg;
    h->calls++;
    (void)snprintf(h->last, sizeof(h->last), "%s", state);
    if (h->leaves)
        job_unwatch(&h->watch);
}

static void watches_hear_of_changes_and_of_those_they_may_have_missed(void **state)
{
    struct core_kit *k = *state;
    struct heard stays = {.calls = 0}, leaves = {.leaves = true};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, answers);
    struct told t = submit_job(k, CORE_BODY, NULL);
    struct heard *both[] = {&leaves, &stays};
    for (size_t i = 0; i < 2; i++) {
        both[i]->watch.fn = on_heard;
        both[i]->watch.arg = both[i];
        (void)snprintf(both[i]->watch.id, sizeof(both[i]->watch.id), "%s", t.id);
        job_watch(k->jobs, &both[i]->watch);
    }
    CORE_UNTIL(k, strcmp(stays.last, "done") == 0);
    assert_int_equal(leaves.calls, 1);
    unsigned before = stays.calls;
    jobs_channel_back(k->jobs);
    assert_int_equal(stays.calls, before + 1);
    assert_string_equal(stays.last, "");
    job_unwatch(&stays.watch);
    jobs_channel_back(k->jobs);
    assert_int_equal(stays.calls, before + 1);
    assert_int_equal(leaves.calls, 1);
}

#define FILL                                                                                       \
    "for i = 1, tonumber(ARGV[1]) do redis.call('ZADD', KEYS[1], i, 'old' .. i) end return 1"

static void the_list_of_a_tenant_does_not_grow_without_end(void **state)
{
    struct core_kit *k = *state;
    struct key key = key_jobs(CORE_POOL, "default");
    char many[16];
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, answers);
    (void)snprintf(many, sizeof(many), "%d", JOB_MAX_LISTED - 1);
    assert_int_equal(
        redis_fixture_ask_int(&k->redis, REDIS_ARGS("EVAL", FILL, "1", key.text, many)), 1);
    struct told last = submit_job(k, CORE_BODY, NULL); /* the last that fits */
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("ZCARD", key.text)),
                     JOB_MAX_LISTED);
    assert_true(index_time(k, "old1") == 1);
    struct told beyond = submit_job(k, CORE_BODY, NULL);
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("ZCARD", key.text)),
                     JOB_MAX_LISTED);
    assert_true(index_time(k, "old1") == -1);
    assert_true(index_time(k, beyond.id) > index_time(k, last.id));
    assert_true(redis_fixture_ask_int(&k->redis, REDIS_ARGS("PTTL", key.text)) >
                INT64_C(31) * 86400000);
    CORE_UNTIL(k, jobs_running(k->jobs) == 0);
}

#define EQUALS                                                                                     \
    "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do "                                \
    "redis.call('ZADD', KEYS[1], 'XX', 1000, id) end return 1"

struct listed {
    char last[TICKET_ID_BYTES];
    int count;
    bool ended, more;
};

static void on_listed_job(void *arg, const struct job_record *record, bool has_more,
                          const struct call_failure *failure)
{
    struct listed *l = arg;
    assert_null(failure);
    if (!record) {
        l->ended = true;
        l->more = has_more;
        return;
    }
    assert_true(l->count == 0 || strcmp(record->id, l->last) < 0);
    (void)snprintf(l->last, sizeof(l->last), "%s", record->id);
    l->count++;
}

/* Two instances may take in jobs in the same microsecond. */
static void pages_part_jobs_of_the_same_moment_without_a_gap(void **state)
{
    struct core_kit *k = *state;
    struct key key = key_jobs(CORE_POOL, "default");
    struct listed l = {.count = 0};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, answers);
    for (int i = 0; i < 7; i++)
        (void)submit_job(k, CORE_BODY, NULL);
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("EVAL", EQUALS, "1", key.text)),
                     1);
    for (l.more = true; l.more;) {
        char after[TICKET_ID_BYTES];
        (void)snprintf(after, sizeof(after), "%s", l.last);
        struct job_page page = {.tenant = "default", .after = *after ? after : NULL, .limit = 2};
        int before = l.count;
        l.ended = false;
        job_list(k->jobs, &page, on_listed_job, &l);
        CORE_UNTIL(k, l.ended);
        assert_true(l.count - before == 2 || !l.more);
    }
    assert_int_equal(l.count, 7);
    CORE_UNTIL(k, jobs_running(k->jobs) == 0);
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
        CORE_TEST(an_idempotency_key_stands_for_one_job),
        CORE_TEST(a_job_that_is_to_be_trimmed_otherwise_is_another_one),
        CORE_TEST(a_claim_without_its_job_is_made_good),
        CORE_TEST(a_store_that_is_away_is_told_and_nothing_is_promised),
        CORE_TEST(a_job_is_submitted_over_a_short_outage),
        CORE_TEST(a_job_whose_model_is_gone_fails_with_the_reason),
        CORE_TEST(a_waiting_job_is_cancelled_and_another_tenants_is_not),
        CORE_TEST(pages_part_jobs_of_the_same_moment_without_a_gap),
        CORE_TEST(the_list_of_a_tenant_does_not_grow_without_end),
        CORE_TEST(watches_hear_of_changes_and_of_those_they_may_have_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
