#include "scheduler/prompt/tool_cap.h"

#include "common/limits.h"
#include "scheduler/prompt/content_hash.h"
#include "scheduler/prompt/tool_cap_marks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- caps */

static const struct {
    const char *word;
    size_t offset;
} words[] = {
    {"response", offsetof(struct config_tool_calls, max_per_response)},
    {"turn", offsetof(struct config_tool_calls, max_per_turn)},
    {"session", offsetof(struct config_tool_calls, max_per_session)},
    {"iterations", offsetof(struct config_tool_calls, max_iterations)},
    {"identical", offsetof(struct config_tool_calls, max_identical)},
};
#define WORDS             (sizeof(words) / sizeof(words[0]))
#define CONSERVATIVE_TURN 3

static int64_t *field(struct config_tool_calls *caps, size_t i)
{
    return (int64_t *)(void *)((char *)caps + words[i].offset);
}

static int64_t value(const struct config_tool_calls *caps, size_t i)
{
    return *(const int64_t *)(const void *)((const char *)caps + words[i].offset);
}

void tool_caps_none(struct config_tool_calls *caps)
{
    *caps = (struct config_tool_calls){.mode = CONFIG_TOOLS_UNSET};
    for (size_t i = 0; i < WORDS; i++)
        *field(caps, i) = CONFIG_ABSENT;
}

bool tool_caps_any(const struct config_tool_calls *caps)
{
    for (size_t i = 0; i < WORDS; i++)
        if (value(caps, i) >= 0)
            return true;
    return false;
}

void tool_caps_tighten(struct config_tool_calls *caps, const struct config_tool_calls *more)
{
    for (size_t i = 0; i < WORDS; i++) {
        int64_t theirs = value(more, i), *ours = field(caps, i);
        if (theirs >= 0 && (*ours < 0 || theirs < *ours))
            *ours = theirs;
    }
    if (more->mode != CONFIG_TOOLS_UNSET)
        caps->mode = more->mode;
}

static bool read_mode(const char *text, enum config_tool_mode *ret)
{
    static const char *const modes[] = {
        [CONFIG_TOOLS_DROP] = "drop",
        [CONFIG_TOOLS_ANSWER] = "answer",
        [CONFIG_TOOLS_ERROR] = "error",
    };
    for (int i = CONFIG_TOOLS_DROP; i <= CONFIG_TOOLS_ERROR; i++) {
        if (strcmp(text, modes[i]) == 0) {
            *ret = (enum config_tool_mode)i;
            return true;
        }
    }
    return false;
}

static bool read_word(char *word, struct config_tool_calls *ret)
{
    char *equals = strchr(word, '='), *end = NULL;
    if (strcmp(word, "conservative") == 0) {
        ret->max_per_turn = CONSERVATIVE_TURN;
        return true;
    }
    if (!equals)
        return false;
    *equals = '\0';
    if (strcmp(word, "mode") == 0)
        return read_mode(equals + 1, &ret->mode);
    errno = 0;
    long long number = strtoll(equals + 1, &end, 10);
    if (errno || end == equals + 1 || *end || number < 0 || number > TOOL_CAP_MAX)
        return false;
    for (size_t i = 0; i < WORDS; i++) {
        if (strcmp(word, words[i].word) == 0) {
            *field(ret, i) = number;
            return true;
        }
    }
    return false;
}

int tool_caps_read(const char *text, struct config_tool_calls *ret, struct error *e)
{
    char copy[TOOL_CAP_HEADER_BYTES + 1], *rest = NULL;
    size_t len = strlen(text);
    tool_caps_none(ret);
    bool good = len <= TOOL_CAP_HEADER_BYTES;
    if (good)
        memcpy(copy, text, len + 1);
    for (char *w = good ? strtok_r(copy, " ,;\t", &rest) : NULL; w && good;
         w = strtok_r(NULL, " ,;\t", &rest))
        good = read_word(w, ret);
    if (good)
        return 0;
    return error_set(e, -EINVAL,
                     "x-sluice-tool-calls is '%.60s'; it must be words such as turn=3, response=1, "
                     "session=20, iterations=5, identical=2 (0 to %d) and mode=drop, answer or "
                     "error.",
                     text, TOOL_CAP_MAX);
}

/* ---- counting */

static uint64_t turn_hash(const struct transcript *t)
{
    if (t->turns == 0 || t->last_turn >= t->count)
        return 0;
    struct json_span first = t->messages[t->last_turn].span;
    uint64_t hash = content_hash(first.at, first.len, 0).low;
    return hash ? hash : 1;
}

int tool_count(const struct transcript *t, const struct tool_past *past, struct tool_count *ret)
{
    struct tool_mark *marks = NULL;
    int rc = tool_marks_read(t, past, &marks);
    if (rc < 0)
        return rc;
    *ret = (struct tool_count){.turn = turn_hash(t)};
    for (uint32_t k = 0; k < t->block_count; k++) {
        const struct tool_mark *m = &marks[k];
        if (m->session == 0)
            continue;
        if (m->session > ret->calls)
            ret->calls = m->session;
        if (t->messages[t->blocks[k].message].turn != t->turns)
            continue;
        ret->turn_calls++;
        if (m->iteration > ret->iterations)
            ret->iterations = m->iteration;
        if (m->identical > ret->identical)
            ret->identical = m->identical;
    }
    free(marks);
    if (!past)
        return 0;
    if (past->calls > ret->calls)
        ret->calls = past->calls; /* the transcript shows none */
    /* A turn that shows no calls yet has just begun, whatever message it begins with. */
    bool same = ret->turn != 0 && past->turn == ret->turn && ret->iterations > 0;
    if (same && past->iterations > ret->iterations)
        ret->iterations = past->iterations;
    return 0;
}

static void bound(struct tool_left *left, const char *cap, int64_t most, int64_t calls)
{
    if (most < 0 || calls >= left->calls)
        return;
    *left = (struct tool_left){.calls = calls > 0 ? calls : 0, .cap = cap, .most = most};
}

/* Whether the conversation holds calls of the last turn that no cap would have let pass. */
static int find_exceeded(const struct transcript *t, const struct config_tool_calls *caps,
                         const struct tool_past *past, struct tool_left *left)
{
    struct tool_mark *marks = NULL;
    int rc = tool_marks_read(t, past, &marks);
    for (uint32_t k = 0; rc == 0 && k < t->block_count && !left->exceeded; k++) {
        const char *cap = NULL;
        int64_t most = 0;
        if (t->messages[t->blocks[k].message].turn != t->turns ||
            !tool_mark_exceeds(&marks[k], caps, &cap, &most))
            continue;
        *left = (struct tool_left){.calls = 0, .cap = cap, .most = most, .exceeded = true};
    }
    free(marks);
    return rc;
}

int tool_cap_left(const struct transcript *t, const struct config_tool_calls *caps,
                  const struct tool_past *past, struct tool_left *ret)
{
    struct tool_count n;
    int rc = tool_count(t, past, &n);
    if (rc < 0)
        return rc;
    *ret = (struct tool_left){.calls = INT64_MAX};
    bound(ret, "max_calls_per_response", caps->max_per_response, caps->max_per_response);
    bound(ret, "max_calls_per_turn", caps->max_per_turn, caps->max_per_turn - n.turn_calls);
    bound(ret, "max_calls_per_session", caps->max_per_session, caps->max_per_session - n.calls);
    if (caps->max_iterations >= 0 && n.iterations >= caps->max_iterations)
        bound(ret, "max_iterations", caps->max_iterations, 0);
    if (caps->max_identical >= 0 && n.identical >= caps->max_identical)
        bound(ret, "max_identical_calls", caps->max_identical, 0);
    return caps->mode == CONFIG_TOOLS_ERROR ? find_exceeded(t, caps, past, ret) : 0;
}
