#include "scheduler/prompt/validate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_MARKERS 4

static int fault(struct validate_fault *f, int invariant, uint32_t message, const char *format, ...)
    PRINTF_AT(4, 5);

static int fault(struct validate_fault *f, int invariant, uint32_t message, const char *format, ...)
{
    f->invariant = invariant;
    f->message = message;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->error.text, sizeof(f->error.text), format, args);
    va_end(args);
    return -EINVAL;
}

static const struct transcript_block *block_at(const struct transcript *t,
                                               const struct transcript_message *m, uint32_t k)
{
    return &t->blocks[m->block + k];
}

/* ---- calls and results */

static int check_pairs(const struct transcript *t, uint32_t i, struct validate_fault *f)
{
    const struct transcript_message *m = &t->messages[i];
    for (uint32_t k = 0; k < m->block_count; k++) {
        const struct transcript_block *b = block_at(t, m, k);
        if (b->pair != TRANSCRIPT_NONE)
            continue;
        if (b->kind == BLOCK_CALL)
            return fault(f, 3, i, "message %u: the call %.*s has no result behind it", i,
                         b->id.len < 80 ? (int)b->id.len : 80, b->id.at ? b->id.at : "");
        if (b->kind == BLOCK_RESULT && !t->remote_history)
            return fault(f, 4, i, "message %u: the result %.*s has no call before it", i,
                         b->id.len < 80 ? (int)b->id.len : 80, b->id.at ? b->id.at : "");
    }
    return 0;
}

static int check_arguments(const struct transcript *t, uint32_t i, struct validate_fault *f)
{
    const struct transcript_message *m = &t->messages[i];
    enum json_kind wanted = t->endpoint == WIRE_MESSAGES ? JSON_OBJ : JSON_STR;
    for (uint32_t k = 0; k < m->block_count; k++) {
        const struct transcript_block *b = block_at(t, m, k);
        if (b->kind == BLOCK_CALL && b->value.at && json_kind(b->value) != wanted)
            return fault(f, 10, i, "message %u: the arguments of a call are no %s", i,
                         wanted == JSON_OBJ ? "object" : "string");
    }
    return 0;
}

/* ---- chat */

static bool has_member(struct json_span object, const char *name)
{
    enum json_kind kind = json_kind(json_get(object, name));
    return kind != JSON_NONE && kind != JSON_NUL;
}

static int check_chat(const struct transcript *t, uint32_t i, struct validate_fault *f)
{
    const struct transcript_message *m = &t->messages[i];
    enum json_kind kind = json_kind(m->content);
    if (m->role == ROLE_OTHER)
        return fault(f, 5, i, "message %u: its role is none that is known", i);
    struct json_iter it = json_iter(m->content);
    if (kind == JSON_ARR && !json_next(&it))
        return fault(f, 5, i, "message %u: its content is an empty array", i);
    if (kind != JSON_NONE && kind != JSON_NUL)
        return 0;
    bool may_lack =
        m->role == ROLE_ASSISTANT &&
        (m->block_count > 0 || has_member(m->span, "refusal") || has_member(m->span, "audio"));
    return may_lack ? 0 : fault(f, 5, i, "message %u: it has no content", i);
}

/* ---- responses */

static int check_item(const struct transcript *t, uint32_t i, struct validate_fault *f)
{
    const struct transcript_message *m = &t->messages[i];
    if (m->role == ROLE_OTHER)
        return fault(f, 5, i, "item %u: it is of no kind that is known", i);
    bool reasoning = m->block_count == 1 && block_at(t, m, 0)->kind == BLOCK_THINKING;
    if (reasoning && (i + 1 >= t->count || !transcript_is_assistant(t, i + 1)))
        return fault(f, 7, i, "item %u: the reasoning is not followed by what it led to", i);
    return 0;
}

/* ---- Anthropic */

static bool is_empty_text(const struct transcript_block *b)
{
    return b->kind == BLOCK_TEXT && json_inside(b->value).len == 0;
}

static int check_blocks(const struct transcript *t, uint32_t i, struct validate_fault *f)
{
    const struct transcript_message *m = &t->messages[i];
    bool other_seen = false;
    for (uint32_t k = 0; k < m->block_count; k++) {
        const struct transcript_block *b = block_at(t, m, k);
        if (is_empty_text(b))
            return fault(f, 5, i, "message %u: a text block is empty", i);
        if (b->kind == BLOCK_RESULT && m->role == ROLE_ASSISTANT)
            return fault(f, 4, i, "message %u: a tool_result stands in the assistant's turn", i);
        if (b->kind == BLOCK_CALL && m->role != ROLE_ASSISTANT)
            return fault(f, 3, i, "message %u: a tool_use stands in the user's turn", i);
        if (b->kind == BLOCK_RESULT && other_seen)
            return fault(f, 3, i, "message %u: a tool_result stands behind other content", i);
        other_seen = other_seen || b->kind != BLOCK_RESULT;
    }
    return 0;
}

/* Of a string, or of the last text in a list. */
static bool ends_in_blank(const struct transcript *t, const struct transcript_message *m)
{
    if (m->block_count == 0)
        return false;
    const struct transcript_block *last = block_at(t, m, m->block_count - 1);
    struct json_span text = json_inside(last->value);
    if (last->kind != BLOCK_TEXT || text.len == 0)
        return false;
    bool escaped = text.len >= 2 && text.at[text.len - 2] == '\\';
    char c = text.at[text.len - 1];
    return c == ' ' || (escaped && (c == 'n' || c == 'r' || c == 't'));
}

static int check_message(const struct transcript *t, uint32_t i, struct validate_fault *f)
{
    const struct transcript_message *m = &t->messages[i];
    bool last = i + 1 == t->count, assistant = m->role == ROLE_ASSISTANT;
    enum json_kind kind = json_kind(m->content);
    if (m->role == ROLE_OTHER || m->role == ROLE_SYSTEM)
        return fault(f, 5, i, "message %u: its role is neither user nor assistant", i);
    if (i == 0 && assistant)
        return fault(f, 5, i, "the first message is not the user's");
    if (kind != JSON_STR && kind != JSON_ARR)
        return fault(f, 5, i, "message %u: it has no content", i);
    bool empty = m->block_count == 0 || (kind == JSON_STR && json_inside(m->content).len == 0);
    if (empty)
        return last && assistant ? 0 : fault(f, 5, i, "message %u: its content is empty", i);
    if (last && assistant && ends_in_blank(t, m))
        return fault(f, 5, i, "the last message is the assistant's and ends in white space");
    return check_blocks(t, i, f);
}

/* ---- any */

static uint32_t markers_in(struct json_span list)
{
    uint32_t found = 0;
    struct json_iter it = json_iter(list);
    while (json_next(&it))
        found += json_kind(json_get(it.value, "cache_control")) == JSON_OBJ;
    return found;
}

uint32_t validate_markers(const struct transcript *t)
{
    uint32_t found = 0;
    for (uint32_t k = 0; k < t->block_count; k++)
        found += t->blocks[k].marked;
    return found;
}

int validate_body(const struct transcript *t, struct validate_fault *ret)
{
    int rc = 0;
    if (t->list.at && t->count == 0 && !t->remote_history)
        return fault(ret, 5, TRANSCRIPT_NONE, "there are no messages");
    for (uint32_t i = 0; rc == 0 && i < t->count; i++) {
        if (t->endpoint == WIRE_CHAT)
            rc = check_chat(t, i, ret);
        else if (t->endpoint == WIRE_RESPONSES)
            rc = check_item(t, i, ret);
        else
            rc = check_message(t, i, ret);
        if (rc == 0)
            rc = check_pairs(t, i, ret);
        if (rc == 0)
            rc = check_arguments(t, i, ret);
    }
    if (rc < 0 || t->endpoint != WIRE_MESSAGES)
        return rc;
    uint32_t markers = validate_markers(t) + markers_in(t->system) + markers_in(t->tools);
    return markers <= MAX_MARKERS ? 0
                                  : fault(ret, 9, TRANSCRIPT_NONE,
                                          "there are %u cache breakpoints, at most %d are allowed",
                                          markers, MAX_MARKERS);
}
