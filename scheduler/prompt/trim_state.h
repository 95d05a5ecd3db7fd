/*
 * trim_state: what the stages work on: the transcript, and what is to become of its parts.
 *
 * A stage looks at parts that are still there and calls one of the few edits below; each keeps
 * the sizes right and notes an action. Nothing is written until trim_splice().
 *
 *   ownership  opaque to nobody but owned by trim(); texts of edits live in `texts`.
 *   errors     sticky: `failed` is set once memory is short, and trim() then gives up.
 *   invariant  total is fixed plus the tokens of all messages that are not dropped and of all
 *              insertions.
 */
#ifndef SCHEDULER_PROMPT_TRIM_STATE_H
#define SCHEDULER_PROMPT_TRIM_STATE_H

#include "scheduler/prompt/trim.h"

struct trim_message {
    bool dropped;
    struct count_size size; /* as it is now */
    int64_t tokens;         /* of that size */
};

struct trim_block {
    bool dropped;
    bool replaced; /* its value, by len bytes of `texts` at `at` */
    size_t at, len;
    bool takes_marker; /* a cache breakpoint moves here: the bytes of `texts` at marker_at */
    size_t marker_at, marker_len;
};

struct trim_insert {
    uint32_t before; /* message; count: at the end */
    size_t at, len;  /* a whole message, in `texts` */
};

struct trim_state {
    const struct trim_input *in;
    const struct trim_policy *policy;
    const struct transcript *t;
    struct count_model model;
    struct trim_message *messages;
    struct trim_block *blocks;
    uint32_t *turn_first; /* of turn 0..turns + 1: its first message; count past the last */
    struct trim_insert *inserts;
    size_t insert_count, insert_room;
    struct trim_action *actions;
    size_t action_count, action_room;
    struct buf texts;
    int64_t total;
    enum trim_stage stage;
    bool repaired;
    int failed;
};

int trim_state_init(struct trim_state *s, const struct trim_input *in,
                    const struct transcript *t) MUST_CHECK;
void trim_state_release(struct trim_state *s);

/* ---- edits */

/* Nothing is checked: the caller takes whole atoms, and no pinned message. */
void trim_drop_message(struct trim_state *s, uint32_t message, const char *why);
/* An element of a content list; not the last one that is left. */
void trim_drop_block(struct trim_state *s, uint32_t block, const char *why);
/* Puts the last len bytes of `texts`, JSON, in the place of a call's or a result's value.
 * Returns whether that saves tokens; when not, nothing is done. */
bool trim_replace(struct trim_state *s, uint32_t block, size_t len, const char *why);
/* A new message before that one: the last len bytes of `texts`. */
void trim_insert(struct trim_state *s, uint32_t before, size_t len, const char *why);

/* ---- turns */

/* Whether the turn can go: there is more in it than system messages, and nothing else pinned. */
bool trim_turn_may_go(const struct trim_state *s, uint32_t turn);
/* Drops what is left of it, system messages excepted; the tokens saved. */
int64_t trim_drop_turn(struct trim_state *s, uint32_t turn, const char *why);
/* Tokens and messages of it that would go. */
struct trim_size trim_turn_size(const struct trim_state *s, uint32_t turn);
/* The first turn that keep_turns protects. */
uint32_t trim_kept_turn(const struct trim_state *s);

/* The current JSON of a call's or result's value. */
struct json_span trim_value(const struct trim_state *s, uint32_t block);
/* total is within max_context_tokens, or there is no such limit. */
bool trim_fits(const struct trim_state *s);

/* ---- the parts of trim(), one file each */

void trim_window(struct trim_state *s);
void trim_tool_results(struct trim_state *s);
void trim_truncate(struct trim_state *s);
void trim_deletion(struct trim_state *s);
void trim_selective(struct trim_state *s);
void trim_relevant(struct trim_state *s);
void trim_summarize(struct trim_state *s);
void trim_reset(struct trim_state *s);

/* Makes an illegal conversation legal where that is possible. */
void trim_repair(struct trim_state *s);
/* Finds new places for cache breakpoints whose blocks went. */
void trim_move_markers(struct trim_state *s);
/* The new body. 0, -ENOSPC, -ENOMEM. */
int trim_splice(const struct trim_state *s, struct buf *out) MUST_CHECK;

#endif
