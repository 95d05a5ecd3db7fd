/* Equal requests: answers that are kept, and calls that share one on its way. */
#include "tests/support/answer_kit.h"

static const struct fake_step cut[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", JSON_TYPE, ANSWER("length"))},
    {.op = FAKE_CLOSE}};
static const struct fake_step streams[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", SSE_TYPE, CHUNK("one"))},
    {.op = FAKE_STALL},
    {.op = FAKE_SEND, .bytes = CHUNK("two") LAST},
    {.op = FAKE_CLOSE}};
static const struct fake_step breaks[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", SSE_TYPE, CHUNK("one"))},
    {.op = FAKE_STALL},
    {.op = FAKE_CLOSE}};
static const struct fake_step refuses[] = {
    {.op = FAKE_READ},
    {.op = FAKE_STALL},
    {.op = FAKE_SEND,
     .bytes = CORE_REPLY("400 Bad Request", JSON_TYPE, "{\"error\":{\"message\":\"no\"}}")},
    {.op = FAKE_CLOSE}};

static void an_answer_is_given_again(void **state)
{
    struct core_kit *k = *state;
    struct core_call first, second, other;
    struct answers_stats s;
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &first, STEADY, NULL);
    assert_string_equal(first.cache, "miss");
    assert_string_equal(first.decision, "admitted");
    answer_ask(k, &second, ASK(", \"user\": \"me\" ,\"temperature\":0"), NULL);
    assert_string_equal(second.cache, "hit-memory");
    assert_string_equal(second.decision, "cached");
    assert_string_equal(second.body, first.body);
    assert_int_equal(second.status, 200);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    answer_ask(k, &other, ASK(",\"temperature\":0,\"top_p\":1"), NULL);
    assert_string_equal(other.cache, "miss");
    assert_int_equal(fake_provider_requests(k->provider), 2);
    answers_stats(k->answers, &s);
    assert_int_equal(s.entries, 2);
    assert_int_equal(s.hits_memory, 1);
    assert_int_equal(s.misses, 2);
    answer_settled(k);
}

/* The proxy writes each piece of a plain answer as the whole. */
static void a_large_plain_answer_is_given_at_once(void **state)
{
    struct core_kit *k = *state;
    struct core_call c, other = {.kit = k};
    static char blanks[100 * KIB];
    memset(blanks, ' ', sizeof(blanks));
    const struct fake_step large[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", JSON_TYPE, "")},
        {.op = FAKE_SEND, .bytes = blanks, .len = sizeof(blanks)},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = ANSWER("stop")},
        {.op = FAKE_CLOSE}};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, large);
    c = (struct core_call){.kit = k};
    answer_begin(k, &c, STEADY, NULL);
    answer_begin(k, &other, STEADY, NULL);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&c) && core_call_over(&other));
    assert_string_equal(other.cache, "shared");
    assert_int_equal(other.pieces, 1);
    answer_ask(k, &c, STEADY, NULL);
    assert_string_equal(c.cache, "hit-memory");
    assert_int_equal(c.pieces, 1);
    assert_int_equal(c.bytes, sizeof(blanks) + strlen(ANSWER("stop")));
    answer_settled(k);
}

static void what_was_given_again_is_counted_once(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    size_t at = 0;
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, STEADY, NULL);
    answer_ask(k, &c, STEADY, NULL);
    const struct pool_stats *stats =
        pool_agent_stats(scheduler_next_pool(k->scheduler, &at)->agent);
    assert_int_equal(stats->count[COUNT_cached], 1);
    assert_int_equal(stats->count[COUNT_tokens_saved], 9);
    assert_int_equal(stats->count[COUNT_tokens_input], 7);
    assert_int_equal(stats->count[COUNT_succeeded], 2);
    answer_settled(k);
}

static void only_what_may_be_is_kept(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    const struct answer_call off = {.cache = {.mode = ANSWER_OFF}},
                             no_store = {.cache = {.no_store = true}},
                             on = {.cache = {.mode = ANSWER_ON}};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, ASK(""), NULL);
    assert_string_equal(c.cache, "bypass");
    answer_ask(k, &c, STEADY, &off);
    assert_string_equal(c.cache, "bypass");
    answer_ask(k, &c, STEADY, &no_store);
    answer_ask(k, &c, ASK(",\"temperature\":0,\"temperature\":0"), NULL);
    assert_string_equal(c.cache, "bypass");
    FAKE_SCRIPT(k->provider, cut);
    answer_ask(k, &c, STEADY, NULL);
    assert_string_equal(c.cache, "miss");
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, STEADY, NULL);
    assert_string_equal(c.cache, "miss");
    answer_ask(k, &c, STEADY, &no_store);
    assert_string_equal(c.cache, "hit-memory");
    answer_ask(k, &c, ASK(""), &on);
    assert_string_equal(c.cache, "miss");
    answer_ask(k, &c, ASK(""), &on);
    assert_string_equal(c.cache, "hit-memory");
    answer_settled(k);
}

static void without_being_asked_nothing_is_kept(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    const struct answer_call on = {.cache = {.mode = ANSWER_ON}};
    core_kit_start(k, LIMITS, NULL);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, STEADY, NULL);
    answer_ask(k, &c, STEADY, NULL);
    assert_string_equal(c.cache, "");
    answer_ask(k, &c, STEADY, &on);
    assert_string_equal(c.cache, "miss");
    answer_ask(k, &c, STEADY, &on);
    assert_string_equal(c.cache, "hit-memory");
    answer_settled(k);
}

static void what_is_too_old_for_the_caller_is_asked_anew(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    const struct answer_call no_cache = {.cache = {.no_cache = true}},
                             fresh = {.cache = {.min_fresh_s = 7200}};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, STEADY, NULL);
    answer_ask(k, &c, STEADY, &no_cache);
    assert_string_equal(c.cache, "miss");
    answer_ask(k, &c, STEADY, &fresh);
    assert_string_equal(c.cache, "miss");
    answer_ask(k, &c, STEADY, NULL);
    assert_string_equal(c.cache, "hit-memory");
    assert_int_equal(fake_provider_requests(k->provider), 3);
    answer_settled(k);
}

static void tenants_never_share(void **state)
{
    struct core_kit *k = *state;
    struct core_call a = {.kit = k}, b = {.kit = k}, again;
    const struct answer_call ann = {.tenant = "ann"}, bob = {.tenant = "bob"};
    core_kit_start(k, LIMITS, KEPT_REDIS);
    FAKE_SCRIPT(k->provider, answer_stalls);
    answer_begin(k, &a, STEADY, &ann);
    answer_begin(k, &b, STEADY, &bob);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 2);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&a) && core_call_over(&b));
    assert_string_equal(a.cache, "miss");
    assert_string_equal(b.cache, "miss");
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &again, STEADY, &(struct answer_call){.tenant = "cid"});
    assert_string_equal(again.cache, "miss");
    answer_settled(k);
}

/* ---- together */

#define MANY 100

static void equal_calls_are_one_request(void **state)
{
    struct core_kit *k = *state;
    static struct core_call all[MANY];
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_stalls);
    for (size_t i = 0; i < MANY; i++) {
        all[i] = (struct core_call){.kit = k};
        answer_begin(k, &all[i], STEADY, NULL);
    }
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    for (size_t i = 0; i < MANY; i++) {
        CORE_UNTIL(k, core_call_over(&all[i]));
        assert_int_equal(all[i].ends, 1);
        assert_string_equal(all[i].body, ANSWER("stop"));
        assert_string_equal(all[i].cache, i == 0 ? "miss" : "shared");
    }
    assert_int_equal(fake_provider_requests(k->provider), 1);
    answer_settled(k);
}

static void who_comes_late_is_given_a_stream_from_its_beginning(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, late = {.kit = k}, again;
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, streams);
    answer_begin(k, &first, STREAM, NULL);
    CORE_UNTIL(k, first.len > 0);
    answer_begin(k, &late, STREAM, NULL);
    CORE_UNTIL(k, late.len > 0);
    assert_string_equal(late.body, CHUNK("one"));
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&first) && core_call_over(&late));
    assert_string_equal(first.body, STREAM_BYTES);
    assert_string_equal(late.body, STREAM_BYTES);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    answer_ask(k, &again, STREAM, NULL);
    assert_string_equal(again.cache, "hit-memory");
    assert_string_equal(again.body, STREAM_BYTES);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &again, STEADY, NULL);
    assert_string_equal(again.cache, "miss");
    answer_settled(k);
}

static void the_answer_goes_on_when_its_first_owner_leaves(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, late = {.kit = k};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, streams);
    answer_begin(k, &first, STREAM, NULL);
    CORE_UNTIL(k, first.len > 0);
    answer_begin(k, &late, STREAM, NULL);
    core_call_cancel(&first);
    CORE_UNTIL(k, late.len > 0);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&late));
    assert_string_equal(late.body, STREAM_BYTES);
    assert_int_equal(late.ends, 1);
    assert_int_equal(first.ends + first.fails, 0);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    answer_settled(k);
}

static void a_request_that_nobody_waits_for_ends(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, late = {.kit = k};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_stalls);
    answer_begin(k, &first, STEADY, NULL);
    answer_begin(k, &late, STEADY, NULL);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_cancel(&first);
    core_kit_step(k);
    assert_int_equal(fake_provider_open(k->provider), 1);
    core_call_cancel(&late);
    answer_settled(k);
    CORE_UNTIL(k, fake_provider_open(k->provider) == 0);
    assert_int_equal(first.ends + first.fails + late.ends + late.fails, 0);
}

static void a_slow_reader_holds_nobody_up(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, slow = {.kit = k, .pause_at_data = true};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, streams);
    answer_begin(k, &first, STREAM, NULL);
    answer_begin(k, &slow, STREAM, NULL);
    CORE_UNTIL(k, slow.len > 0 && fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&first));
    assert_string_equal(first.body, STREAM_BYTES);
    assert_int_equal(slow.ends + slow.fails, 0);
    slow.pause_at_data = false;
    call_resume(slow.call);
    CORE_UNTIL(k, core_call_over(&slow));
    assert_string_equal(slow.body, STREAM_BYTES);
    answer_settled(k);
}

static void a_slow_leader_holds_nobody_up(void **state)
{
    struct core_kit *k = *state;
    struct core_call slow = {.kit = k, .pause_at_data = true}, late = {.kit = k};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, streams);
    answer_begin(k, &slow, STREAM, NULL);
    answer_begin(k, &late, STREAM, NULL);
    CORE_UNTIL(k, late.len > 0 && fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&late));
    assert_string_equal(late.body, STREAM_BYTES);
    answer_settled(k);
}

static void alone_a_slow_leader_stops_its_provider(void **state)
{
    struct core_kit *k = *state;
    struct core_call slow = {.kit = k, .pause_at_data = true};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, streams);
    answer_begin(k, &slow, STREAM, NULL);
    CORE_UNTIL(k, slow.len > 0 && fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, fake_provider_open(k->provider) == 0);
    for (int i = 0; i < 20; i++)
        core_kit_step(k);
    assert_string_equal(slow.body, CHUNK("one"));
    slow.pause_at_data = false;
    call_resume(slow.call);
    CORE_UNTIL(k, core_call_over(&slow));
    assert_string_equal(slow.body, STREAM_BYTES);
    answer_settled(k);
}

/* The reader is paused after the first event; the rest is so much more than what is kept. */
static void far_behind(struct core_kit *k, size_t more, bool is_left_behind)
{
    struct core_call first = {.kit = k}, slow = {.kit = k, .pause_at_data = true};
    size_t rest = FLIGHT_MAX_BYTES + more, half = rest / 2;
    char *one = answer_event(half), *two = answer_event(rest - half - strlen(LAST));
    const struct fake_step steps[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", SSE_TYPE, CHUNK("one"))},
        {.op = FAKE_STALL},
        {.op = FAKE_SEND, .bytes = one, .len = half},
        {.op = FAKE_SEND, .bytes = two, .len = rest - half - strlen(LAST)},
        {.op = FAKE_SEND, .bytes = LAST},
        {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(k->provider, steps);
    answer_begin(k, &first, STREAM, NULL);
    answer_begin(k, &slow, STREAM, NULL);
    CORE_UNTIL(k, slow.len > 0 && fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&first));
    assert_int_equal(first.ends, 1);
    assert_int_equal(first.bytes, strlen(CHUNK("one")) + rest);
    slow.pause_at_data = false;
    if (slow.call)
        call_resume(slow.call);
    CORE_UNTIL(k, core_call_over(&slow));
    assert_int_equal(slow.fails, is_left_behind);
    if (is_left_behind)
        assert_string_equal(slow.failure.code, "answer_too_far_behind");
    else
        assert_int_equal(slow.bytes, first.bytes);
    answer_settled(k);
    free(one);
    free(two);
}

static void a_reader_may_be_so_far_behind(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, LIMITS, KEPT);
    far_behind(k, 0, false);
}

static void a_reader_may_be_no_further_behind(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, LIMITS, KEPT);
    far_behind(k, 1, true);
}

/* A request of so many bytes in its compact form. */
static char *request_of(size_t len)
{
    static const char head[] = "{\"model\":\"m\",\"temperature\":0,\"messages\":[{\"role\":"
                               "\"user\",\"content\":\"",
                      tail[] = "\"}]}";
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, head, sizeof(head) - 1);
    memcpy(text + len - (sizeof(tail) - 1), tail, sizeof(tail));
    return text;
}

static void a_request_that_is_too_large_is_not_kept(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    char *most = request_of(ANSWER_MAX_REQUEST_BYTES),
         *more = request_of(ANSWER_MAX_REQUEST_BYTES + 1);
    core_kit_start(k, "rpm: 1000, tpm: 100000000", KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &c, most, NULL);
    assert_string_equal(c.cache, "miss");
    answer_ask(k, &c, more, NULL);
    assert_string_equal(c.cache, "bypass");
    answer_settled(k);
    free(most);
    free(more);
}

static void an_answer_that_is_too_large_is_not_kept(void **state)
{
    struct core_kit *k = *state;
    struct core_call c;
    core_kit_start(k, LIMITS, "cache: {enabled: true, max_entry_bytes: 1024}\n");
    for (size_t more = 0; more < 2; more++) {
        size_t len = 1024 + more - strlen(LAST);
        char *event = answer_event(len);
        const struct fake_step steps[] = {
            {.op = FAKE_READ},
            {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", SSE_TYPE, "")},
            {.op = FAKE_SEND, .bytes = event, .len = len},
            {.op = FAKE_SEND, .bytes = LAST},
            {.op = FAKE_CLOSE}};
        const char *body = more ? STREAM : ASK(",\"seed\":1,\"stream\":true");
        FAKE_SCRIPT(k->provider, steps);
        answer_ask(k, &c, body, NULL);
        answer_ask(k, &c, body, NULL);
        assert_string_equal(c.cache, more ? "miss" : "hit-memory");
        assert_int_equal(c.bytes, 1024 + more);
        free(event);
    }
    answer_settled(k);
}

static void when_the_first_fails_the_next_one_asks(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, second = {.kit = k}, third = {.kit = k}, spent;
    const struct answer_call hasty = {.max_wait_ms = 300};
    core_kit_start(k, "rpm: 1, tpm: 100000", KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &spent, ASK(""), NULL);
    answer_begin(k, &first, STEADY, &hasty);
    answer_begin(k, &second, STEADY, &(struct answer_call){.max_wait_ms = 3600000});
    answer_begin(k, &third, STEADY, &(struct answer_call){.max_wait_ms = 3600000});
    CORE_UNTIL(k, core_call_over(&first));
    assert_int_equal(first.failure.status, 504);
    CORE_UNTIL(k, second.queued == 1 && core_queued(k) == 1);
    assert_int_equal(second.fails + third.fails + third.queued, 0);
    core_call_cancel(&third);
    core_call_cancel(&second);
    CORE_UNTIL(k, core_queued(k) == 0);
    answer_settled(k);
}

static void an_answer_that_breaks_off_ends_all_its_readers(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, second = {.kit = k}, again;
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, breaks);
    answer_begin(k, &first, STREAM, NULL);
    answer_begin(k, &second, STREAM, NULL);
    CORE_UNTIL(k, second.len > 0 && fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&first) && core_call_over(&second));
    assert_int_equal(first.fails, 1);
    assert_int_equal(second.fails, 1);
    FAKE_SCRIPT(k->provider, streams);
    again = (struct core_call){.kit = k};
    answer_begin(k, &again, STREAM, NULL);
    CORE_UNTIL(k, again.len > 0);
    assert_string_equal(again.cache, "miss");
    core_call_cancel(&again);
    answer_settled(k);
}

static void a_request_that_is_wrong_is_so_for_all(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, second = {.kit = k}, again;
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, refuses);
    answer_begin(k, &first, STEADY, NULL);
    answer_begin(k, &second, STEADY, NULL);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&first) && core_call_over(&second));
    assert_int_equal(first.status, 400);
    assert_int_equal(second.status, 400);
    assert_string_equal(second.body, first.body);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &again, STEADY, NULL);
    assert_string_equal(again.cache, "miss");
    answer_settled(k);
}

static void one_who_is_urgent_does_not_wait_behind_a_batch(void **state)
{
    struct core_kit *k = *state;
    struct core_call slow = {.kit = k}, urgent = {.kit = k}, spent;
    const struct answer_call batch = {.class = CLASS_BATCH, .max_wait_ms = 3600000},
                             now = {.class = CLASS_INTERACTIVE, .max_wait_ms = 3600000};
    core_kit_start(k, "rpm: 1, tpm: 100000", KEPT);
    FAKE_SCRIPT(k->provider, answer_plain);
    answer_ask(k, &spent, ASK(""), NULL);
    answer_begin(k, &slow, STEADY, &batch);
    CORE_UNTIL(k, slow.queued == 1);
    answer_begin(k, &urgent, STEADY, &now);
    CORE_UNTIL(k, urgent.queued == 1);
    assert_int_equal(core_queued(k), 2);
    core_call_cancel(&slow);
    core_call_cancel(&urgent);
    CORE_UNTIL(k, core_queued(k) == 0);
    answer_settled(k);
}

static void patience_ends_with_the_queue(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {.kit = k}, second = {.kit = k};
    const struct answer_call hasty = {.class = CLASS_NORMAL, .max_wait_ms = 250};
    core_kit_start(k, LIMITS, KEPT);
    FAKE_SCRIPT(k->provider, answer_stalls);
    answer_begin(k, &first, STEADY, NULL);
    answer_begin(k, &second, STEADY, &hasty);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    int64_t until_ms = clock_mono_ms() + 300;
    CORE_UNTIL(k, clock_mono_ms() > until_ms);
    assert_int_equal(second.fails, 0);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&second));
    assert_int_equal(second.ends, 1);
    answer_settled(k);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_given_again),
        TEST(a_large_plain_answer_is_given_at_once),
        TEST(what_was_given_again_is_counted_once),
        TEST(only_what_may_be_is_kept),
        TEST(without_being_asked_nothing_is_kept),
        TEST(what_is_too_old_for_the_caller_is_asked_anew),
        TEST(tenants_never_share),
        TEST(equal_calls_are_one_request),
        TEST(who_comes_late_is_given_a_stream_from_its_beginning),
        TEST(the_answer_goes_on_when_its_first_owner_leaves),
        TEST(a_request_that_nobody_waits_for_ends),
        TEST(a_slow_reader_holds_nobody_up),
        TEST(a_slow_leader_holds_nobody_up),
        TEST(alone_a_slow_leader_stops_its_provider),
        TEST(a_reader_may_be_so_far_behind),
        TEST(a_reader_may_be_no_further_behind),
        TEST(a_request_that_is_too_large_is_not_kept),
        TEST(an_answer_that_is_too_large_is_not_kept),
        TEST(when_the_first_fails_the_next_one_asks),
        TEST(an_answer_that_breaks_off_ends_all_its_readers),
        TEST(a_request_that_is_wrong_is_so_for_all),
        TEST(one_who_is_urgent_does_not_wait_behind_a_batch),
        TEST(patience_ends_with_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
