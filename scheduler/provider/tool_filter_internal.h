/*
 * tool_filter_internal: what the formats' halves of tool_filter share. Only for tool_filter*.c.
 */
#ifndef SCHEDULER_PROVIDER_TOOL_FILTER_INTERNAL_H
#define SCHEDULER_PROVIDER_TOOL_FILTER_INTERNAL_H

#include "common/json_edit.h"
#include "scheduler/provider/tool_filter.h"

#define NOTICE_JSON "\"" TOOL_FILTER_NOTICE "\""

/* An event while it is looked at: its JSON, what it calls itself, and what becomes of it. */
struct tool_event {
    const struct sse_event *sse;
    struct json_span root, type;
    struct json_edits edits;
    bool drop, hold;
};

enum tool_part { PART_CALL, PART_THINKING, PART_TEXT, PART_OTHER };
enum tool_fate { FATE_KEEP, FATE_DROP, FATE_HOLD };

/* What becomes of the next part of an answer; counts calls. Parts that were held are settled by
 * the caller: they go with a call that is dropped, else they stay. */
enum tool_fate tool_filter_next(struct tool_filter *f, enum tool_part part);
/* Of thinking that is held when the answer ends. */
bool tool_filter_keeps_held(const struct tool_filter *f);
bool tool_filter_has_text(struct json_span string);

/* Removes surplus parts of an array (content, output). Uses a state of its own. */
struct tool_parts {
    int64_t passed, dropped;
    bool text;
    bool *cut; /* by index; freed by tool_parts_release() */
    size_t count;
};
typedef enum tool_part (*tool_part_fn)(struct json_span part);
int tool_parts_read(const struct tool_filter *of, struct json_span list, tool_part_fn kind,
                    struct tool_parts *ret) MUST_CHECK;
void tool_parts_cut(const struct tool_parts *p, struct json_span list, struct json_edits *edits);
/* Raw JSON in the place of the last part that is cut. */
void tool_parts_place(struct tool_parts *p, struct json_span list, const char *text,
                      struct json_edits *edits);
void tool_parts_release(struct tool_parts *p);

/* ---- blocks of a stream */
int tool_filter_remove(struct tool_filter *f, int64_t index) MUST_CHECK;
int64_t tool_filter_index(const struct tool_filter *f, int64_t index); /* its new one */
void tool_filter_number(struct json_edits *edits, struct json_span value, int64_t wanted);
/* The event's frame with other data; appends to out. */
int tool_filter_frame(const struct sse_event *event, const char *data, size_t len,
                      struct buf *out) MUST_CHECK;

/* ---- formats */
int tool_chat_event(struct tool_filter *f, struct tool_event *ev) MUST_CHECK;
int tool_chat_body(struct tool_filter *f, struct json_span root,
                   struct json_edits *edits) MUST_CHECK;
int tool_messages_event(struct tool_filter *f, struct tool_event *ev, struct buf *out) MUST_CHECK;
int tool_messages_body(struct tool_filter *f, struct json_span root,
                       struct json_edits *edits) MUST_CHECK;
int tool_responses_event(struct tool_filter *f, struct tool_event *ev, struct buf *out) MUST_CHECK;
int tool_responses_body(struct tool_filter *f, struct json_span root,
                        struct json_edits *edits) MUST_CHECK;

#endif
