/*
 * settings_model: what is known of models by their names: seeds, and whether a temperature is
 * taken.
 *
 * Sources: OpenAI's guide to reasoning models (temperature and top_p are not supported by the o
 * series and gpt-5), Anthropic's notes on Claude 4.7 (sampling parameters are refused from it on).
 */
#include "scheduler/settings_values.h"

#include <stdlib.h>
#include <string.h>

#define SEED_TENTHS 7

/* Gateways put the maker in front: "openai/o3", "anthropic/claude-3.5-sonnet". */
static const char *bare_name(const char *model)
{
    const char *slash = strrchr(model, '/');
    return slash ? slash + 1 : model;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool settings_model_is_claude(const char *model)
{
    return starts_with(bare_name(model), "claude");
}

void settings_seed(const char *model, struct settings_values *ret)
{
    settings_values_init(ret);
    ret->temperature_tenths = SEED_TENTHS;
    ret->max_output_tokens = 4096;
    ret->max_iterations = 10;
    if (settings_model_is_claude(model))
        ret->max_output_tokens = 8192;
    else if (starts_with(bare_name(model), "gpt-4o"))
        ret->max_output_tokens = 16384;
    else
        return;
    ret->max_iterations = 15;
}

/* The version in a name: its first number of one or two digits, and one that follows it; a date is
 * none. "claude-3-5-sonnet-20241022" is 3.5, "claude-opus-4-20250514" is 4.0. */
static bool find_version(const char *name, long *major, long *minor)
{
    *minor = 0;
    for (const char *p = name; *p; p++) {
        char *end = NULL;
        if (!is_digit(*p))
            continue;
        *major = strtol(p, &end, 10);
        if (end - p > 2)
            return false;
        if ((*end == '-' || *end == '.') && is_digit(end[1])) {
            char *after = NULL;
            long n = strtol(end + 1, &after, 10);
            *minor = after - end - 1 > 2 ? 0 : n;
        }
        return true;
    }
    return false;
}

static bool claude_takes(const char *name)
{
    long major = 0, minor = 0;
    if (!find_version(name, &major, &minor))
        return false;
    return major < 4 || (major == 4 && minor < 7);
}

bool settings_model_takes_temperature(const char *model)
{
    const char *name = bare_name(model);
    if (settings_model_is_claude(name))
        return claude_takes(name);
    if (name[0] == 'o' && is_digit(name[1]))
        return false;
    if (starts_with(name, "gpt-") && is_digit(name[4]) && strtol(name + 4, NULL, 10) >= 5)
        return false;
    return !starts_with(name, "codex-") && !starts_with(name, "computer-use-") &&
           !strstr(name, "-search-preview");
}
