/* Limits that follow the provider: what an answer tells, and what it does to the pool. */
#include "tests/support/core_kit.h"

#define WAIT_MS 15000

#define OK_BODY                                                                                    \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],\"usage\":{\"prompt_tokens\":8,"            \
    "\"completion_tokens\":2}}"
#define OK_LENGTH "Content-Length: 92\r\n"
_Static_assert(sizeof(OK_BODY) - 1 == 92, "the length stands in the header");
#define MONEY_BODY                                                                                 \
    "{\"error\":{\"message\":\"You exceeded your current "                                         \
    "quota.\",\"type\":\"insufficient_quota\","                                                    \
    "\"code\":\"insufficient_quota\"}}"
#define MONEY_LENGTH "Content-Length: 112\r\n"
_Static_assert(sizeof(MONEY_BODY) - 1 == 112, "the length stands in the header");

#define ANSWER(text)                                                                               \
    {                                                                                              \
        {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = (text)},                                     \
        {                                                                                          \
            .op = FAKE_CLOSE                                                                       \
        }                                                                                          \
    }

static const struct fake_step good[] = ANSWER(CORE_REPLY("200 OK", OK_LENGTH, OK_BODY));
static const struct fake_step no_money[] =
    ANSWER(CORE_REPLY("429 Too Many", MONEY_LENGTH, MONEY_BODY));

static bool learned(struct core_kit *k, const char *text)
{
    return redis_fixture_says(&k->redis, text, REDIS_ARGS("HGET", CORE_PREFIX "b", "ad"));
}

static bool hint_is(struct core_kit *k, const struct core_call *c, const char *text)
{
    char key[128];
    (void)snprintf(key, sizeof(key), CORE_PREFIX "j:%s", c->id);
    return redis_fixture_says(&k->redis, text, REDIS_ARGS("HGET", key, "hint"));
}

static void one_call(struct core_kit *k, struct core_call *c)
{
    core_call_begin(k, c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(c));
    CORE_UNTIL(k, core_running(k) == 0);
}

static void headers_lower_a_bucket_at_once_and_the_record_says_so(void **state)
{
    static const struct fake_step tells[] =
        ANSWER(CORE_REPLY("200 OK",
                          OK_LENGTH "x-ratelimit-limit-requests: 50\r\n"
                                    "x-ratelimit-remaining-requests: "
                                    "20\r\n",
                          OK_BODY));
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    FAKE_SCRIPT(k->provider, tells);
    one_call(k, &c);
    assert_int_equal(c.status, 200);
    assert_in_range(core_level(k, "rpm"), 20, 22);
    assert_true(hint_is(k, &c, "rpm limit 100->50; rpm level 99->20"));
}

static void a_refusal_without_headers_lowers_the_rate_of_its_dimension(void **state)
{
    static const struct fake_step refuses[] = ANSWER(
        CORE_REPLY("429 Too Many", "Content-Length: 69\r\nretry-after-ms: 200\r\n",
                   "{\"error\":{\"message\":\"Rate limit reached for requests per min (RPM)\"}}"));
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 1000, tpm: 6000", NULL);
    FAKE_SCRIPT(k->provider, refuses);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_requests(k->provider) == 1);
    FAKE_SCRIPT(k->provider, good);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.status, 200);
    assert_true(hint_is(k, &c, "rpm rate 1000->800"));
}

static void overload_takes_slots_and_no_rate(void **state)
{
    static const struct fake_step full[] =
        ANSWER(CORE_REPLY("503 Service Unavailable", "Content-Length: 2\r\n", "{}"));
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100, max_parallel_requests: 10", NULL);
    FAKE_SCRIPT(k->provider, full);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_requests(k->provider) == 1);
    FAKE_SCRIPT(k->provider, good);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.status, 200);
    assert_true(hint_is(k, &c, "max_parallel_requests limit 10->7"));
    CORE_UNTIL(k, learned(k, "{\"d\":{},\"k\":[7,10,1,0]}"));
}

static void open_the_circuit(struct core_kit *k)
{
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    FAKE_SCRIPT(k->provider, no_money);
    one_call(k, &c);
    assert_int_equal(c.status, 429); /* the provider's own words, once */
    assert_string_equal(c.body, MONEY_BODY);
}

static void without_money_nothing_more_is_sent(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    open_the_circuit(k);
    one_call(k, &c);
    assert_int_equal(c.fails, 1);
    assert_int_equal(c.failure.status, 429);
    assert_string_equal(c.failure.code, "provider_circuit_open");
    assert_non_null(strstr(c.failure.message, "'insufficient_quota'"));
    assert_in_range(c.failure.retry_after_ms, 290000, 300000);
    assert_int_equal(fake_provider_requests(k->provider), 1);
}

/* As if the time had come. */
static void let_one_try(struct core_kit *k)
{
    const char due[] = "{\"d\":{},\"t\":[1,1,\"insufficient_quota\",\"\"]}";
    const struct redis_args *set = REDIS_ARGS("HSET", CORE_PREFIX "b", "ad", due);
    assert_int_equal(redis_fixture_ask_int(&k->redis, set), 0);
}

static void one_request_tries_and_its_success_closes_the_circuit(void **state)
{
    static const struct fake_step stalls[] = {
        {.op = FAKE_READ},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", OK_LENGTH, OK_BODY)},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call probe = {0}, other = {0}, after = {0};
    open_the_circuit(k);
    let_one_try(k);
    FAKE_SCRIPT(k->provider, stalls);
    core_call_begin(k, &probe, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &other, CORE_BODY, WAIT_MS); /* one, and no more */
    CORE_UNTIL(k, core_call_over(&other));
    assert_string_equal(other.failure.code, "provider_circuit_open");
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&probe));
    CORE_UNTIL(k, core_running(k) == 0);
    assert_int_equal(probe.status, 200);
    assert_true(learned(k, "{\"d\":{}}"));
    FAKE_SCRIPT(k->provider, good);
    one_call(k, &after);
    assert_int_equal(after.status, 200);
}

static void a_try_that_fails_for_money_opens_it_for_longer(void **state)
{
    struct core_kit *k = *state;
    struct core_call probe = {0}, after = {0};
    open_the_circuit(k);
    let_one_try(k);
    one_call(k, &probe);
    assert_int_equal(probe.status, 429);
    one_call(k, &after);
    assert_in_range(after.failure.retry_after_ms, 590000, 600000);
    assert_int_equal(fake_provider_requests(k->provider), 2);
}

static void calls_that_wait_are_told_when_the_circuit_opens(void **state)
{
    static const struct fake_step stalls[] = {
        {.op = FAKE_READ},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("429 Too Many", MONEY_LENGTH, MONEY_BODY)},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call first = {0}, waiting[3] = {{0}};
    core_kit_start(k, "rpm: 100, max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, stalls);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    for (size_t i = 0; i < 3; i++) {
        core_call_begin(k, &waiting[i], CORE_BODY, 600000);
        CORE_UNTIL(k, waiting[i].queued == 1);
    }
    fake_provider_go(k->provider);
    for (size_t i = 0; i < 3; i++) {
        CORE_UNTIL(k, core_call_over(&waiting[i]));
        assert_int_equal(waiting[i].failure.status, 429);
        assert_string_equal(waiting[i].failure.code, "provider_circuit_open");
    }
    CORE_UNTIL(k, core_call_over(&first));
    assert_int_equal(core_queued(k), 0);
    assert_int_equal(fake_provider_requests(k->provider), 1);
}

static void calls_that_wait_go_to_a_fallback_when_the_circuit_opens(void **state)
{
    static const struct fake_step stalls[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};
    static const char open[] = "{\"d\":{},\"t\":[9999999999999,1,\"no money\",\"\"]}";
    struct core_kit *k = *state;
    struct core_call first = {0}, waiting = {0};
    char more[256], channel[64], told[128];
    (void)snprintf(more, sizeof(more),
                   "  - {name: q, format: openai, base_url: \"%s/v1\", api_key: sk-q,\n"
                   "     profile: generic, models: [{name: n, rpm: 100}]}\n",
                   fake_provider_url(k->provider));
    core_kit_start(k, "rpm: 100, max_parallel_requests: 1, fallbacks: [n]", more);
    FAKE_SCRIPT(k->provider, stalls);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &waiting, CORE_BODY, 600000);
    CORE_UNTIL(k, waiting.queued == 1);
    FAKE_SCRIPT(k->provider, good);
    /* As if a call of another instance, which has no other way, had found it out. */
    (void)redis_fixture_ask_int(&k->redis, REDIS_ARGS("HSET", CORE_PREFIX "b", "ad", open));
    (void)snprintf(channel, sizeof(channel), "sluice:i:%s", k->instance);
    (void)snprintf(told, sizeof(told), "circuit %s 0 0 " CORE_PREFIX, first.id);
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("PUBLISH", channel, told)), 1);
    CORE_UNTIL(k, core_call_over(&waiting));
    assert_int_equal(waiting.status, 200);
    assert_int_equal(core_queued(k), 0);
    core_call_cancel(&first);
}

int main(void)
{
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        CORE_TEST(headers_lower_a_bucket_at_once_and_the_record_says_so),
        CORE_TEST(a_refusal_without_headers_lowers_the_rate_of_its_dimension),
        CORE_TEST(overload_takes_slots_and_no_rate),
        CORE_TEST(without_money_nothing_more_is_sent),
        CORE_TEST(one_request_tries_and_its_success_closes_the_circuit),
        CORE_TEST(a_try_that_fails_for_money_opens_it_for_longer),
        CORE_TEST(calls_that_wait_are_told_when_the_circuit_opens),
        CORE_TEST(calls_that_wait_go_to_a_fallback_when_the_circuit_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
