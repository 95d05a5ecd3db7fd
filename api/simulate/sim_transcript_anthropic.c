#include "api/simulate/sim_transcript_anthropic.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_type(const json_t *block, const char *type)
{
    return strcmp(text_of(block, "type"), type) == 0;
}

static bool is_role(const json_t *message, const char *role)
{
    return strcmp(text_of(message, "role"), role) == 0;
}

static const json_t *content_of(const json_t *messages, size_t i)
{
    return json_object_get(json_array_get(messages, i), "content");
}

static bool has_block(const json_t *content, const char *type, const char *key, const char *id)
{
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *block = json_array_get(content, i);
        if (is_type(block, type) && strcmp(text_of(block, key), id) == 0)
            return true;
    }
    return false;
}

static bool check_role(const json_t *messages, size_t i, bool strict_roles, struct sim_refusal *r)
{
    const json_t *message = json_array_get(messages, i);
    const char *role = text_of(message, "role");
    if (is_role(message, "system"))
        return sim_refuse(r, NULL, NULL,
                          "messages: Unexpected role \"system\". The Messages API accepts a "
                          "top-level `system` parameter, not \"system\" as an input message role.");
    if (!is_role(message, "user") && !is_role(message, "assistant"))
        return sim_refuse(r, NULL, NULL, "messages.%zu.role: Input should be 'user' or 'assistant'",
                          i);
    if (i == 0 && !is_role(message, "user"))
        return sim_refuse(r, NULL, NULL, "messages: first message must use the \"user\" role");
    if (strict_roles && i > 0 && is_role(json_array_get(messages, i - 1), role))
        return sim_refuse(r, NULL, NULL,
                          "messages: roles must alternate between \"user\" and \"assistant\", but "
                          "found multiple \"%s\" roles in a row",
                          role);
    return true;
}

static bool is_empty(const json_t *content)
{
    if (json_is_string(content))
        return json_string_length(content) == 0;
    return json_array_size(content) == 0;
}

static bool check_content(const json_t *messages, size_t i, struct sim_refusal *r)
{
    const json_t *content = content_of(messages, i);
    bool last = i + 1 == json_array_size(messages);
    if (!json_is_string(content) && !json_is_array(content))
        return sim_refuse(r, NULL, NULL, "messages.%zu.content: Field required", i);
    if (is_empty(content) && !(last && is_role(json_array_get(messages, i), "assistant")))
        return sim_refuse(r, NULL, NULL,
                          "messages.%zu: all messages must have non-empty content except for the "
                          "optional final assistant message",
                          i);
    for (size_t k = 0; k < json_array_size(content); k++) {
        const json_t *block = json_array_get(content, k);
        if (is_type(block, "text") && !*text_of(block, "text"))
            return sim_refuse(r, NULL, NULL, "messages: text content blocks must be non-empty");
    }
    return true;
}

/* A tool_use is answered in the next message, and there alone. */
static bool check_uses(const json_t *messages, size_t i, struct sim_refusal *r)
{
    const json_t *content = content_of(messages, i);
    char missing[256] = "";
    size_t len = 0;
    for (size_t k = 0; k < json_array_size(content); k++) {
        const json_t *block = json_array_get(content, k);
        const char *id = text_of(block, "id");
        if (!is_type(block, "tool_use") ||
            has_block(content_of(messages, i + 1), "tool_result", "tool_use_id", id) ||
            len + strlen(id) + 3 >= sizeof(missing))
            continue;
        len += (size_t)snprintf(missing + len, sizeof(missing) - len, "%s%s", len ? ", " : "", id);
    }
    if (len == 0)
        return true;
    return sim_refuse(r, NULL, NULL,
                      "messages.%zu: `tool_use` ids were found without `tool_result` blocks "
                      "immediately after: %s. Each `tool_use` block must have a corresponding "
                      "`tool_result` block in the next message.",
                      i, missing);
}

static bool check_results(const json_t *messages, size_t i, struct sim_refusal *r)
{
    const json_t *content = content_of(messages, i);
    for (size_t k = 0; k < json_array_size(content); k++) {
        const json_t *block = json_array_get(content, k);
        const char *id = text_of(block, "tool_use_id");
        if (!is_type(block, "tool_result") ||
            (i > 0 && has_block(content_of(messages, i - 1), "tool_use", "id", id)))
            continue;
        return sim_refuse(r, NULL, NULL,
                          "messages.%zu.content.%zu: unexpected `tool_use_id` found in "
                          "`tool_result` blocks: %.100s. Each `tool_result` block must have a "
                          "corresponding `tool_use` block in the previous message.",
                          i, k, id);
    }
    return true;
}

static bool check_end(const json_t *messages, struct sim_refusal *r)
{
    size_t last = json_array_size(messages) - 1;
    const json_t *content = content_of(messages, last);
    const char *text = json_string_value(content);
    size_t len = text ? strlen(text) : 0;
    if (len > 0 && is_role(json_array_get(messages, last), "assistant") &&
        strchr(" \t\r\n", text[len - 1]))
        return sim_refuse(r, NULL, NULL,
                          "messages: final assistant content cannot end with trailing whitespace");
    return true;
}

bool sim_transcript_anthropic(const json_t *body, bool strict_roles, struct sim_refusal *r)
{
    const json_t *messages = json_object_get(body, "messages");
    if (!json_is_array(messages))
        return sim_refuse(r, NULL, NULL, "messages: Field required");
    if (json_array_size(messages) == 0)
        return sim_refuse(r, NULL, NULL, "messages: at least one message is required");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        if (!check_role(messages, i, strict_roles, r) || !check_content(messages, i, r) ||
            !check_uses(messages, i, r) || !check_results(messages, i, r))
            return false;
    }
    return check_end(messages, r);
}
