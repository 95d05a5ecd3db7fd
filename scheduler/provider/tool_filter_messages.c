/*
 * tool_filter_messages: Anthropic's messages, whole and in events; see tool_filter.h.
 */
#include "scheduler/provider/tool_filter_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TEXT_BLOCK "{\"type\":\"text\",\"text\":" NOTICE_JSON "}"

static enum tool_part part_of(struct json_span block)
{
    struct json_span type = json_get(block, "type");
    if (json_equals(type, "tool_use"))
        return PART_CALL;
    if (json_equals(type, "thinking") || json_equals(type, "redacted_thinking"))
        return PART_THINKING;
    if (json_equals(type, "text") && tool_filter_has_text(json_get(block, "text")))
        return PART_TEXT;
    return PART_OTHER;
}

static void end_as_turn(struct json_edits *edits, struct json_span holder)
{
    struct json_span reason = json_get(holder, "stop_reason");
    if (json_equals(reason, "tool_use"))
        json_edit_value(edits, reason, "\"end_turn\"");
}

/* ---- whole */

int tool_messages_body(struct tool_filter *f, struct json_span root, struct json_edits *edits)
{
    struct json_span content = json_get(root, "content");
    struct tool_parts parts;
    if (json_kind(content) != JSON_ARR)
        return 0;
    int rc = tool_parts_read(f, content, part_of, &parts);
    if (rc < 0)
        return rc;
    f->passed += parts.passed;
    f->dropped += parts.dropped;
    bool none_left = parts.dropped > 0 && parts.passed == 0;
    if (none_left && !parts.text)
        tool_parts_place(&parts, content, TEXT_BLOCK, edits);
    tool_parts_cut(&parts, content, edits);
    if (none_left)
        end_as_turn(edits, root);
    tool_parts_release(&parts);
    return 0;
}

/* ---- events */

static bool is_type(const struct tool_event *ev, const char *type)
{
    return json_kind(ev->type) == JSON_STR ? json_equals(ev->type, type)
                                           : strcmp(ev->sse->name, type) == 0;
}

/* What was held goes out, or goes with the call behind it. */
static int settle_held(struct tool_filter *f, bool keep, struct buf *out)
{
    int rc = 0;
    if (f->held_index < 0)
        return 0;
    if (keep && f->held.len > 0)
        rc = buf_add(out, f->held.data, f->held.len);
    buf_clear(&f->held);
    f->held_index = -1;
    return rc;
}

static int on_start(struct tool_filter *f, struct tool_event *ev, int64_t index, struct buf *out)
{
    enum tool_part part = part_of(json_get(ev->root, "content_block"));
    enum tool_fate fate = tool_filter_next(f, part);
    f->open = -1;
    if (fate == FATE_HOLD) {
        f->held_index = f->held_index < 0 ? index : f->held_index;
        return 0;
    }
    if (fate == FATE_DROP) {
        int rc = 0;
        for (int64_t i = f->held_index; i >= 0 && i < index && rc == 0; i++)
            rc = tool_filter_remove(f, i);
        if (rc == 0)
            rc = settle_held(f, false, out);
        f->open = index;
        ev->drop = true;
        return rc < 0 ? rc : tool_filter_remove(f, index);
    }
    return settle_held(f, true, out);
}

static int add_notice(struct tool_filter *f, struct buf *out)
{
    f->noticed = true;
    return buf_addf(out,
                    "event: content_block_start\n"
                    "data: {\"type\":\"content_block_start\",\"index\":%" PRId64
                    ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
                    "event: content_block_delta\n"
                    "data: {\"type\":\"content_block_delta\",\"index\":%" PRId64
                    ",\"delta\":{\"type\":\"text_delta\",\"text\":" NOTICE_JSON "}}\n\n"
                    "event: content_block_stop\n"
                    "data: {\"type\":\"content_block_stop\",\"index\":%" PRId64 "}\n\n",
                    f->next_index, f->next_index, f->next_index);
}

static int on_end(struct tool_filter *f, struct tool_event *ev, struct buf *out)
{
    bool none_left = f->dropped > 0 && f->passed == 0;
    int rc = settle_held(f, tool_filter_keeps_held(f), out);
    if (rc == 0 && none_left && !f->text && !f->noticed)
        rc = add_notice(f, out);
    if (none_left)
        end_as_turn(&ev->edits, json_get(ev->root, "delta"));
    return rc;
}

static int on_block(struct tool_filter *f, struct tool_event *ev, struct buf *out)
{
    struct json_span number = json_get(ev->root, "index");
    int64_t index = 0;
    int rc = 0;
    if (!json_int(number, &index) || index < 0)
        return 0;
    if (is_type(ev, "content_block_start")) {
        rc = on_start(f, ev, index, out);
    } else if (index == f->open) {
        ev->drop = true;
    } else if (tool_filter_has_text(json_get(json_get(ev->root, "delta"), "text"))) {
        f->text = true;
    }
    if (rc < 0 || ev->drop)
        return rc;
    ev->hold = f->held_index >= 0 && index >= f->held_index;
    int64_t wanted = tool_filter_index(f, index);
    tool_filter_number(&ev->edits, number, wanted);
    if (wanted >= f->next_index)
        f->next_index = wanted + 1;
    return 0;
}

int tool_messages_event(struct tool_filter *f, struct tool_event *ev, struct buf *out)
{
    if (is_type(ev, "message_delta") || is_type(ev, "message_stop"))
        return on_end(f, ev, out);
    if (is_type(ev, "content_block_start") || is_type(ev, "content_block_delta") ||
        is_type(ev, "content_block_stop"))
        return on_block(f, ev, out);
    return 0;
}
