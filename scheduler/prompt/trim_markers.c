/*
 * trim_markers: a cache breakpoint outlives the block it was on.
 *
 * A client marks a few blocks (cache_control) up to which the prompt may be cached. When such
 * a block goes, or its content does, the marker moves to the nearest block behind it that is
 * still there and can bear one, or else to the nearest before it. Without one the request would
 * pay full price from here on, so losing it is worse than any saving.
 */
#include "scheduler/prompt/trim_state.h"

#include <string.h>

/* Thinking blocks may bear none, and an element must be an object that has none yet. */
static bool can_bear(const struct trim_state *s, uint32_t k)
{
    const struct transcript_block *b = &s->t->blocks[k];
    bool gone = s->blocks[k].dropped || s->messages[b->message].dropped;
    return !gone && !s->blocks[k].takes_marker && b->listed && json_kind(b->span) == JSON_OBJ &&
           b->kind != BLOCK_THINKING && b->kind != BLOCK_COMPACTION;
}

/* Whether the block still has its marker: one inside a result goes with the content. */
static bool keeps_marker(const struct trim_state *s, uint32_t k)
{
    const struct transcript_block *b = &s->t->blocks[k];
    if (s->blocks[k].dropped || s->messages[b->message].dropped)
        return false;
    return !s->blocks[k].replaced || json_kind(json_get(b->span, "cache_control")) == JSON_OBJ ||
           memmem(s->texts.data + s->blocks[k].at, s->blocks[k].len, "\"cache_control\"",
                  strlen("\"cache_control\""));
}

static bool is_free(const struct trim_state *s, uint32_t k)
{
    return can_bear(s, k) && !(s->t->blocks[k].marked && keeps_marker(s, k));
}

static struct json_span marker_of(const struct transcript_block *b)
{
    struct json_span own = json_get(b->span, "cache_control");
    if (json_kind(own) == JSON_OBJ)
        return own;
    struct json_iter it = json_iter(json_get(b->span, "content"));
    while (json_next(&it)) {
        struct json_span inner = json_get(it.value, "cache_control");
        if (json_kind(inner) == JSON_OBJ)
            own = inner;
    }
    return own;
}

static uint32_t nearest(const struct trim_state *s, uint32_t k)
{
    uint32_t count = s->t->block_count;
    for (uint32_t i = k; i < count; i++)
        if (is_free(s, i))
            return i;
    for (uint32_t i = k; i > 0; i--)
        if (is_free(s, i - 1))
            return i - 1;
    return count;
}

void trim_move_markers(struct trim_state *s)
{
    for (uint32_t k = 0; k < s->t->block_count; k++) {
        if (!s->t->blocks[k].marked || keeps_marker(s, k))
            continue;
        uint32_t to = nearest(s, k);
        struct json_span marker = marker_of(&s->t->blocks[k]);
        if (to == s->t->block_count || !marker.at)
            continue;
        struct trim_block *b = &s->blocks[to];
        b->takes_marker = true;
        b->marker_at = s->texts.len;
        b->marker_len = marker.len;
        (void)buf_add(&s->texts, marker.at, marker.len); /* a failure stays in texts.failed */
    }
}
