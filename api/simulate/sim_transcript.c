#include "api/simulate/sim_transcript.h"

#include "api/simulate/sim_transcript_anthropic.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_role(const json_t *message, const char *role)
{
    return strcmp(text_of(message, "role"), role) == 0;
}

static bool refuse_empty_array(struct sim_refusal *r, const char *param)
{
    return sim_refuse(r, "empty_array", param,
                      "Invalid '%s': empty array. Expected an array with minimum length 1, but got "
                      "an empty array instead.",
                      param);
}

/* ---- chat completions */

static bool known_role(const json_t *message, size_t i, struct sim_refusal *r)
{
    static const char *const roles[] = {"system",   "assistant", "user",
                                        "function", "tool",      "developer"};
    for (size_t k = 0; k < sizeof(roles) / sizeof(roles[0]); k++)
        if (is_role(message, roles[k]))
            return true;
    char param[64];
    (void)snprintf(param, sizeof(param), "messages[%zu].role", i);
    return sim_refuse(r, "invalid_value", param,
                      "Invalid value: '%.40s'. Supported values are: 'system', 'assistant', "
                      "'user', 'function', 'tool', and 'developer'.",
                      text_of(message, "role"));
}

static bool has_content(const json_t *message, size_t i, struct sim_refusal *r)
{
    const json_t *content = json_object_get(message, "content");
    char param[64];
    if (json_is_array(content) && json_array_size(content) == 0) {
        (void)snprintf(param, sizeof(param), "messages[%zu].content", i);
        return refuse_empty_array(r, param);
    }
    if (content && !json_is_null(content))
        return true;
    if (is_role(message, "assistant") &&
        (json_array_size(json_object_get(message, "tool_calls")) > 0 ||
         json_is_object(json_object_get(message, "function_call")) ||
         json_is_string(json_object_get(message, "refusal"))))
        return true;
    (void)snprintf(param, sizeof(param), "messages.[%zu].content", i);
    return sim_refuse(r, NULL, param, "Invalid value for 'content': expected a string, got null.");
}

/* Whether the call is answered by a tool message among those that directly follow. */
static bool call_is_answered(const json_t *messages, size_t after, const char *id)
{
    for (size_t i = after; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        if (!is_role(message, "tool"))
            return false;
        if (strcmp(text_of(message, "tool_call_id"), id) == 0)
            return true;
    }
    return false;
}

static bool calls_are_answered(const json_t *messages, size_t i, struct sim_refusal *r)
{
    const json_t *calls = json_object_get(json_array_get(messages, i), "tool_calls");
    char missing[256] = "";
    size_t len = 0;
    for (size_t k = 0; k < json_array_size(calls); k++) {
        const char *id = text_of(json_array_get(calls, k), "id");
        if (call_is_answered(messages, i + 1, id) || len + strlen(id) + 3 >= sizeof(missing))
            continue;
        len += (size_t)snprintf(missing + len, sizeof(missing) - len, "%s%s", len ? ", " : "", id);
    }
    if (len == 0)
        return true;
    return sim_refuse(r, NULL, "messages",
                      "An assistant message with 'tool_calls' must be followed by tool messages "
                      "responding to each 'tool_call_id'. The following tool_call_ids did not have "
                      "response messages: %s",
                      missing);
}

static bool result_has_its_call(const json_t *messages, size_t i, struct sim_refusal *r)
{
    size_t owner = i;
    char param[64];
    while (owner > 0 && is_role(json_array_get(messages, owner), "tool"))
        owner--;
    const json_t *calls = json_object_get(json_array_get(messages, owner), "tool_calls");
    if (json_array_size(calls) == 0) {
        (void)snprintf(param, sizeof(param), "messages.[%zu].role", i);
        return sim_refuse(r, NULL, param,
                          "Invalid parameter: messages with role 'tool' must be a response to a "
                          "preceeding message with 'tool_calls'.");
    }
    const char *id = text_of(json_array_get(messages, i), "tool_call_id");
    for (size_t k = 0; k < json_array_size(calls); k++)
        if (strcmp(text_of(json_array_get(calls, k), "id"), id) == 0)
            return true;
    (void)snprintf(param, sizeof(param), "messages.[%zu].tool_call_id", i);
    return sim_refuse(r, NULL, param,
                      "Invalid parameter: 'tool_call_id' of '%.100s' not found in 'tool_calls' of "
                      "previous message.",
                      id);
}

static bool check_chat(const json_t *body, struct sim_refusal *r)
{
    const json_t *messages = json_object_get(body, "messages");
    if (!messages)
        return sim_refuse(r, "missing_required_parameter", "messages",
                          "Missing required parameter: 'messages'.");
    if (!json_is_array(messages))
        return sim_refuse(r, "invalid_type", "messages",
                          "Invalid type for 'messages': expected an array of objects.");
    if (json_array_size(messages) == 0)
        return refuse_empty_array(r, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        if (!known_role(message, i, r) || !has_content(message, i, r))
            return false;
        if (is_role(message, "tool") && !result_has_its_call(messages, i, r))
            return false;
        if (is_role(message, "assistant") && !calls_are_answered(messages, i, r))
            return false;
    }
    return true;
}

/* ---- responses */

/* Whether input holds an item of this type with this call_id, before (or after) i. */
static bool has_item(const json_t *input, const char *type, const char *id)
{
    for (size_t i = 0; i < json_array_size(input); i++) {
        const json_t *item = json_array_get(input, i);
        if (strcmp(text_of(item, "type"), type) == 0 && strcmp(text_of(item, "call_id"), id) == 0)
            return true;
    }
    return false;
}

static bool check_responses(const json_t *body, struct sim_refusal *r)
{
    const json_t *input = json_object_get(body, "input");
    bool earlier = json_is_string(json_object_get(body, "previous_response_id"));
    if (json_is_string(input))
        return true;
    if (!json_is_array(input) || json_array_size(input) == 0)
        return sim_refuse(r, "missing_required_parameter", "input",
                          "Missing required parameter: 'input'.");
    for (size_t i = 0; i < json_array_size(input); i++) {
        const json_t *item = json_array_get(input, i);
        const char *type = text_of(item, "type"), *id = text_of(item, "call_id");
        if (strcmp(type, "function_call_output") == 0 && !earlier &&
            !has_item(input, "function_call", id))
            return sim_refuse(r, NULL, "input",
                              "No tool call found for function call output with call_id %.100s.",
                              id);
        if (strcmp(type, "function_call") == 0 && !has_item(input, "function_call_output", id))
            return sim_refuse(r, NULL, "input", "No tool output found for function call %.100s.",
                              id);
    }
    return true;
}

/* ---- embeddings */

static bool check_embeddings(const json_t *body, struct sim_refusal *r)
{
    const json_t *input = json_object_get(body, "input");
    if (!input || json_is_null(input))
        return sim_refuse(r, "missing_required_parameter", "input",
                          "Missing required parameter: 'input'.");
    if (json_is_string(input) && json_string_length(input) == 0)
        return sim_refuse(r, NULL, "input", "Invalid 'input': input cannot be an empty string.");
    if (json_is_array(input) && json_array_size(input) == 0)
        return refuse_empty_array(r, "input");
    size_t count = sim_embedding_count(body);
    if (count > SIM_MAX_EMBEDDING_INPUTS)
        return sim_refuse(r, "array_above_max_length", "input",
                          "Invalid 'input': array too long. Expected an array with maximum length "
                          "%d, but got an array with length %zu instead.",
                          SIM_MAX_EMBEDDING_INPUTS, count);
    for (size_t i = 0; json_is_array(input) && i < json_array_size(input); i++) {
        const json_t *item = json_array_get(input, i);
        bool empty = (json_is_string(item) && json_string_length(item) == 0) ||
                     (json_is_array(item) && json_array_size(item) == 0);
        if (empty)
            return sim_refuse(r, NULL, "input",
                              "Invalid 'input[%zu]': input cannot be an empty string.", i);
    }
    const json_t *dims = json_object_get(body, "dimensions");
    if (dims && (json_integer_value(dims) < 1 || json_integer_value(dims) > SIM_MAX_EMBEDDING_DIMS))
        return sim_refuse(r, NULL, "dimensions", "Invalid value for 'dimensions'.");
    return true;
}

bool sim_transcript_check(enum sim_endpoint endpoint, const json_t *body, bool strict_roles,
                          struct sim_refusal *r)
{
    switch (endpoint) {
    case SIM_CHAT:
        return check_chat(body, r);
    case SIM_RESPONSES:
        return check_responses(body, r);
    case SIM_EMBEDDINGS:
        return check_embeddings(body, r);
    case SIM_MESSAGES:
    case SIM_COUNT_TOKENS:
        return sim_transcript_anthropic(body, strict_roles, r);
    default:
        return true;
    }
}
