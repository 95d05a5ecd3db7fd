/* Embedding calls that are joined, before a simulated and a scripted provider. */
#include "common/json_scan.h"
#include "tests/support/core_kit.h"
#include "tests/support/sim_child.h"

#define MANY 6
#define JSON "Content-Type: application/json\r\n"
#define VECTOR(index, value)                                                                       \
    "{\"object\":\"embedding\",\"index\":" index ",\"embedding\":[" value "]}"
#define LIST(items)                                                                                \
    "{\"object\":\"list\",\"data\":[" items "],\"model\":\"m\",\"usage\":{\"prompt_tokens\":6,"    \
    "\"total_tokens\":6}}"

static const struct fake_step held_one[] = {
    {.op = FAKE_READ},
    {.op = FAKE_STALL},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", JSON, LIST(VECTOR("0", "1.50")))},
    {.op = FAKE_CLOSE}};
static const struct fake_step two[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND,
     .bytes = CORE_REPLY("200 OK", JSON, LIST(VECTOR("1", "2.20") "," VECTOR("0", "1.10")))},
    {.op = FAKE_CLOSE}};

struct fixture {
    struct core_kit *kit;
    struct sim_child sim;
    struct core_call calls[MANY];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    void *kit = NULL;
    assert_non_null(f);
    *state = f;
    int rc = core_kit_setup(&kit);
    f->kit = kit;
    return rc;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *kit = f->kit;
    for (size_t i = 0; i < MANY; i++) {
        if (f->calls[i].call)
            core_call_cancel(&f->calls[i]);
    }
    int rc = core_kit_teardown(&kit);
    sim_child_stop(&f->sim);
    free(f);
    return rc;
}

static void start_simulated(struct fixture *f, const char *options, const char *limits,
                            const char *more)
{
    sim_child_start(&f->sim, options);
    f->kit->url = f->sim.url;
    core_kit_start(f->kit, limits, more);
}

static void embed_as(struct fixture *f, size_t i, const char *tenant, const char *input,
                     int64_t max_wait_ms)
{
    char body[512];
    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"dimensions\":4,\"input\":%s}", input);
    struct call_spec spec = {.endpoint = WIRE_EMBEDDINGS,
                             .body = strdup(body),
                             .body_len = strlen(body),
                             .tenant = tenant,
                             .weight = 1,
                             .class = CLASS_NORMAL,
                             .max_wait_ms = max_wait_ms};
    core_call_spec(f->kit, &f->calls[i], &spec);
}

static void embed(struct fixture *f, size_t i, const char *input)
{
    embed_as(f, i, "default", input, CORE_WAIT_MS);
}

static bool all_over(const struct fixture *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!core_call_over(&f->calls[i]))
            return false;
    }
    return true;
}

static size_t batches(const struct fixture *f)
{
    struct embedder_counts counts;
    embedder_count(f->kit->embedder, &counts);
    return counts.batches;
}

static void nothing_is_left(const struct fixture *f)
{
    struct embedder_counts counts;
    embedder_count(f->kit->embedder, &counts);
    assert_int_equal(counts.batches, 0);
    assert_int_equal(counts.keys, 0);
    assert_int_equal(counts.held_bytes, 0);
}

static int64_t count_of(struct fixture *f, enum pool_counter counter)
{
    size_t at = 0;
    const struct pool_view *v = scheduler_next_pool(f->kit->scheduler, &at);
    return pool_agent_stats(v->agent)->count[counter];
}

static int64_t sim_requests(struct fixture *f)
{
    int64_t calls = 0;
    struct http_answer a = http_ask("GET", f->sim.url, "/sim/ledger", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_true(json_int(json_get(json_span_of(a.body.data, a.body.len), "calls"), &calls));
    http_answer_release(&a);
    return calls;
}

/* The vector that the simulator gives for an input by itself, as it stands in the answer. */
static void is_own(struct fixture *f, size_t i, const char *input)
{
    char body[512];
    const struct core_call *c = &f->calls[i];
    (void)snprintf(body, sizeof(body), "{\"model\":\"other\",\"dimensions\":4,\"input\":%s}",
                   input);
    struct http_answer a = http_ask("POST", f->sim.url, "/v1/embeddings", body, NULL);
    struct json_span own = json_get(json_span_of(a.body.data, a.body.len), "data");
    struct json_span got = json_get(json_span_of(c->body, c->len), "data");
    assert_int_equal(c->status, 200);
    assert_int_equal(got.len, own.len);
    assert_memory_equal(got.at, own.at, own.len);
    http_answer_release(&a);
}

static int64_t tokens_of(const struct core_call *c)
{
    int64_t tokens = -1;
    struct json_span usage = json_get(json_span_of(c->body, c->len), "usage");
    assert_true(json_int(json_get(usage, "prompt_tokens"), &tokens));
    return tokens;
}

static void calls_of_a_kind_share_one_request(void **state)
{
    struct fixture *f = *state;
    static const char *const inputs[] = {"\"first\"", "[\"second\",\"third one\"]", "[1,2,3]",
                                         "\"first\""};
    start_simulated(f, "--rpm 0", "rpm: 100, tpm: 6000", NULL);
    for (size_t i = 0; i < 4; i++)
        embed(f, i, inputs[i]);
    CORE_UNTIL(f->kit, all_over(f, 4));
    assert_int_equal(sim_requests(f), 1);
    int64_t tokens = 0;
    for (size_t i = 0; i < 4; i++) {
        tokens += tokens_of(&f->calls[i]);
        is_own(f, i, inputs[i]);
    }
    assert_int_equal(tokens, 2 + 2 + 3 + 3);
    assert_int_equal(count_of(f, COUNT_batched), 4);
    assert_int_equal(count_of(f, COUNT_batches), 1);
    assert_int_equal(count_of(f, COUNT_inputs_deduplicated), 1);
    assert_int_equal(count_of(f, COUNT_succeeded), 4);
    assert_int_equal(count_of(f, COUNT_admitted) + count_of(f, COUNT_delayed), 0);
    assert_int_equal(core_level(f->kit, "rpm"), 99);
    nothing_is_left(f);
}

static void one_alone_is_sent_and_answered_as_it_came(void **state)
{
    struct fixture *f = *state;
    FAKE_SCRIPT(f->kit->provider, two);
    core_kit_start(f->kit, "rpm: 100, tpm: 6000", NULL);
    embed(f, 0, "[ \"a\" ]");
    CORE_UNTIL(f->kit, all_over(f, 1));
    assert_string_equal(f->calls[0].body, LIST(VECTOR("1", "2.20") "," VECTOR("0", "1.10")));
    assert_int_equal(count_of(f, COUNT_admitted), 1);
    assert_int_equal(count_of(f, COUNT_batched) + count_of(f, COUNT_batches), 0);
}

static void tenants_are_not_mixed(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, "--rpm 0", "rpm: 100, tpm: 6000", NULL);
    embed_as(f, 0, "one", "\"a\"", CORE_WAIT_MS);
    embed_as(f, 1, "two", "\"b\"", CORE_WAIT_MS);
    assert_int_equal(batches(f), 2);
    CORE_UNTIL(f->kit, all_over(f, 2));
    assert_int_equal(sim_requests(f), 2);
    is_own(f, 0, "\"a\"");
    is_own(f, 1, "\"b\"");
}

/* The first is held by the provider, the second waits for its slot: the others grow behind it. */
static void begin_three(struct fixture *f, size_t growing)
{
    struct core_kit *k = f->kit;
    FAKE_SCRIPT(k->provider, held_one);
    core_kit_start(k, "rpm: 100, max_parallel_requests: 1", NULL);
    embed(f, 0, "\"sent\"");
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    for (size_t i = 1; i <= growing; i++)
        embed(f, i, i == 1 ? "\"waits\"" : i == 2 ? "\"grows\"" : "\"as well\"");
}

static void a_batch_that_waits_keeps_the_next_one_growing(void **state)
{
    struct fixture *f = *state;
    struct core_kit *k = f->kit;
    begin_three(f, 1);
    CORE_UNTIL(k, core_queued(k) == 1);
    embed(f, 2, "\"grows\"");
    core_kit_step(k);
    embed(f, 3, "\"as well\"");
    int64_t until_ms = clock_mono_ms() + 50; /* ten times as long as a batch waits for others */
    while (clock_mono_ms() < until_ms)
        core_kit_step(k);
    assert_int_equal(core_queued(k), 1);
    assert_int_equal(batches(f), 3);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    FAKE_SCRIPT(k->provider, two);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, all_over(f, 4));
    assert_int_equal(fake_provider_requests(k->provider), 3);
    assert_string_equal(f->calls[2].body,
                        "{\"object\":\"list\",\"data\":[" VECTOR(
                            "0", "1.10") "],\"model\":\"m\","
                                         "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}");
    assert_non_null(strstr(f->calls[3].body, VECTOR("0", "2.20")));
    nothing_is_left(f);
}

static void inputs_of_one_who_left_the_queue_are_not_sent(void **state)
{
    struct fixture *f = *state;
    struct core_kit *k = f->kit;
    begin_three(f, 3);
    CORE_UNTIL(k, core_queued(k) == 1);
    core_call_cancel(&f->calls[2]);
    FAKE_SCRIPT(k->provider, two);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&f->calls[1]) && core_call_over(&f->calls[3]));
    assert_int_equal(fake_provider_requests(k->provider), 2);
    assert_int_equal(
        fake_provider_body_len(k->provider),
        strlen("{\"model\":\"m\",\"dimensions\":4,\"input\":[\"waits\",\"as well\"]}"));
    assert_non_null(strstr(f->calls[1].body, VECTOR("0", "1.10")));
    assert_non_null(strstr(f->calls[3].body, VECTOR("0", "2.20")));
    nothing_is_left(f);
}

static void a_batch_that_all_have_left_is_cancelled(void **state)
{
    struct fixture *f = *state;
    struct core_kit *k = f->kit;
    begin_three(f, 3);
    embed_as(f, 4, "other", "\"growing\"", CORE_WAIT_MS);
    core_call_cancel(&f->calls[4]);
    CORE_UNTIL(k, core_queued(k) == 1);
    for (size_t i = 1; i <= 3; i++)
        core_call_cancel(&f->calls[i]);
    CORE_UNTIL(k, core_queued(k) == 0);
    assert_int_equal(batches(f), 1);
    core_call_cancel(&f->calls[0]);
    CORE_UNTIL(k, core_running(k) == 0);
    nothing_is_left(f);
}

static void each_waits_no_longer_than_it_may(void **state)
{
    struct fixture *f = *state;
    struct core_kit *k = f->kit;
    begin_three(f, 1);
    embed_as(f, 2, "default", "\"brief\"", 30);
    CORE_UNTIL(k, core_call_over(&f->calls[2]));
    assert_int_equal(f->calls[2].failure.status, 504);
    assert_false(core_call_over(&f->calls[1]));
    fake_provider_go(k->provider);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, all_over(f, 2));
    assert_int_equal(f->calls[1].status, 200);
}

static void a_sent_batch_has_the_time_that_it_takes(void **state)
{
    struct fixture *f = *state;
    struct core_kit *k = f->kit;
    FAKE_SCRIPT(k->provider, held_one);
    core_kit_start(k, "rpm: 100", NULL);
    embed_as(f, 0, "default", "\"same\"", 200);
    embed_as(f, 1, "default", "\"same\"", 200);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    int64_t until_ms = clock_mono_ms() + 300;
    while (clock_mono_ms() < until_ms)
        core_kit_step(k);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, all_over(f, 2));
    assert_int_equal(f->calls[0].status, 200);
    assert_int_equal(f->calls[1].status, 200);
}

static void only_the_guilty_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const inputs[] = {"\"a\"", "\"b\"",         "\"poison\"",
                                         "\"d\"", "[\"e\",\"f\"]", "\"poison\""};
    start_simulated(f, "--rpm 0 --refuse-input poison", "rpm: 100, tpm: 6000", NULL);
    for (size_t i = 0; i < 6; i++)
        embed(f, i, inputs[i]);
    CORE_UNTIL(f->kit, all_over(f, 6));
    for (size_t i = 0; i < 6; i++) {
        if (strstr(inputs[i], "poison")) {
            assert_int_equal(f->calls[i].status, 400);
            assert_non_null(strstr(f->calls[i].body, "is not accepted"));
        } else {
            is_own(f, i, inputs[i]);
        }
    }
    nothing_is_left(f);
}

static void what_is_wrong_in_all_of_them_is_told_at_once(void **state)
{
    struct fixture *f = *state;
    static const struct fake_step refuses[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = CORE_REPLY("400 Bad Request", JSON,
                             "{\"error\":{\"message\":\"no\",\"param\":\"dimensions\"}}")},
        {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(f->kit->provider, refuses);
    core_kit_start(f->kit, "rpm: 100", NULL);
    for (size_t i = 0; i < 3; i++)
        embed(f, i, i == 0 ? "\"a\"" : i == 1 ? "\"b\"" : "\"c\"");
    CORE_UNTIL(f->kit, all_over(f, 3));
    assert_int_equal(fake_provider_requests(f->kit->provider), 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(f->calls[i].status, 400);
}

static void other_failures_are_everybodys(void **state)
{
    struct fixture *f = *state;
    static const struct fake_step refuses[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = CORE_REPLY("404 Not Found", JSON, "{\"error\":{\"message\":\"gone\"}}")},
        {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(f->kit->provider, refuses);
    core_kit_start(f->kit, "rpm: 100", NULL);
    for (size_t i = 0; i < 3; i++)
        embed(f, i, i == 0 ? "\"a\"" : i == 1 ? "\"b\"" : "\"c\"");
    CORE_UNTIL(f->kit, all_over(f, 3));
    assert_int_equal(fake_provider_requests(f->kit->provider), 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(f->calls[i].status, 404);
        assert_string_equal(f->calls[i].body, "{\"error\":{\"message\":\"gone\"}}");
    }
    assert_int_equal(count_of(f, COUNT_failed), 3);
    nothing_is_left(f);
}

static void a_provider_without_an_answer_fails_all(void **state)
{
    struct fixture *f = *state;
    static const struct fake_step hangs_up[] = {{.op = FAKE_READ}, {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(f->kit->provider, hangs_up);
    core_kit_start(f->kit, "rpm: 100", NULL);
    embed(f, 0, "\"a\"");
    embed(f, 1, "\"b\"");
    CORE_UNTIL(f->kit, all_over(f, 2));
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(f->calls[i].failure.status, 502);
    assert_true(fake_provider_requests(f->kit->provider) > 1); /* it was tried again, as one */
    nothing_is_left(f);
}

static void an_answer_that_does_not_fit_is_nobodys(void **state)
{
    struct fixture *f = *state;
    struct core_kit *k = f->kit;
    FAKE_SCRIPT(k->provider, two);
    core_kit_start(k, "rpm: 100", NULL);
    for (size_t i = 0; i < 3; i++)
        embed(f, i, i == 0 ? "\"a\"" : i == 1 ? "\"b\"" : "\"c\"");
    CORE_UNTIL(k, all_over(f, 3));
    assert_int_equal(fake_provider_requests(k->provider), 1 + 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(f->calls[i].body, LIST(VECTOR("1", "2.20") "," VECTOR("0", "1.10")));
    nothing_is_left(f);
}

static void large_arrays_are_sent_in_parts_and_put_together(void **state)
{
    struct fixture *f = *state;
    static const char input[] = "[\"a\",\"b\",\"c\",\"d\",\"e\"]";
    start_simulated(f, "--rpm 0", "rpm: 100, tpm: 6000",
                    "batcher: {embeddings: {max_inputs: 2}}\n");
    embed(f, 0, input);
    embed(f, 1, "\"beside\"");
    CORE_UNTIL(f->kit, all_over(f, 2));
    assert_int_equal(sim_requests(f), 3);
    assert_int_equal(tokens_of(&f->calls[0]), 5);
    is_own(f, 0, input);
    is_own(f, 1, "\"beside\"");
    nothing_is_left(f);
}

static void one_part_that_fails_is_the_whole_that_fails(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, "--rpm 0 --refuse-input poison", "rpm: 100, tpm: 6000",
                    "batcher: {embeddings: {max_inputs: 2}}\n");
    embed(f, 0, "[\"a\",\"b\",\"c\",\"poison\",\"e\"]");
    embed(f, 1, "\"beside\"");
    CORE_UNTIL(f->kit, all_over(f, 2));
    assert_int_equal(f->calls[0].status, 400);
    assert_non_null(strstr(f->calls[0].body, "is not accepted"));
    is_own(f, 1, "\"beside\"");
    CORE_UNTIL(f->kit, batches(f) == 0);
    nothing_is_left(f);
}

static void a_batch_is_no_larger_than_the_pools_own_limit(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, "--rpm 0", "tpm: 60, default_output_tokens: 10, min_output_tokens: 5", NULL);
    for (size_t i = 0; i < MANY; i++)
        embed(f, i, "[1,2,3,4,5,6,7,8,9,10]");
    size_t each = (size_t)call_input_estimate(f->calls[0].call);
    size_t in_one = 60 * 9 / 10 / each; /* a tenth is left for what estimates are wrong by */
    assert_in_range(in_one, 2, MANY - 1);
    assert_int_equal(batches(f), (MANY + in_one - 1) / in_one);
}

static void one_that_waits_again_keeps_the_next_one_growing(void **state)
{
    struct fixture *f = *state;
    struct core_kit *k = f->kit;
    static const struct fake_step refuses[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = CORE_REPLY("429 Too Many Requests", JSON "retry-after-ms: 400\r\n",
                             "{\"error\":{\"message\":\"slow down\"}}")},
        {.op = FAKE_CLOSE}};
    FAKE_SCRIPT(k->provider, refuses);
    core_kit_start(k, "rpm: 100", NULL);
    embed(f, 0, "\"a\"");
    embed(f, 1, "\"b\"");
    CORE_UNTIL(k, count_of(f, COUNT_retries) == 1);
    FAKE_SCRIPT(k->provider, two);
    embed(f, 2, "\"c\"");
    int64_t until_ms = clock_mono_ms() + 50;
    while (clock_mono_ms() < until_ms)
        core_kit_step(k);
    embed(f, 3, "\"d\"");
    assert_int_equal(batches(f), 2);
    CORE_UNTIL(k, all_over(f, 4));
    assert_int_equal(fake_provider_requests(k->provider), 3);
    for (size_t i = 0; i < 4; i++)
        assert_non_null(
            strstr(f->calls[i].body, i % 2 ? VECTOR("0", "2.20") : VECTOR("0", "1.10")));
    nothing_is_left(f);
}

static void it_can_be_turned_off(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, "--rpm 0", "rpm: 100", "batcher: {embeddings: {enabled: false}}\n");
    embed(f, 0, "\"a\"");
    embed(f, 1, "\"b\"");
    assert_int_equal(batches(f), 0);
    CORE_UNTIL(f->kit, all_over(f, 2));
    assert_int_equal(sim_requests(f), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_of_a_kind_share_one_request),
        TEST(one_alone_is_sent_and_answered_as_it_came),
        TEST(tenants_are_not_mixed),
        TEST(a_batch_that_waits_keeps_the_next_one_growing),
        TEST(inputs_of_one_who_left_the_queue_are_not_sent),
        TEST(a_batch_that_all_have_left_is_cancelled),
        TEST(each_waits_no_longer_than_it_may),
        TEST(a_sent_batch_has_the_time_that_it_takes),
        TEST(only_the_guilty_are_refused),
        TEST(what_is_wrong_in_all_of_them_is_told_at_once),
        TEST(other_failures_are_everybodys),
        TEST(a_provider_without_an_answer_fails_all),
        TEST(an_answer_that_does_not_fit_is_nobodys),
        TEST(large_arrays_are_sent_in_parts_and_put_together),
        TEST(one_part_that_fails_is_the_whole_that_fails),
        TEST(a_batch_is_no_larger_than_the_pools_own_limit),
        TEST(one_that_waits_again_keeps_the_next_one_growing),
        TEST(it_can_be_turned_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
