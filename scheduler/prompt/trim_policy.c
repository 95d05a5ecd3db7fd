#include "scheduler/prompt/trim_policy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const stage_names[TRIM_STAGE_COUNT] = {
#define X(id, name) [TRIM_##id] = name,
    TRIM_STAGES(X)
#undef X
};

const char *trim_stage_name(enum trim_stage s)
{
    return (unsigned)s < TRIM_STAGE_COUNT ? stage_names[s] : "?";
}

/* ---- presets */

static const struct trim_policy defaults = {
    .always = true,
    .repair = true,
    .max_messages = 20,
    .keep_turns = 3,
    .max_tool_result_chars = 500,
    .reset_threshold = 150000,
    .reset_turns = 2,
    .marker = "[keep]",
};

struct preset {
    const char *name;
    struct trim_policy policy; /* what is 0 here is as in the defaults */
};

static const struct preset presets[] = {
    {"conservative",
     {.stages = {TRIM_TOOL_RESULTS, TRIM_DELETION},
      .stage_count = 2,
      .keep_first_turn = true,
      .keep_turns = 6,
      .keep_steps = 12,
      .min_saving_tokens = 1000}},
    {"balanced",
     {.stages = {TRIM_TOOL_RESULTS, TRIM_TRUNCATE, TRIM_WINDOW, TRIM_DELETION},
      .stage_count = 4,
      .keep_steps = 6,
      .keep_results = 3,
      .max_messages = 40,
      .max_tool_result_chars = 4000}},
    {"aggressive",
     {.stages = {TRIM_TOOL_RESULTS, TRIM_TRUNCATE, TRIM_WINDOW, TRIM_RESET, TRIM_DELETION},
      .stage_count = 5,
      .clear_tool_inputs = true,
      .keep_steps = 3}},
};

void trim_policy_init(struct trim_policy *p)
{
    *p = defaults;
}

static void take(int64_t *limit, int64_t given)
{
    if (given != 0)
        *limit = given;
}

bool trim_policy_preset(const char *name, struct trim_policy *p)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcmp(presets[i].name, name) != 0)
            continue;
        const struct trim_policy *from = &presets[i].policy;
        *p = defaults;
        memcpy(p->stages, from->stages, sizeof(p->stages));
        p->stage_count = from->stage_count;
        p->clear_tool_inputs = from->clear_tool_inputs;
        p->keep_first_turn = from->keep_first_turn;
        take(&p->max_messages, from->max_messages);
        take(&p->keep_turns, from->keep_turns);
        take(&p->keep_steps, from->keep_steps);
        take(&p->keep_results, from->keep_results);
        take(&p->max_tool_result_chars, from->max_tool_result_chars);
        take(&p->min_saving_tokens, from->min_saving_tokens);
        return true;
    }
    return false;
}

/* ---- JSON */

#define MAX_LIMIT INT64_C(1000000000000)

static const struct number {
    const char *name;
    size_t at;
    int64_t least;
} numbers[] = {
    {"max_context_tokens", offsetof(struct trim_policy, max_context_tokens), 0},
    {"max_messages", offsetof(struct trim_policy, max_messages), 1},
    {"max_age_ms", offsetof(struct trim_policy, max_age_ms), 0},
    {"keep_turns", offsetof(struct trim_policy, keep_turns), 1},
    {"keep_steps", offsetof(struct trim_policy, keep_steps), 0},
    {"keep_results", offsetof(struct trim_policy, keep_results), 0},
    {"max_tool_result_chars", offsetof(struct trim_policy, max_tool_result_chars), 1},
    {"min_saving_tokens", offsetof(struct trim_policy, min_saving_tokens), 0},
    {"reset_threshold", offsetof(struct trim_policy, reset_threshold), 1},
    {"reset_turns", offsetof(struct trim_policy, reset_turns), 1},
};

static const struct flag {
    const char *name;
    size_t at;
} flags[] = {
    {"always", offsetof(struct trim_policy, always)},
    {"repair", offsetof(struct trim_policy, repair)},
    {"clear_tool_inputs", offsetof(struct trim_policy, clear_tool_inputs)},
    {"keep_first_turn", offsetof(struct trim_policy, keep_first_turn)},
};

static int read_stages(struct trim_policy *p, struct json_span value, struct error *e)
{
    if (json_kind(value) != JSON_ARR)
        return error_set(e, -EINVAL, "policy.stages: expected an array of names");
    p->stage_count = 0;
    unsigned seen = 0;
    struct json_iter it = json_iter(value);
    while (json_next(&it)) {
        unsigned i = 0;
        while (i < TRIM_STAGE_COUNT && !json_equals(it.value, stage_names[i]))
            i++;
        if (i == TRIM_STAGE_COUNT)
            return error_set(e, -EINVAL,
                             "policy.stages: %.*s is none of window, tool_results, truncate, "
                             "deletion, selective, relevant, summarize, reset",
                             it.value.len < 40 ? (int)it.value.len : 40, it.value.at);
        if (seen & 1U << i)
            return error_set(e, -EINVAL, "policy.stages: %s stands twice", stage_names[i]);
        seen |= 1U << i;
        p->stages[p->stage_count++] = (enum trim_stage)i;
    }
    return 0;
}

static int read_marker(struct trim_policy *p, struct json_span value, struct error *e)
{
    struct json_span inside = json_inside(value);
    if (json_kind(value) != JSON_STR || inside.len >= sizeof(p->marker))
        return error_set(e, -EINVAL, "policy.marker: expected a text of at most %zu bytes",
                         sizeof(p->marker) - 1);
    /* Compared with the text as it is written in the request, so escapes stay. */
    memset(p->marker, 0, sizeof(p->marker));
    if (inside.len > 0)
        memcpy(p->marker, inside.at, inside.len);
    return 0;
}

static int read_number(struct trim_policy *p, const struct number *n, struct json_span value,
                       struct error *e)
{
    int64_t given;
    if (!json_int(value, &given) || given < n->least || given > MAX_LIMIT)
        return error_set(e, -EINVAL, "policy.%s: expected a whole number of at least %" PRId64,
                         n->name, n->least);
    *(int64_t *)(void *)((char *)p + n->at) = given;
    return 0;
}

static int read_member(struct trim_policy *p, struct json_span key, struct json_span value,
                       struct error *e)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (json_equals(key, numbers[i].name))
            return read_number(p, &numbers[i], value, e);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (json_equals(key, flags[i].name))
            return json_bool(value, (bool *)((char *)p + flags[i].at))
                       ? 0
                       : error_set(e, -EINVAL, "policy.%s: expected true or false", flags[i].name);
    if (json_equals(key, "stages"))
        return read_stages(p, value, e);
    if (json_equals(key, "marker"))
        return read_marker(p, value, e);
    if (json_equals(key, "keep_tools") && json_kind(value) == JSON_ARR) {
        p->keep_tools = value;
        return 0;
    }
    if (json_equals(key, "preset"))
        return 0;
    struct json_span name = json_inside(key);
    return error_set(e, -EINVAL, "policy.%.*s: %s", name.len < 60 ? (int)name.len : 60, name.at,
                     json_equals(key, "keep_tools") ? "expected an array of names"
                                                    : "there is no such member");
}

int trim_policy_read(struct json_span json, struct trim_policy *ret, struct error *e)
{
    struct trim_policy p = defaults;
    struct json_span preset = json_get(json, "preset"), name = json_inside(preset);
    char text[24] = "";
    if (json_kind(json) != JSON_OBJ)
        return error_set(e, -EINVAL, "policy: expected an object");
    if (name.at && name.len < sizeof(text))
        memcpy(text, name.at, name.len);
    if (preset.at && !trim_policy_preset(text, &p))
        return error_set(e, -EINVAL,
                         "policy.preset: expected aggressive, balanced or conservative");
    struct json_iter it = json_iter(json);
    while (json_next(&it)) {
        int rc = read_member(&p, it.key, it.value, e);
        if (rc < 0)
            return rc;
    }
    if (p.stage_count == 0)
        return error_set(e, -EINVAL, "policy: it has neither a preset nor stages");
    *ret = p;
    return 0;
}
