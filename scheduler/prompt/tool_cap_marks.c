#include "scheduler/prompt/tool_cap_marks.h"

#include "scheduler/provider/tool_repeats.h"

#include <errno.h>
#include <stdlib.h>

static bool is_call(const struct transcript *t, uint32_t block)
{
    const struct transcript_block *b = &t->blocks[block];
    return b->kind == BLOCK_CALL && transcript_is_assistant(t, b->message);
}

/* ---- which of its like */

struct like {
    uint32_t turn, block;
    uint64_t hash;
};

static int by_like(const void *a, const void *b)
{
    const struct like *x = a, *y = b;
    if (x->turn != y->turn)
        return x->turn < y->turn ? -1 : 1;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->block < y->block ? -1 : x->block > y->block;
}

static int count_likes(const struct transcript *t, struct tool_mark *marks, size_t calls)
{
    struct like *likes = calloc(calls + 1, sizeof(*likes));
    size_t n = 0;
    int rc = likes ? 0 : -ENOMEM;
    for (uint32_t k = 0; k < t->block_count && rc == 0; k++) {
        const struct transcript_block *b = &t->blocks[k];
        if (!is_call(t, k))
            continue;
        likes[n] = (struct like){.turn = t->messages[b->message].turn, .block = k};
        rc = tool_call_print(b->name, b->value, &likes[n++].hash);
    }
    if (rc < 0) {
        free(likes);
        return rc;
    }
    qsort(likes, n, sizeof(*likes), by_like);
    for (size_t i = 0; i < n; i++) {
        bool same =
            i > 0 && likes[i].turn == likes[i - 1].turn && likes[i].hash == likes[i - 1].hash;
        marks[likes[i].block].identical = same ? marks[likes[i - 1].block].identical + 1 : 1;
    }
    free(likes);
    return 0;
}

int tool_cap_prints(const struct transcript *t, uint64_t **ret, size_t *ret_count)
{
    uint64_t *prints = calloc((size_t)t->block_count + 1, sizeof(*prints));
    int rc = prints ? 0 : -ENOMEM;
    *ret_count = 0;
    for (uint32_t k = 0; k < t->block_count && rc == 0; k++) {
        const struct transcript_block *b = &t->blocks[k];
        if (is_call(t, k) && t->messages[b->message].turn == t->turns)
            rc = tool_call_print(b->name, b->value, &prints[(*ret_count)++]);
    }
    if (rc < 0)
        free(prints);
    else
        *ret = prints;
    return rc;
}

/* ---- ordinals */

static size_t count_ordinals(const struct transcript *t, struct tool_mark *marks)
{
    uint32_t turn = TRANSCRIPT_NONE, atom = TRANSCRIPT_NONE;
    struct tool_mark at = {0};
    for (uint32_t k = 0; k < t->block_count; k++) {
        const struct transcript_message *m = &t->messages[t->blocks[k].message];
        if (!is_call(t, k))
            continue;
        if (m->turn != turn)
            at = (struct tool_mark){.session = at.session};
        if (m->turn != turn || m->atom != atom) {
            at.iteration++;
            at.response = 0;
        }
        turn = m->turn;
        atom = m->atom;
        at.session++;
        at.turn++;
        at.response++;
        marks[k] = at;
    }
    return (size_t)at.session;
}

int tool_marks_read(const struct transcript *t, const struct tool_past *past,
                    struct tool_mark **ret)
{
    struct tool_mark *marks = calloc((size_t)t->block_count + 1, sizeof(*marks));
    if (!marks)
        return -ENOMEM;
    size_t calls = count_ordinals(t, marks);
    int rc = count_likes(t, marks, calls);
    if (rc < 0) {
        free(marks);
        return rc;
    }
    int64_t unseen = past ? past->calls - (int64_t)calls : 0;
    for (uint32_t k = 0; unseen > 0 && k < t->block_count; k++)
        if (marks[k].session > 0)
            marks[k].session += unseen;
    *ret = marks;
    return 0;
}

bool tool_mark_exceeds(const struct tool_mark *m, const struct config_tool_calls *caps,
                       const char **ret_cap, int64_t *ret_most)
{
    const struct {
        const char *name;
        int64_t is, most;
    } each[] = {
        {"max_calls_per_response", m->response, caps->max_per_response},
        {"max_calls_per_turn", m->turn, caps->max_per_turn},
        {"max_calls_per_session", m->session, caps->max_per_session},
        {"max_iterations", m->iteration, caps->max_iterations},
        {"max_identical_calls", m->identical, caps->max_identical},
    };
    for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
        if (each[i].most < 0 || each[i].is <= each[i].most)
            continue;
        *ret_cap = each[i].name;
        *ret_most = each[i].most;
        return true;
    }
    return false;
}
