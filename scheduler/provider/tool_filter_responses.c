/*
 * tool_filter_responses: OpenAI's responses, whole and in events; see tool_filter.h.
 */
#include "scheduler/provider/tool_filter_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NOTICE_ID   "msg_sluice_limit"
#define NOTICE_PART "{\"type\":\"output_text\",\"text\":" NOTICE_JSON ",\"annotations\":[]}"
#define EMPTY_PART  "{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}"
#define ITEM(status, content)                                                                      \
    "{\"type\":\"message\",\"id\":\"" NOTICE_ID "\",\"status\":\"" status                          \
    "\",\"role\":\"assistant\",\"content\":[" content "]}"

static enum tool_part part_of(struct json_span item)
{
    struct json_span type = json_get(item, "type");
    if (json_equals(type, "function_call") || json_equals(type, "custom_tool_call"))
        return PART_CALL;
    if (json_equals(type, "reasoning"))
        return PART_THINKING;
    return json_equals(type, "message") ? PART_TEXT : PART_OTHER;
}

/* ---- whole; also the object inside of the last event */

static int edit_output(const struct tool_filter *f, struct json_span response,
                       struct json_edits *edits, struct tool_parts *ret)
{
    struct json_span output = json_get(response, "output");
    *ret = (struct tool_parts){0};
    if (json_kind(output) != JSON_ARR)
        return 0;
    int rc = tool_parts_read(f, output, part_of, ret);
    if (rc < 0)
        return rc;
    if (ret->dropped > 0 && ret->passed == 0 && !ret->text)
        tool_parts_place(ret, output, ITEM("completed", NOTICE_PART), edits);
    tool_parts_cut(ret, output, edits);
    tool_parts_release(ret);
    return 0;
}

int tool_responses_body(struct tool_filter *f, struct json_span root, struct json_edits *edits)
{
    struct tool_parts parts;
    int rc = edit_output(f, root, edits, &parts);
    f->passed += parts.passed;
    f->dropped += parts.dropped;
    return rc;
}

/* ---- events */

static bool is_type(const struct tool_event *ev, const char *type)
{
    return json_kind(ev->type) == JSON_STR ? json_equals(ev->type, type)
                                           : strcmp(ev->sse->name, type) == 0;
}

static int settle_held(struct tool_filter *f, bool keep, struct buf *out)
{
    int rc = 0;
    if (f->held_index < 0)
        return 0;
    if (keep && f->held.len > 0)
        rc = buf_add(out, f->held.data, f->held.len);
    if (!keep)
        f->sequence -= f->held_events;
    buf_clear(&f->held);
    f->held_events = 0;
    f->held_index = -1;
    return rc;
}

static int on_added(struct tool_filter *f, struct tool_event *ev, int64_t index, struct buf *out)
{
    enum tool_fate fate = tool_filter_next(f, part_of(json_get(ev->root, "item")));
    f->open = -1;
    if (fate == FATE_HOLD && f->held_index < 0)
        f->held_index = index;
    if (fate == FATE_HOLD)
        return 0;
    int rc = 0;
    for (int64_t i = f->held_index; fate == FATE_DROP && i >= 0 && i < index && rc == 0; i++)
        rc = tool_filter_remove(f, i);
    if (rc == 0)
        rc = settle_held(f, fate == FATE_KEEP, out);
    if (rc < 0 || fate == FATE_KEEP)
        return rc;
    f->open = index;
    return tool_filter_remove(f, index);
}

/* What a message of ours looks like as events, from the sequence number on. */
static int add_notice(struct tool_filter *f, int64_t sequence, struct buf *out)
{
    static const struct {
        const char *type, *rest;
    } events[] = {
        {"response.output_item.added", ",\"item\":" ITEM("in_progress", "")},
        {"response.content_part.added",
         (",\"item_id\":\"" NOTICE_ID "\",\"content_index\":0,\"part\":" EMPTY_PART)},
        {"response.output_text.delta",
         (",\"item_id\":\"" NOTICE_ID "\",\"content_index\":0,\"delta\":" NOTICE_JSON)},
        {"response.output_text.done",
         (",\"item_id\":\"" NOTICE_ID "\",\"content_index\":0,\"text\":" NOTICE_JSON)},
        {"response.content_part.done",
         (",\"item_id\":\"" NOTICE_ID "\",\"content_index\":0,\"part\":" NOTICE_PART)},
        {"response.output_item.done", ",\"item\":" ITEM("completed", NOTICE_PART)},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && rc == 0; i++, f->sequence++)
        rc = buf_addf(out,
                      "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%" PRId64
                      ",\"output_index\":%" PRId64 "%s}\n\n",
                      events[i].type, events[i].type, sequence + f->sequence, f->next_index,
                      events[i].rest);
    f->noticed = true;
    return rc;
}

static int on_response(struct tool_filter *f, struct tool_event *ev, int64_t sequence,
                       struct buf *out)
{
    struct json_span response = json_get(ev->root, "response");
    struct tool_parts parts;
    bool last = is_type(ev, "response.completed") || is_type(ev, "response.incomplete");
    int rc = last ? settle_held(f, tool_filter_keeps_held(f), out) : 0;
    if (rc == 0 && last && f->dropped > 0 && f->passed == 0 && !f->text && !f->noticed)
        rc = add_notice(f, sequence, out);
    return rc < 0 ? rc : edit_output(f, response, &ev->edits, &parts);
}

static int on_item(struct tool_filter *f, struct tool_event *ev, int64_t index, struct buf *out)
{
    int rc = is_type(ev, "response.output_item.added") ? on_added(f, ev, index, out) : 0;
    if (rc < 0)
        return rc;
    ev->drop = index == f->open;
    ev->hold = !ev->drop && f->held_index >= 0 && index >= f->held_index;
    if (ev->drop) {
        f->sequence--;
        return 0;
    }
    int64_t wanted = tool_filter_index(f, index);
    tool_filter_number(&ev->edits, json_get(ev->root, "output_index"), wanted);
    if (wanted >= f->next_index)
        f->next_index = wanted + 1;
    return 0;
}

int tool_responses_event(struct tool_filter *f, struct tool_event *ev, struct buf *out)
{
    int64_t index = 0, sequence = 0;
    struct json_span number = json_get(ev->root, "sequence_number");
    bool numbered = json_int(number, &sequence);
    int rc = 0;
    if (json_int(json_get(ev->root, "output_index"), &index) && index >= 0)
        rc = on_item(f, ev, index, out);
    else if (json_kind(json_get(ev->root, "response")) == JSON_OBJ)
        rc = on_response(f, ev, sequence, out);
    if (rc == 0 && numbered && !ev->drop)
        tool_filter_number(&ev->edits, number, sequence + f->sequence);
    return rc;
}
