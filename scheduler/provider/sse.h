/*
 * sse: an incremental reader of server-sent events (WHATWG HTML, section 9.2).
 *
 * Bytes go in as they come, in any slicing; whole events come out, each once, with the
 * raw bytes they stood in, so that a proxy can pass them on unchanged or leave them out.
 * Lines end in LF, CR LF or CR; a BOM at the start is skipped; comment lines belong to
 * the event that follows them. Every blank line closes an event: a block of comments
 * alone, or a second blank line, is an event without data.
 *
 * A blank line that ends in CR may go on with LF, so its event comes out with the next
 * byte, or with sse_finish(). Handing it out at the CR was rejected: the LF would then
 * open the next event, and a client that waits for CR LF CR LF would be one event late.
 *
 *   ownership  struct sse is the caller's; sse_release() frees its buffers. What fn
 *              gets is borrowed. fn must not feed or release the reader.
 *   threads    none.
 *   errors     -ENOSPC when an event passes SSE_MAX_EVENT_BYTES, -ENOMEM; the reader
 *              then refuses all further input with the same code.
 *   cost       linear in the input, whatever the slicing.
 *   invariant  the concatenation of all raw bytes handed out, plus what is still held,
 *              is the input.
 */
#ifndef SCHEDULER_PROVIDER_SSE_H
#define SCHEDULER_PROVIDER_SSE_H

#include "common/buf.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct sse_event {
    const char *name; /* NUL-terminated; "" when the event has none (means "message") */
    const char *data; /* data lines joined by LF; NUL-terminated */
    size_t data_len;
    bool has_data;   /* a data line was there; without one a client sees no event */
    const char *raw; /* the event's bytes with its closing blank line */
    size_t raw_len;
};

typedef void (*sse_fn)(void *arg, const struct sse_event *event); /* all borrowed */

struct sse {
    struct buf pending; /* the unfinished event, from its first byte */
    struct buf name, data;
    bool line_empty; /* nothing stands in the current line yet */
    bool after_cr;   /* the last byte was CR: a LF would belong to it */
    bool closing;    /* that CR ended a blank line */
    unsigned bom;    /* bytes of the BOM seen, or SSE_BOM_OVER */
    int failed;
};
#define SSE_BOM_OVER 4U

void sse_init(struct sse *s);
void sse_release(struct sse *s);
int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn fn, void *arg) MUST_CHECK;
/* The stream has ended: hands out an event that only waited for the LF of its last CR. */
int sse_finish(struct sse *s, sse_fn fn, void *arg) MUST_CHECK;
/* Bytes of an event that is not whole; at the stream's end, of one that was cut. */
size_t sse_unfinished(const struct sse *s);

#endif
