/* Errors of each profile, and the limits that a body tells. */
#include "scheduler/provider/wire_rules.h"

#include "limiter/profile.h"
#include "scheduler/provider/wire_quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1767225600000) /* 2026-01-01 00:00 UTC: 8 h to midnight in California */

static struct wire_answer classify(const char *profile, int status, const char *body)
{
    struct wire_reply reply = {.status = status, .body = body, .len = strlen(body)};
    return wire_classify(wire_rules_find(profile), &reply, NOW_MS);
}

static void the_same_words_mean_what_the_profile_says(void **state)
{
    static const struct {
        const char *profile;
        int status;
        const char *body;
        enum wire_failure failure;
        const char *reason;
    } cases[] = {
        {"openai", 429, "{\"error\":{\"code\":\"insufficient_quota\"}}", WIRE_QUOTA,
         "insufficient_quota"},
        {"anthropic", 400, "{\"error\":{\"message\":\"Your credit balance is too low to ...\"}}",
         WIRE_QUOTA, ""},
        {"openai", 400, "{\"error\":{\"message\":\"Your credit balance is too low to ...\"}}",
         WIRE_CLIENT, ""},
        {"azure", 429,
         "{\"error\":{\"code\":\"429\",\"message\":\"The engine is currently "
         "overloaded, please retry\"}}",
         WIRE_OVERLOAD, "429"},
        {"azure", 429, "{\"error\":{\"message\":\"have exceeded token rate limit\"}}", WIRE_RATE,
         ""},
        {"gemini", 400, "{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass\"}}",
         WIRE_AUTH, "400"},
        {"gemini", 503, "{\"error\":{\"status\":\"UNAVAILABLE\"}}", WIRE_OVERLOAD, ""},
        {"gemini", 200, "{\"error\":{\"status\":\"RESOURCE_EXHAUSTED\"}}", WIRE_RATE, ""},
        {"groq", 498, "{\"error\":{\"code\":\"capacity_exceeded\"}}", WIRE_OVERLOAD,
         "capacity_exceeded"},
        {"groq", 413, "{\"error\":{\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
         WIRE_LIMIT_SIZE, "rate_limit_exceeded"},
        {"mistral", 429, "{\"message\":\"Service tier capacity exceeded for this model.\"}",
         WIRE_OVERLOAD, ""},
        {"openrouter", 402, "{\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}",
         WIRE_QUOTA, "402"},
        {"openrouter", 403, "{\"error\":{\"message\":\"flagged\"}}", WIRE_CLIENT, ""},
        {"openai", 403, "{\"error\":{\"message\":\"no\"}}", WIRE_AUTH, ""},
        {"ollama", 503, "{\"error\":\"server busy\"}", WIRE_OVERLOAD, ""},
        {"vllm", 429, "{}", WIRE_RATE, ""},
        {"generic", 529, "", WIRE_OVERLOAD, ""},
        {"a name of nobody", 429, "", WIRE_RATE, ""},
        {"generic", 429, "{\"error\":{\"code\":\"not a name\"}}", WIRE_RATE, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_answer a = classify(cases[i].profile, cases[i].status, cases[i].body);
        if (a.failure != cases[i].failure || strcmp(a.reason, cases[i].reason) != 0)
            fail_msg("%s %d %s: %s \"%s\"", cases[i].profile, cases[i].status, cases[i].body,
                     wire_failure_name(a.failure), a.reason);
    }
}

static void every_profile_has_costs_and_rules(void **state)
{
    static const char *const names[] = {"openai",  "anthropic",  "azure",  "gemini", "groq",
                                        "mistral", "openrouter", "ollama", "vllm",   "generic"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(profile_find(names[i]));
        assert_string_equal(wire_rules_find(names[i])->profile, names[i]);
    }
}

#define VIOLATION(id, value) "{\"quotaId\":\"" id "\",\"quotaValue\":" value "}"
#define GEMINI(violations)                                                                         \
    ("{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"message\":\"You exceeded your " \
     "current quota\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\","    \
     "\"violations\":[" violations "]},{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","   \
     "\"retryDelay\":\"37s\"}]}}")

static void gemini_bodies_tell_limits_and_waits(void **state)
{
    (void)state;
    struct wire_answer a = classify(
        "gemini", 429,
        GEMINI(VIOLATION(
            "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
            "\"15\"") "," VIOLATION("GenerateContentInputTokensPerModelPerMinute-FreeTier",
                                    "250000") "," VIOLATION("GenerateImagesPerMinute", "\"3\"")));
    assert_int_equal(a.failure, WIRE_RATE);
    assert_int_equal(a.retry_after_ms, 37000);
    assert_int_equal(a.hints.count, 2);
    assert_string_equal(a.hints.list[0].dim, "rpm");
    assert_int_equal(a.hints.list[0].limit, 15);
    assert_int_equal(a.hints.list[0].remaining, -1);
    assert_string_equal(a.hints.list[1].dim, "tpm");
    assert_int_equal(a.hints.list[1].limit, 250000);

    a = classify("gemini", 429,
                 GEMINI(VIOLATION("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "\"50\"")));
    assert_string_equal(a.dimension, "rpd");
    assert_int_equal(a.retry_after_ms, 8 * INT64_C(3600000));
    assert_string_equal(a.hints.list[0].dim, "rpd");
    assert_int_equal(a.hints.list[0].limit, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_words_mean_what_the_profile_says),
        cmocka_unit_test(every_profile_has_costs_and_rules),
        cmocka_unit_test(gemini_bodies_tell_limits_and_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
