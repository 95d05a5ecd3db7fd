#include "common/limits.h"
#include "scheduler/provider/wire.h"
#include "tests/support/format_rules.h"
#include "tests/support/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1798761599500) /* 2026-12-31 23:59:59.500 UTC */

static struct guard guard;

/* Headers as "name: value" lines in one string, for tables. */
static const char *header(void *arg, const char *name)
{
    static char value[128];
    size_t len = strlen(name);
    for (const char *line = arg; line && *line;) {
        const char *end = strchr(line, '\n');
        end = end ? end : line + strlen(line);
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            const char *from = line + len + 2;
            memcpy(value, from, (size_t)(end - from));
            value[end - from] = '\0';
            return value;
        }
        line = *end ? end + 1 : end;
    }
    return NULL;
}

static struct wire_answer classify(enum wire_format format, int status, const char *headers,
                                   const char *body)
{
    char *lines = strdup(headers);
    size_t len = strlen(body);
    struct wire_reply reply = {
        .status = status,
        .header = header,
        .arg = lines,
        .body = guard_copy(&guard, body, len),
        .len = len,
    };
    struct wire_answer answer = wire_classify(format_rules(format), &reply, NOW_MS);
    free(lines);
    return answer;
}

struct golden {
    enum wire_format format;
    int status;
    const char *headers, *body;
    enum wire_failure failure;
    int64_t retry_after_ms;
    const char *dimension;
};

static void expect_all(const struct golden *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct golden *c = &cases[i];
        struct wire_answer a = classify(c->format, c->status, c->headers, c->body);
        if (a.failure != c->failure || a.retry_after_ms != c->retry_after_ms ||
            strcmp(a.dimension, c->dimension) != 0)
            fail_msg("case %zu (%d %s): %s %lld '%s'", i, c->status, c->body,
                     wire_failure_name(a.failure), (long long)a.retry_after_ms, a.dimension);
        if (!strstr(c->headers, "x-should-retry"))
            assert_int_equal(a.may_retry, wire_failure_may_retry(c->failure));
    }
}

#define COUNT(cases) (sizeof(cases) / sizeof((cases)[0]))
#define OPENAI_429(message, type, code)                                                            \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type                                     \
    "\",\"param\":null,\"code\":\"" code "\"}}"
#define ANTHROPIC(type, message)                                                                   \
    "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"}}"

static void the_texts_of_openai_tell_limit_and_wait(void **state)
{
    (void)state;
    static const struct golden cases[] = {
        {WIRE_OPENAI, 429, "",
         OPENAI_429("Rate limit reached for gpt-4 in organization org-x on tokens per min (TPM): "
                    "Limit 10000, Used 8554, Requested 3082. Please try again in 9.816s. Visit "
                    "https://platform.openai.com/account/rate-limits to learn more.",
                    "tokens", "rate_limit_exceeded"),
         WIRE_RATE, 9816, "tpm"},
        {WIRE_OPENAI, 429, "",
         OPENAI_429(
             "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29937, "
             "Requested 385. Please try again in 644ms.",
             "tokens", "rate_limit_exceeded"),
         WIRE_RATE, 644, "tpm"},
        {WIRE_OPENAI, 429, "",
         OPENAI_429("Rate limit reached on requests per min (RPM): Limit 3, Used 3, Requested 1. "
                    "Please try again in 20s.",
                    "requests", "rate_limit_exceeded"),
         WIRE_RATE, 20000, "rpm"},
        {WIRE_OPENAI, 429, "",
         OPENAI_429(
             "Rate limit reached on requests per day (RPD): Limit 200, Used 200, Requested 1. "
             "Please try again in 7m12s.",
             "requests", "rate_limit_exceeded"),
         WIRE_RATE, 432000, "rpd"},
        {WIRE_OPENAI, 429, "",
         OPENAI_429(
             "Rate limit reached on tokens per day (TPD): Limit 200000, Used 199000, Requested "
             "2000. Please try again in 1m2s.",
             "tokens", "rate_limit_exceeded"),
         WIRE_RATE, 62000, "tpd"},
        {WIRE_OPENAI, 429, "",
         OPENAI_429("Rate limit reached for images per minute (IPM)", "rate_limit_error",
                    "rate_limit_exceeded"),
         WIRE_RATE, -1, ""},
    };
    expect_all(cases, COUNT(cases));
}

static void what_can_never_fit_is_told_from_what_must_wait(void **state)
{
    (void)state;
    static const struct golden cases[] = {
        {WIRE_OPENAI, 429, "",
         OPENAI_429("Request too large for gpt-4o in organization org-x on tokens per min (TPM): "
                    "Limit 30000, Requested 30601. The input or output tokens must be reduced in "
                    "order to run successfully.",
                    "tokens", "rate_limit_exceeded"),
         WIRE_LIMIT_SIZE, -1, "tpm"},
        {WIRE_OPENAI, 429, "",
         OPENAI_429("Rate limit reached: Limit 30,000, Used 0, Requested 30,001", "tokens",
                    "rate_limit_exceeded"),
         WIRE_LIMIT_SIZE, -1, ""},
        {WIRE_OPENAI, 429, "",
         OPENAI_429("Rate limit reached: Limit 30,000, Used 1, Requested 30,000", "tokens",
                    "rate_limit_exceeded"),
         WIRE_RATE, -1, ""},
    };
    expect_all(cases, COUNT(cases));
}

static void money_is_never_a_rate(void **state)
{
    (void)state;
    static const struct golden cases[] = {
        {WIRE_OPENAI, 429, "retry-after: 5",
         OPENAI_429("You exceeded your current quota, please check your plan and billing details.",
                    "insufficient_quota", "insufficient_quota"),
         WIRE_QUOTA, 5000, ""},
        {WIRE_OPENAI, 429, "", OPENAI_429("x", "insufficient_quota", "credit_balance_exhausted"),
         WIRE_QUOTA, -1, ""},
        {WIRE_OPENAI, 429, "",
         OPENAI_429("x", "insufficient_quota", "organization_spend_limit_exceeded"), WIRE_QUOTA, -1,
         ""},
        {WIRE_OPENAI, 429, "", OPENAI_429("x", "rate_limit_error", "project_spend_limit_exceeded"),
         WIRE_QUOTA, -1, ""},
        {WIRE_OPENAI, 429, "",
         OPENAI_429("x", "insufficient_quota", "organization_usage_limit_exceeded"), WIRE_QUOTA, -1,
         ""},
        {WIRE_OPENAI, 429, "", OPENAI_429("x", "insufficient_quota", "rate_limit_exceeded"),
         WIRE_QUOTA, -1, ""},
        {WIRE_OPENAI, 402, "", "{\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}",
         WIRE_QUOTA, -1, ""},
        /* Until the first of the next month, half a second from now. */
        {WIRE_ANTHROPIC, 429, "",
         "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"spend limit\","
         "\"details\":{\"error_code\":\"enforced_spend_limit_reached\"}}}",
         WIRE_QUOTA, 500, ""},
        {WIRE_ANTHROPIC, 400, "",
         ANTHROPIC("invalid_request_error", "You have reached your specified API usage limits. You "
                                            "will regain access on 2027-01-01 at 00:00 UTC."),
         WIRE_QUOTA, -1, ""},
        {WIRE_ANTHROPIC, 400, "",
         ANTHROPIC("invalid_request_error",
                   "Your credit balance is too low to access the Anthropic API."),
         WIRE_QUOTA, -1, ""},
        {WIRE_ANTHROPIC, 402, "", ANTHROPIC("billing_error", "x"), WIRE_QUOTA, -1, ""},
        /* The same words from an OpenAI provider are the caller's prompt, perhaps. */
        {WIRE_OPENAI, 400, "",
         OPENAI_429("You have reached your specified API usage limits", "invalid_request_error",
                    ""),
         WIRE_CLIENT, -1, ""},
    };
    expect_all(cases, COUNT(cases));
}

static void the_texts_of_anthropic_tell_the_limit(void **state)
{
    (void)state;
    static const struct golden cases[] = {
        {WIRE_ANTHROPIC, 429, "retry-after: 12",
         ANTHROPIC("rate_limit_error",
                   "This request would exceed your organization's rate limit of "
                   "30,000 input tokens per minute."),
         WIRE_RATE, 12000, "itpm"},
        {WIRE_ANTHROPIC, 429, "",
         ANTHROPIC("rate_limit_error", "This request would exceed the rate limit for your "
                                       "organization of 8,000 output tokens per minute."),
         WIRE_RATE, -1, "otpm"},
        {WIRE_ANTHROPIC, 429, "",
         ANTHROPIC("rate_limit_error", "rate limit of 50 requests per minute"), WIRE_RATE, -1,
         "rpm"},
        {WIRE_ANTHROPIC, 429, "",
         ANTHROPIC("rate_limit_error",
                   "Number of request tokens has exceeded your per-minute rate limit"),
         WIRE_RATE, -1, "itpm"},
        {WIRE_ANTHROPIC, 429, "",
         ANTHROPIC("rate_limit_error", "This request would exceed your acceleration limit"),
         WIRE_RAMP, -1, ""},
        {WIRE_ANTHROPIC, 529, "", ANTHROPIC("overloaded_error", "Overloaded"), WIRE_OVERLOAD, -1,
         ""},
        {WIRE_ANTHROPIC, 500, "", ANTHROPIC("api_error", "Internal server error"), WIRE_SERVER, -1,
         ""},
        {WIRE_ANTHROPIC, 413, "", ANTHROPIC("request_too_large", "x"), WIRE_CLIENT, -1, ""},
        {WIRE_ANTHROPIC, 400, "", ANTHROPIC("invalid_request_error", "max_tokens: missing"),
         WIRE_CLIENT, -1, ""},
    };
    expect_all(cases, COUNT(cases));
}

static void ramp_and_overload_are_not_a_rate(void **state)
{
    (void)state;
    static const struct golden cases[] = {
        {WIRE_OPENAI, 429, "", OPENAI_429("x", "rate_limit_error", "slow_down"), WIRE_RAMP, -1, ""},
        {WIRE_OPENAI, 429, "", OPENAI_429("x", "limit_burst_rate", "limit_burst_rate"), WIRE_RAMP,
         -1, ""},
        {WIRE_OPENAI, 503, "retry-after: 2",
         OPENAI_429("x", "service_unavailable_error", "server_is_overloaded"), WIRE_OVERLOAD, 2000,
         ""},
        {WIRE_OPENAI, 503, "", "<html>Service Unavailable</html>", WIRE_OVERLOAD, -1, ""},
        {WIRE_OPENAI, 498, "", OPENAI_429("x", "", "capacity_exceeded"), WIRE_OVERLOAD, -1, ""},
        {WIRE_OPENAI, 429, "", OPENAI_429("x", "", "capacity_exceeded"), WIRE_OVERLOAD, -1, ""},
        {WIRE_OPENAI, 500, "", OPENAI_429("x", "server_error", "server_is_overloaded"),
         WIRE_OVERLOAD, -1, ""},
    };
    expect_all(cases, COUNT(cases));
}

static void the_status_alone_classifies_when_the_body_says_nothing(void **state)
{
    (void)state;
    static const struct golden cases[] = {
        {WIRE_OPENAI, 200, "retry-after: 1", "{\"choices\":[]}", WIRE_OK, -1, ""},
        {WIRE_OPENAI, 200, "", "", WIRE_OK, -1, ""},
        {WIRE_ANTHROPIC, 200, "", "{\"type\":\"message\",\"content\":[]}", WIRE_OK, -1, ""},
        {WIRE_OPENAI, 200, "", "{\"object\":\"response\",\"error\":null}", WIRE_OK, -1, ""},
        {WIRE_OPENAI, 429, "", "", WIRE_RATE, -1, ""},
        {WIRE_OPENAI, 429, "", "{\"error\":", WIRE_RATE, -1, ""},
        {WIRE_OPENAI, 400, "", "", WIRE_CLIENT, -1, ""},
        {WIRE_OPENAI, 401, "", OPENAI_429("x", "invalid_request_error", "invalid_api_key"),
         WIRE_AUTH, -1, ""},
        {WIRE_OPENAI, 403, "", "", WIRE_AUTH, -1, ""},
        {WIRE_OPENAI, 404, "", "", WIRE_CLIENT, -1, ""},
        {WIRE_OPENAI, 408, "", "", WIRE_SERVER, -1, ""},
        {WIRE_OPENAI, 409, "", "", WIRE_SERVER, -1, ""},
        {WIRE_OPENAI, 422, "", "", WIRE_CLIENT, -1, ""},
        {WIRE_OPENAI, 500, "", "", WIRE_SERVER, -1, ""},
        {WIRE_OPENAI, 502, "", "", WIRE_SERVER, -1, ""},
        {WIRE_OPENAI, 504, "", "", WIRE_SERVER, -1, ""},
        {WIRE_OPENAI, 520, "", "", WIRE_SERVER, -1, ""},
        {WIRE_OPENAI, 302, "", "", WIRE_CLIENT, -1, ""},
        {WIRE_OPENAI, 0, "", "", WIRE_SERVER, -1, ""},
    };
    expect_all(cases, COUNT(cases));
}

static void an_error_event_after_status_200_is_told_by_its_body(void **state)
{
    (void)state;
    static const struct golden cases[] = {
        {WIRE_ANTHROPIC, 200, "", ANTHROPIC("overloaded_error", "Overloaded"), WIRE_OVERLOAD, -1,
         ""},
        {WIRE_ANTHROPIC, 200, "", ANTHROPIC("api_error", "x"), WIRE_SERVER, -1, ""},
        {WIRE_ANTHROPIC, 200, "", ANTHROPIC("new_error", "x"), WIRE_SERVER, -1, ""},
        {WIRE_ANTHROPIC, 200, "", ANTHROPIC("authentication_error", "x"), WIRE_AUTH, -1, ""},
        {WIRE_OPENAI, 200, "",
         OPENAI_429(
             "on tokens per min (TPM): Limit 10, Used 9, Requested 3. Please try again in 6.2s.",
             "tokens", "rate_limit_exceeded"),
         WIRE_RATE, 6200, "tpm"},
        {WIRE_OPENAI, 200, "", OPENAI_429("x", "insufficient_quota", ""), WIRE_QUOTA, -1, ""},
        {WIRE_OPENAI, 200, "", OPENAI_429("x", "invalid_request_error", ""), WIRE_CLIENT, -1, ""},
        {WIRE_OPENAI, 200, "",
         "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\","
         "\"message\":\"x\"}}}",
         WIRE_RATE, -1, ""},
        {WIRE_OPENAI, 200, "", "{\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\"}",
         WIRE_SERVER, -1, ""},
        {WIRE_OPENAI, 200, "", "{\"error\":{\"code\":429,\"message\":\"x\"}}", WIRE_RATE, -1, ""},
        {WIRE_OPENAI, 200, "", "{\"error\":{\"code\":502,\"message\":\"x\"}}", WIRE_SERVER, -1, ""},
        {WIRE_OPENAI, 200, "", "{\"error\":\"boom\"}", WIRE_SERVER, -1, ""},
    };
    expect_all(cases, COUNT(cases));
}

static void a_wait_is_taken_from_the_nearest_source(void **state)
{
    (void)state;
#define BODY OPENAI_429("Please try again in 6.2s", "tokens", "rate_limit_exceeded")
    static const struct golden cases[] = {
        {WIRE_OPENAI, 429, "retry-after: 7", BODY, WIRE_RATE, 7000, ""},
        {WIRE_OPENAI, 429, "retry-after: 1.5", BODY, WIRE_RATE, 1500, ""},
        {WIRE_OPENAI, 429, "retry-after: 7\nretry-after-ms: 6400", BODY, WIRE_RATE, 6400, ""},
        {WIRE_OPENAI, 429, "retry-after-ms: bad\nretry-after: 7", BODY, WIRE_RATE, 7000, ""},
        {WIRE_OPENAI, 429, "retry-after: bad", BODY, WIRE_RATE, 6200, ""},
        {WIRE_OPENAI, 429, "retry-after: Fri, 01 Jan 2027 00:00:03 GMT", BODY, WIRE_RATE, 3500, ""},
        {WIRE_OPENAI, 429, "retry-after: Fri, 01 Jan 2021 00:00:03 GMT", BODY, WIRE_RATE, 0, ""},
        {WIRE_OPENAI, 503, "retry-after: 3", "", WIRE_OVERLOAD, 3000, ""},
        {WIRE_OPENAI, 429, "",
         "{\"error\":{\"code\":\"429\",\"message\":\"Requests to the ChatCompletions_Create "
         "Operation "
         "have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry "
         "after "
         "7 seconds.\"}}",
         WIRE_RATE, 7000, "tpm"},
        {WIRE_OPENAI, 429, "",
         "{\"error\":{\"code\":\"429\",\"message\":\"Requests have exceeded call rate limit. "
         "Please "
         "retry after 2 seconds.\"}}",
         WIRE_RATE, 2000, "rpm"},
    };
#undef BODY
    expect_all(cases, COUNT(cases));
}

static void geminis_details_tell_minute_and_day_apart(void **state)
{
    (void)state;
#define GEMINI(id)                                                                                 \
    "[{\"error\":{\"code\":429,\"message\":\"Quota exceeded\",\"status\":\"RESOURCE_EXHAUSTED\","  \
    "\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\",\"violations\":"      \
    "[{\"quotaId\":\"" id "\"}]},{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","         \
    "\"retryDelay\":\"37s\"}]}}]"
    static const struct golden cases[] = {
        {WIRE_OPENAI, 429, "", GEMINI("GenerateRequestsPerMinutePerProjectPerModel"), WIRE_RATE,
         37000, ""},
        /* Half a second before midnight UTC there are 8 hours to 08:00. */
        {WIRE_OPENAI, 429, "retry-after: 37",
         GEMINI("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), WIRE_RATE,
         8 * 3600 * 1000 + 500, "rpd"},
    };
#undef GEMINI
    expect_all(cases, COUNT(cases));
}

static void advice_not_to_retry_is_followed_with_care(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *headers;
        bool may_retry;
    } cases[] = {
        {500, "", true},
        {500, "x-should-retry: true", true},
        {500, "x-should-retry: false", false},
        {503, "x-should-retry: false", false},
        {429, "x-should-retry: false", false},
        {429, "x-should-retry: false\nretry-after: 5", true}, /* the wait is kept here */
        {400, "x-should-retry: true", true},
        {400, "", false},
        {401, "x-should-retry: true", false},
        {402, "x-should-retry: true", false},
        {200, "x-should-retry: true", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wire_answer a = classify(WIRE_OPENAI, cases[i].status, cases[i].headers, "");
        if (a.may_retry != cases[i].may_retry)
            fail_msg("%d %s", cases[i].status, cases[i].headers);
    }
}

static void a_reply_may_have_neither_headers_nor_body(void **state)
{
    (void)state;
    struct wire_reply reply = {.status = 429};
    struct wire_answer a = wire_classify(format_rules(WIRE_OPENAI), &reply, NOW_MS);
    assert_int_equal(a.failure, WIRE_RATE);
    assert_int_equal(a.retry_after_ms, -1);
}

static void an_error_body_is_read_up_to_its_maximum(void **state)
{
    (void)state;
    static const char body[] = OPENAI_429("x", "insufficient_quota", "");
    char *text = malloc(WIRE_MAX_ERROR_BYTES + 1);
    assert_non_null(text);
    memset(text, ' ', WIRE_MAX_ERROR_BYTES + 1);
    memcpy(text, body, strlen(body));
    struct wire_reply reply = {.status = 429, .body = text, .len = WIRE_MAX_ERROR_BYTES};
    assert_int_equal(wire_classify(format_rules(WIRE_OPENAI), &reply, NOW_MS).failure, WIRE_QUOTA);
    reply.len++;
    assert_int_equal(wire_classify(format_rules(WIRE_OPENAI), &reply, NOW_MS).failure, WIRE_RATE);
    free(text);
}

static void each_failure_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(wire_failure_name(WIRE_LIMIT_SIZE), "too_large");
    for (int i = WIRE_OK; i <= WIRE_CLIENT; i++)
        for (int j = WIRE_OK; j < i; j++)
            assert_string_not_equal(wire_failure_name((enum wire_failure)i),
                                    wire_failure_name((enum wire_failure)j));
    assert_string_equal(wire_failure_name((enum wire_failure)99), "?");
}

static int make_guard(void **state)
{
    (void)state;
    guard_init(&guard, 64 * KIB);
    return 0;
}

static int drop_guard(void **state)
{
    (void)state;
    guard_release(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_texts_of_openai_tell_limit_and_wait),
        cmocka_unit_test(what_can_never_fit_is_told_from_what_must_wait),
        cmocka_unit_test(money_is_never_a_rate),
        cmocka_unit_test(the_texts_of_anthropic_tell_the_limit),
        cmocka_unit_test(ramp_and_overload_are_not_a_rate),
        cmocka_unit_test(the_status_alone_classifies_when_the_body_says_nothing),
        cmocka_unit_test(an_error_event_after_status_200_is_told_by_its_body),
        cmocka_unit_test(a_wait_is_taken_from_the_nearest_source),
        cmocka_unit_test(geminis_details_tell_minute_and_day_apart),
        cmocka_unit_test(advice_not_to_retry_is_followed_with_care),
        cmocka_unit_test(a_reply_may_have_neither_headers_nor_body),
        cmocka_unit_test(an_error_body_is_read_up_to_its_maximum),
        cmocka_unit_test(each_failure_has_a_name),
    };
    return cmocka_run_group_tests(tests, make_guard, drop_guard);
}
