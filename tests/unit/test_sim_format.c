/* Durations, errors and headers of the simulated provider, as the real ones write them. */
#include "api/simulate/sim_error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static void durations_are_written_as_go_does(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *want;
    } cases[] = {
        {0, "0s"},
        {1, "1ms"},
        {644 * 1000, "644ms"},
        {SECOND - 1, "1s"},
        {9816 * 1000, "9.816s"},
        {7660 * 1000, "7.66s"},
        {360 * SECOND, "6m0s"},
        {179560 * 1000, "2m59.56s"},
        {3600 * SECOND, "1h0m0s"},
        {86400 * SECOND, "24h0m0s"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[SIM_DURATION_BYTES];
        sim_duration(text, cases[i].us);
        assert_string_equal(text, cases[i].want);
    }
}

struct lines {
    char text[2048];
    size_t len;
};

static void keep(void *arg, const char *name, const char *value)
{
    struct lines *lines = arg;
    lines->len += (size_t)snprintf(lines->text + lines->len, sizeof(lines->text) - lines->len,
                                   "%s: %s\n", name, value);
}

/* 60 RPM and 150,000 TPM with 1 request and 16 tokens used; 1,000 RPD for Groq. */
static void rates(enum sim_profile profile, struct lines *lines)
{
    struct sim_scope scope;
    struct sim_scope *scopes[] = {&scope};
    const struct sim_header_sink sink = {keep, lines};
    static const int64_t limits[SIM_RATE_DIMS] = {
        [SIM_RPM] = 60, [SIM_TPM] = 150000, [SIM_RPD] = 1000};
    sim_scope_init(&scope, "m");
    for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++)
        sim_limit_set(&scope.limits[d], SIM_BUCKET, limits[d], 0, 0);
    sim_limit_charge(&scope.limits[SIM_RPM], 1, 0);
    sim_limit_charge(&scope.limits[SIM_TPM], 16, 0);
    sim_limit_charge(&scope.limits[SIM_RPD], 1, 0);
    *lines = (struct lines){.len = 0};
    struct sim_rates taken;
    sim_rates_take(&taken, scopes, 1, 0, INT64_C(1767225600000));
    sim_rate_headers(profile, &taken, &sink);
    sim_scope_release(&scope);
}

static void rate_headers_have_each_providers_form(void **state)
{
    (void)state;
    struct lines lines;
    rates(SIM_PROFILE_OPENAI, &lines);
    assert_string_equal(lines.text, "x-ratelimit-limit-requests: 60\n"
                                    "x-ratelimit-remaining-requests: 59\n"
                                    "x-ratelimit-reset-requests: 1s\n"
                                    "x-ratelimit-limit-tokens: 150000\n"
                                    "x-ratelimit-remaining-tokens: 149984\n"
                                    "x-ratelimit-reset-tokens: 7ms\n");
    rates(SIM_PROFILE_AZURE, &lines);
    assert_non_null(strstr(lines.text, "x-ratelimit-reset-tokens: 1\n"));
    rates(SIM_PROFILE_GROQ, &lines); /* requests are those of the day */
    assert_non_null(strstr(lines.text, "x-ratelimit-limit-requests: 1000\n"));
    assert_non_null(strstr(lines.text, "x-ratelimit-reset-requests: 1m26.4s\n"));
    rates(SIM_PROFILE_MISTRAL, &lines);
    assert_string_equal(lines.text, "x-ratelimitbysize-limit-minute: 150000\n"
                                    "x-ratelimitbysize-remaining-minute: 149984\n"
                                    "ratelimitbysize-reset: 1\n");
    rates(SIM_PROFILE_GENERIC, &lines);
    assert_string_equal(lines.text,
                        "ratelimit-policy: \"requests\";q=60;w=60, \"tokens\";q=150000;w=60, "
                        "\"requests-day\";q=1000;w=86400\n"
                        "ratelimit: \"requests\";r=59;t=1, \"tokens\";r=149984;t=1, "
                        "\"requests-day\";r=999;t=87\n");
    rates(SIM_PROFILE_ANTHROPIC, &lines); /* tokens to the nearest thousand */
    assert_string_equal(lines.text, "anthropic-ratelimit-requests-limit: 60\n"
                                    "anthropic-ratelimit-requests-remaining: 59\n"
                                    "anthropic-ratelimit-requests-reset: 2026-01-01T00:00:01Z\n"
                                    "anthropic-ratelimit-tokens-limit: 150000\n"
                                    "anthropic-ratelimit-tokens-remaining: 150000\n"
                                    "anthropic-ratelimit-tokens-reset: 2026-01-01T00:00:01Z\n");
}

static void retry_headers_round_up(void **state)
{
    (void)state;
    struct lines lines = {.len = 0};
    const struct sim_header_sink sink = {keep, &lines};
    sim_retry_headers(SIM_PROFILE_OPENAI, 1000001, &sink);
    assert_string_equal(lines.text, "retry-after-ms: 1001\nretry-after: 2\n");
    lines = (struct lines){.len = 0};
    sim_retry_headers(SIM_PROFILE_ANTHROPIC, 1, &sink);
    assert_string_equal(lines.text, "retry-after: 1\n");
    lines = (struct lines){.len = 0};
    sim_retry_headers(SIM_PROFILE_OPENAI, SIM_NEVER, &sink);
    assert_string_equal(lines.text, "");
}

static void error_text(enum sim_profile profile, const struct sim_refused *why, struct buf *out)
{
    struct sim_refusal refusal;
    sim_limit_refusal(profile, "gpt-4o", why, &refusal);
    buf_clear(out);
    sim_error_body(profile, &refusal, "req_1", out);
}

static void limit_errors_have_each_providers_words(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    struct sim_refused why = {SIM_TPM, NULL, 30000, 29937, 385, 644000};
    error_text(SIM_PROFILE_OPENAI, &why, &out);
    assert_string_equal(
        out.data,
        "{\"error\":{\"message\":\"Rate limit reached for gpt-4o in organization org-simulated on "
        "tokens per min (TPM): Limit 30000, Used 29937, Requested 385. Please try again in 644ms. "
        "Visit https://platform.openai.com/account/rate-limits to learn more.\",\"type\":"
        "\"tokens\",\"param\":null,\"code\":\"rate_limit_exceeded\"}}");
    error_text(SIM_PROFILE_ANTHROPIC, &why, &out);
    assert_non_null(strstr(out.data, "{\"type\":\"error\",\"error\":{\"type\":"
                                     "\"rate_limit_error\",\"message\":\"This request would exceed "
                                     "your organization's rate limit of 30,000 tokens per minute"));
    assert_non_null(strstr(out.data, "\"request_id\":\"req_1\"}"));
    error_text(SIM_PROFILE_AZURE, &why, &out);
    assert_non_null(strstr(out.data, "Please retry after 1 seconds."));
    assert_non_null(strstr(out.data, "\"code\":\"429\"}}"));

    why = (struct sim_refused){SIM_TPM, NULL, 30000, 0, 30601, SIM_NEVER};
    error_text(SIM_PROFILE_OPENAI, &why, &out);
    assert_non_null(strstr(out.data, "Request too large for gpt-4o in organization org-simulated "
                                     "on tokens per min (TPM): Limit 30000, Requested 30601. The "
                                     "input or output tokens must be reduced"));
    assert_null(strstr(out.data, "try again"));
    why = (struct sim_refused){SIM_RPM, NULL, 3, 3, 1, 20 * SECOND};
    error_text(SIM_PROFILE_OPENAI, &why, &out);
    assert_non_null(strstr(out.data, "on requests per min (RPM): Limit 3, Used 3, Requested 1. "
                                     "Please try again in 20s."));
    assert_non_null(strstr(out.data, "\"type\":\"requests\""));
    buf_release(&out);
}

static void overload_is_529_in_anthropics_shape(void **state)
{
    (void)state;
    struct sim_refusal r;
    struct buf out;
    buf_init(&out, 4096);
    sim_status_refusal(SIM_PROFILE_ANTHROPIC, 529, &r);
    sim_error_body(SIM_PROFILE_ANTHROPIC, &r, "req_1", &out);
    assert_string_equal(out.data, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                                  "\"message\":\"Overloaded\"},\"request_id\":\"req_1\"}");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_written_as_go_does),
        cmocka_unit_test(rate_headers_have_each_providers_form),
        cmocka_unit_test(retry_headers_round_up),
        cmocka_unit_test(limit_errors_have_each_providers_words),
        cmocka_unit_test(overload_is_529_in_anthropics_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
