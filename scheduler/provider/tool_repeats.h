/*
 * tool_repeats: which calls of an answer are the same as calls before them: one tool, the same
 * arguments. White space outside of strings makes no difference, for clients write the arguments
 * of their history in their own way.
 *
 * Calls are numbered in the order in which they begin. A streamed call can be judged only when its
 * arguments are whole, so whoever passes a stream on holds its events back while
 * tool_repeats_watch() says so. Choices of a chat answer are judged each for itself.
 *
 *   ownership  opaque; tool_repeats_free().
 *   threads    none.
 *   limits     of calls of an answer past TOOL_FILTER_MAX_BLOCKS none is a repeat.
 */
#ifndef SCHEDULER_PROVIDER_TOOL_REPEATS_H
#define SCHEDULER_PROVIDER_TOOL_REPEATS_H

#include "common/json_scan.h"
#include "scheduler/provider/wire.h"

struct tool_repeats;

/* Stands for a call's tool and arguments: JSON, or a string that holds it. */
int tool_call_print(struct json_span name, struct json_span arguments, uint64_t *ret) MUST_CHECK;

/* most: how many of a kind may be in a turn. before: prints of those that the turn had when this
 * answer was asked for; copied. -ENOMEM. */
int tool_repeats_new(enum wire_endpoint endpoint, int64_t most, const uint64_t *before,
                     size_t before_count, struct tool_repeats **ret) MUST_CHECK;
void tool_repeats_free(struct tool_repeats *r); /* accepts NULL */

/* One event of a stream: *ret_hold while a call of it is not whole. -ENOMEM, -ENOSPC. */
int tool_repeats_watch(struct tool_repeats *r, struct json_span event, bool *ret_hold) MUST_CHECK;
/* No more of any call is to come. */
void tool_repeats_close(struct tool_repeats *r);
/* A call of a whole answer. */
int tool_repeats_add(struct tool_repeats *r, int64_t choice, struct json_span call) MUST_CHECK;

/* Whether the call of this number is one too many of its kind. */
bool tool_repeats_has(const struct tool_repeats *r, size_t number);
/* Of a chat stream: the same, by its place; and how many were too many before it. */
bool tool_repeats_at(const struct tool_repeats *r, int64_t choice, int64_t index,
                     int64_t *ret_before);

#endif
