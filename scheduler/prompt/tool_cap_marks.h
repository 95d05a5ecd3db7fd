/*
 * tool_cap_marks: which call of its answer, turn and conversation each call is; see tool_cap.h.
 */
#ifndef SCHEDULER_PROMPT_TOOL_CAP_MARKS_H
#define SCHEDULER_PROMPT_TOOL_CAP_MARKS_H

#include "scheduler/prompt/tool_cap.h"

/* Ordinals from 1; of a block that is no call, all 0. */
struct tool_mark {
    int64_t response, turn, session, iteration, identical;
};

/* One for each block of the transcript; free() it. Calls that only past (may be NULL) knows of
 * come before those of the transcript. 0 or -ENOMEM. */
int tool_marks_read(const struct transcript *t, const struct tool_past *past,
                    struct tool_mark **ret) MUST_CHECK;
/* Whether the call is past a cap, and past which. */
bool tool_mark_exceeds(const struct tool_mark *m, const struct config_tool_calls *caps,
                       const char **ret_cap, int64_t *ret_most);

#endif
