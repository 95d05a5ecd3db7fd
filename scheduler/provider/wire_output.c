#include "scheduler/provider/wire.h"

#include <inttypes.h>
#include <string.h>

#define NAMES_MAX 2

/* By what members an endpoint names the most that it may answer. */
static const char *const names[WIRE_ENDPOINT_COUNT][NAMES_MAX + 1] = {
    [WIRE_CHAT] = {"max_tokens", "max_completion_tokens"},
    [WIRE_COMPLETIONS] = {"max_tokens"},
    [WIRE_RESPONSES] = {"max_output_tokens"},
    [WIRE_MESSAGES] = {"max_tokens"},
};

static bool is_named(enum wire_endpoint endpoint, struct json_span key)
{
    for (size_t i = 0; names[endpoint][i]; i++)
        if (json_equals(key, names[endpoint][i]))
            return true;
    return false;
}

/* Reasoning models refuse the older name; what imitates OpenAI often knows only that one. */
static const char *name_for(enum wire_endpoint endpoint, struct json_span model)
{
    static const char *const reasoning[] = {"o1", "o3", "o4", "gpt-5"};
    struct json_span name = json_inside(model);
    for (size_t i = 0; endpoint == WIRE_CHAT && i < sizeof(reasoning) / sizeof(reasoning[0]); i++) {
        size_t len = strlen(reasoning[i]);
        if (name.len >= len && memcmp(name.at, reasoning[i], len) == 0)
            return names[endpoint][1];
    }
    return names[endpoint][0];
}

int64_t wire_request_thinking(enum wire_endpoint endpoint, const struct wire_request *r)
{
    int64_t budget = 0;
    struct json_span thinking = json_get(r->body, "thinking");
    if (endpoint != WIRE_MESSAGES || json_kind(thinking) != JSON_OBJ ||
        !json_int(json_get(thinking, "budget_tokens"), &budget) || budget < 0)
        return 0;
    return budget;
}

int wire_request_set_output(enum wire_endpoint endpoint, const struct wire_request *r,
                            int64_t tokens, struct buf *out)
{
    const char *from = r->body.at, *end = from + r->body.len;
    struct json_iter it = json_iter(r->body);
    bool set = false;
    int rc = 0;
    while (rc == 0 && json_next(&it)) {
        int64_t given = 0;
        bool null = json_kind(it.value) == JSON_NUL;
        if (!is_named(endpoint, it.key) || (!null && !json_int(it.value, &given)))
            continue;
        if (null && r->max_output_tokens >= 0)
            continue; /* the other name has it */
        if (null || given > tokens) {
            rc = buf_add(out, from, (size_t)(it.value.at - from));
            if (rc == 0)
                rc = buf_addf(out, "%" PRId64, tokens);
            from = it.value.at + it.value.len;
        }
        set = true;
    }
    if (rc == 0 && !set) {
        rc = buf_addf(out, "{\"%s\":%" PRId64 ",", name_for(endpoint, r->model), tokens);
        from = r->body.at + 1; /* a model stands behind it in any case */
    }
    return rc < 0 ? rc : buf_add(out, from, (size_t)(end - from));
}
