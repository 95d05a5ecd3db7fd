/*
 * call_tools: the caps of tool calls of one call: the request before it is sent, and the answer.
 *
 *   ownership  inside struct call; call_tools_release().
 */
#ifndef SCHEDULER_CALL_TOOLS_H
#define SCHEDULER_CALL_TOOLS_H

#include "scheduler/prompt/content_hash.h"
#include "scheduler/prompt/tool_cap.h"
#include "scheduler/provider/tool_filter.h"

struct call;
struct call_failure;

struct call_tools {
    bool on; /* a cap holds, or the conversation has a name: calls are counted */
    struct tool_left left;
    struct tool_count count;   /* of the request */
    struct content_hash hash;  /* of the messages as the client sent them */
    uint32_t messages;         /* their number */
    struct tool_filter filter; /* of this attempt's answer */
    struct buf out;
    int64_t most_alike; /* calls of a kind in a turn; -1: any */
    uint64_t *prints;   /* of those that it has had */
    size_t print_count;
};

/* A stage of preflight: counts, may rewrite the body or refuse the request. */
int call_tools_read(struct call *c, struct call_failure *failure) MUST_CHECK;
void call_tools_reset(struct call *c); /* before each attempt's answer */
void call_tools_release(struct call *c);
/* One event on its way to the client: as it is, changed, or not at all. */
int call_tools_event(struct call *c, const struct sse_event *event) MUST_CHECK;
/* A whole answer, in c->reply. */
int call_tools_body(struct call *c) MUST_CHECK;

#endif
