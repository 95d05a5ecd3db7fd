#include "api/simulate/sim_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of several scopes the one that binds first; limit 0: not limited. */
static struct sim_rate binding(struct sim_scope **scopes, size_t count, enum sim_dim dim,
                               int64_t now_us)
{
    struct sim_rate found = {.limit = 0};
    for (size_t i = 0; i < count; i++) {
        struct sim_limit *l = &scopes[i]->limits[dim];
        if (l->limit == 0)
            continue;
        int64_t remaining = sim_limit_remaining(l, now_us);
        if (found.limit == 0 || remaining < found.remaining)
            found = (struct sim_rate){l->limit, remaining, sim_limit_reset_us(l, now_us)};
    }
    return found;
}

void sim_rates_take(struct sim_rates *r, struct sim_scope **scopes, size_t count, int64_t now_us,
                    int64_t wall_ms)
{
    r->wall_ms = wall_ms;
    for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++)
        r->dims[d] = binding(scopes, count, d, now_us);
}

/* False: not limited. */
static bool view(const struct sim_rates *r, enum sim_dim dim, struct sim_rate *ret)
{
    *ret = r->dims[dim];
    return ret->limit > 0;
}

static void add_number(const struct sim_header_sink *sink, const char *name, int64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    sink->add(sink->arg, name, text);
}

static void openai_three(enum sim_profile profile, const char *unit, const struct sim_rate *v,
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

static void anthropic_three(const char *unit, const struct sim_rate *v, int64_t wall_ms,
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

static void anthropic_headers(const struct sim_rates *r, const struct sim_header_sink *sink)
{
    struct sim_rate v, input, output;
    int64_t wall_ms = r->wall_ms;
    if (view(r, SIM_RPM, &v))
        anthropic_three("requests", &v, wall_ms, sink);
    bool has_input = view(r, SIM_ITPM, &input);
    bool has_output = view(r, SIM_OTPM, &output);
    if (has_input)
        anthropic_three("input-tokens", &input, wall_ms, sink);
    if (has_output)
        anthropic_three("output-tokens", &output, wall_ms, sink);
    /* "the most restrictive limit currently in effect" */
    bool has = view(r, SIM_TPM, &v);
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

static void mistral_headers(const struct sim_rates *r, const struct sim_header_sink *sink)
{
    struct sim_rate v;
    if (!view(r, SIM_TPM, &v))
        return;
    add_number(sink, "x-ratelimitbysize-limit-minute", v.limit);
    add_number(sink, "x-ratelimitbysize-remaining-minute", v.remaining);
    add_number(sink, "ratelimitbysize-reset", (v.reset_us + 999999) / 1000000);
}

/* The IETF draft's two fields, with a policy for the minute and one for the day. */
static void draft_headers(const struct sim_rates *r, const struct sim_header_sink *sink)
{
    static const struct {
        enum sim_dim dim;
        const char *name;
        int seconds;
    } policies[] = {{SIM_RPM, "requests", 60},
                    {SIM_TPM, "tokens", 60},
                    {SIM_RPD, "requests-day", 86400},
                    {SIM_TPD, "tokens-day", 86400}};
    char policy[256] = "", state[256] = "";
    for (size_t i = 0; i < 4; i++) {
        struct sim_rate v;
        size_t p = strlen(policy), s = strlen(state);
        if (!view(r, policies[i].dim, &v))
            continue;
        (void)snprintf(policy + p, sizeof(policy) - p, "%s\"%s\";q=%" PRId64 ";w=%d", p ? ", " : "",
                       policies[i].name, v.limit, policies[i].seconds);
        (void)snprintf(state + s, sizeof(state) - s, "%s\"%s\";r=%" PRId64 ";t=%" PRId64,
                       s ? ", " : "", policies[i].name, v.remaining,
                       (v.reset_us + 999999) / 1000000);
    }
    if (*policy) {
        sink->add(sink->arg, "ratelimit-policy", policy);
        sink->add(sink->arg, "ratelimit", state);
    }
}

void sim_rate_headers(enum sim_profile profile, const struct sim_rates *r,
                      const struct sim_header_sink *sink)
{
    struct sim_rate v;
    if (profile == SIM_PROFILE_ANTHROPIC) {
        anthropic_headers(r, sink);
        return;
    }
    if (profile == SIM_PROFILE_MISTRAL) {
        mistral_headers(r, sink);
        return;
    }
    if (profile == SIM_PROFILE_GENERIC) {
        draft_headers(r, sink);
        return;
    }
    /* At Groq the request headers always mean the day, and a day of tokens has none. */
    enum sim_dim requests = profile == SIM_PROFILE_GROQ ? SIM_RPD : SIM_RPM;
    if (view(r, requests, &v))
        openai_three(profile, "requests", &v, sink);
    if (view(r, SIM_TPM, &v))
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
