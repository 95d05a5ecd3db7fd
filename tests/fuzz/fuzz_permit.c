/*
 * What workers send about their permits: what they ask for, how long it is to last, and what the
 * provider answered. Whatever is taken is in its bounds and makes a body that can be read.
 */
#include "api/permit_input.h"
#include "common/limits.h"
#include "scheduler/permit_result.h"
#include "scheduler/provider/wire_rules.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define NOW_MS INT64_C(1798761599500)

static const char text[] =
    "providers:\n"
    "- {name: openai, format: openai, models: [{name: gpt-4o}, {name: b}]}\n"
    "- {name: other, format: anthropic, models: [{name: 'c*'}, {name: b}]}\n";

static const struct config *the_config(void)
{
    static struct config *config;
    struct error e;
    if (!config)
        CHECK(config_parse("fuzz", text, strlen(text), &config, &e) == 0);
    return config;
}

static void fuzz_input(const char *body, size_t len)
{
    struct permit_input in;
    struct call_failure f;
    struct error e;
    int64_t ttl_ms;
    if (permit_input_read(body, len, the_config(), &in, &f) == 0) {
        CHECK(in.wait_ms >= -1 && in.wait_ms <= PERMIT_MAX_WAIT_MS);
        CHECK(in.ttl_ms == 0 ||
              (in.ttl_ms >= PERMIT_LEAST_TTL_MS && in.ttl_ms <= PERMIT_MAX_TTL_MS));
        CHECK(in.input_tokens >= 0 && in.input_tokens <= WIRE_MAX_TOKENS);
        CHECK(json_scan_check(in.body, in.body_len, &e) == 0);
    } else {
        CHECK(f.status >= 400 && f.message[0] != '\0');
    }
    permit_input_release(&in);
    if (permit_renewal_read(body, len, &ttl_ms, &f) == 0)
        CHECK(ttl_ms == 0 || (ttl_ms >= PERMIT_LEAST_TTL_MS && ttl_ms <= PERMIT_MAX_TTL_MS));
}

static void fuzz_result(enum wire_endpoint endpoint, const char *body, size_t len)
{
    struct permit_result r;
    struct wire_usage usage;
    struct error e;
    if (permit_result_read(body, len, &r, &e) < 0) {
        CHECK(e.text[0] != '\0');
        return;
    }
    CHECK(r.status >= 100 && r.status <= 599 && r.cache_read <= r.input);
    struct wire_answer answer =
        permit_result_answer(&r, wire_rules_find("generic"), endpoint, NOW_MS, &usage);
    CHECK(answer.retry_after_ms >= -1 && answer.retry_after_ms <= WIRE_MAX_RETRY_AFTER_MS);
    CHECK(!usage.known || (usage.input >= 0 && usage.cache_read <= usage.input));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char *body = malloc(len + 1);
    CHECK(body);
    if (len > 0)
        memcpy(body, bytes, len);
    body[len] = '\0';
    fuzz_input(body, len);
    for (enum wire_endpoint e = 0; e < WIRE_ENDPOINT_COUNT; e++)
        fuzz_result(e, body, len);
    free(body);
    return 0;
}
