/* What one attempt of a call leaves for the next. */
#include "common/limits.h"
#include "tests/support/core_kit.h"

#define WAIT_MS 20000
#define STREAM_HEAD                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

static void what_a_cut_attempt_used_is_not_the_next_ones(void **state)
{
    static const struct fake_step cuts[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = STREAM_HEAD "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":900,"
                              "\"completion_tokens\":90}}\n\n"},
        {.op = FAKE_CLOSE}};
    static const struct fake_step refuses[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("400 No", "", "{\"error\":{}}")},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100", NULL);
    char hash[POOL_HASH_BYTES];
    key_pool_hash(CORE_POOL, hash);
    FAKE_SCRIPT(k->provider, cuts);
    core_call_begin(k, &c, CORE_STREAM_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_requests(k->provider) == 1 && core_running(k) == 0);
    FAKE_SCRIPT(k->provider, refuses);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.status, 400);
    const struct pool_view *pool = scheduler_pool_by_hash(k->scheduler, hash);
    assert_int_equal(pool_agent_stats(pool->agent)->count[COUNT_tokens_input], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_cut_attempt_used_is_not_the_next_ones,
                                        core_kit_setup, core_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
