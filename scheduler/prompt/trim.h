/*
 * trim: makes a request smaller, and stays legal.
 *
 * The result is the original with a few places replaced: what no edit touches stays byte for
 * byte, so that provider caches stay warm. Cuts are sticky: a longer request of the same
 * conversation is cut at the same places until a whole step more has to go (but for
 * `relevant`, which follows the question). An edit that saves nothing is not made, and
 * validate.h must agree with the outcome, or else the request is given back as it came.
 *
 *   units      tokens as count.h counts them.
 *   ownership  the caller owns the result: trim_result_release(). Strings in actions are
 *              static.
 *   threads    none.
 *   invariant  before.tokens - after.tokens is the sum of saved_tokens of all actions.
 */
#ifndef SCHEDULER_PROMPT_TRIM_H
#define SCHEDULER_PROMPT_TRIM_H

#include "scheduler/prompt/count.h"
#include "scheduler/prompt/trim_policy.h"

/* What is asked of a summariser: to say what messages from..to-1 of the transcript say. */
struct trim_summary_ask {
    const struct transcript *transcript;
    uint32_t from, to;
    int64_t tokens;          /* that they have now */
    struct content_hash key; /* of their bytes: the same messages have the same summary */
};

struct trim_summarizer {
    /* Appends the summary as plain UTF-8 and returns 0; anything else declines, and the stage
     * does what tool_results does. May not block: it looks up what was made before. */
    int (*make)(void *arg, const struct trim_summary_ask *ask, struct buf *out);
    void *arg;
};

struct trim_input {
    struct counter *counter;
    enum wire_endpoint endpoint;
    const char *body; /* accepted by json_scan_check() */
    size_t len;
    const struct trim_policy *policy;
    const struct trim_summarizer *summarizer; /* may be NULL */
    const int64_t *message_ms; /* may be NULL; when each message was sent, oldest first; */
    uint32_t message_ms_count; /* 0: unknown. Must be as many as there are messages. */
    int64_t now_ms;            /* of the same clock */
};

struct trim_action {
    const char *stage; /* name of the stage; "repair", "cache" */
    uint32_t message;  /* index in the original */
    int64_t saved_tokens;
    const char *why;
};

struct trim_size {
    uint32_t messages;
    int64_t tokens;
};

struct trim_result {
    struct buf body; /* the new body; with no actions: empty, the original stands */
    struct trim_size before, after;
    struct trim_action *actions;
    size_t action_count;
    bool fits;            /* max_context_tokens is met, or there is none */
    struct error refused; /* why the original was kept though edits were found; "" */
};

/* 0; -EINVAL with e when the body is no conversation, -E2BIG when it is too long for this;
 * -ENOMEM. ret is written on success only. */
int trim(const struct trim_input *in, struct trim_result *ret, struct error *e) MUST_CHECK;
void trim_result_release(struct trim_result *r);

#endif
