#include "scheduler/provider/sse.h"

#include "common/limits.h"

#include <errno.h>
#include <string.h>

/* A buffer that grew past this for one large event is given back after it. */
#define KEPT_BYTES (64 * (size_t)KIB)

static const char bom[] = "\xEF\xBB\xBF";
#define BOM_BYTES 3U

void sse_init(struct sse *s)
{
    *s = (struct sse){.line_empty = true};
    buf_init(&s->pending, SSE_MAX_EVENT_BYTES);
    buf_init(&s->name, SSE_MAX_EVENT_BYTES);
    buf_init(&s->data, SSE_MAX_EVENT_BYTES);
}

void sse_release(struct sse *s)
{
    if (!s)
        return;
    buf_release(&s->pending);
    buf_release(&s->name);
    buf_release(&s->data);
}

size_t sse_unfinished(const struct sse *s)
{
    return s->pending.len;
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* Advances over a BOM that starts the stream. Its bytes count as text until the last one
 * came, since two of them alone are no BOM. */
static size_t pass_bom(struct sse *s, const char *bytes, size_t len)
{
    size_t i = 0;
    while (i < len && s->bom < BOM_BYTES) {
        if (bytes[i] != bom[s->bom]) {
            s->bom = SSE_BOM_OVER;
            break;
        }
        s->bom++;
        i++;
        s->line_empty = s->bom == BOM_BYTES;
    }
    return i;
}

/* The offset just past the first event's closing blank line, or 0 with *ret_found false.
 * Each byte is looked at once in the life of the stream; the state carries the rest. The
 * offset is 0 with *ret_found true when an earlier CR turns out to have been the end. */
static size_t find_end(struct sse *s, const char *bytes, size_t len, bool *ret_found)
{
    *ret_found = true;
    for (size_t i = pass_bom(s, bytes, len); i < len; i++) {
        char c = bytes[i];
        if (s->closing)
            return c == '\n' ? i + 1 : i;
        if (c == '\r') {
            s->closing = s->line_empty;
            s->after_cr = true;
            s->line_empty = true;
        } else if (c == '\n') {
            if (!s->after_cr && s->line_empty)
                return i + 1;
            s->after_cr = false;
            s->line_empty = true;
        } else {
            s->after_cr = false;
            s->line_empty = false;
            while (i + 1 < len && !is_line_end(bytes[i + 1]))
                i++;
        }
    }
    *ret_found = false;
    return 0;
}

static bool is_field(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

/* One line without its end. Comments (an empty field name), id, retry and unknown fields
 * mean nothing to a proxy that passes the raw bytes on. */
static int read_line(struct sse *s, const char *line, size_t len, bool *has_data)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon ? (size_t)(colon - line) : len;
    size_t skip = colon ? name_len + 1 : len;
    if (skip < len && line[skip] == ' ')
        skip++;

    if (is_field(line, name_len, "data")) {
        int rc = *has_data ? buf_add(&s->data, "\n", 1) : 0;
        *has_data = true;
        return rc < 0 ? rc : buf_add(&s->data, line + skip, len - skip);
    }
    if (is_field(line, name_len, "event")) {
        buf_clear(&s->name);
        return buf_add(&s->name, line + skip, len - skip);
    }
    return 0;
}

static int read_lines(struct sse *s, const char *raw, size_t len, bool *has_data)
{
    size_t from = s->bom == BOM_BYTES ? BOM_BYTES : 0;
    for (size_t i = from; i < len; i++) {
        if (!is_line_end(raw[i]))
            continue;
        /* The LF of a CR LF makes an empty line here, which reads as nothing. */
        int rc = i > from ? read_line(s, raw + from, i - from, has_data) : 0;
        if (rc < 0)
            return rc;
        from = i + 1;
    }
    return 0;
}

static void empty(struct buf *b)
{
    if (b->room > KEPT_BYTES)
        buf_release(b);
    else
        buf_clear(b);
}

static int emit(struct sse *s, const char *raw, size_t len, sse_fn fn, void *arg)
{
    struct sse_event event = {.raw = raw, .raw_len = len};
    int rc = read_lines(s, raw, len, &event.has_data);
    if (rc < 0)
        return rc;
    event.name = s->name.len ? s->name.data : "";
    event.data = s->data.len ? s->data.data : "";
    event.data_len = s->data.len;
    fn(arg, &event);

    empty(&s->name);
    empty(&s->data);
    empty(&s->pending);
    s->bom = SSE_BOM_OVER;
    s->line_empty = true;
    s->after_cr = false;
    s->closing = false;
    return 0;
}

/* Takes bytes up to an event's end (whole) or all there are. An event that lies in one
 * slice is read where it stands, without a copy. */
static int take(struct sse *s, const char *bytes, size_t len, bool whole)
{
    if (whole && s->pending.len == 0)
        return len > SSE_MAX_EVENT_BYTES ? -ENOSPC : 0;
    return buf_add(&s->pending, bytes, len);
}

int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn fn, void *arg)
{
    while (len > 0 && !s->failed) {
        bool whole;
        size_t end = find_end(s, bytes, len, &whole);
        size_t taken = whole ? end : len;
        int rc = take(s, bytes, taken, whole);
        if (rc == 0 && whole) {
            bool held = s->pending.len > 0;
            rc = emit(s, held ? s->pending.data : bytes, held ? s->pending.len : taken, fn, arg);
        }
        s->failed = rc;
        bytes += taken;
        len -= taken;
    }
    return s->failed;
}

int sse_finish(struct sse *s, sse_fn fn, void *arg)
{
    if (!s->failed && s->closing)
        s->failed = emit(s, s->pending.data, s->pending.len, fn, arg);
    return s->failed;
}
