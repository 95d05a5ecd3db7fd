/*
 * tool_cap: how many calls of tools a conversation may still make, and what its next request
 * says about it.
 *
 * Caps come from the model's row, the tenant and the caller's header; the least of each holds.
 * Calls are counted in the request itself, and where the conversation has a name (x-sluice-session)
 * what was counted before holds too when it is more: a caller that trims its history gains nothing.
 *
 *   response   calls of one answer; the surplus is taken out (provider/tool_filter.h)
 *   turn       calls since the last message of the user
 *   session    calls of the whole conversation
 *   iterations rounds of calls and results in a turn
 *   identical  times that one tool is called with the same arguments in a turn; in an answer
 *              those past it are taken out, wherever they stand
 *
 * Modes. drop: surplus calls are removed from answers. answer: they pass, and their results are
 * replaced by an error text in later requests. error: they pass, and the request that brings
 * their results is refused. In all modes, when nothing is left the next request says tool_choice
 * none and one line that tells the model why; tools stay, for provider caches begin with them.
 * Where the provider has tools of its own, which are not counted, the choice stays as it was.
 *
 *   threads    none.
 *   limits     caps are 0..TOOL_CAP_MAX.
 */
#ifndef SCHEDULER_PROMPT_TOOL_CAP_H
#define SCHEDULER_PROMPT_TOOL_CAP_H

#include "common/buf.h"
#include "common/config.h"
#include "scheduler/prompt/transcript.h"

#define TOOL_CAP_NOTICE "Tool budget exhausted; answer with what you have."

/* struct config_tool_calls with every cap CONFIG_ABSENT. */
void tool_caps_none(struct config_tool_calls *caps);
bool tool_caps_any(const struct config_tool_calls *caps);
/* Each cap becomes the least of both; the mode is that of more, when more has a cap or a mode. */
void tool_caps_tighten(struct config_tool_calls *caps, const struct config_tool_calls *more);
/* "turn=3 response=1 session=20 iterations=5 identical=2 mode=answer", any of them, parted by
 * blanks or commas; or "conservative", which is turn=3. 0 or -EINVAL with e. */
int tool_caps_read(const char *text, struct config_tool_calls *ret, struct error *e) MUST_CHECK;

/* What a named conversation has done before, as far as it is known; zeroed: nothing. */
struct tool_past {
    int64_t calls;      /* that passed, in all */
    int64_t iterations; /* of the turn that began with this message: */
    uint64_t turn;
};

struct tool_count {
    int64_t turn_calls, calls;
    int64_t iterations;
    int64_t identical; /* most of one kind, in the turn */
    uint64_t turn;     /* hash of the message with which it began; 0 none */
};
/* 0 or -ENOMEM. */
int tool_count(const struct transcript *t, const struct tool_past *past,
               struct tool_count *ret) MUST_CHECK;

struct tool_left {
    int64_t calls;   /* that the next answer may make; INT64_MAX: all */
    const char *cap; /* that gives this number: "max_calls_per_turn"; NULL none */
    int64_t most;    /* its value */
    bool exceeded;   /* mode error: there are more than that already */
};
int tool_cap_left(const struct transcript *t, const struct config_tool_calls *caps,
                  const struct tool_past *past, struct tool_left *ret) MUST_CHECK;

/* What stands for each call of the last turn (provider/tool_repeats.h); free() it. -ENOMEM. */
int tool_cap_prints(const struct transcript *t, uint64_t **ret, size_t *ret_count) MUST_CHECK;

/* The request as it is to be sent; out stays empty when it stays as it is. Accepted by
 * json_scan_check() before and after. 0, -ENOMEM, -ENOSPC. */
int tool_cap_request(const struct transcript *t, const struct config_tool_calls *caps,
                     const struct tool_past *past, const struct tool_left *left,
                     struct buf *out) MUST_CHECK;

/* Whether a model takes parallel_tool_calls; o1, o3 and o4-mini answer 400. */
bool tool_cap_takes_parallel(struct json_span model);

#endif
