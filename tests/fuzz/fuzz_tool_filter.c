/*
 * Any answer and any stream, with any number of calls left: nothing is read outside, JSON stays
 * JSON, any slicing of a stream gives the same bytes, and what may pass whole passes untouched.
 *
 * The first byte of the input says the endpoint and how many calls are left; the rest is the
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

static void on_event(void *arg, const struct sse_event *event)
{
    struct sink *s = arg;
    bool pass = false;
    if (s->rc == 0)
        s->rc = tool_filter_event(&s->filter, event, &s->out, &pass);
    if (s->rc == 0 && pass)
        s->rc = buf_add(&s->out, event->raw, event->raw_len);
}

static void stream(enum wire_endpoint endpoint, int64_t left, const char *text, size_t len,
                   size_t slice, struct sink *s)
{
    struct sse sse;
    s->rc = 0;
    buf_init(&s->out, 16 * MIB);
    tool_filter_init(&s->filter, endpoint, left);
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

static void check_stream(enum wire_endpoint endpoint, int64_t left, const char *text, size_t len)
{
    struct sink one, many;
    stream(endpoint, left, text, len, len ? len : 1, &one);
    stream(endpoint, left, text, len, 3, &many);
    if (one.rc != many.rc || one.out.len != many.out.len ||
        (one.out.len && memcmp(one.out.data, many.out.data, one.out.len) != 0))
        abort();
    if (left == TOOL_FILTER_ALL && one.rc == 0 &&
        (one.out.len > len || (one.out.len && memcmp(one.out.data, text, one.out.len) != 0)))
        abort();
    if (one.filter.passed != many.filter.passed || one.filter.dropped != many.filter.dropped)
        abort();
    buf_release(&one.out);
    buf_release(&many.out);
}

static void check_body(enum wire_endpoint endpoint, int64_t left, const char *text, size_t len)
{
    struct tool_filter f;
    struct buf out;
    buf_init(&out, 16 * MIB);
    tool_filter_init(&f, endpoint, left);
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
    int64_t left = bytes[0] / 3 % 4 == 3 ? TOOL_FILTER_ALL : bytes[0] / 3 % 4;
    check_body(endpoint, left, (const char *)bytes + 1, len - 1);
    check_stream(endpoint, left, (const char *)bytes + 1, len - 1);
    return 0;
}
