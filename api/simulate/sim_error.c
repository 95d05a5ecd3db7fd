#include "api/simulate/sim_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ORGANIZATION "org-simulated"

static const char *const openai_units[SIM_DIMS] = {
    [SIM_RPM] = "requests per min (RPM)",       [SIM_TPM] = "tokens per min (TPM)",
    [SIM_ITPM] = "input tokens per min (ITPM)", [SIM_OTPM] = "output tokens per min (OTPM)",
    [SIM_RPD] = "requests per day (RPD)",       [SIM_TPD] = "tokens per day (TPD)",
    [SIM_CONCURRENCY] = "concurrent requests",
};

static const char *const groq_units[SIM_DIMS] = {
    [SIM_RPM] = "requests per minute (RPM)",       [SIM_TPM] = "tokens per minute (TPM)",
    [SIM_ITPM] = "input tokens per minute (ITPM)", [SIM_OTPM] = "output tokens per minute (OTPM)",
    [SIM_RPD] = "requests per day (RPD)",          [SIM_TPD] = "tokens per day (TPD)",
    [SIM_CONCURRENCY] = "concurrent requests",
};

static const char *const anthropic_units[SIM_RATE_DIMS] = {
    [SIM_RPM] = "requests per minute",      [SIM_TPM] = "tokens per minute",
    [SIM_ITPM] = "input tokens per minute", [SIM_OTPM] = "output tokens per minute",
    [SIM_RPD] = "requests per day",         [SIM_TPD] = "tokens per day",
};

void sim_duration(char *out, int64_t us)
{
    int64_t ms = (us + 999) / 1000;
    if (ms == 0) {
        (void)snprintf(out, SIM_DURATION_BYTES, "0s");
        return;
    }
    if (ms < 1000) {
        (void)snprintf(out, SIM_DURATION_BYTES, "%" PRId64 "ms", ms);
        return;
    }
    int64_t hours = ms / 3600000, minutes = ms / 60000 % 60;
    char *at = out;
    char *end = out + SIM_DURATION_BYTES;
    if (hours > 0)
        at += snprintf(at, (size_t)(end - at), "%" PRId64 "h", hours);
    if (hours > 0 || minutes > 0)
        at += snprintf(at, (size_t)(end - at), "%" PRId64 "m", minutes);
    at += snprintf(at, (size_t)(end - at), "%" PRId64, ms / 1000 % 60);
    if (ms % 1000 > 0) {
        at += snprintf(at, (size_t)(end - at), ".%03" PRId64, ms % 1000);
        while (at[-1] == '0')
            at--;
    }
    (void)snprintf(at, (size_t)(end - at), "s");
}

void sim_rfc3339(char *out, int64_t wall_ms)
{
    time_t seconds = (time_t)((wall_ms + 999) / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) ||
        strftime(out, SIM_DURATION_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        out[0] = '\0';
}

static void rate_refusal(struct sim_refusal *r, const struct sim_refused *why)
{
    bool requests = why->dim == SIM_RPM || why->dim == SIM_RPD || why->dim == SIM_CONCURRENCY;
    *r = (struct sim_refusal){
        .status = 429,
        .type = requests ? "requests" : "tokens",
        .code = "rate_limit_exceeded",
    };
}

static void openai_limit(const char *model, const struct sim_refused *why, struct sim_refusal *r)
{
    rate_refusal(r, why);
    if (why->wait_us == SIM_NEVER) {
        (void)snprintf(r->message, sizeof(r->message),
                       "Request too large for %.100s in organization " ORGANIZATION
                       " on %s: Limit %" PRId64 ", Requested %" PRId64 ". The input or output "
                       "tokens must be reduced in order to run successfully. Visit "
                       "https://platform.openai.com/account/rate-limits to learn more.",
                       model, openai_units[why->dim], why->limit, why->requested);
        return;
    }
    char wait[SIM_DURATION_BYTES];
    sim_duration(wait, why->dim == SIM_CONCURRENCY ? 1000000 : why->wait_us);
    (void)snprintf(r->message, sizeof(r->message),
                   "Rate limit reached for %.100s in organization " ORGANIZATION
                   " on %s: Limit %" PRId64 ", Used %" PRId64 ", Requested %" PRId64 ". Please try "
                   "again in %s. Visit https://platform.openai.com/account/rate-limits to learn "
                   "more.",
                   model, openai_units[why->dim], why->limit, why->used, why->requested, wait);
}

static void groq_limit(const char *model, const struct sim_refused *why, struct sim_refusal *r)
{
    rate_refusal(r, why);
    static const char upgrade[] =
        "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing";
    if (why->wait_us == SIM_NEVER) {
        r->status = 413;
        (void)snprintf(r->message, sizeof(r->message),
                       "Request too large for model `%.100s` in organization `" ORGANIZATION
                       "` service tier `on_demand` on %s: Limit %" PRId64 ", Requested %" PRId64
                       ", please reduce your message size and try again. %s",
                       model, groq_units[why->dim], why->limit, why->requested, upgrade);
        return;
    }
    char wait[SIM_DURATION_BYTES];
    sim_duration(wait, why->dim == SIM_CONCURRENCY ? 1000000 : why->wait_us);
    (void)snprintf(r->message, sizeof(r->message),
                   "Rate limit reached for model `%.100s` in organization `" ORGANIZATION
                   "` service tier `on_demand` on %s: Limit %" PRId64 ", Used %" PRId64
                   ", Requested %" PRId64 ". Please try again in %s. %s",
                   model, groq_units[why->dim], why->limit, why->used, why->requested, wait,
                   upgrade);
}

static void azure_limit(const struct sim_refused *why, struct sim_refusal *r)
{
    rate_refusal(r, why);
    bool requests = strcmp(r->type, "requests") == 0;
    int64_t seconds = why->wait_us == SIM_NEVER ? 60 : (why->wait_us + 999999) / 1000000;
    r->code = "429";
    (void)snprintf(
        r->message, sizeof(r->message),
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
        "2024-10-21 have exceeded %s rate limit of your current OpenAI S0 pricing tier. "
        "Please retry after %" PRId64 " seconds. Please go here: "
        "https://aka.ms/oai/quotaincrease if you would like to further increase the "
        "default rate limit.",
        requests ? "call" : "token", seconds > 0 ? seconds : 1);
}

/* 30000 as "30,000". */
static void with_commas(char *out, size_t size, int64_t value)
{
    char digits[32];
    int len = snprintf(digits, sizeof(digits), "%" PRId64, value);
    size_t at = 0;
    for (int i = 0; i < len && at + 2 < size; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

static void anthropic_limit(const char *model, const struct sim_refused *why, struct sim_refusal *r)
{
    *r = (struct sim_refusal){.status = 429, .type = "rate_limit_error"};
    if (why->dim == SIM_CONCURRENCY) {
        (void)snprintf(r->message, sizeof(r->message),
                       "Number of concurrent connections has exceeded your rate limit. Please try "
                       "again later or contact sales at https://www.anthropic.com/contact-sales to "
                       "discuss your options for a rate limit increase.");
        return;
    }
    char limit[32];
    with_commas(limit, sizeof(limit), why->limit);
    (void)snprintf(r->message, sizeof(r->message),
                   "This request would exceed your organization's rate limit of %s %s "
                   "(org: " ORGANIZATION ", model: %.100s). For details, refer to: "
                   "https://docs.claude.com/en/api/rate-limits. You can see the response headers "
                   "for current usage. Please reduce the prompt length or the maximum tokens "
                   "requested, or try again later.",
                   limit, anthropic_units[why->dim], model);
}

void sim_limit_refusal(enum sim_profile profile, const char *model, const struct sim_refused *why,
                       struct sim_refusal *r)
{
    switch (profile) {
    case SIM_PROFILE_ANTHROPIC:
        anthropic_limit(model, why, r);
        break;
    case SIM_PROFILE_AZURE:
        azure_limit(why, r);
        break;
    case SIM_PROFILE_GROQ:
        groq_limit(model, why, r);
        break;
    default:
        openai_limit(model, why, r);
    }
}

struct status_text {
    int status;
    const char *type, *code, *message;
};

static const struct status_text openai_texts[] = {
    {400, "invalid_request_error", NULL, "Invalid request."},
    {401, "invalid_request_error", "invalid_api_key",
     "Incorrect API key provided. You can find your API key at "
     "https://platform.openai.com/account/api-keys."},
    {403, "invalid_request_error", "unsupported_country_region_territory",
     "Country, region, or territory not supported"},
    {404, "invalid_request_error", "model_not_found",
     "The model does not exist or you do not have access to it."},
    {408, "server_error", "request_timeout", "Request timed out."},
    {409, "invalid_request_error", "conflict", "The request conflicts with another one."},
    {429, "requests", "rate_limit_exceeded",
     "Rate limit reached. Visit https://platform.openai.com/account/rate-limits to learn more."},
    {500, "server_error", NULL,
     "The server had an error while processing your request. Sorry about that!"},
    {503, "service_unavailable_error", "server_is_overloaded",
     "The server is overloaded or not ready yet."},
    {0, "server_error", NULL, "The server had an error while processing your request."},
};

static const struct status_text anthropic_texts[] = {
    {400, "invalid_request_error", NULL, "Invalid request."},
    {401, "authentication_error", NULL, "invalid x-api-key"},
    {403, "permission_error", NULL,
     "Your API key does not have permission to use the specified resource."},
    {404, "not_found_error", NULL, "Not found"},
    {413, "request_too_large", NULL, "Request exceeds the maximum size"},
    {429, "rate_limit_error", NULL, "This request would exceed your account's rate limit."},
    {500, "api_error", NULL, "Internal server error"},
    {504, "timeout_error", NULL, "Request timed out"},
    {529, "overloaded_error", NULL, "Overloaded"},
    {0, "api_error", NULL, "Internal server error"},
};

void sim_status_refusal(enum sim_profile profile, int status, struct sim_refusal *r)
{
    const struct status_text *text =
        profile == SIM_PROFILE_ANTHROPIC ? anthropic_texts : openai_texts;
    while (text->status != 0 && text->status != status)
        text++;
    *r = (struct sim_refusal){.status = status, .type = text->type, .code = text->code};
    (void)snprintf(r->message, sizeof(r->message), "%s", text->message);
}

static void add_text(struct buf *out, const char *key, const char *text)
{
    (void)buf_addf(out, "\"%s\":", key);
    if (!text || !*text) {
        (void)buf_adds(out, "null");
        return;
    }
    (void)buf_adds(out, "\"");
    (void)buf_add_json(out, text, strlen(text));
    (void)buf_adds(out, "\"");
}

void sim_error_body(enum sim_profile profile, const struct sim_refusal *r, const char *request_id,
                    struct buf *out)
{
    bool anthropic = profile == SIM_PROFILE_ANTHROPIC;
    bool azure_limit_reached = profile == SIM_PROFILE_AZURE && r->status == 429;
    if (anthropic) {
        (void)buf_adds(out, "{\"type\":\"error\",\"error\":{");
        add_text(out, "type", r->type);
        (void)buf_adds(out, ",");
        add_text(out, "message", r->message);
        (void)buf_adds(out, "},");
        add_text(out, "request_id", request_id);
        (void)buf_adds(out, "}");
        return;
    }
    (void)buf_adds(out, "{\"error\":{");
    add_text(out, "message", r->message);
    if (!azure_limit_reached) {
        (void)buf_adds(out, ",");
        add_text(out, "type", r->type);
        (void)buf_adds(out, ",");
        add_text(out, "param", r->param);
    }
    (void)buf_adds(out, ",");
    add_text(out, "code", r->code);
    (void)buf_adds(out, "}}");
}
