/* Answers in Redis: kept over restarts, purged everywhere. */
#include "tests/support/answer_kit.h"

static void redis_knows_what_memory_has_lost(void **state)
{
    struct core_kit *k = *state;
    struct core_call first, second, third;
    core_kit_start(k, LIMITS, KEPT_REDIS);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &first, STEADY, NULL);
    assert_string_equal(first.cache, "miss");
    answers_channel_back(k->answers);
    answer_ask(k, &second, STEADY, NULL);
    assert_string_equal(second.cache, "hit-redis");
    assert_string_equal(second.decision, "cached");
    assert_string_equal(second.body, first.body);
    answer_ask(k, &third, STEADY, NULL);
    assert_string_equal(third.cache, "hit-memory");
    assert_int_equal(fake_provider_requests(k->provider), 1);
    answer_settled(k);
}

static void a_redis_that_does_not_answer_is_a_miss(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {.kit = k};
    core_kit_start(k, LIMITS, KEPT_REDIS "redis: {on_outage: open}\n");
    FAKE_SCRIPT(k->provider, answer_stalls);
    redis_fixture_pause(&k->redis);
    answer_begin(k, &c, STEADY, NULL);
    /* Its ticket needs Redis as well, so only that it goes on is seen here. */
    int64_t until_ms = clock_mono_ms() + 2 * ANSWER_LOOK_MS;
    CORE_UNTIL(k, clock_mono_ms() > until_ms);
    assert_string_equal(call_cache_word(c.call), "miss");
    assert_string_equal(call_decision(c.call), "admitted");
    redis_fixture_resume(&k->redis);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    answer_settled(k);
}

static void who_leaves_while_redis_is_asked_is_forgotten(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {.kit = k}, next;
    core_kit_start(k, LIMITS, KEPT_REDIS);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_begin(k, &c, STEADY, NULL);
    core_call_cancel(&c);
    answer_ask(k, &next, STEADY, NULL);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    assert_int_equal(c.ends + c.fails, 0);
    answer_settled(k);
}

struct told {
    int times;
    enum redis_status status;
};

static void on_purged(void *arg, enum redis_status status)
{
    struct told *t = arg;
    t->times++;
    t->status = status;
}

static void purge(struct core_kit *k, const char *tenant, const char *model)
{
    struct told t = {.times = 0};
    answers_purge(k->answers, tenant, model, on_purged, &t);
    CORE_UNTIL(k, t.times == 1);
    assert_int_equal(t.status, REDIS_OK);
}

static void what_is_purged_is_gone_from_redis_as_well(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    const struct answer_call ann = {.tenant = "ann"}, bob = {.tenant = "bob"};
    core_kit_start(k, LIMITS, KEPT_REDIS);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, STEADY, &ann);
    answer_ask(k, &c, STEADY, &bob);
    purge(k, "ann", "");
    answer_ask(k, &c, STEADY, &bob);
    assert_string_equal(c.cache, "hit-memory");
    answer_ask(k, &c, STEADY, &ann);
    assert_string_equal(c.cache, "miss");
    purge(k, "", "other");
    answer_ask(k, &c, STEADY, &ann);
    assert_string_equal(c.cache, "hit-memory");
    purge(k, "", "m");
    answer_ask(k, &c, STEADY, &bob);
    assert_string_equal(c.cache, "miss");
    purge(k, "", "");
    answer_ask(k, &c, STEADY, &bob);
    assert_string_equal(c.cache, "miss");
    answer_settled(k);
}

static void what_another_instance_purges_is_forgotten(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    struct told t = {.times = 0};
    core_kit_start(k, LIMITS, KEPT_REDIS);
    struct answers *other = answers_new(k->base, k->answer_store, 2);
    struct answers_stats s;
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, STEADY, NULL);
    answers_purge(other, "default", "m", on_purged, &t);
    CORE_UNTIL(k, t.times == 1 && (answers_stats(k->answers, &s), s.entries == 0));
    answer_ask(k, &c, STEADY, NULL);
    assert_string_equal(c.cache, "miss");
    answers_free(other);
    answer_settled(k);
}

static void what_is_purged_while_it_is_made_is_not_kept(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, again;
    core_kit_start(k, LIMITS, KEPT_REDIS);
    FAKE_SCRIPT(k->provider, answer_stalls);
    answer_begin(k, &first, STEADY, NULL);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    purge(k, "", "");
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&first));
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &again, STEADY, NULL);
    assert_string_equal(again.cache, "miss");
    answer_settled(k);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(redis_knows_what_memory_has_lost),
        TEST(a_redis_that_does_not_answer_is_a_miss),
        TEST(who_leaves_while_redis_is_asked_is_forgotten),
        TEST(what_is_purged_is_gone_from_redis_as_well),
        TEST(what_another_instance_purges_is_forgotten),
        TEST(what_is_purged_while_it_is_made_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
