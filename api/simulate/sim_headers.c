#include "api/simulate/sim_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One dimension as the headers tell it. */
struct rate_view {
    int64_t limit, remaining, reset_us;
};

/* Of several scopes the one that binds first. False: not limited. */
static bool view(struct sim_scope **scopes, size_t count, enum sim_dim dim, int64_t now_us,
                 struct rate_view *ret)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        struct sim_limit *l = &scopes[i]->limits[dim];
        if (l->limit == 0)
            continue;
        int64_t remaining = sim_limit_remaining(l, now_us);
        if (found && remaining >= ret->remaining)
            continue;
        *ret = (struct rate_view){l->limit, remaining, sim_limit_reset_us(l, now_us)};
        found = true;
    }
    return found;
}

static void add_number(const struct sim_header_sink *sink, const char *name, int64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    sink->add(sink->arg, name, text);
}

static void openai_three(enum sim_profile profile, const char *unit, const struct rate_view *v,
                         const struct sim_header_sink *sink)
{
    char name[64], reset[SIM_DURATION_BYTES];
    (void)snprintf(name, sizeof(name), "x-ratelimit-limit-%s", unit);
    add_number(sink, name, v->limit);
    (void)snprintf(name, sizeof(name), "x-ratelimit-remaining-%s", unit);
    add_number(sink, name, v->remaining);
    (void)snprintf(name, sizeof(name), "x-ratelimit-reset-%s", unit);
    if (profile == SIM_PROFILE_AZURE)
        (void)snprintf(reset, sizeof(reset), "%" PRId64, (v->reset_us + 999999) / 1000000);
    else
        sim_duration(reset, v->reset_us);
    sink->add(sink->arg, name, reset);
}

static void anthropic_three(const char *unit, const struct rate_view *v, int64_t wall_ms,
                            const struct sim_header_sink *sink)
{
    char name[64], reset[SIM_DURATION_BYTES];
    bool requests = strcmp(unit, "requests") == 0;
    (void)snprintf(name, sizeof(name), "anthropic-ratelimit-%s-limit", unit);
    add_number(sink, name, v->limit);
    (void)snprintf(name, sizeof(name), "anthropic-ratelimit-%s-remaining", unit);
    /* "rounded to the nearest thousand" for tokens */
    add_number(sink, name, requests ? v->remaining : (v->remaining + 500) / 1000 * 1000);
    (void)snprintf(name, sizeof(name), "anthropic-ratelimit-%s-reset", unit);
    sim_rfc3339(reset, wall_ms + (v->reset_us + 999) / 1000);
    sink->add(sink->arg, name, reset);
}

static void anthropic_headers(struct sim_scope **scopes, size_t count, int64_t now_us,
                              int64_t wall_ms, const struct sim_header_sink *sink)
{
    struct rate_view v, input, output;
    if (view(scopes, count, SIM_RPM, now_us, &v))
        anthropic_three("requests", &v, wall_ms, sink);
    bool has_input = view(scopes, count, SIM_ITPM, now_us, &input);
    bool has_output = view(scopes, count, SIM_OTPM, now_us, &output);
    if (has_input)
        anthropic_three("input-tokens", &input, wall_ms, sink);
    if (has_output)
        anthropic_three("output-tokens", &output, wall_ms, sink);
    /* "the most restrictive limit currently in effect" */
    bool has = view(scopes, count, SIM_TPM, now_us, &v);
    if (has_input && (!has || input.remaining < v.remaining)) {
        v = input;
        has = true;
    }
    if (has_output && (!has || output.remaining < v.remaining)) {
        v = output;
        has = true;
    }
    if (has)
        anthropic_three("tokens", &v, wall_ms, sink);
}

void sim_rate_headers(enum sim_profile profile, struct sim_scope **scopes, size_t count,
                      int64_t now_us, int64_t wall_ms, const struct sim_header_sink *sink)
{
    struct rate_view v;
    if (profile == SIM_PROFILE_ANTHROPIC) {
        anthropic_headers(scopes, count, now_us, wall_ms, sink);
        return;
    }
    /* At Groq the request headers always mean the day, and a day of tokens has none. */
    enum sim_dim requests = profile == SIM_PROFILE_GROQ ? SIM_RPD : SIM_RPM;
    if (view(scopes, count, requests, now_us, &v))
        openai_three(profile, "requests", &v, sink);
    if (view(scopes, count, SIM_TPM, now_us, &v))
        openai_three(profile, "tokens", &v, sink);
}

void sim_retry_headers(enum sim_profile profile, int64_t wait_us,
                       const struct sim_header_sink *sink)
{
    if (wait_us == SIM_NEVER)
        return;
    if (profile == SIM_PROFILE_OPENAI || profile == SIM_PROFILE_AZURE)
        add_number(sink, "retry-after-ms", (wait_us + 999) / 1000);
    add_number(sink, "retry-after", (wait_us + 999999) / 1000000);
}
