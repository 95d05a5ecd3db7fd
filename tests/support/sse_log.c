#include "tests/support/sse_log.h"

#include "common/limits.h"

#include <stdlib.h>
#include <string.h>

static void must(int rc)
{
    if (rc < 0)
        abort();
}

static void on_event(void *arg, const struct sse_event *event)
{
    struct sse_log *log = arg;
    must(buf_addf(&log->text, "event %s data %d %zu ", event->name, event->has_data,
                  event->data_len));
    must(buf_add(&log->text, event->data, event->data_len + 1)); /* with its NUL */
    must(buf_addf(&log->text, " raw %zu ", event->raw_len));
    must(buf_add(&log->text, event->raw, event->raw_len));
    must(buf_add(&log->raw, event->raw, event->raw_len));
    log->events++;
}

int sse_log_read(struct sse_log *log, const char *bytes, size_t len, sse_slice_fn slice, void *arg)
{
    *log = (struct sse_log){0};
    buf_init(&log->text, 16 * SSE_MAX_EVENT_BYTES);
    buf_init(&log->raw, 4 * SSE_MAX_EVENT_BYTES);
    struct sse reader;
    sse_init(&reader);
    int rc = 0;
    while (len > 0) {
        size_t n = slice ? slice(arg) : len;
        if (n > len)
            n = len;
        rc = sse_feed(&reader, bytes, n, on_event, log);
        bytes += n;
        len -= n;
    }
    if (rc == 0)
        rc = sse_finish(&reader, on_event, log);
    must(buf_addf(&log->text, "end %d", rc));
    if (rc == 0) /* a reader that refused has no defined rest */
        must(buf_addf(&log->text, " unfinished %zu", sse_unfinished(&reader)));
    sse_release(&reader);
    return rc;
}

void sse_log_release(struct sse_log *log)
{
    buf_release(&log->text);
    buf_release(&log->raw);
}

bool sse_log_equal(const struct sse_log *a, const struct sse_log *b)
{
    return a->text.len == b->text.len && memcmp(a->text.data, b->text.data, a->text.len) == 0;
}
