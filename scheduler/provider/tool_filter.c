#include "scheduler/provider/tool_filter_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tool_filter_init(struct tool_filter *f, enum wire_endpoint endpoint, int64_t left)
{
    *f = (struct tool_filter){
        .endpoint = endpoint, .left = left < 0 ? 0 : left, .open = -1, .held_index = -1};
    buf_init(&f->held, SSE_MAX_EVENT_BYTES);
    buf_init(&f->waiting, SSE_MAX_EVENT_BYTES + TOOL_FILTER_WAIT_BYTES);
}

void tool_filter_limit_repeats(struct tool_filter *f, int64_t most, const uint64_t *before,
                               size_t before_count)
{
    f->failed = tool_repeats_new(f->endpoint, most, before, before_count, &f->repeats);
}

void tool_filter_release(struct tool_filter *f)
{
    free(f->choices);
    f->choices = NULL;
    buf_release(&f->held);
    buf_release(&f->waiting);
    tool_repeats_free(f->repeats);
    f->repeats = NULL;
}

bool tool_filter_has_text(struct json_span string)
{
    return json_kind(string) == JSON_STR && string.len > 2;
}

enum tool_fate tool_filter_next(struct tool_filter *f, enum tool_part part)
{
    if (part == PART_TEXT)
        f->text = true;
    if (part == PART_THINKING && f->passed > 0 && (f->repeats || f->passed == f->left))
        return FATE_HOLD;
    if (part != PART_CALL)
        return FATE_KEEP;
    if (f->passed < f->left && !(f->repeats && tool_repeats_has(f->repeats, f->number++))) {
        f->passed++;
        return FATE_KEEP;
    }
    f->dropped++;
    return FATE_DROP;
}

bool tool_filter_keeps_held(const struct tool_filter *f)
{
    return f->dropped == 0;
}

/* ---- whole answers */

static void settle_held(struct tool_parts *p, size_t from, size_t to, bool cut)
{
    for (size_t i = from; i < to; i++)
        p->cut[i] = cut;
}

int tool_parts_read(const struct tool_filter *of, struct json_span list, tool_part_fn kind,
                    struct tool_parts *ret)
{
    struct tool_filter f = {.left = of->left, .repeats = of->repeats};
    struct json_iter it = json_iter(list);
    size_t count = 0, held = 0; /* thinking that waits: held..i */
    int rc = 0;
    for (; rc == 0 && json_next(&it); count++)
        if (of->whole && of->repeats && kind(it.value) == PART_CALL)
            rc = tool_repeats_add(of->repeats, 0, it.value);
    if (rc < 0)
        return rc;
    *ret = (struct tool_parts){.cut = calloc(count + 1, sizeof(*ret->cut)), .count = count};
    if (!ret->cut)
        return -ENOMEM;

    it = json_iter(list);
    for (size_t i = 0; json_next(&it); i++) {
        enum tool_fate fate = tool_filter_next(&f, kind(it.value));
        if (fate == FATE_HOLD)
            continue;
        settle_held(ret, held, i, fate == FATE_DROP && f.passed > 0);
        ret->cut[i] = fate == FATE_DROP;
        held = i + 1;
    }
    settle_held(ret, held, count, !tool_filter_keeps_held(&f));
    ret->passed = f.passed;
    ret->dropped = f.dropped;
    ret->text = f.text;
    return 0;
}

static bool is_cut(void *arg, size_t index, const struct json_iter *item)
{
    const struct tool_parts *p = arg;
    (void)item;
    return p->cut[index];
}

void tool_parts_cut(const struct tool_parts *p, struct json_span list, struct json_edits *edits)
{
    json_edit_cut(edits, list, is_cut, (void *)(uintptr_t)p);
}

void tool_parts_place(struct tool_parts *p, struct json_span list, const char *text,
                      struct json_edits *edits)
{
    size_t last = 0;
    for (size_t i = 0; i < p->count; i++)
        last = p->cut[i] ? i : last;
    struct json_iter it = json_iter(list);
    for (size_t i = 0; i <= last && json_next(&it); i++)
        ;
    p->cut[last] = false;
    json_edit_value(edits, it.value, text);
}

void tool_parts_release(struct tool_parts *p)
{
    free(p->cut);
    p->cut = NULL;
}

int tool_filter_body(struct tool_filter *f, const char *body, size_t len, struct buf *out)
{
    int rc = f->failed ? 0 : json_scan_check(body, len, NULL);
    struct json_span root = json_span_of(body, len);
    f->whole = true;
    if (f->failed)
        return f->failed;
    if (rc < 0 || json_kind(root) != JSON_OBJ)
        return 0;
    struct json_edits edits;
    json_edits_init(&edits, body, len);
    if (f->endpoint == WIRE_CHAT)
        rc = tool_chat_body(f, root, &edits);
    else if (f->endpoint == WIRE_MESSAGES)
        rc = tool_messages_body(f, root, &edits);
    else if (f->endpoint == WIRE_RESPONSES)
        rc = tool_responses_body(f, root, &edits);
    if (rc == 0 && (edits.count > 0 || edits.failed))
        rc = json_edits_apply(&edits, out);
    json_edits_release(&edits);
    return rc;
}

/* ---- streams */

int tool_filter_remove(struct tool_filter *f, int64_t index)
{
    if (f->removed_count == TOOL_FILTER_MAX_BLOCKS)
        return -E2BIG;
    f->removed[f->removed_count++] = index;
    return 0;
}

int64_t tool_filter_index(const struct tool_filter *f, int64_t index)
{
    int64_t below = 0;
    for (size_t i = 0; i < f->removed_count; i++)
        below += f->removed[i] < index;
    return index - below;
}

void tool_filter_number(struct json_edits *edits, struct json_span value, int64_t wanted)
{
    char text[24];
    int64_t is = 0;
    if (!json_int(value, &is) || is == wanted)
        return;
    (void)snprintf(text, sizeof(text), "%" PRId64, wanted);
    json_edit_value(edits, value, text);
}

struct line {
    const char *at, *end; /* end: of the text, before its line end */
    const char *next;
};

static struct line line_at(const char *at, const char *end)
{
    struct line l = {.at = at, .end = at};
    while (l.end < end && *l.end != '\n' && *l.end != '\r')
        l.end++;
    l.next = l.end;
    if (l.next < end && *l.next == '\r')
        l.next++;
    if (l.next < end && *l.next == '\n' && (l.next == l.end || l.next[-1] == '\r'))
        l.next++;
    return l;
}

/* The bytes of a data line before its value; 0 when it is another line. */
static size_t data_prefix(const struct line *l)
{
    static const char bom[] = "\xEF\xBB\xBF";
    size_t len = (size_t)(l->end - l->at), skip = 0;
    if (len >= 3 && memcmp(l->at, bom, 3) == 0)
        skip = 3;
    if (len < skip + 5 || memcmp(l->at + skip, "data:", 5) != 0)
        return 0;
    return skip + 5 + (len > skip + 5 && l->at[skip + 5] == ' ');
}

static int write_data(const struct line *like, size_t prefix, const char *data, size_t len,
                      struct buf *out)
{
    const char *end = data + len;
    int rc = buf_add(out, like->at, prefix);
    while (rc == 0) {
        const char *stop = memchr(data, '\n', (size_t)(end - data));
        rc = buf_add(out, data, (size_t)((stop ? stop : end) - data));
        if (rc == 0)
            rc = buf_add(out, like->end, (size_t)(like->next - like->end));
        if (!stop || rc < 0)
            break;
        data = stop + 1;
        rc = buf_adds(out, "data: ");
    }
    return rc;
}

int tool_filter_frame(const struct sse_event *event, const char *data, size_t len, struct buf *out)
{
    const char *end = event->raw + event->raw_len;
    bool written = false;
    int rc = 0;
    for (const char *at = event->raw; at < end && rc == 0;) {
        struct line l = line_at(at, end);
        size_t prefix = data_prefix(&l);
        if (prefix == 0)
            rc = buf_add(out, l.at, (size_t)(l.next - l.at));
        else if (!written)
            rc = write_data(&l, prefix, data, len, out);
        written = written || prefix > 0;
        at = l.next;
    }
    return rc;
}

static int emit(struct tool_filter *f, struct tool_event *ev, struct buf *out, bool *ret_pass)
{
    struct buf data;
    *ret_pass = !ev->drop && !ev->hold && ev->edits.count == 0;
    if (ev->edits.failed)
        return ev->edits.failed;
    if (ev->drop || *ret_pass)
        return 0;
    buf_init(&data, 2 * SSE_MAX_EVENT_BYTES);
    int rc = json_edits_apply(&ev->edits, &data);
    if (rc == 0)
        rc = tool_filter_frame(ev->sse, data.data, data.len, ev->hold ? &f->held : out);
    f->held_events += ev->hold;
    buf_release(&data);
    return rc;
}

static int filter_event(struct tool_filter *f, const struct sse_event *event, struct buf *out,
                        bool *ret_pass)
{
    *ret_pass = true;
    if (!event->has_data || json_scan_check(event->data, event->data_len, NULL) < 0)
        return 0;
    struct tool_event ev = {.sse = event, .root = json_span_of(event->data, event->data_len)};
    if (json_kind(ev.root) != JSON_OBJ)
        return 0;
    int rc = 0;
    ev.type = json_get(ev.root, "type");
    json_edits_init(&ev.edits, event->data, event->data_len);
    if (f->endpoint == WIRE_CHAT)
        rc = tool_chat_event(f, &ev);
    else if (f->endpoint == WIRE_MESSAGES)
        rc = tool_messages_event(f, &ev, out);
    else if (f->endpoint == WIRE_RESPONSES)
        rc = tool_responses_event(f, &ev, out);
    if (rc == 0)
        rc = emit(f, &ev, out, ret_pass);
    json_edits_release(&ev.edits);
    return rc;
}

/* ---- events that wait until calls are whole */

struct replay {
    struct tool_filter *filter;
    struct buf *out;
    int rc;
};

static void on_waited(void *arg, const struct sse_event *event)
{
    struct replay *r = arg;
    bool pass = true;
    if (r->rc == 0)
        r->rc = filter_event(r->filter, event, r->out, &pass);
    if (r->rc == 0 && pass)
        r->rc = buf_add(r->out, event->raw, event->raw_len);
}

static int replay(struct tool_filter *f, struct buf *out)
{
    struct replay r = {.filter = f, .out = out};
    struct sse sse;
    sse_init(&sse);
    int rc = sse_feed(&sse, f->waiting.data, f->waiting.len, on_waited, &r);
    if (rc == 0)
        rc = sse_finish(&sse, on_waited, &r);
    sse_release(&sse);
    buf_clear(&f->waiting);
    return rc < 0 ? rc : r.rc;
}

int tool_filter_event(struct tool_filter *f, const struct sse_event *event, struct buf *out,
                      bool *ret_pass)
{
    bool wait = false;
    int rc = f->failed;
    if (!f->repeats || !event->has_data || rc < 0)
        return rc < 0 ? rc : filter_event(f, event, out, ret_pass);
    struct json_span root = json_span_of(event->data, event->data_len);
    if (json_scan_check(event->data, event->data_len, NULL) < 0 || json_kind(root) != JSON_OBJ)
        tool_repeats_close(f->repeats); /* "[DONE]" */
    else
        rc = tool_repeats_watch(f->repeats, root, &wait);
    if (rc == 0 && !wait && f->waiting.len == 0)
        return filter_event(f, event, out, ret_pass);
    *ret_pass = false;
    if (rc == 0)
        rc = buf_add(&f->waiting, event->raw, event->raw_len);
    if (rc < 0 || (wait && f->waiting.len <= TOOL_FILTER_WAIT_BYTES))
        return rc;
    tool_repeats_close(f->repeats);
    return replay(f, out);
}
