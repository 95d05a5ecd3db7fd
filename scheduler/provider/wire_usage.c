#include "scheduler/provider/wire_usage.h"

#include "common/limits.h"

#include <stddef.h>

/* The names that an endpoint uses. */
static const struct {
    const char *input, *output;
    const char *details; /* object beside them that says what was cached, or NULL */
} names[WIRE_ENDPOINT_COUNT] = {
    [WIRE_CHAT] = {"prompt_tokens", "completion_tokens", "prompt_tokens_details"},
    [WIRE_COMPLETIONS] = {"prompt_tokens", "completion_tokens", "prompt_tokens_details"},
    [WIRE_RESPONSES] = {"input_tokens", "output_tokens", "input_tokens_details"},
    [WIRE_EMBEDDINGS] = {"prompt_tokens", "completion_tokens", "prompt_tokens_details"},
    [WIRE_MESSAGES] = {"input_tokens", "output_tokens", NULL},
};

static bool read_tokens(struct json_span usage, const char *name, int64_t *ret)
{
    int64_t tokens;
    if (!json_int(json_get(usage, name), &tokens) || tokens < 0 || tokens > WIRE_MAX_TOKENS)
        return false;
    *ret = tokens;
    return true;
}

/* Anthropic's input_tokens is only what follows the last cache breakpoint. */
static bool read_anthropic(struct json_span usage, struct wire_usage *ret)
{
    int64_t fresh = ret->input - ret->cache_read - ret->cache_write;
    bool any = read_tokens(usage, "input_tokens", &fresh);
    any |= read_tokens(usage, "cache_read_input_tokens", &ret->cache_read);
    any |= read_tokens(usage, "cache_creation_input_tokens", &ret->cache_write);
    ret->input = fresh + ret->cache_read + ret->cache_write;
    return any;
}

static bool read_openai(enum wire_endpoint endpoint, struct json_span usage, struct wire_usage *ret)
{
    struct json_span details = json_get(usage, names[endpoint].details);
    bool any = read_tokens(usage, names[endpoint].input, &ret->input);
    (void)read_tokens(details, "cached_tokens", &ret->cache_read);
    (void)read_tokens(details, "cache_write_tokens", &ret->cache_write);
    /* They are parts of the input: a provider that says otherwise is not believed. */
    if (ret->cache_read > ret->input)
        ret->cache_read = ret->input;
    if (ret->cache_write > ret->input - ret->cache_read)
        ret->cache_write = ret->input - ret->cache_read;
    return any;
}

bool wire_usage_object(enum wire_endpoint endpoint, struct json_span value, struct wire_usage *ret)
{
    if (json_kind(value) != JSON_OBJ)
        return false;
    struct wire_usage usage = *ret;
    bool any = wire_format_of(endpoint) == WIRE_ANTHROPIC ? read_anthropic(value, &usage)
                                                          : read_openai(endpoint, value, &usage);
    any |= read_tokens(value, names[endpoint].output, &usage.output);
    if (any)
        *ret = usage;
    return any;
}

void wire_usage_read(enum wire_endpoint endpoint, const char *body, size_t len,
                     struct wire_usage *ret)
{
    *ret = (struct wire_usage){0};
    if (json_scan_check(body, len, NULL) < 0)
        return;
    struct json_span usage = json_get(json_span_of(body, len), "usage");
    ret->known = wire_usage_object(endpoint, usage, ret);
}
