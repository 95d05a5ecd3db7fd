/*
 * tool_filter: lets the first calls of an answer pass, and takes surplus ones out of it.
 *
 * Works on whole answers and, event by event, on streams, for OpenAI chat, OpenAI responses and
 * Anthropic messages. A decision is made at the first event of each call, so nothing is buffered,
 * but for thinking that stands behind the last call that may pass: alone at the end of an answer
 * it would be illegal in the next request, so it waits until it is known what follows it.
 * With tool_filter_limit_repeats() calls are judged by their arguments, too: then a stream waits
 * from the first event of a call until all calls that have begun are whole.
 *
 *   what counts  calls that the caller answers: chat's tool_calls, items function_call and
 *                custom_tool_call, blocks tool_use. Not what the provider answers itself
 *                (server_tool_use, web_search_call, mcp_call, ...), nor chat's old function_call,
 *                of which an answer has one at most.
 *   what stays   bytes of events and values that are not concerned, and the usage: the provider
 *                bills what it made. Indexes and sequence numbers behind a removed call close up.
 *   none left    finish_reason and stop_reason become "stop" and "end_turn"; an answer without
 *                any text then gets TOOL_FILTER_NOTICE as its text.
 *   choices      each choice of a chat answer has the same number of calls to itself.
 *
 *   ownership    the caller's struct; tool_filter_release().
 *   threads      none.
 *   limits       TOOL_FILTER_MAX_CHOICES, _MAX_BLOCKS removed of one answer: -E2BIG past it.
 *                What waits for whole calls is TOOL_FILTER_WAIT_BYTES at most: then they are
 *                judged by what is there.
 */
#ifndef SCHEDULER_PROVIDER_TOOL_FILTER_H
#define SCHEDULER_PROVIDER_TOOL_FILTER_H

#include "common/limits.h"
#include "scheduler/provider/sse.h"
#include "scheduler/provider/tool_repeats.h"
#include "scheduler/provider/wire.h"

#define TOOL_FILTER_ALL    INT64_MAX
#define TOOL_FILTER_NOTICE "[The limit of tool calls is reached; no further tool was called.]"

struct tool_choice { /* of a chat stream */
    int64_t top;     /* highest index of a call so far; -1 none */
    int64_t last;    /* highest index that passes; -1 none */
    uint64_t id;     /* hash of the id at `top`: some providers give every call index 0 */
    int64_t calls, passed;
    bool top_passes, text;
};

struct tool_filter {
    enum wire_endpoint endpoint;
    int64_t left;
    int64_t passed, dropped; /* calls so far; what job records, logs and counters tell */
    struct tool_choice *choices;
    /* blocks and items: indexes as the provider gave them */
    int64_t removed[TOOL_FILTER_MAX_BLOCKS];
    size_t removed_count;
    int64_t open;       /* index of the block that is being removed; -1 none */
    int64_t held_index; /* of thinking that waits; -1 none */
    int64_t held_events;
    struct buf held;
    int64_t next_index; /* that a block of our own would have */
    int64_t sequence;   /* added to sequence numbers */
    bool text, noticed;
    /* calls like earlier ones */
    struct tool_repeats *repeats; /* NULL: they pass */
    size_t number;                /* of the next call */
    bool whole;
    struct buf waiting; /* events, raw */
    int failed;
};

void tool_filter_init(struct tool_filter *f, enum wire_endpoint endpoint, int64_t left);
/* Of calls that are the same (tool_repeats.h) only so many pass; call it once, before any answer.
 * Without memory the filter itself fails, with -ENOMEM at the answer. */
void tool_filter_limit_repeats(struct tool_filter *f, int64_t most, const uint64_t *before,
                               size_t before_count);
void tool_filter_release(struct tool_filter *f); /* also of a zeroed one; twice is harmless */

/* A whole 2xx answer. out stays empty when the answer stays as it is (also when it is none that
 * could be read). 0, -E2BIG, -ENOMEM, -ENOSPC. */
int tool_filter_body(struct tool_filter *f, const char *body, size_t len,
                     struct buf *out) MUST_CHECK;

/* One event. *ret_pass: it goes on as it is; else what was appended to out goes in its place,
 * perhaps nothing. out may hold bytes to be sent before an event that passes. Errors as above. */
int tool_filter_event(struct tool_filter *f, const struct sse_event *event, struct buf *out,
                      bool *ret_pass) MUST_CHECK;

#endif
