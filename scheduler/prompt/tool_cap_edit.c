/*
 * tool_cap_edit: the request of a capped conversation, rewritten; see tool_cap.h.
 */
#include "scheduler/prompt/tool_cap_marks.h"

#include "common/json_edit.h"
#include "common/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTICE_JSON "\"" TOOL_CAP_NOTICE "\""

bool tool_cap_takes_parallel(struct json_span model)
{
    static const char *const refusing[] = {"o1", "o3", "o4-mini"};
    struct json_span name = json_inside(model);
    const char *slash = name.at ? memrchr(name.at, '/', name.len) : NULL;
    if (slash) {
        name.len -= (size_t)(slash + 1 - name.at);
        name.at = slash + 1;
    }
    for (size_t i = 0; i < sizeof(refusing) / sizeof(refusing[0]); i++) {
        size_t len = strlen(refusing[i]);
        if (name.len >= len && memcmp(name.at, refusing[i], len) == 0 &&
            (name.len == len || name.at[len] == '-'))
            return false;
    }
    return true;
}

/* ---- which tools there are */

struct tools {
    bool callers, providers; /* answered by */
    bool functions;          /* chat's old way */
};

static bool is_callers(enum wire_endpoint endpoint, struct json_span tool)
{
    static const char *const own[] = {"custom",      "bash_",     "text_editor_",
                                      "computer_20", "memory_20", NULL};
    struct json_span type = json_inside(json_get(tool, "type"));
    if (endpoint != WIRE_MESSAGES)
        return endpoint == WIRE_CHAT || json_equals(json_get(tool, "type"), "function") ||
               json_equals(json_get(tool, "type"), "custom");
    if (!type.at)
        return true;
    for (size_t i = 0; own[i]; i++) {
        size_t len = strlen(own[i]);
        if (type.len >= len && memcmp(type.at, own[i], len) == 0)
            return true;
    }
    return false;
}

static struct tools find_tools(const struct transcript *t)
{
    struct tools found = {false, false, false};
    struct json_iter it = json_iter(json_get(t->body, "tools"));
    while (json_next(&it))
        *(is_callers(t->endpoint, it.value) ? &found.callers : &found.providers) = true;
    it = json_iter(json_get(t->body, "functions"));
    if (t->endpoint == WIRE_CHAT && json_next(&it))
        found.functions = true;
    return found;
}

/* ---- nothing left */

/* The message becomes a list of blocks with one more, or its list gets one more. */
static void add_block(struct json_edits *e, struct json_span content)
{
    if (json_kind(content) == JSON_ARR) {
        json_edit_push(e, content, "{\"type\":\"text\",\"text\":" NOTICE_JSON "}");
        return;
    }
    const char *end = content.at + content.len;
    json_edit_replace(e, content.at, content.at,
                      "[{\"type\":\"text\",\"text\":", strlen("[{\"type\":\"text\",\"text\":"));
    json_edit_replace(e, end, end, "},{\"type\":\"text\",\"text\":" NOTICE_JSON "}]",
                      strlen("},{\"type\":\"text\",\"text\":" NOTICE_JSON "}]"));
}

static void add_notice(const struct transcript *t, struct json_edits *e)
{
    static const char line[] = "{\"role\":\"developer\",\"content\":" NOTICE_JSON "}";
    if (t->endpoint == WIRE_CHAT) {
        /* Not "developer": other providers of this format know only "system". */
        json_edit_push(e, t->list, "{\"role\":\"system\",\"content\":" NOTICE_JSON "}");
    } else if (t->endpoint == WIRE_MESSAGES) {
        const struct transcript_message *last = t->count ? &t->messages[t->count - 1] : NULL;
        /* Behind a prefill of the assistant's there is no place for it. */
        if (last && last->role != ROLE_ASSISTANT && last->content.at)
            add_block(e, last->content);
    } else if (t->list.at) {
        json_edit_push(e, t->list, line);
    } else {
        const char *end = t->input.at + t->input.len;
        static const char open[] = "[{\"role\":\"user\",\"content\":";
        static const char close[] = "},{\"role\":\"developer\",\"content\":" NOTICE_JSON "}]";
        json_edit_replace(e, t->input.at, t->input.at, open, sizeof(open) - 1);
        json_edit_replace(e, end, end, close, sizeof(close) - 1);
    }
}

static void forbid(const struct transcript *t, struct tools tools, struct json_edits *e)
{
    if (!tools.callers && !tools.functions)
        return;
    struct json_span choice = json_get(t->body, tools.callers ? "tool_choice" : "function_call");
    if (json_equals(choice, "none") || json_equals(json_get(choice, "type"), "none"))
        return;
    add_notice(t, e);
    if (tools.providers)
        return; /* the provider's own tools may still be used; surplus calls are filtered */
    if (t->endpoint == WIRE_MESSAGES)
        json_edit_set(e, t->body, "tool_choice", "{\"type\":\"none\"}");
    else
        json_edit_set(e, t->body, tools.callers ? "tool_choice" : "function_call", "\"none\"");
}

/* ---- one left */

static void one_at_a_time(const struct transcript *t, struct tools tools, struct json_edits *e)
{
    if (!tools.callers)
        return;
    if (t->endpoint != WIRE_MESSAGES) {
        if (tool_cap_takes_parallel(t->model))
            json_edit_set(e, t->body, "parallel_tool_calls", "false");
        return;
    }
    struct json_span choice = json_get(t->body, "tool_choice");
    if (json_kind(choice) != JSON_OBJ)
        json_edit_set(e, t->body, "tool_choice",
                      "{\"type\":\"auto\",\"disable_parallel_tool_use\":true}");
    else if (!json_equals(json_get(choice, "type"), "none"))
        json_edit_set(e, choice, "disable_parallel_tool_use", "true");
}

/* ---- mode answer: results of surplus calls */

static int replace_result(const struct transcript *t, const struct transcript_block *result,
                          const char *cap, int64_t most, struct json_edits *e)
{
    struct json_span name = json_inside(t->blocks[result->pair].name);
    struct buf text;
    buf_init(&text, HTTP_MAX_BODY_BYTES);
    int rc =
        buf_addf(&text, "\"Tool call limit exceeded (%s: %" PRId64 "). Do not call ", cap, most);
    if (rc == 0)
        rc = name.at ? buf_add(&text, name.at, name.len) : buf_adds(&text, "it");
    if (rc == 0)
        rc = buf_adds(&text, " again; answer with what you have.\"");
    if (rc == 0)
        json_edit_set(e, result->span, t->endpoint == WIRE_RESPONSES ? "output" : "content",
                      text.data);
    if (rc == 0 && t->endpoint == WIRE_MESSAGES)
        json_edit_set(e, result->span, "is_error", "true");
    buf_release(&text);
    return rc;
}

static int replace_results(const struct transcript *t, const struct config_tool_calls *caps,
                           const struct tool_past *past, struct json_edits *e)
{
    struct tool_mark *marks = NULL;
    int rc = tool_marks_read(t, past, &marks);
    for (uint32_t k = 0; k < t->block_count && rc == 0; k++) {
        const struct transcript_block *b = &t->blocks[k];
        const char *cap = NULL;
        int64_t most = 0;
        if (b->kind == BLOCK_RESULT && b->pair != TRANSCRIPT_NONE &&
            tool_mark_exceeds(&marks[b->pair], caps, &cap, &most))
            rc = replace_result(t, b, cap, most, e);
    }
    free(marks);
    return rc;
}

int tool_cap_request(const struct transcript *t, const struct config_tool_calls *caps,
                     const struct tool_past *past, const struct tool_left *left, struct buf *out)
{
    struct json_edits e;
    struct tools tools = find_tools(t);
    int rc = 0;
    json_edits_init(&e, t->body.at, t->body.len);
    if (caps->mode == CONFIG_TOOLS_ANSWER)
        rc = replace_results(t, caps, past, &e);
    if (rc == 0 && left->calls == 0)
        forbid(t, tools, &e);
    else if (rc == 0 && left->calls == 1)
        one_at_a_time(t, tools, &e);
    if (rc == 0 && (e.count > 0 || e.failed))
        rc = json_edits_apply(&e, out);
    json_edits_release(&e);
    return rc;
}
