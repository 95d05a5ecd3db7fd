/* Several keys and models for one request, on a real Redis, in one process. */
#include "tests/support/core_kit.h"

#include "scheduler/job_internal.h"
#include "storage/redis_reply.h"

#include <hiredis.h>

#define OK_BODY "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"
#define JSON    "Content-Type: application/json\r\n"

#define ANSWER(name, line, headers, body)                                                          \
    static const struct fake_step name[] = {                                                       \
        {.op = FAKE_READ},                                                                         \
        {.op = FAKE_SEND, .bytes = CORE_REPLY(line, headers, body)},                               \
        {.op = FAKE_CLOSE}}

ANSWER(good, "200 OK", JSON, OK_BODY);
ANSWER(no_key, "401 Unauthorized", JSON,
       "{\"error\":{\"message\":\"no\",\"code\":\"invalid_api_key\"}}");
ANSWER(forbidden, "403 Forbidden", JSON, "{\"error\":{\"message\":\"no\"}}");
ANSWER(no_money, "429 Too Many Requests", JSON,
       "{\"error\":{\"message\":\"no\",\"code\":\"insufficient_quota\"}}");
ANSWER(too_many, "429 Too Many Requests", JSON "Retry-After: 600\r\n",
       "{\"error\":{\"message\":\"no\",\"code\":\"rate_limit_exceeded\"}}");
ANSWER(full, "503 Service Unavailable", JSON, "{\"error\":{\"message\":\"no\"}}");

#define OTHER_PREFIX "sluice:{q:default:m}:"
#define MOST_CALLS   64

struct rig {
    struct core_kit *kit;
    struct fake_provider *other;
    const char *models; /* that the callers may use; NULL all */
};

/* Provider "p" with model m, and "q" behind it. */
static struct rig begin(void **state, const char *row, const char *other_model)
{
    struct rig r = {.kit = *state};
    char more[512];
    r.other = fake_provider_new(r.kit->base);
    (void)snprintf(more, sizeof(more),
                   "  - {name: q, format: openai, base_url: \"%s/v1\", api_key: sk-of-the-other,\n"
                   "     profile: generic, models: [{name: %s, rpm: 1000}]}\n",
                   fake_provider_url(r.other), other_model);
    FAKE_SCRIPT(r.other, good);
    core_kit_start(r.kit, row, more);
    return r;
}

static void end(struct rig *r)
{
    fake_provider_free(r->other);
}

static struct core_call run_with(struct rig *r, struct core_call *c, bool no_fallback,
                                 int64_t max_wait_ms)
{
    struct call_spec spec = {.endpoint = WIRE_CHAT,
                             .body = strdup(CORE_BODY),
                             .body_len = strlen(CORE_BODY),
                             .tenant = "default",
                             .weight = 1,
                             .class = CLASS_NORMAL,
                             .models = r->models,
                             .no_fallback = no_fallback,
                             .max_wait_ms = max_wait_ms};
    *c = (struct core_call){.kit = r->kit};
    core_call_spec(r->kit, c, &spec);
    CORE_UNTIL(r->kit, core_call_over(c));
    return *c;
}

static struct core_call run(struct rig *r)
{
    struct core_call c;
    return run_with(r, &c, false, CORE_WAIT_MS);
}

/* Each call is answered, whichever of the two it met first, until the first provider was met. */
static void run_until_met(struct rig *r)
{
    for (int i = 0; i < MOST_CALLS && fake_provider_requests(r->kit->provider) == 0; i++)
        assert_int_equal(run(r).status, 200);
    assert_true(fake_provider_requests(r->kit->provider) > 0);
}

static bool is_aside(struct rig *r)
{
    return redis_fixture_ask_int(&r->kit->redis, REDIS_ARGS("EXISTS", CORE_PREFIX "aside")) == 1;
}

static int64_t other_running(struct rig *r)
{
    return redis_fixture_ask_int(&r->kit->redis, REDIS_ARGS("ZCARD", OTHER_PREFIX "inf"));
}

static struct pool_view *first_pool(struct rig *r)
{
    const struct config *c = scheduler_plan(r->kit->scheduler)->config;
    return scheduler_pool(r->kit->scheduler, &c->providers[0], &c->providers[0].models[0],
                          "default");
}

static void a_refused_key_is_set_aside_and_the_request_runs_elsewhere(void **state)
{
    struct rig r = begin(state, "rpm: 1000", "m");
    FAKE_SCRIPT(r.kit->provider, no_key);
    run_until_met(&r);
    size_t met = fake_provider_requests(r.kit->provider);

    for (int i = 0; i < 8; i++)
        assert_int_equal(run(&r).status, 200);

    assert_int_equal(met, 1);
    assert_int_equal(fake_provider_requests(r.kit->provider), met);
    CORE_UNTIL(r.kit, is_aside(&r));
    CORE_UNTIL(r.kit, core_running(r.kit) == 0 && other_running(&r) == 0);
    assert_int_equal(core_level(r.kit, "rpm"), 1000); /* the refused request gave all back */
    end(&r);
}

static void money_that_ran_out_sets_a_key_aside(void **state)
{
    struct rig r = begin(state, "rpm: 1000", "m");
    FAKE_SCRIPT(r.kit->provider, no_money);
    run_until_met(&r);
    assert_int_equal(run(&r).status, 200);
    CORE_UNTIL(r.kit, is_aside(&r));
    assert_int_equal(fake_provider_requests(r.kit->provider), 1);
    end(&r);
}

static void a_single_403_runs_elsewhere_and_leaves_the_key_to_the_others(void **state)
{
    struct rig r = begin(state, "rpm: 1000", "m");
    FAKE_SCRIPT(r.kit->provider, forbidden);
    run_until_met(&r);
    assert_false(pool_is_set_aside(first_pool(&r), clock_mono_ms()));
    for (int i = 0; i < MOST_CALLS && fake_provider_requests(r.kit->provider) < 3; i++)
        assert_int_equal(run(&r).status, 200);
    assert_true(pool_is_set_aside(first_pool(&r), clock_mono_ms()));
    end(&r);
}

static void what_another_instance_set_aside_is_heard_of(void **state)
{
    struct rig r = begin(state, "rpm: 1000", "m");
    assert_int_equal(run(&r).status, 200); /* the pools know of each other */
    freeReplyObject(redis_fixture_ask(
        &r.kit->redis, REDIS_ARGS("SET", CORE_PREFIX "aside", "auth", "PX", "60000")));
    CORE_UNTIL(r.kit, pool_is_set_aside(first_pool(&r), clock_mono_ms()));
    size_t met = fake_provider_requests(r.kit->provider);
    for (int i = 0; i < 8; i++)
        assert_int_equal(run(&r).status, 200);
    assert_int_equal(fake_provider_requests(r.kit->provider), met);
    end(&r);
}

static void with_no_other_key_the_callers_hear_of_the_refusal(void **state)
{
    struct rig r = begin(state, "rpm: 1000", "another");
    FAKE_SCRIPT(r.kit->provider, no_key);
    assert_int_equal(run(&r).status, 401);
    assert_int_equal(run(&r).status, 401); /* tried again: there is nothing better */
    assert_int_equal(fake_provider_requests(r.kit->provider), 2);
    end(&r);
}

static void a_rate_refusal_goes_to_the_key_that_starts_sooner(void **state)
{
    struct rig r = begin(state, "rpm: 1000", "m");
    FAKE_SCRIPT(r.kit->provider, too_many);
    run_until_met(&r);
    for (int i = 0; i < 8; i++)
        assert_int_equal(run(&r).status, 200);
    assert_int_equal(fake_provider_requests(r.kit->provider), 1); /* it is paused */
    end(&r);
}

static void the_key_with_budget_left_is_taken(void **state)
{
    struct rig r = begin(state, "rpm: 2", "m");
    FAKE_SCRIPT(r.kit->provider, good);
    for (int i = 0; i < 12; i++) {
        struct core_call c = run(&r);
        assert_int_equal(c.status, 200);
        assert_int_equal(c.queued, 0);
    }
    assert_true(fake_provider_requests(r.kit->provider) <= 2);
    end(&r);
}

/* ---- another model */

static void when_every_key_is_refused_the_fallback_serves(void **state)
{
    struct rig r = begin(state, "rpm: 1000, fallbacks: [small]", "small");
    FAKE_SCRIPT(r.kit->provider, no_key);
    for (int i = 0; i < 4; i++)
        assert_int_equal(run(&r).status, 200);
    assert_int_equal(fake_provider_requests(r.kit->provider), 1);
    assert_int_equal(fake_provider_requests(r.other), 4);
    /* The body names the model that serves: "small" for "m" is four bytes more. */
    assert_int_equal(fake_provider_body_len(r.other), strlen(CORE_BODY) + 4);
    end(&r);
}

static void overload_that_lasts_falls_back_after_its_attempts(void **state)
{
    struct rig r = begin(state, "rpm: 1000, fallbacks: [small]", "small");
    FAKE_SCRIPT(r.kit->provider, full);
    struct core_call c = run(&r);
    assert_int_equal(c.status, 200);
    assert_int_equal(fake_provider_requests(r.kit->provider), 3); /* max_attempts */
    assert_int_equal(c.attempts, 4);
    end(&r);
}

static void a_caller_may_forbid_the_fallback(void **state)
{
    struct rig r = begin(state, "rpm: 1000, fallbacks: [small]", "small");
    struct core_call c;
    FAKE_SCRIPT(r.kit->provider, no_key);
    assert_int_equal(run_with(&r, &c, true, CORE_WAIT_MS).status, 401);
    assert_int_equal(run_with(&r, &c, true, CORE_WAIT_MS).status, 401);
    assert_int_equal(fake_provider_requests(r.other), 0);
    end(&r);
}

static void a_model_that_is_too_narrow_is_no_fallback(void **state)
{
    struct rig r =
        begin(state, "rpm: 1000, fallbacks: [small]",
              "small, context_window: 5, default_output_tokens: 1, min_output_tokens: 1");
    FAKE_SCRIPT(r.kit->provider, no_key);
    assert_int_equal(run(&r).status, 401);
    assert_int_equal(fake_provider_requests(r.other), 0);
    end(&r);
}

static void a_wait_that_would_be_too_long_falls_back(void **state)
{
    struct rig r = begin(state, "rpm: 1, fallbacks: [small]", "small");
    struct core_call c;
    FAKE_SCRIPT(r.kit->provider, good);
    assert_int_equal(run_with(&r, &c, false, 3000).status, 200);
    assert_int_equal(run_with(&r, &c, false, 3000).status, 200);
    assert_int_equal(fake_provider_requests(r.kit->provider), 1);
    assert_int_equal(fake_provider_requests(r.other), 1);
    CORE_UNTIL(r.kit, core_queued(r.kit) == 0); /* and nothing of it stays behind */
    end(&r);
}

/* ---- jobs */

struct told {
    unsigned calls;
    char id[TICKET_ID_BYTES], status[16];
    int64_t status_code;
};

static void on_told(void *arg, const struct job_record *record, bool replayed,
                    const struct call_failure *failure)
{
    struct told *t = arg;
    (void)replayed;
    t->calls++;
    if (failure)
        fail_msg("%s", failure->message);
    (void)snprintf(t->id, sizeof(t->id), "%s", record->id);
    (void)snprintf(t->status, sizeof(t->status), "%s", record->status);
    t->status_code = record->status_code;
}

static struct told submit_job(struct rig *r)
{
    struct told t = {.calls = 0};
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .models = r->models,
                            .class = CLASS_NORMAL};
    job_submit(r->kit->jobs, &spec, on_told, &t);
    CORE_UNTIL(r->kit, t.calls > 0);
    return t;
}

static struct told await_job(struct rig *r, const char *id)
{
    struct told t = {.calls = 0};
    do {
        t.calls = 0;
        job_get(r->kit->jobs, "default", id, on_told, &t);
        CORE_UNTIL(r->kit, t.calls > 0);
    } while (!job_status_is_final(t.status));
    return t;
}

static void a_job_whose_key_is_refused_runs_elsewhere_under_its_own_id(void **state)
{
    struct rig r = begin(state, "rpm: 1000", "m");
    FAKE_SCRIPT(r.kit->provider, no_key);
    for (int i = 0; i < MOST_CALLS && fake_provider_requests(r.kit->provider) == 0; i++) {
        struct told t = submit_job(&r);
        t = await_job(&r, t.id);
        assert_string_equal(t.status, "succeeded");
        assert_int_equal(t.status_code, 200);
    }
    assert_int_equal(fake_provider_requests(r.kit->provider), 1);
    CORE_UNTIL(r.kit, core_running(r.kit) == 0 && other_running(&r) == 0);
    assert_int_equal(core_level(r.kit, "rpm"), 1000);
    end(&r);
}

static void a_job_whose_keys_are_all_refused_takes_the_fallback(void **state)
{
    struct rig r = begin(state, "rpm: 1000, fallbacks: [small]", "small");
    FAKE_SCRIPT(r.kit->provider, no_key);
    for (int i = 0; i < 3; i++) {
        struct told t = submit_job(&r);
        t = await_job(&r, t.id);
        assert_string_equal(t.status, "succeeded");
        assert_int_equal(t.status_code, 200);
    }
    assert_int_equal(fake_provider_requests(r.kit->provider), 1);
    assert_int_equal(fake_provider_requests(r.other), 3);
    end(&r);
}

static void a_model_that_the_key_may_not_use_is_no_fallback(void **state)
{
    struct rig r = begin(state, "rpm: 1000, fallbacks: [small]", "small");
    FAKE_SCRIPT(r.kit->provider, no_key);
    r.models = " m p/*";
    assert_int_equal(run(&r).status, 401);
    struct told t = submit_job(&r);
    t = await_job(&r, t.id);
    assert_int_equal(t.status_code, 401);
    assert_int_equal(fake_provider_requests(r.other), 0);
    r.models = " m small";
    assert_int_equal(run(&r).status, 200);
    assert_int_equal(fake_provider_requests(r.other), 1);
    end(&r);
}

static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};

static void a_job_that_runs_elsewhere_can_be_cancelled(void **state)
{
    struct rig r = begin(state, "rpm: 1000, fallbacks: [small]", "small");
    struct told t, c = {.calls = 0};
    FAKE_SCRIPT(r.kit->provider, no_key);
    FAKE_SCRIPT(r.other, hangs);
    t = submit_job(&r);
    CORE_UNTIL(r.kit, fake_provider_stalled(r.other) == 1);
    assert_int_equal(core_running(r.kit), 1); /* it keeps its own place */
    job_cancel(r.kit->jobs, "default", t.id, on_told, &c);
    CORE_UNTIL(r.kit, c.calls > 0);
    assert_string_equal(await_job(&r, t.id).status, "cancelled");
    CORE_UNTIL(r.kit, core_running(r.kit) == 0);
    CORE_UNTIL(r.kit, redis_fixture_ask_int(
                          &r.kit->redis, REDIS_ARGS("ZCARD", "sluice:{q:default:small}:inf")) == 0);
    end(&r);
}

static void a_job_that_waits_elsewhere_can_be_cancelled(void **state)
{
    struct rig r = begin(state, "rpm: 1000, fallbacks: [small]", "small, max_parallel_requests: 1");
    struct told first, second, c = {.calls = 0};
    FAKE_SCRIPT(r.kit->provider, no_key);
    FAKE_SCRIPT(r.other, hangs);
    first = submit_job(&r);
    CORE_UNTIL(r.kit, fake_provider_stalled(r.other) == 1);
    pool_aside_hear(first_pool(&r), "", 0); /* so that the second begins at home too */
    second = submit_job(&r);
    CORE_UNTIL(r.kit,
               redis_fixture_ask_int(&r.kit->redis,
                                     REDIS_ARGS("HGET", "sluice:{q:default:small}:b", "nq")) == 1);
    job_cancel(r.kit->jobs, "default", second.id, on_told, &c);
    CORE_UNTIL(r.kit, c.calls > 0);
    assert_string_equal(await_job(&r, second.id).status, "cancelled");
    CORE_UNTIL(r.kit, core_running(r.kit) == 1);
    job_cancel(r.kit->jobs, "default", first.id, on_told, &c);
    assert_string_equal(await_job(&r, first.id).status, "cancelled");
    end(&r);
}

/* ---- pools that are no longer configured */

static void queue_behind(struct rig *r, struct told *first, struct told *second)
{
    FAKE_SCRIPT(r->kit->provider, hangs);
    *first = submit_job(r);
    CORE_UNTIL(r->kit, fake_provider_stalled(r->kit->provider) == 1);
    *second = submit_job(r);
    CORE_UNTIL(r->kit, core_queued(r->kit) == 1);
}

static void reload(struct rig *r, const char *row)
{
    scheduler_reload(r->kit->scheduler, core_kit_config(r->kit, row, NULL));
}

static void a_job_whose_model_has_another_pool_since_goes_there_under_its_id(void **state)
{
    struct rig r = begin(state, "max_parallel_requests: 1", "another");
    struct told first, second;
    queue_behind(&r, &first, &second);
    FAKE_SCRIPT(r.kit->provider, good); /* of connections that come now */
    reload(&r, "pool: fresh, rpm: 1000");
    fake_provider_go(r.kit->provider);
    struct told c = {.calls = 0};
    job_cancel(r.kit->jobs, "default", first.id, on_told, &c);
    CORE_UNTIL(r.kit, c.calls > 0);
    assert_string_equal(await_job(&r, second.id).status, "succeeded");
    CORE_UNTIL(r.kit, core_running(r.kit) == 0);
    assert_int_equal(
        redis_fixture_ask_int(&r.kit->redis, REDIS_ARGS("EXISTS", "sluice:{p:default:fresh}:inf")),
        0);
    assert_int_equal(
        redis_fixture_ask_int(&r.kit->redis,
                              REDIS_ARGS("HEXISTS", "sluice:{p:default:fresh}:b", "rpm:L")),
        1);
    end(&r);
}

static void on_stored(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct told *t = arg;
    (void)pool;
    assert_int_equal(turn->status, REDIS_OK);
    t->calls++;
}

/* As another process left it: registered, with one job in its queue. */
static void leave_a_job(struct rig *r, char id[TICKET_ID_BYTES])
{
    static const char pool_id[] = "gone:default:old";
    struct pool_limits limits = *(&pool_agent_pool(first_pool(r)->agent)->limits);
    struct store_pool pool;
    struct told t = {.calls = 0};
    store_pool_init(&pool, pool_id, &limits);
    pool.finished_ttl_ms = 60000;
    key_new_id(pool.hash, id);
    struct store_field fields[] = {{"ep", "/v1/chat/completions", 20},
                                   {"ten", "default", 7},
                                   {"mdl", "old", 3},
                                   {"cr", "1", 1}};
    struct store_ticket ticket = {.id = id,
                                  .is_job = true,
                                  .class = CLASS_NORMAL,
                                  .tenant = "default",
                                  .weight = 1,
                                  .cost = {1},
                                  .fair_cost = 1,
                                  .aging_ms = 1000,
                                  .fields = fields,
                                  .field_count = 4};
    /* The first takes the only slot, the second waits. */
    char taken[TICKET_ID_BYTES];
    key_new_id(pool.hash, taken);
    struct store_ticket other = ticket;
    other.id = taken;
    ticket.listed_us = 1000000;
    ticket.listed_ttl_ms = 60000;
    pool_store_submit(r->kit->store, &pool, &other, 0, on_stored, &t);
    CORE_UNTIL(r->kit, t.calls == 1);
    pool_store_submit(r->kit->store, &pool, &ticket, 0, on_stored, &t);
    CORE_UNTIL(r->kit, t.calls == 2);
    job_store_register_pool(r->kit->job_store, pool.hash, pool_id);
}

static void on_listed(void *arg, const struct job_record *record, bool has_more,
                      const struct call_failure *failure)
{
    struct told *t = arg;
    (void)has_more;
    assert_null(failure);
    if (record)
        (void)snprintf(t->id, sizeof(t->id), "%s", record->id);
    else
        t->calls++;
}

static void jobs_of_a_pool_that_is_not_configured_are_seen_and_cancelled(void **state)
{
    struct rig r = begin(state, "max_parallel_requests: 1", "another");
    char id[TICKET_ID_BYTES];
    struct told t = {.calls = 0}, listed = {.calls = 0};
    leave_a_job(&r, id);
    jobs_channel_back(r.kit->jobs); /* as at a start */
    CORE_UNTIL(r.kit, job_pool(r.kit->jobs, id) != NULL);

    job_get(r.kit->jobs, "default", id, on_told, &t);
    CORE_UNTIL(r.kit, t.calls == 1);
    assert_string_equal(t.status, "queued");
    struct job_page page = {.tenant = "default", .limit = 10};
    job_list(r.kit->jobs, &page, on_listed, &listed);
    CORE_UNTIL(r.kit, listed.calls == 1);
    assert_string_equal(listed.id, id);
    job_cancel(r.kit->jobs, "default", id, on_told, &t);
    CORE_UNTIL(r.kit, t.calls == 2);
    assert_string_equal(t.status, "cancelled");
    end(&r);
}

#define IT(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT(a_refused_key_is_set_aside_and_the_request_runs_elsewhere),
        IT(money_that_ran_out_sets_a_key_aside),
        IT(a_single_403_runs_elsewhere_and_leaves_the_key_to_the_others),
        IT(what_another_instance_set_aside_is_heard_of),
        IT(with_no_other_key_the_callers_hear_of_the_refusal),
        IT(a_rate_refusal_goes_to_the_key_that_starts_sooner),
        IT(the_key_with_budget_left_is_taken),
        IT(when_every_key_is_refused_the_fallback_serves),
        IT(overload_that_lasts_falls_back_after_its_attempts),
        IT(a_caller_may_forbid_the_fallback),
        IT(a_model_that_is_too_narrow_is_no_fallback),
        IT(a_wait_that_would_be_too_long_falls_back),
        IT(a_job_whose_key_is_refused_runs_elsewhere_under_its_own_id),
        IT(a_job_whose_keys_are_all_refused_takes_the_fallback),
        IT(a_model_that_the_key_may_not_use_is_no_fallback),
        IT(a_job_that_runs_elsewhere_can_be_cancelled),
        IT(a_job_that_waits_elsewhere_can_be_cancelled),
        IT(a_job_whose_model_has_another_pool_since_goes_there_under_its_id),
        IT(jobs_of_a_pool_that_is_not_configured_are_seen_and_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
