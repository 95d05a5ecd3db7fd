/*
 * Any answer and any stream, with any number of calls left: nothing is read outside, JSON stays
 * JSON, any slicing of a stream gives the same bytes, and what may pass whole passes untouched.
 *
 * The first byte of the input says the endpoint and how many calls are left, and whether
 * calls may repeat; the rest is the
 * answer, which is taken whole and as a stream.
 */
#include "scheduler/provider/tool_filter.h"

#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct sink {
    struct tool_filter filter;
    struct buf out;
    int rc;
};

struct caps {
    int64_t left;
    bool repeats;
};

static void begin(struct tool_filter *f, enum wire_endpoint endpoint, struct caps caps)
{
    tool_filter_init(f, endpoint, caps.left);
    if (caps.repeats)
        tool_filter_limit_repeats(f, 1, NULL, 0);
}

static void on_event(void *arg, const struct sse_event *event)
{
    struct sink *s = arg;
    bool pass = false;
    if (s->rc == 0)
        s->rc = tool_filter_event(&s->filter, event, &s->out, &pass);
    if (s->rc == 0 && pass)
        s->rc = buf_add(&s->out, event->raw, event->raw_len);
}

static void stream(enum wire_endpoint endpoint, struct caps caps, const char *text, size_t len,
                   size_t slice, struct sink *s)
{
    struct sse sse;
    s->rc = 0;
    buf_init(&s->out, 16 * MIB);
    begin(&s->filter, endpoint, caps);
    sse_init(&sse);
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0; at += slice)
        rc = sse_feed(&sse, text + at, len - at < slice ? len - at : slice, on_event, s);
    if (rc == 0)
        rc = sse_finish(&sse, on_event, s);
    if (rc < 0)
        s->rc = rc;
    sse_release(&sse);
    tool_filter_release(&s->filter);
}

static void check_stream(enum wire_endpoint endpoint, struct caps caps, const char *text,
                         size_t len)
{
    struct sink one, many;
    stream(endpoint, caps, text, len, len ? len : 1, &one);
    stream(endpoint, caps, text, len, 3, &many);
    if (one.rc != many.rc || one.out.len != many.out.len ||
        (one.out.len && memcmp(one.out.data, many.out.data, one.out.len) != 0))
        abort();
    if (caps.left == TOOL_FILTER_ALL && !caps.repeats && one.rc == 0 &&
        (one.out.len > len || (one.out.len && memcmp(one.out.data, text, one.out.len) != 0)))
        abort();
    if (one.filter.passed != many.filter.passed || one.filter.dropped != many.filter.dropped)
        abort();
    buf_release(&one.out);
    buf_release(&many.out);
}

static void check_body(enum wire_endpoint endpoint, struct caps caps, const char *text, size_t len)
{
    struct tool_filter f;
    struct buf out;
    buf_init(&out, 16 * MIB);
    begin(&f, endpoint, caps);
    if (tool_filter_body(&f, text, len, &out) == 0 && out.len > 0 &&
        (f.dropped == 0 || json_scan_check(out.data, out.len, NULL) < 0))
        abort();
    tool_filter_release(&f);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const enum wire_endpoint endpoints[] = {WIRE_CHAT, WIRE_RESPONSES, WIRE_MESSAGES};
    if (len == 0)
        return 0;
    enum wire_endpoint endpoint = endpoints[bytes[0] % 3];
    struct caps caps = {.left = bytes[0] / 3 % 4 == 3 ? TOOL_FILTER_ALL : bytes[0] / 3 % 4,
                        .repeats = bytes[0] / 12 % 2 == 1};
    check_body(endpoint, caps, (const char *)bytes + 1, len - 1);
    check_stream(endpoint, caps, (const char *)bytes + 1, len - 1);
    return 0;
}
