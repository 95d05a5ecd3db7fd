/* Permits on a real Redis, in one process. */
#include "tests/support/permit_rig.h"

static struct permit_told look(struct permit_rig *r, const struct permit_who *w)
{
    struct permit_told t = {.calls = 0};
    permit_get(r->all, w, permit_rig_on_told, &t);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

static struct permit_told release(struct permit_rig *r, const struct permit_who *w)
{
    struct permit_told t = {.calls = 0};
    permit_release(r->all, w, permit_rig_on_told, &t);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

static struct permit_told renew(struct permit_rig *r, const struct permit_who *w, int64_t ttl_ms)
{
    struct permit_told t = {.calls = 0};
    permit_renew(r->all, w, ttl_ms, permit_rig_on_told, &t);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

static void refused(const struct permit_told *t, int status, const char *code)
{
    assert_false(t->found);
    assert_int_equal(t->failure.status, status);
    assert_string_equal(t->failure.code, code);
}

static struct pool_agent *agent(struct permit_rig *r)
{
    size_t at = 0;
    return scheduler_next_pool(r->k->scheduler, &at)->agent;
}

static void on_done_turn(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    (void)pool;
    assert_int_equal(turn->status, REDIS_OK);
    *(bool *)arg = true;
}

static void reap(struct permit_rig *r)
{
    bool done = false;
    pool_store_reap(r->k->store, pool_agent_pool(agent(r)), 16, on_done_turn, &done);
    CORE_UNTIL(r->k, done);
}

static void extend(struct permit_rig *r, const char *id, int64_t ms)
{
    bool done = false;
    struct store_look what = {.id = id};
    pool_store_permit(r->k->store, pool_agent_pool(agent(r)), &what, ms, on_done_turn, &done);
    CORE_UNTIL(r->k, done);
}

static void a_permit_is_charged_and_a_settle_corrects_it_once(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 1000, 0, 0);
    assert_true(t.found);
    assert_int_equal(t.status, PERMIT_GRANTED);
    assert_int_equal(t.ttl_ms, PERMIT_TTL_MS + pool_agent_pool(agent(&r))->limits.lease_ms);
    assert_int_equal(core_running(r.k), 1);
    assert_in_range(core_level(r.k, "tpm"), 4900, 4900 + 500); /* refilled by 100 a second */

    struct permit_who w = permit_rig_who(&t);
    const char *more = "{\"usage\":{\"input_tokens\":3000,\"output_tokens\":100}}";
    struct permit_told first = permit_rig_settle(&r, &w, more),
                       again = permit_rig_settle(&r, &w, more);
    assert_int_equal(first.status, PERMIT_SETTLED);
    assert_string_equal(first.settlement, "3000 100 0 200 ok");
    assert_int_equal(again.status, PERMIT_SETTLED);
    assert_string_equal(again.settlement, first.settlement);
    assert_int_equal(core_running(r.k), 0);
    assert_in_range(core_level(r.k, "tpm"), 2900, 2900 + 1000);

    struct permit_told other = permit_rig_settle(&r, &w, "{\"usage\":{\"input_tokens\":3001}}");
    refused(&other, 409, "permit_settled");
    other = release(&r, &w);
    refused(&other, 409, "permit_settled");
    other = renew(&r, &w, 1000);
    refused(&other, 409, "permit_settled");
    assert_in_range(core_level(r.k, "tpm"), 2900, 2900 + 1000);
    permit_rig_finish(&r);
}

static void a_released_permit_gives_all_back(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 5000, 0, 0);
    struct permit_who w = permit_rig_who(&t);
    assert_in_range(core_level(r.k, "tpm"), 900, 1400);
    assert_int_equal(release(&r, &w).status, PERMIT_RELEASED);
    assert_int_equal(release(&r, &w).status, PERMIT_RELEASED);
    assert_in_range(core_level(r.k, "tpm"), 6000, 6000);
    assert_int_equal(core_running(r.k), 0);
    struct permit_told late = permit_rig_settle(&r, &w, "{}");
    refused(&late, 409, "permit_released");
    permit_rig_finish(&r);
}

static void what_was_not_told_stays_charged(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 4000, 0, 0);
    struct permit_who w = permit_rig_who(&t);
    struct permit_told end = permit_rig_settle(&r, &w, "{\"status\":500}");
    assert_string_equal(end.settlement, "-1 -1 -1 500 server");
    assert_in_range(core_level(r.k, "tpm"), 1900, 2400);
    assert_int_equal(core_running(r.k), 0);
    permit_rig_finish(&r);
}

static void usage_is_read_from_the_providers_body(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 100, 0, 0);
    struct permit_who w = permit_rig_who(&t);
    struct permit_told end =
        permit_rig_settle(&r, &w,
                          "{\"body\":{\"usage\":{\"prompt_tokens\":70,\"completion_tokens\":8,"
                          "\"prompt_tokens_details\":{\"cached_tokens\":64}}}}");
    assert_string_equal(end.settlement, "70 8 64 200 ok");
    permit_rig_finish(&r);
}

static void an_expired_permit_frees_its_slot_and_keeps_its_tokens(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 4000, 0, PERMIT_LEAST_TTL_MS);
    struct permit_who w = permit_rig_who(&t);
    CORE_UNTIL(r.k, look(&r, &w).status == PERMIT_EXPIRED);
    struct permit_told late =
        permit_rig_settle(&r, &w, "{\"usage\":{\"input_tokens\":1}}"); /* not reaped yet */
    refused(&late, 409, "permit_expired");
    extend(&r, t.id, 60000); /* a lease that has ended is not made longer */
    reap(&r);
    assert_true(core_is(r.k, t.id, "expired"));
    assert_int_equal(core_running(r.k), 0);
    assert_int_equal(core_queued(r.k), 0);
    assert_in_range(core_level(r.k, "tpm"), 1900, 2900);
    late = permit_rig_settle(&r, &w, "{\"usage\":{\"input_tokens\":1}}");
    refused(&late, 409, "permit_expired");
    late = renew(&r, &w, 1000);
    refused(&late, 409, "permit_expired");
    assert_in_range(core_level(r.k, "tpm"), 1900, 2900);
    permit_rig_finish(&r);
}

static void a_renewed_permit_lasts_longer_and_never_shorter(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 100, 0, 60000);
    struct permit_who w = permit_rig_who(&t);
    assert_in_range(renew(&r, &w, 500000).left_ms, 490000, 500000);
    assert_in_range(renew(&r, &w, 1000).left_ms, 480000, 500000);
    assert_in_range(renew(&r, &w, 0).left_ms, 480000, 500000); /* its own: 60 s */
    permit_rig_finish(&r);
}

static void another_tenants_permit_is_not_found(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 100, 0, 0);
    struct permit_who other = {.id = t.id, .tenant = "other"};
    struct permit_told not_his[] = {look(&r, &other), permit_rig_settle(&r, &other, "{}"),
                                    release(&r, &other), renew(&r, &other, 0)};
    for (size_t i = 0; i < 4; i++)
        refused(&not_his[i], 404, "permit_not_found");
    assert_int_equal(core_running(r.k), 1);

    static const char *const ids[] = {"", "permit_", "job_00000000000000000000000000000000",
                                      "permit_00000000000000000000000000000000",
                                      "permit_0000000000000000000000000000000g"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct permit_who none = {.id = ids[i], .tenant = "default"};
        struct permit_told t2 = look(&r, &none);
        refused(&t2, 404, "permit_not_found");
    }
    permit_rig_finish(&r);
}

static void a_refusal_that_a_worker_met_pauses_its_limit_for_all(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 100, 0, 0);
    struct permit_who w = permit_rig_who(&t);
    struct permit_told end = permit_rig_settle(
        &r, &w,
        "{\"status\":429,\"headers\":{\"Retry-After\":\"30\"},\"body\":{\"error\":{"
        "\"message\":\"Rate limit reached for m on tokens per min (TPM): Limit 6000\"}}}");
    assert_string_equal(end.settlement, "-1 -1 -1 429 rate");
    struct permit_told next = permit_rig_take(&r, 100, 0, 0);
    refused(&next, 429, "permit_timeout");
    assert_in_range(next.failure.retry_after_ms, 25000, 33500);
    assert_non_null(strstr(next.failure.message, "tpm"));
    permit_rig_finish(&r);
}

static void money_that_is_gone_opens_the_circuit_and_pauses_nothing(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 100, 0, 0);
    struct permit_who w = permit_rig_who(&t);
    struct permit_told end = permit_rig_settle(&r, &w, PERMIT_RIG_MONEY_IS_GONE);
    assert_string_equal(end.settlement, "-1 -1 -1 429 quota");
    struct permit_told next = permit_rig_take(&r, 100, 0, 0);
    refused(&next, 429, "provider_circuit_open");
    assert_in_range(next.failure.retry_after_ms, 290000, 300000);
    permit_rig_finish(&r);
}

static void who_does_not_get_one_in_time_leaves_the_queue(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told first = permit_rig_take(&r, 5800, 0, 0);
    assert_true(first.found);
    struct permit_told now = permit_rig_take(&r, 3000, 0, 0),
                       soon = permit_rig_take(&r, 3000, 300, 0);
    refused(&now, 429, "permit_timeout");
    refused(&soon, 429, "permit_timeout");
    assert_in_range(soon.failure.retry_after_ms, 15000, 35000);
    assert_int_equal(core_queued(r.k), 0);
    assert_int_equal(core_running(r.k), 1);

    struct permit_told never = permit_rig_take(&r, 7000, 1000, 0);
    refused(&never, 413, "request_too_large");
    permit_rig_finish(&r);
}

static void one_that_waits_is_granted_when_a_slot_comes_back(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told a = permit_rig_take(&r, 100, 0, 0), b = permit_rig_take(&r, 100, 0, 0), c;
    struct permit_who w = permit_rig_who(&a);
    (void)permit_rig_ask(&r, &c, 100, 20000, 0);
    CORE_UNTIL(r.k, core_queued(r.k) == 1);
    assert_int_equal(release(&r, &w).status, PERMIT_RELEASED);
    CORE_UNTIL(r.k, c.calls > 0);
    assert_true(b.found && c.found);
    assert_int_equal(core_running(r.k), 2);
    permit_rig_finish(&r);
}

static void who_leaves_takes_the_ticket_out_or_gives_it_back(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t;
    permit_leave(permit_rig_ask(&r, &t, 5000, 20000, 0)); /* granted in this moment */
    CORE_UNTIL(r.k, redis_link_pending(r.k->link) == 0);
    CORE_UNTIL(r.k, core_running(r.k) == 0);
    assert_in_range(core_level(r.k, "tpm"), 6000, 6000);

    assert_true(permit_rig_take(&r, 5000, 0, 0).found);
    struct permit *p = permit_rig_ask(&r, &t, 5000, 20000, 0);
    CORE_UNTIL(r.k, core_queued(r.k) == 1 && redis_link_pending(r.k->link) == 0);
    permit_leave(p);
    CORE_UNTIL(r.k, core_queued(r.k) == 0);
    assert_int_equal(t.calls, 0);
    assert_int_equal(core_running(r.k), 1);
    permit_rig_finish(&r);
}

static void news_of_a_grant_that_was_lost_are_made_good_by_looking(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told a = permit_rig_take(&r, 100, 0, 0), b = permit_rig_take(&r, 100, 0, 0), c;
    struct permit_who w = permit_rig_who(&a);
    (void)permit_rig_ask(&r, &c, 100, 20000, 0);
    CORE_UNTIL(r.k, core_queued(r.k) == 1);
    scheduler_on_permit(r.k->scheduler, NULL, NULL); /* nobody hears of it */
    assert_int_equal(release(&r, &w).status, PERMIT_RELEASED);
    CORE_UNTIL(r.k, c.calls > 0);
    assert_true(b.found && c.found);
    permit_rig_finish(&r);
}

static void while_redis_is_away_none_are_given(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 1000, 0, 600000);
    struct permit_who w = permit_rig_who(&t);
    assert_int_equal(redis_fixture_restart(&r.k->redis), 0); /* it forgets: the permit is gone */
    CORE_UNTIL(r.k, look(&r, &w).failure.status == 404);

    redis_fixture_kill(&r.k->redis);
    CORE_UNTIL(r.k, !r.k->up);
    struct permit_told none = permit_rig_take(&r, 100, 1000, 0); /* although on_outage is local */
    refused(&none, 503, "storage_unavailable");
    struct permit_told later = permit_rig_settle(&r, &w, "{}");
    refused(&later, 503, "storage_unavailable");
    permit_rig_finish(&r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_permit_is_charged_and_a_settle_corrects_it_once),
        TEST(a_released_permit_gives_all_back),
        TEST(what_was_not_told_stays_charged),
        TEST(usage_is_read_from_the_providers_body),
        TEST(an_expired_permit_frees_its_slot_and_keeps_its_tokens),
        TEST(a_renewed_permit_lasts_longer_and_never_shorter),
        TEST(another_tenants_permit_is_not_found),
        TEST(a_refusal_that_a_worker_met_pauses_its_limit_for_all),
        TEST(money_that_is_gone_opens_the_circuit_and_pauses_nothing),
        TEST(who_does_not_get_one_in_time_leaves_the_queue),
        TEST(one_that_waits_is_granted_when_a_slot_comes_back),
        TEST(who_leaves_takes_the_ticket_out_or_gives_it_back),
        TEST(news_of_a_grant_that_was_lost_are_made_good_by_looking),
        TEST(while_redis_is_away_none_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
