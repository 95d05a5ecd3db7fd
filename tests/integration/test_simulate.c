/* `sluice simulate` as its clients see it: a real process and real connections. */
#include "api/simulate/sim_request.h"
#include "common/clock.h"
#include "tests/support/sim_child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <curl/curl.h>

#define CHAT_PATH "/v1/chat/completions"
#define CHAT(max, text)                                                                            \
    "{\"model\":\"gpt-4o\",\"max_tokens\":" #max ",\"messages\":[{\"role\":\"user\",\"content\":"  \
    "\"" text "\"}]}"
#define MESSAGE(text)                                                                              \
    "{\"model\":\"claude\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"" text \
    "\"}]}"

static struct sim_child sim;

static int start(void **state, const char *options)
{
    (void)state;
    sim_child_start(&sim, options);
    return 0;
}

static int plain(void **state)
{
    return start(state, "--output-tokens 8");
}

static int metered(void **state)
{
    return start(state, "--rpm 5 --tpm 1000 --output-tokens 8");
}

static int windowed(void **state)
{
    return start(state, "--rpm 3 --algorithm sliding_window");
}

static int anthropic(void **state)
{
    return start(state, "--itpm 1000 --otpm 60 --output-tokens 40");
}

static int guarded(void **state)
{
    return start(state, "--require-key secret --model gpt-4o --concurrency 1");
}

static int stop(void **state)
{
    (void)state;
    sim_child_stop(&sim);
    return 0;
}

static struct http_answer post(const char *path, const char *body)
{
    return http_ask("POST", sim.url, path, body, NULL);
}

static int status_of(const char *path, const char *body)
{
    struct http_answer a = post(path, body);
    http_answer_release(&a);
    return a.status;
}

static json_t *json_of(const char *path, const char *body)
{
    struct http_answer a = post(path, body);
    assert_int_equal(a.status, 200);
    json_t *value = json_loads(a.body.data, 0, NULL);
    assert_non_null(value);
    http_answer_release(&a);
    return value;
}

static bool has(const struct http_answer *a, const char *text)
{
    return strstr(a->body.data, text) != NULL;
}

static int count(const struct http_answer *a, const char *text)
{
    int n = 0;
    for (const char *at = a->body.data; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

/* ---- answers */

static void the_answer_holds_the_hash_of_the_question(void **state)
{
    (void)state;
    char want[64];
    json_t *reply = json_of(CHAT_PATH, CHAT(50, "hello"));
    (void)snprintf(want, sizeof(want), "echo%016llx", (unsigned long long)sim_hash("hello", 5));
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0);
    const char *content =
        json_string_value(json_object_get(json_object_get(choice, "message"), "content"));
    assert_non_null(content);
    assert_int_equal(strncmp(content, want, strlen(want)), 0);
    assert_int_equal(strlen(content), 8 * 4);
    assert_int_equal(json_at(reply, "usage/prompt_tokens"), 6);
    assert_int_equal(json_at(reply, "usage/completion_tokens"), 8);
    json_decref(reply);
}

static void a_chat_stream_tells_usage_only_when_asked(void **state)
{
    (void)state;
    struct http_answer a =
        post(CHAT_PATH, "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                        "\"content\":\"hi\"}]}");
    char type[64];
    assert_string_equal(http_answer_header(&a, "content-type", type, sizeof(type)),
                        "text/event-stream; charset=utf-8");
    assert_int_equal(count(&a, "data: {"), 1 + 8 + 1);
    assert_false(has(&a, "usage"));
    assert_true(has(&a, "data: [DONE]\n\n"));
    http_answer_release(&a);

    a = post(CHAT_PATH, "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":"
                        "true},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    assert_int_equal(count(&a, "\"usage\":null"), 1 + 8 + 1);
    assert_true(has(&a, "\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8"));
    http_answer_release(&a);
}

static void an_anthropic_stream_has_its_events_in_order(void **state)
{
    (void)state;
    static const char *const events[] = {
        "message_start",       "content_block_start", "ping",          "content_block_delta",
        "content_block_delta", "content_block_stop",  "message_delta", "message_stop"};
    struct http_answer a =
        post("/v1/messages", "{\"model\":\"m\",\"max_tokens\":2,\"stream\":true,\"messages\":"
                             "[{\"role\":\"user\",\"content\":\"hi\"}]}");
    const char *at = a.body.data;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        char want[64];
        (void)snprintf(want, sizeof(want), "event: %s\n", events[i]);
        at = strstr(at, "event: ");
        assert_non_null(at);
        assert_int_equal(strncmp(at, want, strlen(want)), 0);
        at += strlen(want);
    }
    assert_null(strstr(at, "event: "));
    assert_true(has(&a, "\"stop_reason\":\"max_tokens\""));
    assert_true(has(&a, "\"usage\":{\"output_tokens\":2}"));
    http_answer_release(&a);
}

static void a_responses_stream_counts_its_events(void **state)
{
    (void)state;
    struct http_answer a =
        post("/v1/responses", "{\"model\":\"m\",\"stream\":true,\"input\":\"hi\"}");
    assert_int_equal(count(&a, "event: response.output_text.delta"), 8);
    assert_true(has(&a, "event: response.completed"));
    for (int i = 0; i < 4 + 8 + 4; i++) {
        char want[64];
        (void)snprintf(want, sizeof(want), "\"sequence_number\":%d,", i);
        assert_int_equal(count(&a, want), 1);
    }
    http_answer_release(&a);
}

static void tool_calls_come_in_each_format(void **state)
{
    (void)state;
    struct http_answer a =
        post(CHAT_PATH, "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
                        "\"look\"}}],\"messages\":[{\"role\":\"user\",\"content\":\"[[sim "
                        "tool_calls=3]]\"}]}");
    assert_int_equal(count(&a, "\"name\":\"look\""), 3);
    assert_true(has(&a, "\"finish_reason\":\"tool_calls\""));
    http_answer_release(&a);
    a = post("/v1/messages", MESSAGE("[[sim tool_calls=2]]"));
    assert_int_equal(count(&a, "\"type\":\"tool_use\""), 2);
    assert_true(has(&a, "\"stop_reason\":\"tool_use\""));
    http_answer_release(&a);
    a = post("/v1/responses",
             "{\"model\":\"m\",\"stream\":true,\"input\":\"[[sim tool_calls=1]]\"}");
    assert_int_equal(count(&a, "event: response.function_call_arguments.done"), 1);
    http_answer_release(&a);
}

static void embeddings_are_the_inputs_own_in_both_encodings(void **state)
{
    (void)state;
    float want[8];
    json_t *reply = json_of("/v1/embeddings",
                            "{\"model\":\"e\",\"dimensions\":8,\"input\":[\"x\",\"y\",\"x\"]}");
    const json_t *data = json_object_get(reply, "data");
    assert_int_equal(json_array_size(data), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *item = json_array_get(data, i);
        assert_int_equal(json_at(item, "index"), i);
        sim_embedding(sim_hash(i == 1 ? "y" : "x", 1), want, 8);
        for (size_t k = 0; k < 8; k++) {
            double got = json_real_value(json_array_get(json_object_get(item, "embedding"), k));
            assert_true((float)got == want[k]);
        }
    }
    assert_int_equal(json_at(reply, "usage/prompt_tokens"), 3);
    json_decref(reply);

    /* The four floats of the input "a", as a program in another language wrote them. */
    struct http_answer a = post("/v1/embeddings", "{\"model\":\"e\",\"dimensions\":4,\"input\":"
                                                  "\"a\",\"encoding_format\":\"base64\"}");
    assert_true(has(&a, "\"embedding\":\"2OXDvaMTQL8HpHw+shcbPw==\""));
    http_answer_release(&a);
}

static void models_and_token_counts_are_answered(void **state)
{
    (void)state;
    json_t *counted = json_of("/v1/messages/count_tokens", MESSAGE("12345"));
    assert_int_equal(json_at(counted, "input_tokens"), 6);
    json_decref(counted);
    struct http_answer a = http_ask("GET", sim.url, "/v1/models", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_true(has(&a, "\"object\":\"list\""));
    http_answer_release(&a);
    assert_int_equal(status_of("/v1/nothing", "{}"), 404);
    a = http_ask("GET", sim.url, CHAT_PATH, NULL, NULL);
    assert_int_equal(a.status, 405);
    http_answer_release(&a);
}

static void a_broken_transcript_is_400_in_the_paths_dialect(void **state)
{
    (void)state;
    struct http_answer a = post("/v1/messages", "{\"model\":\"m\",\"max_tokens\":5,\"messages\":"
                                                "[{\"role\":\"assistant\",\"content\":\"x\"}]}");
    assert_int_equal(a.status, 400);
    assert_true(has(&a, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\""));
    http_answer_release(&a);
    a = post(CHAT_PATH, "{\"model\":\"m\",\"messages\":[]}");
    assert_int_equal(a.status, 400);
    assert_true(has(&a, "\"param\":\"messages\",\"code\":\"empty_array\""));
    http_answer_release(&a);
}

/* ---- limits */

static void five_of_six_requests_fit_and_the_sixth_is_told_when(void **state)
{
    (void)state;
    char text[64];
    for (int i = 0; i < 5; i++)
        assert_int_equal(status_of(CHAT_PATH, CHAT(10, "hi")), 200);
    struct http_answer a = post(CHAT_PATH, CHAT(10, "hi"));
    assert_int_equal(a.status, 429);
    assert_true(has(&a, "on requests per min (RPM): Limit 5, Used 5, Requested 1. Please try "
                        "again in "));
    long ms = strtol(http_answer_header(&a, "retry-after-ms", text, sizeof(text)), NULL, 10);
    assert_in_range(ms, 1, 12000);
    long seconds = strtol(http_answer_header(&a, "retry-after", text, sizeof(text)), NULL, 10);
    assert_int_equal(seconds, (ms + 999) / 1000);
    assert_string_equal(
        http_answer_header(&a, "x-ratelimit-remaining-requests", text, sizeof(text)), "0");
    assert_string_equal(http_answer_header(&a, "x-ratelimit-limit-tokens", text, sizeof(text)),
                        "1000");
    http_answer_release(&a);

    json_t *ledger = sim_child_ledger(&sim);
    assert_int_equal(json_at(ledger, "calls"), 6);
    assert_int_equal(json_at(ledger, "admitted"), 5);
    assert_int_equal(json_at(ledger, "refused/rpm"), 1);
    assert_int_equal(json_at(ledger, "refused/total"), 1);
    assert_int_equal(json_at(ledger, "charged_tokens"), 5 * (5 + 10));
    assert_int_equal(json_at(ledger, "peak_60s/requests"), 5);
    assert_int_equal(json_at(ledger, "peak_60s/charged_tokens"), 75);
    assert_int_equal(json_at(ledger, "models/gpt-4o/output_tokens"), 40);
    assert_int_equal(json_at(ledger, "keys/none/calls"), 6);
    assert_int_equal(json_at(ledger, "scopes/0/limits/tpm/charged"), 75);
    assert_int_equal(json_at(ledger, "scopes/0/limits/tpm/offered_to_last_call") >= 1000, 1);
    json_decref(ledger);
}

static void a_request_above_the_limit_is_too_large_and_told_no_time(void **state)
{
    (void)state;
    char text[64];
    struct http_answer a = post(CHAT_PATH, CHAT(2000, "hi"));
    assert_int_equal(a.status, 429);
    assert_true(has(&a, "Request too large for gpt-4o"));
    assert_true(has(&a, "Limit 1000, Requested 2005."));
    assert_string_equal(http_answer_header(&a, "retry-after", text, sizeof(text)), "");
    http_answer_release(&a);
    assert_int_equal(status_of(CHAT_PATH, CHAT(995, "hi")), 200);
}

static void a_refused_request_may_come_again_when_its_time_has_come(void **state)
{
    (void)state;
    char text[64];
    struct http_answer a = post("/sim/limits", "{\"rpm\":600,\"limits\":[]}");
    assert_int_equal(a.status, 200);
    http_answer_release(&a);
    do {
        http_answer_release(&a);
        a = post(CHAT_PATH, CHAT(1, "hi"));
    } while (a.status == 200);
    int64_t ms = strtol(http_answer_header(&a, "retry-after-ms", text, sizeof(text)), NULL, 10);
    http_answer_release(&a);
    int64_t until = clock_mono_ms() + ms;
    while (clock_mono_ms() < until) {
        /* the wait is the behaviour under test; it is at most a tenth of a second or so */
    }
    assert_int_equal(status_of(CHAT_PATH, CHAT(1, "hi")), 200);
}

static void a_window_takes_its_limit_and_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(status_of(CHAT_PATH, CHAT(10, "hi")), 200);
    assert_int_equal(status_of(CHAT_PATH, CHAT(10, "hi")), 429);
    json_t *ledger = sim_child_ledger(&sim);
    assert_int_equal(json_at(ledger, "scopes/0/limits/rpm/peak_window"), 3);
    json_decref(ledger);
    assert_int_equal(status_of("/sim/reset", ""), 200);
    assert_int_equal(status_of(CHAT_PATH, CHAT(10, "hi")), 200);
}

static void anthropic_charges_output_as_it_is_produced(void **state)
{
    (void)state;
    char text[64];
    struct http_answer a = post("/v1/messages", MESSAGE("hi"));
    assert_int_equal(a.status, 200);
    assert_string_equal(
        http_answer_header(&a, "anthropic-ratelimit-output-tokens-limit", text, sizeof(text)),
        "60");
    http_answer_release(&a);
    assert_int_equal(status_of("/v1/messages", MESSAGE("hi")), 200); /* 80 of 60: a debt */
    a = post("/v1/messages", MESSAGE("hi"));
    assert_int_equal(a.status, 429);
    assert_true(has(&a, "rate limit of 60 output tokens per minute"));
    long seconds = strtol(http_answer_header(&a, "retry-after", text, sizeof(text)), NULL, 10);
    assert_in_range(seconds, 1, 21);
    assert_string_equal(http_answer_header(&a, "retry-after-ms", text, sizeof(text)), "");
    http_answer_release(&a);
    json_t *ledger = sim_child_ledger(&sim);
    assert_int_equal(json_at(ledger, "refused/otpm"), 1);
    assert_int_equal(json_at(ledger, "charged_tokens"), 2 * (5 + 40));
    json_decref(ledger);
}

static void keys_models_and_concurrency_are_guarded(void **state)
{
    (void)state;
    struct http_answer a = post(CHAT_PATH, CHAT(10, "hi"));
    assert_int_equal(a.status, 401);
    assert_true(has(&a, "\"code\":\"invalid_api_key\""));
    http_answer_release(&a);
    a = http_ask("POST", sim.url, "/v1/messages", MESSAGE("hi"), "x-api-key: wrong");
    assert_int_equal(a.status, 401);
    assert_true(has(&a, "authentication_error"));
    http_answer_release(&a);
    a = http_ask("POST", sim.url, "/v1/messages", MESSAGE("hi"), "x-api-key: secret");
    assert_int_equal(a.status, 404);
    http_answer_release(&a);
    a = http_ask("POST", sim.url, CHAT_PATH, CHAT(10, "hi"), "authorization: Bearer secret");
    assert_int_equal(a.status, 200);
    http_answer_release(&a);
    json_t *ledger = sim_child_ledger(&sim);
    assert_int_equal(json_at(ledger, "unauthorized"), 2);
    assert_int_equal(json_at(ledger, "invalid"), 1);
    assert_int_equal(json_at(ledger, "peak_in_flight"), 1);
    json_decref(ledger);
}

/* ---- faults */

static void faults_come_when_asked_for(void **state)
{
    (void)state;
    struct http_answer a = post(CHAT_PATH, CHAT(50, "[[sim status=503]]"));
    assert_int_equal(a.status, 503);
    assert_true(has(&a, "\"code\":\"server_is_overloaded\""));
    http_answer_release(&a);
    a = http_ask("POST", sim.url, "/v1/messages", MESSAGE("hi"), "x-sim: status=529");
    assert_int_equal(a.status, 529);
    assert_true(has(&a, "overloaded_error"));
    http_answer_release(&a);
    a = post(CHAT_PATH, CHAT(50, "[[sim disconnect]]"));
    assert_int_equal(a.curl_error, CURLE_GOT_NOTHING);
    http_answer_release(&a);
    a = post(CHAT_PATH, CHAT(50, "[[sim cut_after=1]]"));
    assert_int_equal(a.status, 200);
    assert_int_equal(a.curl_error, CURLE_PARTIAL_FILE);
    assert_true(a.body.len > 0);
    http_answer_release(&a);

    static const char stream[] = "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":"
                                 "[{\"role\":\"user\",\"content\":\"[[sim %s]]\"}]}";
    char body[256];
    (void)snprintf(body, sizeof(body), stream, "cut_after=3");
    a = post("/v1/messages", body);
    assert_int_equal(a.curl_error, CURLE_PARTIAL_FILE);
    assert_int_equal(count(&a, "event: content_block_delta"), 3);
    http_answer_release(&a);
    (void)snprintf(body, sizeof(body), stream, "error_after=2");
    a = post("/v1/messages", body);
    assert_int_equal(a.curl_error, 0);
    assert_int_equal(count(&a, "event: content_block_delta"), 2);
    assert_true(has(&a, "event: error\n"));
    assert_false(has(&a, "message_stop"));
    http_answer_release(&a);
}

static bool in_flight_is(int64_t want)
{
    for (int64_t until = clock_mono_ms() + 5000; clock_mono_ms() < until;) {
        json_t *ledger = sim_child_ledger(&sim);
        int64_t got = json_at(ledger, "in_flight");
        json_decref(ledger);
        if (got == want)
            return true;
    }
    return false;
}

static void a_client_that_leaves_frees_its_place(void **state)
{
    (void)state;
    struct http_answer a = http_ask_for(sim.url, CHAT_PATH, CHAT(50, "[[sim stall]]"), 100);
    assert_int_equal(a.curl_error, CURLE_OPERATION_TIMEDOUT);
    http_answer_release(&a);
    assert_true(in_flight_is(0));
    a = http_ask_for(sim.url, "/v1/messages",
                     "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":"
                     "\"user\",\"content\":\"[[sim stall_after=2]]\"}]}",
                     200);
    assert_int_equal(a.status, 200);
    assert_int_equal(count(&a, "event: content_block_delta"), 2);
    http_answer_release(&a);
    assert_true(in_flight_is(0));
    json_t *ledger = sim_child_ledger(&sim);
    assert_int_equal(json_at(ledger, "gone"), 2);
    json_decref(ledger);
}

static void scripted_replies_come_in_order_and_then_end(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(
        status_of("/sim/script",
                  "{\"responses\":[{\"status\":429,\"headers\":{\"retry-after\":\"7\"},\"body\":"
                  "{\"error\":{\"message\":\"slow\"}},\"times\":2},{\"status\":200,\"body\":"
                  "\"0123456789\",\"cut_after\":4}]}"),
        200);
    for (int i = 0; i < 2; i++) {
        struct http_answer a = post(CHAT_PATH, CHAT(50, "hi"));
        assert_int_equal(a.status, 429);
        assert_string_equal(http_answer_header(&a, "retry-after", text, sizeof(text)), "7");
        assert_string_equal(a.body.data, "{\"error\":{\"message\":\"slow\"}}");
        http_answer_release(&a);
    }
    struct http_answer a = post(CHAT_PATH, CHAT(50, "hi"));
    assert_int_equal(a.curl_error, CURLE_PARTIAL_FILE);
    assert_string_equal(a.body.data, "0123");
    http_answer_release(&a);
    assert_int_equal(status_of(CHAT_PATH, CHAT(50, "hi")), 200);
    assert_int_equal(status_of("/sim/script", "{\"responses\":[{\"status\":1000}]}"), 400);
}

static void calls_can_be_found_by_their_id(void **state)
{
    (void)state;
    struct http_answer a =
        http_ask("POST", sim.url, CHAT_PATH, CHAT(50, "hi"), "x-request-id: r-1");
    http_answer_release(&a);
    a = http_ask("POST", sim.url, CHAT_PATH, CHAT(50, "[[sim id=job-2]]"), "x-request-id: r-2");
    http_answer_release(&a);
    a = http_ask("GET", sim.url, "/sim/calls?since=1", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_true(has(&a, "\"id\": \"job-2\""));
    assert_true(has(&a, "\"request_id\": \"r-2\""));
    assert_false(has(&a, "r-1"));
    json_t *calls = json_loads(a.body.data, 0, NULL);
    assert_int_equal(json_at(calls, "last_seq"), 2);
    assert_int_equal(json_at(calls, "calls/0/status"), 200);
    json_decref(calls);
    http_answer_release(&a);
}

static void an_answer_takes_its_latency_and_its_tokens_time(void **state)
{
    (void)state;
    int64_t before = clock_mono_ms();
    assert_int_equal(status_of(CHAT_PATH, CHAT(50, "[[sim latency_ms=50 ms_per_token=10]]")), 200);
    assert_true(clock_mono_ms() - before >= 50 + 8 * 10); /* a lower bound; no upper one */
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_answer_holds_the_hash_of_the_question, plain),
        TEST(a_chat_stream_tells_usage_only_when_asked, plain),
        TEST(an_anthropic_stream_has_its_events_in_order, plain),
        TEST(a_responses_stream_counts_its_events, plain),
        TEST(tool_calls_come_in_each_format, plain),
        TEST(embeddings_are_the_inputs_own_in_both_encodings, plain),
        TEST(models_and_token_counts_are_answered, plain),
        TEST(a_broken_transcript_is_400_in_the_paths_dialect, plain),
        TEST(five_of_six_requests_fit_and_the_sixth_is_told_when, metered),
        TEST(a_request_above_the_limit_is_too_large_and_told_no_time, metered),
        TEST(a_refused_request_may_come_again_when_its_time_has_come, metered),
        TEST(a_window_takes_its_limit_and_no_more, windowed),
        TEST(anthropic_charges_output_as_it_is_produced, anthropic),
        TEST(keys_models_and_concurrency_are_guarded, guarded),
        TEST(faults_come_when_asked_for, plain),
        TEST(a_client_that_leaves_frees_its_place, plain),
        TEST(scripted_replies_come_in_order_and_then_end, plain),
        TEST(calls_can_be_found_by_their_id, plain),
        TEST(an_answer_takes_its_latency_and_its_tokens_time, plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
