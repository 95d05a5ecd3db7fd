/*
 * tool_filter_chat: OpenAI chat's answers, whole and in chunks; see tool_filter.h.
 */
#include "scheduler/provider/tool_filter_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_given(struct json_span value)
{
    enum json_kind kind = json_kind(value);
    return kind != JSON_NONE && kind != JSON_NUL;
}

/* The tool_calls of a message or delta go, all of them; with notice, a text takes their place. */
static void replace_calls(struct json_edits *edits, struct json_span message, bool notice)
{
    bool has_calls = json_get(message, "tool_calls").at != NULL;
    bool has_content = json_get(message, "content").at != NULL;
    if (notice && has_content)
        json_edit_set(edits, message, "content", NOTICE_JSON);
    if (notice && !has_content && !has_calls)
        json_edit_set(edits, message, "content", NOTICE_JSON);
    if (!has_calls)
        return;
    if (!notice || has_content) {
        json_edit_remove(edits, message, "tool_calls");
        return;
    }
    struct json_iter it = json_iter(message);
    const char *text = "\"content\":" NOTICE_JSON;
    while (json_next(&it)) {
        if (!json_equals(it.key, "tool_calls"))
            continue;
        json_edit_replace(edits, it.key.at, it.value.at + it.value.len, text, strlen(text));
        text = "\"tool_calls\":null"; /* a second member of the name */
    }
}

static bool says_something(struct json_span message)
{
    return tool_filter_has_text(json_get(message, "content")) ||
           tool_filter_has_text(json_get(message, "refusal"));
}

static void end_as_stop(struct json_edits *edits, struct json_span choice)
{
    struct json_span reason = json_get(choice, "finish_reason");
    if (json_equals(reason, "tool_calls"))
        json_edit_value(edits, reason, "\"stop\"");
}

/* ---- whole */

struct whole_calls {
    const struct tool_filter *f;
    size_t first; /* number of the choice's first call */
    int64_t kept;
};

/* Asked in order, once for each. */
static bool is_past(void *arg, size_t index, const struct json_iter *item)
{
    struct whole_calls *what = arg;
    (void)item;
    if (what->kept >= what->f->left ||
        (what->f->repeats && tool_repeats_has(what->f->repeats, what->first + index)))
        return true;
    what->kept++;
    return false;
}

static int whole_choice(struct tool_filter *f, int64_t number, struct json_span choice,
                        struct json_edits *edits)
{
    struct json_span message = json_get(choice, "message");
    struct json_span calls = json_get(message, "tool_calls");
    struct json_iter it = json_iter(calls);
    struct whole_calls what = {.f = f, .first = f->number};
    size_t count = 0;
    while (json_kind(calls) == JSON_ARR && json_next(&it)) {
        int rc = f->repeats ? tool_repeats_add(f->repeats, number, it.value) : 0;
        if (rc < 0)
            return rc;
        count++;
    }
    for (size_t i = 0; i < count; i++)
        (void)is_past(&what, i, NULL);
    int64_t kept = what.kept;
    f->number += count;
    f->passed += kept;
    f->dropped += (int64_t)count - kept;
    what.kept = 0;
    if (kept > 0 && kept < (int64_t)count)
        json_edit_cut(edits, calls, is_past, &what);
    if (kept > 0 || count == 0)
        return 0;
    replace_calls(edits, message, !says_something(message));
    end_as_stop(edits, choice);
    return 0;
}

int tool_chat_body(struct tool_filter *f, struct json_span root, struct json_edits *edits)
{
    struct json_iter it = json_iter(json_get(root, "choices"));
    int rc = 0;
    for (int64_t i = 0; rc == 0 && json_next(&it); i++)
        rc = whole_choice(f, i, it.value, edits);
    return rc;
}

/* ---- chunks */

static uint64_t hash_of(struct json_span id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static bool passes(struct tool_filter *f, struct tool_choice *c, struct json_span call)
{
    struct json_span id = json_get(call, "id");
    int64_t index = 0, before = 0;
    (void)json_int(json_get(call, "index"), &index);
    if (index < c->top)
        return index <= c->last &&
               !(f->repeats && tool_repeats_at(f->repeats, c - f->choices, index, &before));
    uint64_t hash = tool_filter_has_text(id) ? hash_of(id) : 0;
    if (index == c->top && (hash == 0 || hash == c->id))
        return c->top_passes;

    c->top = index;
    c->id = hash;
    c->calls++;
    c->top_passes =
        !(f->repeats && tool_repeats_has(f->repeats, f->number++)) && c->passed < f->left;
    c->passed += c->top_passes;
    if (c->top_passes)
        c->last = index;
    *(c->top_passes ? &f->passed : &f->dropped) += 1;
    return c->top_passes;
}

struct cut_calls {
    struct tool_filter *f;
    struct tool_choice *choice;
    bool *cut;
    size_t count, cut_count;
};

static int judge_calls(struct cut_calls *what, struct json_span calls)
{
    struct json_iter it = json_iter(calls);
    while (json_kind(calls) == JSON_ARR && json_next(&it))
        what->count++;
    what->cut = calloc(what->count + 1, sizeof(*what->cut));
    if (!what->cut)
        return -ENOMEM;
    it = json_iter(calls);
    for (size_t i = 0; i < what->count && json_next(&it); i++) {
        what->cut[i] = !passes(what->f, what->choice, it.value);
        what->cut_count += what->cut[i];
    }
    return 0;
}

static bool is_cut(void *arg, size_t index, const struct json_iter *item)
{
    const struct cut_calls *what = arg;
    (void)item;
    return what->cut[index];
}

/* Indexes close up behind calls that were taken out from between others. */
static void number_calls(const struct cut_calls *what, struct json_span calls,
                         struct json_edits *edits)
{
    struct json_iter it = json_iter(calls);
    for (size_t i = 0; i < what->count && json_next(&it); i++) {
        struct json_span number = json_get(it.value, "index");
        int64_t index = 0, before = 0;
        if (what->cut[i] || !json_int(number, &index))
            continue;
        (void)tool_repeats_at(what->f->repeats, what->choice - what->f->choices, index, &before);
        tool_filter_number(edits, number, index - before);
    }
}

/* Whether nothing is left to tell once the calls are out of the delta. */
static bool is_bare(struct json_span choice, struct json_span delta)
{
    struct json_iter it = json_iter(delta);
    while (json_next(&it))
        if (!json_equals(it.key, "tool_calls") && is_given(it.value))
            return false;
    return !is_given(json_get(choice, "finish_reason"));
}

/* *ret_bare: the chunk need not be sent for this choice. */
static int chunk_choice(struct tool_filter *f, struct json_span choice, struct json_edits *edits,
                        bool *ret_bare)
{
    int64_t index = 0;
    (void)json_int(json_get(choice, "index"), &index);
    if (index < 0 || index >= TOOL_FILTER_MAX_CHOICES)
        return -E2BIG;
    struct tool_choice *c = &f->choices[index];
    struct json_span delta = json_get(choice, "delta"), calls = json_get(delta, "tool_calls");
    struct cut_calls what = {.f = f, .choice = c};
    int rc = judge_calls(&what, calls);
    if (rc < 0)
        return rc;
    c->text = c->text || says_something(delta);
    bool ends = is_given(json_get(choice, "finish_reason"));
    bool none_left = ends && c->calls > 0 && c->last < 0;
    bool all_cut = what.cut_count > 0 && what.cut_count == what.count;
    if (none_left && json_kind(delta) == JSON_OBJ && (all_cut || !c->text))
        replace_calls(edits, delta, !c->text);
    else if (all_cut)
        replace_calls(edits, delta, false);
    else if (what.cut_count > 0)
        json_edit_cut(edits, calls, is_cut, &what);
    if (none_left)
        end_as_stop(edits, choice);
    if (f->repeats && !all_cut)
        number_calls(&what, calls, edits);
    *ret_bare = all_cut && is_bare(choice, delta);
    free(what.cut);
    return 0;
}

static int make_choices(struct tool_filter *f)
{
    f->choices = calloc(TOOL_FILTER_MAX_CHOICES, sizeof(*f->choices));
    if (!f->choices)
        return -ENOMEM;
    for (size_t i = 0; i < TOOL_FILTER_MAX_CHOICES; i++)
        f->choices[i].top = f->choices[i].last = -1;
    return 0;
}

int tool_chat_event(struct tool_filter *f, struct tool_event *ev)
{
    struct json_iter it = json_iter(json_get(ev->root, "choices"));
    size_t count = 0, bare_count = 0;
    int rc = f->choices ? 0 : make_choices(f);
    while (rc == 0 && json_next(&it)) {
        bool bare = false;
        rc = chunk_choice(f, it.value, &ev->edits, &bare);
        bare_count += bare;
        count++;
    }
    ev->drop = count > 0 && bare_count == count && !is_given(json_get(ev->root, "usage"));
    return rc;
}
