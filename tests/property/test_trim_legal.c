/*
 * Whatever part of a conversation is sent: what trimming makes of it is accepted by the
 * validator and by the simulated provider, weighs what was promised, and keeps what it must.
 *
 * TEST_SEED repeats a run.
 */
#include "api/simulate/sim_transcript.h"
#include "common/limits.h"
#include "scheduler/prompt/trim.h"
#include "scheduler/prompt/validate.h"
#include "tests/support/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed;
static struct counter *counter;

static const char *const policies[] = {
    "{\"preset\":\"conservative\",\"min_saving_tokens\":0}",
    "{\"preset\":\"balanced\",\"max_context_tokens\":900}",
    "{\"preset\":\"aggressive\"}",
    "{\"preset\":\"aggressive\",\"always\":false,\"max_context_tokens\":700}",
    "{\"stages\":[\"window\"],\"max_messages\":4,\"keep_turns\":1}",
    "{\"stages\":[\"truncate\"],\"max_tool_result_chars\":60}",
    "{\"stages\":[\"tool_results\"],\"keep_turns\":1,\"keep_steps\":1,\"clear_tool_inputs\":true}",
    "{\"stages\":[\"deletion\"],\"max_context_tokens\":1}",
    "{\"stages\":[\"selective\",\"relevant\"],\"keep_turns\":1,\"max_messages\":6}",
    ("{\"stages\":[\"summarize\",\"reset\"],\"keep_turns\":1,\"reset_threshold\":300,"
     "\"reset_turns\":1}"),
};

static int summary(void *arg, const struct trim_summary_ask *ask, struct buf *out)
{
    (void)arg;
    return ask->key.low % 3 == 0 ? -1 : buf_adds(out, "They talked about \"orders\".");
}

static enum sim_endpoint sim_of(enum wire_endpoint endpoint)
{
    return endpoint == WIRE_CHAT        ? SIM_CHAT
           : endpoint == WIRE_RESPONSES ? SIM_RESPONSES
                                        : SIM_MESSAGES;
}

static bool provider_accepts(enum wire_endpoint endpoint, const char *body, size_t len, bool strict,
                             struct sim_refusal *r)
{
    json_error_t error;
    json_t *json = json_loadb(body, len, 0, &error);
    assert_non_null(json);
    bool fine = sim_transcript_check(sim_of(endpoint), json, strict, r);
    json_decref(json);
    return fine;
}

struct cut {
    enum wire_endpoint endpoint;
    const char *body;
    size_t len;
    const char *policy;
};

static void read(enum wire_endpoint endpoint, const char *body, size_t len, struct transcript *t)
{
    struct error e;
    assert_int_equal(json_scan_check(body, len, &e), 0);
    assert_int_equal(transcript_read(endpoint, body, len, t, &e), 0);
}

static void explain(const struct cut *c, const char *after, size_t len, const char *why)
{
    print_error("seed %llu, policy %s: %s\nbefore: %.*s\nafter: %.*s\n", (unsigned long long)seed,
                c->policy, why, (int)c->len, c->body, (int)len, after);
}

static void check_weight(const struct trim_result *r, const struct transcript *after)
{
    struct count_model model;
    int64_t saved = 0;
    for (size_t i = 0; i < r->action_count; i++)
        saved += r->actions[i].saved_tokens;
    assert_int_equal(r->before.tokens - r->after.tokens, saved);
    assert_int_equal(counter_model_of(counter, after->model, &model), 0);
    assert_int_equal(count_transcript(counter, &model, after, NULL).total, r->after.tokens);
    assert_int_equal(after->count, r->after.messages);
}

static void check_outcome(const struct cut *c, const struct trim_result *r)
{
    const char *body = r->body.len ? r->body.data : c->body;
    size_t len = r->body.len ? r->body.len : c->len;
    struct transcript before, after;
    struct validate_fault f = {.error = {""}};
    struct sim_refusal refusal;
    read(c->endpoint, c->body, c->len, &before);
    read(c->endpoint, body, len, &after);
    check_weight(r, &after);
    if (validate_body(&after, &f) < 0) {
        explain(c, body, len, f.error.text);
        fail();
    }
    bool was_legal = validate_body(&before, &f) == 0;
    if (was_legal && validate_edit(&before, &after, &f) < 0) {
        explain(c, body, len, f.error.text);
        fail();
    }
    if (was_legal)
        assert_true(r->after.tokens <= r->before.tokens);
    bool strict = was_legal && provider_accepts(c->endpoint, c->body, c->len, true, &refusal);
    if (!provider_accepts(c->endpoint, body, len, strict, &refusal)) {
        explain(c, body, len, refusal.message);
        fail();
    }
    transcript_release(&before);
    transcript_release(&after);
}

static void check_cut(const struct talk *k, size_t from, size_t to, const char *text)
{
    struct buf body;
    struct error e;
    struct trim_policy policy;
    struct trim_result r;
    const struct trim_summarizer summarizer = {.make = summary};
    buf_init(&body, (size_t)HTTP_MAX_BODY_BYTES);
    talk_body(k, from, to, &body);
    assert_int_equal(trim_policy_read(json_span_of(text, strlen(text)), &policy, &e), 0);
    struct trim_input in = {.counter = counter,
                            .endpoint = k->endpoint,
                            .body = body.data,
                            .len = body.len,
                            .policy = &policy,
                            .summarizer = &summarizer};
    assert_int_equal(trim(&in, &r, &e), 0);
    struct cut c = {k->endpoint, body.data, body.len, text};
    /* The validator is the last line: no stage may propose what it must refuse. */
    if (r.refused.text[0]) {
        explain(&c, "", 0, r.refused.text);
        fail();
    }
    check_outcome(&c, &r);
    trim_result_release(&r);
    buf_release(&body);
}

static void check_talk(enum wire_endpoint endpoint, uint64_t number)
{
    struct talk k;
    talk_init(&k, endpoint, seed + number);
    k.thinks = number % 2 == 0;
    if (number % 3 != 0)
        talk_system(&k, "Be brief.");
    talk_random(&k, 2 + number % 7, 200);
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        for (size_t cut = 1; cut <= k.count; cut++) {
            check_cut(&k, 0, cut, policies[i]);
            check_cut(&k, cut - 1, k.count, policies[i]);
            size_t from = (size_t)rand_below(&k.rand, (int64_t)cut);
            check_cut(&k, from, cut, policies[i]);
        }
    }
    talk_release(&k);
}

static void every_cut_of_a_chat_stays_legal(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 8; i++)
        check_talk(WIRE_CHAT, i);
}

static void every_cut_of_response_items_stays_legal(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 8; i++)
        check_talk(WIRE_RESPONSES, i);
}

static void every_cut_of_messages_stays_legal(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 8; i++)
        check_talk(WIRE_MESSAGES, i);
}

int main(void)
{
    const char *given = getenv("TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : rand_system_seed();
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    if (counter_new(seed, &counter) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_of_a_chat_stays_legal),
        cmocka_unit_test(every_cut_of_response_items_stays_legal),
        cmocka_unit_test(every_cut_of_messages_stays_legal),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    counter_free(counter);
    return failed;
}
