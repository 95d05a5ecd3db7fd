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
    whole(*state, 300 * 1024, "hit-memory");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_does_not_stream_is_given_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
