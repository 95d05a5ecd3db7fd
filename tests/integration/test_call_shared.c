/* Calls that are given the answer of an equal one: what each is given, and when. */
#include "tests/support/answer_kit.h"

/* A whole answer of so many bytes. */
static char *answer_of(size_t len)
{
    static const char head[] = "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":"
                               "{\"content\":\"",
                      tail[] = "\"}}]," USAGE "}";
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, head, sizeof(head) - 1);
    memcpy(text + len - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
    return text;
}

/* A leader, who shares it, and one who comes later and is given what was kept, or asks anew. */
static void whole(struct core_kit *k, size_t len, const char *then)
{
    char *answer = answer_of(len);
    struct core_call first = {.kit = k}, second = {.kit = k}, later;
    const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", JSON_TYPE, "")},
        {.op = FAKE_SEND, .bytes = answer, .len = len},
        {.op = FAKE_CLOSE}};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, steps);
    answer_begin(k, &first, STEADY, NULL);
    answer_begin(k, &second, STEADY, NULL);
    CORE_UNTIL(k, core_call_over(&first) && core_call_over(&second));
    answer_ask(k, &later, STEADY, NULL);
    assert_string_equal(second.cache, "shared");
    assert_string_equal(later.cache, then);
    const struct core_call *const all[] = {&first, &second, &later};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(all[i]->ends, 1);
        assert_int_equal(all[i]->bytes, len);
        assert_int_equal(all[i]->pieces, 1);
    }
    answer_settled(k);
    free(answer);
}

static void what_does_not_stream_is_given_at_once(void **state)
{
    whole(*state, 200 * 1024, "hit-memory");
}

static void what_is_larger_than_is_kept_of_a_stream_is_given_whole(void **state)
{
    whole(*state, FLIGHT_MAX_BYTES + 1, "miss");
}

#define EVENT_BYTES 1024

/* One reader stands still, another one reads what comes: only the first is too far behind. */
static void who_keeps_up_is_not_failed_with_one_who_does_not(void **state)
{
    struct core_kit *k = *state;
    size_t count = FLIGHT_MAX_BYTES / EVENT_BYTES + 64, len = count * EVENT_BYTES;
    struct core_call first = {.kit = k}, slow = {.kit = k, .pause_at_data = true},
                     quick = {.kit = k};
    char *events = malloc(len), *one = answer_event(EVENT_BYTES);
    const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", SSE_TYPE, CHUNK("one"))},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = events, .len = len},
        {.op = FAKE_SEND, .bytes = LAST},
        {.op = FAKE_CLOSE}};
    assert_non_null(events);
    for (size_t i = 0; i < count; i++)
        memcpy(events + i * EVENT_BYTES, one, EVENT_BYTES);
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, steps);
    answer_begin(k, &first, STREAM, NULL);
    answer_begin(k, &slow, STREAM, NULL);
    answer_begin(k, &quick, STREAM, NULL);
    CORE_UNTIL(k, slow.len > 0 && quick.len > 0 && fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&first) && core_call_over(&slow) && core_call_over(&quick));
    assert_int_equal(first.ends, 1);
    assert_string_equal(slow.failure.code, "answer_too_far_behind");
    assert_int_equal(quick.fails, 0);
    assert_int_equal(quick.bytes, first.bytes);
    answer_settled(k);
    free(events);
    free(one);
}

/* The first is sent in vain and waits again; who waits with it does so for as long as it may. */
static void patience_goes_on_when_the_first_waits_again(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, hasty = {.kit = k};
    static const struct fake_step later[] = {
        {.op = FAKE_READ},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND,
         .bytes = CORE_REPLY("429 Too Many Requests", JSON_TYPE "Retry-After: 3600\r\n",
                             "{\"error\":{\"message\":\"rate\"}}")},
        {.op = FAKE_CLOSE}};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, later);
    answer_begin(k, &first, STEADY, &(struct answer_call){.max_wait_ms = 36000000});
    answer_begin(k, &hasty, STEADY, &(struct answer_call){.max_wait_ms = 300});
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&hasty));
    assert_int_equal(hasty.failure.status, 504);
    assert_int_equal(first.ends + first.fails, 0);
    core_call_cancel(&first);
    answer_settled(k);
}

static void one_who_may_be_joined_with_others_is_no_equal_of_one_who_may_not(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    const struct answer_call joint = {.batch = "rows"};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, STEADY, &joint);
    answer_ask(k, &c, STEADY, NULL);
    assert_string_equal(c.cache, "miss");
    answer_ask(k, &c, STEADY, &joint);
    assert_string_equal(c.cache, "hit-memory");
    answer_settled(k);
}

#define CROWD (3 * FLIGHT_TURN)

/* However many are to be given an answer, the loop looks at its sockets in between. */
static void so_many_are_served_in_one_turn(void **state)
{
    struct core_kit *k = *state;
    static struct core_call all[CROWD];
    struct core_call first;
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &first, STEADY, NULL);
    for (size_t i = 0; i < CROWD; i++) {
        all[i] = (struct core_call){.kit = k};
        answer_begin(k, &all[i], STEADY, NULL);
    }
    for (size_t over = 0, before = 0; over < CROWD; before = over) {
        core_kit_step(k);
        over = 0;
        for (size_t i = 0; i < CROWD; i++)
            over += core_call_over(&all[i]);
        assert_in_range(over - before, 0, FLIGHT_TURN);
    }
    answer_settled(k);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_does_not_stream_is_given_at_once),
        TEST(what_is_larger_than_is_kept_of_a_stream_is_given_whole),
        TEST(who_keeps_up_is_not_failed_with_one_who_does_not),
        TEST(patience_goes_on_when_the_first_waits_again),
        TEST(one_who_may_be_joined_with_others_is_no_equal_of_one_who_may_not),
        TEST(so_many_are_served_in_one_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
