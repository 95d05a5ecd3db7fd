/* Embeddings that are kept for each input, before a simulated and a scripted provider. */
#include "common/json_scan.h"
#include "tests/support/answer_kit.h"
#include "tests/support/sim_child.h"

#define MANY 4
#define VECTOR(index, value)                                                                       \
    "{\"object\":\"embedding\", \"index\" : " index ", \"embedding\":[" value "]}"
#define LIST(items, tokens)                                                                        \
    "{\"object\":\"list\",\"data\":[" items "],\"model\":\"m-2\",\"usage\":{\"prompt_tokens\":"    \
    "" tokens ",\"total_tokens\":" tokens "}}"
#define REPLY(items, tokens)                                                                       \
    {.op = FAKE_READ},                                                                             \
        {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", JSON_TYPE, LIST(items, tokens))},          \
    {                                                                                              \
        .op = FAKE_CLOSE                                                                           \
    }

static const struct fake_step two[] = {REPLY(VECTOR("1", "2.20") "," VECTOR("0", "1.10"), "6")};
static const struct fake_step one[] = {REPLY(VECTOR("0", "3.30e-0"), "2")};
static const struct fake_step held[] = {
    {.op = FAKE_READ},
    {.op = FAKE_STALL},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", JSON_TYPE, LIST(VECTOR("0", "7"), "2"))},
    {.op = FAKE_CLOSE}};
static const struct fake_step refuses[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND,
     .bytes = CORE_REPLY("400 Bad Request", JSON_TYPE, "{\"error\":{\"message\":\"no\"}}")},
    {.op = FAKE_CLOSE}};

struct fixture {
    struct core_kit *kit;
    struct sim_child sim;
    struct core_call calls[MANY];
    const char *more; /* members of each request */
    struct answer_call wish;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    void *kit = NULL;
    assert_non_null(f);
    f->more = "";
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
    if (f->kit->up)
        answer_settled(f->kit);
    int rc = core_kit_teardown(&kit);
    sim_child_stop(&f->sim);
    free(f);
    return rc;
}

static void start_simulated(struct fixture *f, const char *more)
{
    sim_child_start(&f->sim, "--rpm 0");
    f->kit->url = f->sim.url;
    core_kit_start(f->kit, "rpm: 1000, tpm: 1000000", more);
}

static void begin(struct fixture *f, size_t i, const char *input)
{
    size_t room = strlen(input) + strlen(f->more) + 128;
    char *body = malloc(room);
    assert_non_null(body);
    (void)snprintf(body, room, "{\"model\":\"m\",\"dimensions\":4,\"input\":%s%s}", input, f->more);
    struct call_spec spec = {.endpoint = WIRE_EMBEDDINGS,
                             .body = body,
                             .body_len = strlen(body),
                             .tenant = f->wish.tenant ? f->wish.tenant : "default",
                             .weight = 1,
                             .class = CLASS_NORMAL,
                             .cache = f->wish.cache,
                             .max_wait_ms =
                                 f->wish.max_wait_ms ? f->wish.max_wait_ms : CORE_WAIT_MS};
    f->calls[i] = (struct core_call){.kit = f->kit};
    core_call_spec(f->kit, &f->calls[i], &spec);
    assert_int_equal(f->calls[i].starts + f->calls[i].fails, 0);
}

static struct core_call *ask(struct fixture *f, const char *input)
{
    begin(f, 0, input);
    CORE_UNTIL(f->kit, core_call_over(&f->calls[0]));
    return &f->calls[0];
}

static void told(const struct core_call *c, const char *word, size_t kept, size_t inputs)
{
    assert_int_equal(c->ends, 1);
    assert_int_equal(c->status, 200);
    assert_int_equal(c->pieces, 1);
    assert_string_equal(c->cache, word);
    assert_int_equal(c->inputs_kept, kept);
    assert_int_equal(c->inputs, inputs);
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

/* All but its usage as the simulator answers all the inputs by themselves. */
static void is_own(struct fixture *f, const struct core_call *c, const char *input)
{
    static const char *const names[] = {"object", "data"};
    char body[512];
    (void)snprintf(body, sizeof(body), "{\"model\":\"other\",\"dimensions\":4,\"input\":%s%s}",
                   input, f->more);
    struct http_answer a = http_ask("POST", f->sim.url, "/v1/embeddings", body, NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct json_span own = json_get(json_span_of(a.body.data, a.body.len), names[i]);
        struct json_span got = json_get(json_span_of(c->body, c->len), names[i]);
        assert_int_equal(got.len, own.len);
        assert_memory_equal(got.at, own.at, own.len);
    }
    assert_int_equal(json_scan_check(c->body, c->len, NULL), 0);
    http_answer_release(&a);
}

static int64_t tokens_of(const struct core_call *c)
{
    int64_t tokens = -1;
    struct json_span usage = json_get(json_span_of(c->body, c->len), "usage");
    assert_true(json_int(json_get(usage, "prompt_tokens"), &tokens));
    return tokens;
}

static int64_t count_of(struct fixture *f, enum pool_counter counter)
{
    size_t at = 0;
    return pool_agent_stats(scheduler_next_pool(f->kit->scheduler, &at)->agent)->count[counter];
}

static void only_inputs_that_are_missing_are_sent(void **state)
{
    struct fixture *f = *state;
    struct answers_stats s;
    start_simulated(f, KEPT);
    const struct core_call *c = ask(f, "[\"one\",\"and two\"]");
    told(c, "miss", 0, 2);
    is_own(f, c, "[\"one\",\"and two\"]");
    int64_t both = tokens_of(c), asked = sim_requests(f);
    c = ask(f, "[\"and two\", \"one\",\"one\"]");
    told(c, "hit-memory", 3, 3);
    assert_string_equal(c->decision, "cached");
    assert_int_equal(tokens_of(c), 0);
    assert_int_equal(c->attempts, 0);
    assert_int_equal(sim_requests(f), asked);
    assert_true(count_of(f, COUNT_tokens_saved) > both);
    is_own(f, c, "[\"and two\",\"one\",\"one\"]");
    asked = sim_requests(f);
    c = ask(f, "[[7,8,9],\"one\",\"and two\",[7,8,9]]");
    told(c, "partial", 2, 4);
    assert_int_equal(tokens_of(c), 3);
    assert_int_equal(sim_requests(f), asked + 1);
    is_own(f, c, "[[7,8,9],\"one\",\"and two\",[7,8,9]]");
    c = ask(f, "[7,8,9]");
    told(c, "hit-memory", 1, 1);
    is_own(f, c, "[7,8,9]");
    c = ask(f, "\"one\"");
    told(c, "hit-memory", 1, 1);
    answers_stats(f->kit->answers, &s);
    assert_int_equal(s.entries, 3);
    assert_int_equal(s.kept, 3);
    assert_int_equal(s.hits_memory, 3);
    assert_int_equal(s.partial, 1);
    assert_int_equal(s.inputs_kept, 3 + 2 + 1 + 1);
    assert_int_equal(s.inputs_sent, 2 + 1);
}

static void each_form_is_kept_by_itself(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, KEPT);
    told(ask(f, "[\"one\"]"), "miss", 0, 1);
    f->more = ",\"encoding_format\":\"base64\"";
    told(ask(f, "[\"one\",\"two\"]"), "miss", 0, 2);
    const struct core_call *c = ask(f, "[\"two\",\"three\",\"one\"]");
    told(c, "partial", 2, 3);
    is_own(f, c, "[\"two\",\"three\",\"one\"]");
    f->more = ",\"user\":\"me\"";
    told(ask(f, "[\"one\"]"), "hit-memory", 1, 1);
}

static void bytes_are_the_providers(void **state)
{
    struct fixture *f = *state;
    core_kit_start(f->kit, LIMITS, KEPT);
    FAKE_SCRIPT(f->kit->provider, two);
    const struct core_call *c = ask(f, "[\"a\",\"b\"]");
    told(c, "miss", 0, 2);
    assert_string_equal(c->body, LIST(VECTOR("1", "2.20") "," VECTOR("0", "1.10"), "6"));
    c = ask(f, "[\"b\",\"a\"]");
    told(c, "hit-memory", 2, 2);
    assert_string_equal(c->body, LIST(VECTOR("0", "2.20") "," VECTOR("1", "1.10"), "0"));
    FAKE_SCRIPT(f->kit->provider, one);
    c = ask(f, "[\"b\",\"c\",\"c\",\"a\"]");
    told(c, "partial", 2, 4);
    assert_string_equal(c->body, LIST(VECTOR("0", "2.20") "," VECTOR("1", "3.30e-0") "," VECTOR(
                                          "2", "3.30e-0") "," VECTOR("3", "1.10"),
                                      "2"));
    assert_int_equal(fake_provider_requests(f->kit->provider), 2);
    assert_int_equal(fake_provider_body_len(f->kit->provider),
                     strlen("{\"model\":\"m\",\"dimensions\":4,\"input\":[\"c\"]}"));
    assert_int_equal(count_of(f, COUNT_tokens_saved), 6 + 6);
}

static void repetitions_are_sent_once(void **state)
{
    struct fixture *f = *state;
    core_kit_start(f->kit, LIMITS, KEPT "batcher: {embeddings: {enabled: false}}\n");
    FAKE_SCRIPT(f->kit->provider, two);
    const struct core_call *c = ask(f, "[\"a\",\"b\",\"a\"]");
    told(c, "miss", 0, 3);
    assert_string_equal(
        c->body, LIST(VECTOR("0", "1.10") "," VECTOR("1", "2.20") "," VECTOR("2", "1.10"), "6"));
}

static void callers_are_heard(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, KEPT);
    f->wish.cache = (struct answer_wish){.mode = ANSWER_OFF};
    told(ask(f, "\"one\""), "bypass", 0, 0);
    f->wish.cache = (struct answer_wish){.no_store = true};
    told(ask(f, "\"one\""), "miss", 0, 1);
    f->wish.cache = (struct answer_wish){.no_cache = true};
    told(ask(f, "\"one\""), "miss", 0, 1);
    told(ask(f, "\"one\""), "miss", 0, 1);
    f->wish.cache = (struct answer_wish){.min_fresh_s = 7200};
    told(ask(f, "\"one\""), "miss", 0, 1);
    f->wish.cache = (struct answer_wish){.no_store = true};
    told(ask(f, "\"one\""), "hit-memory", 1, 1);
}

static void without_being_asked_nothing_is_kept(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, NULL);
    told(ask(f, "\"one\""), "", 0, 0);
    told(ask(f, "\"one\""), "", 0, 0);
    f->wish.cache = (struct answer_wish){.mode = ANSWER_ON};
    told(ask(f, "\"one\""), "miss", 0, 1);
    told(ask(f, "\"one\""), "hit-memory", 1, 1);
}

static void tenants_never_share(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, KEPT_REDIS);
    f->wish.tenant = "ann";
    told(ask(f, "\"one\""), "miss", 0, 1);
    f->wish.tenant = "bob";
    told(ask(f, "\"one\""), "miss", 0, 1);
    told(ask(f, "\"one\""), "hit-memory", 1, 1);
}

static void redis_knows_what_memory_has_lost(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, KEPT_REDIS);
    told(ask(f, "[\"one\",\"and two\"]"), "miss", 0, 2);
    answers_channel_back(f->kit->answers);
    told(ask(f, "\"one\""), "hit-redis", 1, 1);
    const struct core_call *c = ask(f, "[\"new\",\"and two\",\"one\"]");
    told(c, "partial", 2, 3);
    is_own(f, c, "[\"new\",\"and two\",\"one\"]");
    answers_channel_back(f->kit->answers);
    c = ask(f, "[\"one\",\"new\",\"and two\"]");
    told(c, "hit-redis", 3, 3);
    is_own(f, c, "[\"one\",\"new\",\"and two\"]");
    told(ask(f, "[\"new\",\"one\"]"), "hit-memory", 2, 2);
}

static void a_redis_that_does_not_answer_is_a_miss(void **state)
{
    struct fixture *f = *state;
    core_kit_start(f->kit, LIMITS, KEPT_REDIS "redis: {on_outage: open}\n");
    FAKE_SCRIPT(f->kit->provider, held);
    redis_fixture_pause(&f->kit->redis);
    begin(f, 0, "\"one\"");
    int64_t until_ms = clock_mono_ms() + 2 * ANSWER_LOOK_MS;
    CORE_UNTIL(f->kit, clock_mono_ms() > until_ms);
    assert_string_equal(call_cache_word(f->calls[0].call), "miss");
    assert_string_not_equal(call_decision(f->calls[0].call), "cached");
    redis_fixture_resume(&f->kit->redis);
    CORE_UNTIL(f->kit, fake_provider_stalled(f->kit->provider) == 1);
    fake_provider_go(f->kit->provider);
    CORE_UNTIL(f->kit, core_call_over(&f->calls[0]));
    told(&f->calls[0], "miss", 0, 1);
}

static void without_redis_memory_is_enough(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, KEPT_REDIS "redis: {on_outage: open}\n");
    told(ask(f, "\"one\""), "miss", 0, 1);
    redis_fixture_kill(&f->kit->redis);
    CORE_UNTIL(f->kit, !f->kit->up);
    told(ask(f, "\"one\""), "hit-memory", 1, 1);
    told(ask(f, "[\"two\",\"one\"]"), "partial", 1, 2);
}

struct purged {
    int times;
};

static void on_purged(void *arg, enum redis_status status)
{
    struct purged *p = arg;
    p->times++;
    assert_int_equal(status, REDIS_OK);
}

static void purge(struct fixture *f, const char *tenant, const char *model)
{
    struct purged p = {.times = 0};
    answers_purge(f->kit->answers, tenant, model, on_purged, &p);
    CORE_UNTIL(f->kit, p.times == 1);
}

static void what_is_purged_is_gone(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, KEPT_REDIS);
    f->wish.tenant = "ann";
    told(ask(f, "\"one\""), "miss", 0, 1);
    f->wish.tenant = "bob";
    told(ask(f, "\"one\""), "miss", 0, 1);
    purge(f, "ann", "");
    told(ask(f, "\"one\""), "hit-memory", 1, 1);
    f->wish.tenant = "ann";
    told(ask(f, "[\"one\",\"two\"]"), "miss", 0, 2);
    purge(f, "", "other");
    told(ask(f, "\"one\""), "hit-memory", 1, 1);
    purge(f, "", "m");
    told(ask(f, "\"one\""), "miss", 0, 1);
}

static void what_is_purged_while_it_is_made_is_not_kept(void **state)
{
    struct fixture *f = *state;
    core_kit_start(f->kit, LIMITS, KEPT_REDIS);
    FAKE_SCRIPT(f->kit->provider, held);
    begin(f, 0, "\"one\"");
    CORE_UNTIL(f->kit, fake_provider_stalled(f->kit->provider) == 1);
    purge(f, "", "");
    fake_provider_go(f->kit->provider);
    CORE_UNTIL(f->kit, core_call_over(&f->calls[0]));
    FAKE_SCRIPT(f->kit->provider, one);
    told(ask(f, "\"one\""), "miss", 0, 1);
}

static void what_is_missing_goes_in_batches(void **state)
{
    struct fixture *f = *state;
    static const char *const inputs[] = {"[\"one\",\"two\"]", "[\"three\",\"one\"]", "\"four\"",
                                         "[\"one\"]"};
    start_simulated(f, KEPT);
    told(ask(f, "\"one\""), "miss", 0, 1);
    int64_t asked = sim_requests(f);
    for (size_t i = 0; i < MANY; i++)
        begin(f, i, inputs[i]);
    for (size_t i = 0; i < MANY; i++)
        CORE_UNTIL(f->kit, core_call_over(&f->calls[i]));
    assert_int_equal(sim_requests(f), asked + 1);
    told(&f->calls[0], "partial", 1, 2);
    told(&f->calls[1], "partial", 1, 2);
    told(&f->calls[2], "miss", 0, 1);
    told(&f->calls[3], "hit-memory", 1, 1);
    for (size_t i = 0; i < MANY; i++)
        is_own(f, &f->calls[i], inputs[i]);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(f->calls[i].decision, "batched");
    told(ask(f, "[\"four\",\"two\",\"three\",\"one\"]"), "hit-memory", 4, 4);
}

static void equal_requests_are_one(void **state)
{
    struct fixture *f = *state;
    core_kit_start(f->kit, LIMITS, KEPT);
    FAKE_SCRIPT(f->kit->provider, two);
    told(ask(f, "[\"a\",\"b\"]"), "miss", 0, 2);
    FAKE_SCRIPT(f->kit->provider, held);
    for (size_t i = 0; i < MANY; i++)
        begin(f, i, i % 2 ? "[\"a\",\"c\"]" : "[\"c\",\"b\",\"a\"]");
    CORE_UNTIL(f->kit, fake_provider_stalled(f->kit->provider) == 1);
    fake_provider_go(f->kit->provider);
    for (size_t i = 0; i < MANY; i++) {
        CORE_UNTIL(f->kit, core_call_over(&f->calls[i]));
        told(&f->calls[i], "partial", i % 2 ? 1 : 2, i % 2 ? 2 : 3);
    }
    assert_int_equal(fake_provider_requests(f->kit->provider), 2);
    assert_string_equal(f->calls[3].body, LIST(VECTOR("0", "1.10") "," VECTOR("1", "7"), "2"));
}

static void who_leaves_as_a_shared_answer_starts_is_told_nothing(void **state)
{
    struct fixture *f = *state;
    core_kit_start(f->kit, LIMITS, KEPT);
    FAKE_SCRIPT(f->kit->provider, two);
    told(ask(f, "[\"a\",\"b\"]"), "miss", 0, 2);
    FAKE_SCRIPT(f->kit->provider, held);
    for (size_t i = 0; i < MANY; i++) {
        begin(f, i, "[\"a\",\"c\"]");
        f->calls[i].cancel_at_start = i + 1 < MANY;
    }
    CORE_UNTIL(f->kit, fake_provider_stalled(f->kit->provider) == 1);
    fake_provider_go(f->kit->provider);
    CORE_UNTIL(f->kit, core_call_over(&f->calls[MANY - 1]));
    told(&f->calls[MANY - 1], "partial", 1, 2);
    for (size_t i = 0; i + 1 < MANY; i++) {
        assert_int_equal(f->calls[i].starts, 1);
        assert_int_equal(f->calls[i].pieces + f->calls[i].ends + f->calls[i].fails, 0);
    }
    assert_int_equal(fake_provider_requests(f->kit->provider), 2);
}

static void an_answer_with_too_few_vectors_is_nobodys(void **state)
{
    struct fixture *f = *state;
    core_kit_start(f->kit, LIMITS, KEPT);
    FAKE_SCRIPT(f->kit->provider, one);
    told(ask(f, "\"a\""), "miss", 0, 1);
    const struct core_call *c = ask(f, "[\"a\",\"b\",\"c\"]");
    assert_int_equal(c->starts, 0);
    assert_int_equal(c->fails, 1);
    assert_int_equal(c->failure.status, 502);
    told(ask(f, "[\"a\",\"b\"]"), "partial", 1, 2);
    FAKE_SCRIPT(f->kit->provider, refuses);
    c = ask(f, "[\"a\",\"d\"]");
    assert_int_equal(c->status, 400);
    assert_int_equal(c->ends, 1);
    FAKE_SCRIPT(f->kit->provider, one);
    told(ask(f, "[\"a\",\"d\"]"), "partial", 1, 2);
}

static void who_leaves_takes_nothing_along(void **state)
{
    struct fixture *f = *state;
    start_simulated(f, KEPT_REDIS);
    begin(f, 0, "\"one\"");
    core_call_cancel(&f->calls[0]);
    told(ask(f, "\"one\""), "miss", 0, 1);
    static const char *const inputs[] = {"\"one\"", "[\"one\",\"two\"]", "[\"one\",\"three\"]"};
    for (size_t i = 0; i < 6; i++) {
        begin(f, 1, inputs[i % 3]);
        f->calls[1].cancel_at_start = i < 3;
        f->calls[1].cancel_at_data = i >= 3;
        CORE_UNTIL(f->kit, f->calls[1].starts == 1 && !f->calls[1].call);
        assert_int_equal(f->calls[1].ends + f->calls[1].fails, 0);
        answers_channel_back(f->kit->answers);
    }
    told(ask(f, "[\"three\",\"one\",\"two\"]"), "hit-redis", 3, 3);
}

static void list_of(size_t count, char *out, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(out + at, room - at, "%c\"input %zu\"", i > 0 ? ',' : '[', i);
    (void)snprintf(out + at, room - at, "]");
}

static void there_are_most_inputs(void **state)
{
    struct fixture *f = *state;
    static char text[20 * (VECTORS_MAX_INPUTS + 2)];
    struct answers_stats s;
    start_simulated(f, KEPT_REDIS);
    list_of(VECTORS_MAX_INPUTS + 1, text, sizeof(text));
    const struct core_call *c = ask(f, text); /* which the simulator refuses */
    assert_string_equal(c->cache, "bypass");
    assert_int_equal(c->inputs, 0);
    list_of(VECTORS_MAX_INPUTS, text, sizeof(text));
    told(ask(f, text), "miss", 0, VECTORS_MAX_INPUTS);
    told(ask(f, text), "hit-memory", VECTORS_MAX_INPUTS, VECTORS_MAX_INPUTS);
    answers_channel_back(f->kit->answers);
    list_of(VECTORS_LOOK_INPUTS, text, sizeof(text));
    told(ask(f, text), "hit-redis", VECTORS_LOOK_INPUTS, VECTORS_LOOK_INPUTS);
    answers_channel_back(f->kit->answers);
    list_of(VECTORS_LOOK_INPUTS + 1, text, sizeof(text));
    told(ask(f, text), "partial", VECTORS_LOOK_INPUTS, VECTORS_LOOK_INPUTS + 1);
    answers_stats(f->kit->answers, &s);
    assert_int_equal(s.entries, VECTORS_LOOK_INPUTS + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_inputs_that_are_missing_are_sent),
        TEST(each_form_is_kept_by_itself),
        TEST(bytes_are_the_providers),
        TEST(repetitions_are_sent_once),
        TEST(callers_are_heard),
        TEST(without_being_asked_nothing_is_kept),
        TEST(tenants_never_share),
        TEST(redis_knows_what_memory_has_lost),
        TEST(a_redis_that_does_not_answer_is_a_miss),
        TEST(without_redis_memory_is_enough),
        TEST(what_is_purged_is_gone),
        TEST(what_is_purged_while_it_is_made_is_not_kept),
        TEST(what_is_missing_goes_in_batches),
        TEST(equal_requests_are_one),
        TEST(who_leaves_as_a_shared_answer_starts_is_told_nothing),
        TEST(an_answer_with_too_few_vectors_is_nobodys),
        TEST(who_leaves_takes_nothing_along),
        TEST(there_are_most_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
