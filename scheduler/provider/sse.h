/*
 * sse: an incremental reader of server-sent events (WHATWG HTML, section 9.2).
 *
 * Bytes go in as they come, in any slicing; whole events come out, each once, with the
 * raw bytes they stood in, so that a proxy can pass them on unchanged or leave them out.
 * Lines end in LF, CR LF or CR; a BOM at the start is skipped; comment lines belong to
 * the event that follows them (a block of comments alone is an event with no data).
 *
 *   ownership  struct sse is the caller's; sse_release() frees its buffer.
 *   errors     -ENOSPC when an event passes SSE_MAX_EVENT_BYTES, -ENOMEM; the reader
 *              then refuses all further input.
 *   invariant  the concatenation of all raw bytes handed out, plus what is still held,
 *              is the input.
 */
#ifndef SCHEDULER_PROVIDER_SSE_H
#define SCHEDULER_PROVIDER_SSE_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct sse_event {
    const char *name; /* NUL-terminated; "" when the event has none (means "message") */
    const char *data; /* data lines joined by LF; NUL-terminated */
    size_t data_len;
    const char *raw; /* the event's bytes with its closing blank line */
    size_t raw_len;
};

typedef void (*sse_fn)(void *arg, const struct sse_event *event); /* all borrowed */

struct sse {
    struct buf pending;
    size_t scanned; /* bytes of pending known to hold no end of an event */
    bool started;   /* the BOM was looked for */
    struct buf name, data;
    int failed;
};

void sse_init(struct sse *s);
void sse_release(struct sse *s);
int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn fn, void *arg);
/* What stands unfinished at the end of the stream (an event that was cut). */
size_t sse_unfinished(const struct sse *s);

#endif
