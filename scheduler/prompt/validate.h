/*
 * validate: proves that a conversation is one the provider accepts, or says why not.
 *
 * The invariants, after the errors that users of other tools run into:
 *
 *   1   system and developer messages, tools and all that is not in the list of messages stay
 *       as they are
 *   2   the last turn stays: the last message of the user and all behind it. Only contents of
 *       tool results in it may become shorter
 *   3   every call is answered: in chat by the tool messages right behind it, with Anthropic
 *       in the next turn, its results first
 *   4   no result without its call
 *   5   legal roles and no empty content; with Anthropic the user is first, and roles do not
 *       repeat where they did not before (the API merges repeated ones, others refuse them)
 *   6   thinking is never edited
 *   7   responses: reasoning is followed by what it led to; with a history at the provider its
 *       half of a pair is not missed here
 *   8   calls of the last turn keep every byte, and so their thought signatures
 *   9   at most four cache breakpoints, and none is lost when the block it was on is
 *  10   arguments of calls are objects (Anthropic) or text (OpenAI)
 *
 *   threads    none; no allocation.
 */
#ifndef SCHEDULER_PROMPT_VALIDATE_H
#define SCHEDULER_PROMPT_VALIDATE_H

#include "scheduler/prompt/transcript.h"

struct validate_fault {
    int invariant;    /* number in the list above */
    uint32_t message; /* index, or TRANSCRIPT_NONE */
    struct error error;
};

/* What holds for one body: 3, 4, 5, 7, 9, 10. 0, or -EINVAL with the first fault found. */
int validate_body(const struct transcript *t, struct validate_fault *ret) MUST_CHECK;

/* What holds between a legal body and what was made of it: 1, 2, 5, 6, 8, 9. */
int validate_edit(const struct transcript *before, const struct transcript *after,
                  struct validate_fault *ret) MUST_CHECK;

/* Markers of cache breakpoints in the messages. */
uint32_t validate_markers(const struct transcript *t);

#endif
