/* What becomes of calls while Redis is away, with a real one that is killed or stopped. */
#include "tests/support/core_kit.h"

#include "storage/redis_reply.h"
#include "tests/support/sim_child.h"

#include <event2/event.h>
#include <hiredis.h>

#define WAIT_MS 60000
#define OK_BODY "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"
#define ALONE   "redis: {max_instances: 1}\n"
#define MANY    40

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", OK_BODY)},
    {.op = FAKE_CLOSE}};
static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};
static const struct fake_step late_answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_STALL},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", OK_BODY)},
    {.op = FAKE_CLOSE}};

static struct pool_agent *agent_of(struct core_kit *k)
{
    size_t at = 0;
    return scheduler_next_pool(k->scheduler, &at)->agent;
}

static int64_t local_grants(struct core_kit *k)
{
    return pool_agent_stats(agent_of(k))->count[COUNT_local_grants];
}

static const char *mode(struct core_kit *k)
{
    struct scheduler_outage o;
    scheduler_outage(k->scheduler, &o);
    return o.mode;
}

static bool is_mode(struct core_kit *k, const char *name)
{
    return strcmp(mode(k), name) == 0;
}

static void take_redis_away(struct core_kit *k)
{
    redis_fixture_kill(&k->redis);
    CORE_UNTIL(k, !k->up);
}

static void bring_redis_back(struct core_kit *k)
{
    assert_int_equal(redis_fixture_restart(&k->redis), 0);
    CORE_UNTIL(k, is_mode(k, "central"));
}

/* The level as it is stored, in token x tick. */
static int64_t units(struct core_kit *k, const char *dim)
{
    char field[32];
    (void)snprintf(field, sizeof(field), "%s:L", dim);
    struct redisReply *r = redis_fixture_ask(&k->redis, REDIS_ARGS("HGET", CORE_PREFIX "b", field));
    int64_t n = reply_int(r, INT64_MIN);
    freeReplyObject(r);
    return n;
}

static int64_t daily(struct core_kit *k)
{
    return units(k, "rpd") / 86400;
}

static size_t over(const struct core_call *calls, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += core_call_over(&calls[i]);
    return n;
}

/* Each was answered by the provider, and once. */
static void assert_answered(const struct core_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(calls[i].fails, 0);
        assert_int_equal(calls[i].ends, 1);
        assert_int_equal(calls[i].starts, 1);
        assert_int_equal(calls[i].status, 200);
        assert_int_equal(calls[i].attempts, 1);
    }
}

/* Nothing is left of anything, here and in Redis. */
static void assert_clean(struct core_kit *k)
{
    CORE_UNTIL(k, scheduler_unsettled(k->scheduler) == 0);
    CORE_UNTIL(k, core_running(k) == 0);
    CORE_UNTIL(k, core_queued(k) == 0);
    assert_int_equal(scheduler_active(k->scheduler), 0);
}

/* ---- local */

static void calls_go_on_under_the_local_share_and_are_charged_as_debt(void **state)
{
    struct core_kit *k = *state;
    struct core_call calls[5] = {{0}};
    core_kit_start(k, "rpm: 600", ALONE); /* a share of 5 a second */
    FAKE_SCRIPT(k->provider, answers);
    take_redis_away(k);
    int64_t from_ms = clock_mono_ms();
    for (size_t i = 0; i < 5; i++)
        core_call_begin(k, &calls[i], CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, over(calls, 5) == 5);
    assert_true(clock_mono_ms() - from_ms >= 1000); /* never above the share */
    assert_answered(calls, 5);
    assert_int_equal(local_grants(k), 5);
    assert_true(is_mode(k, "local"));
    assert_int_equal(scheduler_unsettled(k->scheduler), 1); /* the charge */
    bring_redis_back(k);
    /* The restarted Redis holds nothing: the pool begins at 0, and the grants are below that. */
    assert_in_range(core_level(k, "rpm") + 5, 0, 4);
    assert_clean(k);
    assert_int_equal(fake_provider_requests(k->provider), 5);
}

static void calls_that_wait_locally_move_over(void **state)
{
    struct core_kit *k = *state;
    struct core_call calls[3] = {{0}};
    struct scheduler_outage o;
    core_kit_start(k, "rpm: 6000", "redis: {max_instances: 1000}\n"); /* one in 20 seconds */
    FAKE_SCRIPT(k->provider, answers);
    take_redis_away(k);
    for (size_t i = 0; i < 3; i++)
        core_call_begin(k, &calls[i], CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, calls[0].queued + calls[1].queued + calls[2].queued == 3);
    scheduler_outage(k->scheduler, &o);
    assert_int_equal(o.waiting, 3);
    assert_int_equal(o.running, 0);
    bring_redis_back(k);
    CORE_UNTIL(k, over(calls, 3) == 3);
    assert_answered(calls, 3);
    assert_int_equal(local_grants(k), 0);
    for (size_t i = 0; i < 3; i++)
        CORE_UNTIL(k, core_is(k, calls[i].id, "done")); /* under the id it began with */
    assert_clean(k);
}

static void a_call_that_waits_locally_leaves_when_its_wait_is_over(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    struct scheduler_outage o;
    core_kit_start(k, "rpm: 6000", "redis: {max_instances: 1000}\n");
    take_redis_away(k);
    core_call_begin(k, &c, CORE_BODY, 50);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.failure.status, 504);
    scheduler_outage(k->scheduler, &o);
    assert_int_equal(o.waiting, 0);
    bring_redis_back(k);
    assert_clean(k);
}

static void one_that_runs_locally_finishes_and_corrects_its_charge(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    struct scheduler_outage o;
    core_kit_start(k, "tpm: 60000", ALONE);
    FAKE_SCRIPT(k->provider, late_answers);
    take_redis_away(k);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    bring_redis_back(k);
    scheduler_outage(k->scheduler, &o);
    assert_int_equal(o.running, 1);
    assert_int_equal(o.uncharged, 0);
    assert_true(redis_fixture_says(&k->redis, "1", REDIS_ARGS("GET", CORE_PREFIX "chg:i1")));
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&c));
    assert_answered(&c, 1);
    assert_clean(k);
    assert_true(redis_fixture_says(&k->redis, "2", REDIS_ARGS("GET", CORE_PREFIX "chg:i1")));
    assert_int_equal(core_field(k, c.id, "at"), -1); /* Redis never knew the ticket */
}

static void a_local_repeat_after_the_recovery_goes_through_redis(void **state)
{
    static const struct fake_step refuses[] = {
        {.op = FAKE_READ},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("503 Busy", "retry-after-ms: 200\r\n", "")},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 6000", ALONE);
    FAKE_SCRIPT(k->provider, refuses);
    take_redis_away(k);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    bring_redis_back(k);
    FAKE_SCRIPT(k->provider, answers);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.attempts, 2);
    CORE_UNTIL(k, core_is(k, c.id, "done"));
    assert_clean(k);
}

static void a_ticket_that_redis_holds_stays_there_and_keeps_its_slot(void **state)
{
    struct core_kit *k = *state;
    struct core_call runs = {0}, queued = {0}, local = {0};
    core_kit_start(k, "max_parallel_requests: 1", ALONE);
    FAKE_SCRIPT(k->provider, late_answers);
    core_call_begin(k, &runs, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &queued, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, queued.queued == 1);
    redis_fixture_pause(&k->redis);
    core_call_begin(k, &local, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, !k->up);
    CORE_UNTIL(k, local.queued == 1); /* here, as the one slot is in use */
    assert_int_equal(fake_provider_requests(k->provider), 1);
    redis_fixture_resume(&k->redis);
    CORE_UNTIL(k, is_mode(k, "central"));
    FAKE_SCRIPT(k->provider, answers);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&runs) && core_call_over(&queued) && core_call_over(&local));
    assert_answered(&runs, 1);
    assert_answered(&queued, 1);
    assert_answered(&local, 1);
    assert_int_equal(local_grants(k), 0);
    assert_clean(k);
    assert_int_equal(fake_provider_requests(k->provider), 3);
}

static void a_redis_that_stops_under_load_answers_nothing_twice(void **state)
{
    struct core_kit *k = *state;
    struct core_call calls[MANY] = {{0}};
    /* With so long leases, what was granted to nobody must be given back, not wait for its end. */
    core_kit_start(k, "rpm: 6000", ALONE "queue: {lease_ms: 600000}\n");
    FAKE_SCRIPT(k->provider, answers);
    core_call_begin(k, &calls[0], CORE_BODY, WAIT_MS); /* Redis knows the script from here on */
    CORE_UNTIL(k, core_call_over(&calls[0]));
    redis_fixture_pause(&k->redis);
    for (size_t i = 1; i < MANY; i++) {
        core_call_begin(k, &calls[i], CORE_BODY, WAIT_MS);
        core_kit_step(k); /* it is on its way: Redis grants it when it goes on */
    }
    CORE_UNTIL(k, over(calls, MANY) == MANY);
    assert_answered(calls, MANY);
    assert_int_equal(local_grants(k), MANY - 1);
    redis_fixture_resume(&k->redis);
    CORE_UNTIL(k, is_mode(k, "central"));
    assert_clean(k);
    assert_int_equal(fake_provider_requests(k->provider), MANY);
}

static void a_redis_that_flaps_ten_times_loses_and_repeats_nothing(void **state)
{
    struct core_kit *k = *state;
    struct core_call calls[MANY] = {{0}};
    core_kit_start(k, "rpm: 60000", ALONE);
    FAKE_SCRIPT(k->provider, answers);
    for (size_t flap = 0; flap < 10; flap++) {
        struct core_call *four = &calls[4 * flap];
        core_call_begin(k, &four[0], CORE_BODY, WAIT_MS);
        redis_fixture_kill(&k->redis);
        core_call_begin(k, &four[1], CORE_BODY, WAIT_MS);
        CORE_UNTIL(k, !k->up);
        core_call_begin(k, &four[2], CORE_BODY, WAIT_MS);
        core_kit_step(k);
        assert_int_equal(redis_fixture_restart(&k->redis), 0);
        core_call_begin(k, &four[3], CORE_BODY, WAIT_MS);
        if (flap % 2)
            CORE_UNTIL(k, is_mode(k, "central"));
        else
            CORE_UNTIL(k, k->up);
    }
    CORE_UNTIL(k, over(calls, MANY) == MANY);
    assert_answered(calls, MANY);
    CORE_UNTIL(k, is_mode(k, "central"));
    assert_clean(k);
    assert_int_equal(fake_provider_requests(k->provider), MANY);
}

static void what_the_share_cannot_hold_is_refused_as_if_it_were_closed(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "tpm: 1100", "redis: {max_instances: 1000}\n"); /* a share of half a token */
    take_redis_away(k);
    core_call_begin(k, &c, CORE_BODY, 300);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.failure.status, 503);
    assert_true(c.failure.retry_after_ms > 0);
    assert_int_equal(local_grants(k), 0);
}

/* A provider whose limits are the share itself refuses nothing, with the service at full load. */
static void a_provider_with_the_limits_of_the_share_refuses_nothing(void **state)
{
    struct core_kit *k = *state;
    struct core_call calls[MANY] = {{0}};
    struct sim_child sim;
    char url[80];
    /* Of 2400 a minute, one of two instances may use 600; the bucket of the provider holds what
     * that is in ten seconds, and is used up before. */
    sim_child_start(&sim, "--rpm 600 --request-slice-ms 10000 --output-tokens 1");
    (void)snprintf(url, sizeof(url), "%s", sim.url);
    k->url = url;
    core_kit_start(k, "rpm: 2400", "redis: {max_instances: 2}\n");
    take_redis_away(k);
    for (int i = 0; i < 100; i++) {
        struct http_answer a = http_ask("POST", sim.url, "/v1/chat/completions",
                                        "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":"
                                        "\"user\",\"content\":\"hi\"}]}",
                                        NULL);
        http_answer_release(&a);
    }
    json_t *before = sim_child_ledger(&sim);
    for (size_t i = 0; i < MANY; i++)
        core_call_begin(k, &calls[i], CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, over(calls, MANY) == MANY);
    assert_answered(calls, MANY);
    json_t *after = sim_child_ledger(&sim);
    assert_int_equal(json_at(after, "models/m/refused/total"),
                     json_at(before, "models/m/refused/total"));
    assert_int_equal(local_grants(k), MANY);
    json_decref(before);
    json_decref(after);
    sim_child_stop(&sim);
}

/* ---- closed, open */

static void closed_refuses_with_503_and_a_retry_after(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 6000", "redis: {on_outage: closed}\n");
    FAKE_SCRIPT(k->provider, answers);
    take_redis_away(k);
    assert_true(is_mode(k, "closed"));
    core_call_begin(k, &c, CORE_BODY, 300);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.failure.status, 503);
    assert_int_equal(c.failure.retry_after_ms, 1000);
    assert_int_equal(local_grants(k), 0);
    assert_int_equal(fake_provider_requests(k->provider), 0);
    bring_redis_back(k);
    assert_clean(k);
}

static void closed_lets_what_runs_finish(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 6000", "redis: {on_outage: closed}\n");
    FAKE_SCRIPT(k->provider, late_answers);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    take_redis_away(k);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&c));
    assert_answered(&c, 1);
    bring_redis_back(k);
    assert_clean(k);
}

static void open_sends_all_at_once_and_charges_it_to_the_token(void **state)
{
    struct core_kit *k = *state;
    struct core_call calls[5] = {{0}};
    core_kit_start(k, "rpm: 1", "redis: {on_outage: open}\n");
    FAKE_SCRIPT(k->provider, answers);
    take_redis_away(k);
    assert_true(is_mode(k, "open"));
    for (size_t i = 0; i < 5; i++)
        core_call_begin(k, &calls[i], CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, over(calls, 5) == 5);
    assert_answered(calls, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(calls[i].queued, 0);
    assert_int_equal(local_grants(k), 5);
    bring_redis_back(k);
    assert_in_range(units(k, "rpm") + 5 * 60000, 0, 30000); /* a unit is earned in a ms */
    assert_clean(k);
}

/* ---- jobs */

struct job_told {
    unsigned calls;
    struct call_failure failure;
};

static void on_job(void *arg, const struct job_record *r, bool replayed,
                   const struct call_failure *failure)
{
    struct job_told *t = arg;
    (void)replayed;
    assert_null(r);
    t->calls++;
    t->failure = *failure;
}

static void a_durable_job_is_refused_with_503_in_the_local_mode_too(void **state)
{
    struct core_kit *k = *state;
    struct job_told told = {0};
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_NORMAL};
    core_kit_start(k, "rpm: 6000", ALONE);
    take_redis_away(k);
    job_submit(k->jobs, &spec, on_job, &told);
    CORE_UNTIL(k, told.calls == 1);
    assert_int_equal(told.failure.status, 503);
    assert_true(told.failure.retry_after_ms > 0);
    assert_int_equal(local_grants(k), 0);
}

/* ---- the charge */

struct charge_told {
    unsigned calls;
    enum redis_status status;
    char result[16];
};

static void on_charge(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct charge_told *t = arg;
    (void)pool;
    t->calls++;
    t->status = turn->status;
    (void)snprintf(t->result, sizeof(t->result), "%s", turn->result);
}

static const char *charge(struct core_kit *k, struct charge_told *t, const struct store_charge *c)
{
    unsigned before = t->calls;
    pool_store_charge(k->store, pool_agent_pool(agent_of(k)), c, 1, on_charge, t);
    CORE_UNTIL(k, t->calls == before + 1);
    assert_int_equal(t->status, REDIS_OK);
    return t->result;
}

static void a_charge_takes_effect_once_under_its_number(void **state)
{
    struct core_kit *k = *state;
    struct charge_told t = {0};
    struct store_charge c = {.number = 1, .tokens = {150}};
    core_kit_start(k, "rpd: 100", NULL); /* 100 a day: nothing is earned meanwhile */
    assert_string_equal(charge(k, &t, &c), "charged");
    assert_int_equal(daily(k), -50);
    assert_string_equal(charge(k, &t, &c), "known");
    assert_int_equal(daily(k), -50);
    c = (struct store_charge){.number = 2, .tokens = {-70}};
    assert_string_equal(charge(k, &t, &c), "charged");
    assert_int_equal(daily(k), 20);
    c = (struct store_charge){.number = 3, .tokens = {-1000}};
    assert_string_equal(charge(k, &t, &c), "charged");
    assert_int_equal(daily(k), 100); /* never above the capacity */
    c = (struct store_charge){.number = 4, .tokens = {DIM_MAX_UNITS}};
    assert_string_equal(charge(k, &t, &c), "charged");
    assert_true(units(k, "rpd") == -DIM_MAX_UNITS); /* the deepest debt */
}

static void a_charge_brings_the_pauses_along(void **state)
{
    struct core_kit *k = *state;
    struct charge_told t = {0};
    struct core_call call = {0};
    struct store_charge c = {.number = 1, .tokens = {1}, .pause_ms = {3600000}};
    core_kit_start(k, "rpm: 6000", NULL);
    assert_string_equal(charge(k, &t, &c), "charged");
    core_call_begin(k, &call, CORE_BODY, 2 * 3600000);
    CORE_UNTIL(k, call.queued == 1);
    core_call_cancel(&call);
    assert_clean(k);
}

static void stopping_in_an_outage_leaves_nothing_behind(void **state)
{
    struct core_kit *k = *state;
    struct core_call calls[3] = {{0}};
    core_kit_start(k, "rpm: 6000", ALONE);
    FAKE_SCRIPT(k->provider, hangs);
    take_redis_away(k);
    core_call_begin(k, &calls[0], CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &calls[1], CORE_BODY, WAIT_MS);
    core_call_begin(k, &calls[2], CORE_BODY, WAIT_MS);
    for (size_t i = 0; i < 3; i++)
        core_call_cancel(&calls[i]); /* the teardown stops the rest; nothing may leak */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_kit_setup, core_kit_teardown)
        CORE_TEST(calls_go_on_under_the_local_share_and_are_charged_as_debt),
        CORE_TEST(calls_that_wait_locally_move_over),
        CORE_TEST(a_call_that_waits_locally_leaves_when_its_wait_is_over),
        CORE_TEST(one_that_runs_locally_finishes_and_corrects_its_charge),
        CORE_TEST(a_local_repeat_after_the_recovery_goes_through_redis),
        CORE_TEST(a_ticket_that_redis_holds_stays_there_and_keeps_its_slot),
        CORE_TEST(a_redis_that_stops_under_load_answers_nothing_twice),
        CORE_TEST(a_redis_that_flaps_ten_times_loses_and_repeats_nothing),
        CORE_TEST(what_the_share_cannot_hold_is_refused_as_if_it_were_closed),
        CORE_TEST(a_provider_with_the_limits_of_the_share_refuses_nothing),
        CORE_TEST(closed_refuses_with_503_and_a_retry_after),
        CORE_TEST(closed_lets_what_runs_finish),
        CORE_TEST(open_sends_all_at_once_and_charges_it_to_the_token),
        CORE_TEST(a_durable_job_is_refused_with_503_in_the_local_mode_too),
        CORE_TEST(a_charge_takes_effect_once_under_its_number),
        CORE_TEST(a_charge_brings_the_pauses_along),
        CORE_TEST(stopping_in_an_outage_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
