/*
 * How requests are measured, and what is learned from their bills and shared through Redis.
 */
#include "common/limits.h"
#include "scheduler/gauge.h"
#include "storage/calibration_store.h"
#include "tests/support/core_kit.h"

#define BODY_BYTES (COUNT_MAX_FRESH_BYTES * 4)

static struct gauge *gauge_of(struct core_kit *k, struct calibration_store *store)
{
    struct gauge_options options = {k->base, store, 7};
    struct gauge *g = NULL;
    assert_int_equal(gauge_new(&options, &g), 0);
    return g;
}

static struct gauge_reading measured_after(struct gauge *g, const char *model, const char *session,
                                           const char *messages, struct calibration_anchor stored)
{
    static char body[BODY_BYTES];
    struct wire_request request;
    struct gauge_reading reading;
    struct error e;
    int n = snprintf(body, sizeof(body), "{\"model\":\"%s\",\"messages\":[%s]}", model, messages);
    assert_true(n > 0 && (size_t)n < sizeof(body));
    assert_int_equal(wire_request_read(WIRE_CHAT, body, (size_t)n, &request, &e), 0);
    struct gauge_ask ask = {.provider = "p",
                            .model = model,
                            .tenant = "t",
                            .session = session,
                            .stored = stored,
                            .endpoint = WIRE_CHAT,
                            .request = &request};
    gauge_read(g, &ask, &reading);
    return reading;
}

static struct gauge_reading measured(struct gauge *g, const char *model, const char *session,
                                     const char *messages)
{
    return measured_after(g, model, session, messages, (struct calibration_anchor){0});
}

#define ASK "{\"role\":\"user\",\"content\":\"How long is the northern pipe, and who says so?\"}"
#define MARKED                                                                                     \
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"How long is the northern "      \
    "pipe, "                                                                                       \
    "and who says so?\",\"cache_control\":{\"type\":\"ephemeral\"}}]}"
#define ANSWER ",{\"role\":\"assistant\",\"content\":\"Twelve metres, by the report of spring.\"}"
#define AGAIN  "," SOUTH
#define SOUTH  "{\"role\":\"user\",\"content\":\"And the southern one?\"}"

static void a_known_vocabulary_is_exact_and_others_are_estimated(void **state)
{
    struct gauge *g = gauge_of(*state, NULL);
    struct gauge_reading exact = measured(g, "gpt-4o", NULL, ASK);
    struct gauge_reading other = measured(g, "claude-sonnet-4-5", NULL, ASK);
    assert_string_equal(gauge_method_name(exact.method), "exact");
    assert_string_equal(gauge_method_name(other.method), "estimated");
    assert_true(exact.reserved >= exact.tokens);
    assert_true(exact.reserved <= exact.tokens + 2);
    assert_true(other.reserved * 10 > other.tokens * 11);
    gauge_free(g);
}

static void the_next_request_goes_on_from_the_last_bill(void **state)
{
    struct gauge *g = gauge_of(*state, NULL);
    struct gauge_reading first = measured(g, "claude-sonnet-4-5", NULL, ASK);
    gauge_learn(g, &first, 500);
    struct gauge_reading next = measured(g, "claude-sonnet-4-5", NULL, ASK ANSWER AGAIN);
    assert_string_equal(gauge_method_name(next.method), "anchored");
    assert_true(next.tokens > 500 && next.tokens < 560);
    assert_true(next.reserved < 600);
    /* A marker that moved is the same conversation; another tenant's or model's is none. */
    assert_int_equal(measured(g, "claude-sonnet-4-5", NULL, MARKED ANSWER AGAIN).method,
                     GAUGE_anchored);
    assert_int_equal(measured(g, "claude-opus-4-5", NULL, ASK ANSWER AGAIN).method,
                     GAUGE_estimated);
    assert_int_equal(measured(g, "claude-sonnet-4-5", NULL, SOUTH).method, GAUGE_estimated);
    gauge_free(g);
}

static void a_named_conversation_is_known_whatever_became_of_its_messages(void **state)
{
    struct gauge *g = gauge_of(*state, NULL);
    struct gauge_reading first = measured(g, "claude-sonnet-4-5", "talk", ASK);
    gauge_learn(g, &first, 500);
    assert_int_equal(measured(g, "claude-sonnet-4-5", "talk", MARKED ANSWER).method,
                     GAUGE_anchored);
    struct gauge_reading changed = measured(g, "claude-sonnet-4-5", "talk", SOUTH);
    assert_int_equal(changed.method, GAUGE_anchored);
    assert_int_equal(measured(g, "claude-sonnet-4-5", "other", SOUTH).method, GAUGE_estimated);
    gauge_free(g);
}

static void what_another_instance_was_billed_serves_where_nothing_is_known_here(void **state)
{
    struct gauge *g = gauge_of(*state, NULL);
    int64_t counted = measured(g, "claude-sonnet-4-5", "talk", ASK).counted;
    struct calibration_anchor stored = {.billed = 500, .counted = counted};
    struct gauge_reading next =
        measured_after(g, "claude-sonnet-4-5", "talk", ASK ANSWER AGAIN, stored);
    assert_int_equal(next.method, GAUGE_anchored);
    assert_true(next.tokens > 500 && next.tokens < 560);
    /* Not of one that was cleared since, and its own bill goes first. */
    stored.counted = 100 * counted;
    assert_int_equal(measured_after(g, "claude-sonnet-4-5", "talk", ASK, stored).method,
                     GAUGE_estimated);
    stored.counted = counted;
    gauge_learn(g, &next, 900);
    assert_true(measured_after(g, "claude-sonnet-4-5", "talk", ASK ANSWER AGAIN, stored).tokens >=
                900);
    gauge_free(g);
}

static void a_huge_text_is_counted_in_part_and_never_too_low(void **state)
{
    static char messages[BODY_BYTES - 1000];
    struct gauge *g = gauge_of(*state, NULL);
    int n = snprintf(messages, sizeof(messages), "{\"role\":\"user\",\"content\":\"");
    for (size_t i = 0; (size_t)n < (size_t)COUNT_MAX_FRESH_BYTES * 3; i++)
        n += snprintf(messages + n, sizeof(messages) - (size_t)n, "word%zu and so on ", i % 977);
    (void)snprintf(messages + n, sizeof(messages) - (size_t)n, "\"}");
    counter_at_most(gauge_counter(g), COUNT_MAX_FRESH_BYTES);
    struct gauge_reading part = measured(g, "gpt-4o", NULL, messages);
    counter_whole(gauge_counter(g));
    assert_int_equal(part.method, GAUGE_estimated);
    struct gauge_reading whole = measured(g, "gpt-4o", NULL, messages);
    assert_int_equal(whole.method, GAUGE_exact);
    assert_true(part.tokens >= whole.tokens);
    assert_true(part.tokens < whole.tokens * 5 / 4);
    gauge_free(g);
}

static void a_text_at_the_limit_is_counted_whole_and_one_past_it_is_not(void **state)
{
    static char messages[BODY_BYTES - 1000];
    struct core_kit *k = *state;
    for (size_t more = 0; more < 2; more++) {
        struct gauge *g = gauge_of(k, NULL);
        size_t n = (size_t)snprintf(messages, sizeof(messages), "{\"role\":\"\",\"content\":\"");
        for (size_t i = 0; i < (size_t)COUNT_MAX_FRESH_BYTES + more; i++)
            messages[n++] = i % 5 ? 'a' : ' ';
        (void)snprintf(messages + n, sizeof(messages) - n, "\"}");
        counter_at_most(gauge_counter(g), COUNT_MAX_FRESH_BYTES);
        struct gauge_reading r = measured(g, "gpt-4o", NULL, messages);
        assert_int_equal(r.method, more ? GAUGE_estimated : GAUGE_exact);
        gauge_free(g);
    }
}

static void what_one_instance_learned_another_one_knows(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    struct gauge *a = gauge_of(k, k->calibrations), *b = NULL;
    static char text[20000];
    size_t n = (size_t)snprintf(text, sizeof(text), "{\"role\":\"user\",\"content\":\"");
    while (n < sizeof(text) - 40)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "so far %zu ", n);
    (void)snprintf(text + n, sizeof(text) - n, "\"}");
    struct gauge_reading r = measured(a, "claude-new", NULL, text);
    for (int i = 0; i < 300; i++)
        gauge_learn(a, &r, r.counted * 2);
    int64_t learned = measured(a, "claude-new", "x", SOUTH).tokens;
    gauge_stop(a);
    CORE_UNTIL(k, redis_link_pending(k->link) == 0);
    b = gauge_of(k, k->calibrations);
    int64_t fresh = measured(b, "claude-new", "x", SOUTH).tokens; /* asks the store */
    assert_true(fresh < learned);
    CORE_UNTIL(k, measured(b, "claude-new", "x", SOUTH).tokens == learned);
    assert_in_range(measured(b, "claude-new", NULL, text).tokens, r.counted * 19 / 10,
                    r.counted * 21 / 10);
    assert_int_equal(measured(b, "claude-newer", NULL, ASK).tokens,
                     measured(b, "claude-newest", NULL, ASK).tokens);
    CORE_UNTIL(k, redis_link_pending(k->link) == 0);
    gauge_free(a);
    gauge_free(b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_known_vocabulary_is_exact_and_others_are_estimated),
        TEST(the_next_request_goes_on_from_the_last_bill),
        TEST(a_named_conversation_is_known_whatever_became_of_its_messages),
        TEST(what_another_instance_was_billed_serves_where_nothing_is_known_here),
        TEST(a_huge_text_is_counted_in_part_and_never_too_low),
        TEST(a_text_at_the_limit_is_counted_whole_and_one_past_it_is_not),
        TEST(what_one_instance_learned_another_one_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
