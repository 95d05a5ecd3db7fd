/*
 * http_header: header lines towards and from a provider, as bytes.
 *
 * A request's headers are checked and written as lines, each followed by a NUL. What
 * frames the message or belongs to one connection (RFC 9110 7.6.1) is left out, and so
 * is Host: the client sets these itself, and a caller's Content-Length or
 * Transfer-Encoding is the way to smuggle a second request.
 *
 * A reply's headers are kept in one buffer, "name NUL value NUL" each, in order. A list
 * or a map was rejected: some 20 headers are looked up a few times and then dropped.
 *
 *   ownership  buffers are the caller's.
 *   threads    none.
 */
#ifndef SCHEDULER_HTTP_HEADER_H
#define SCHEDULER_HTTP_HEADER_H

#include "common/buf.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct http_header {
    const char *name, *value;
};

/* A header name or a method: not empty, only token characters (RFC 9110 5.6.2). */
bool http_is_token(const char *text);

/* Whether a caller's header is dropped rather than sent. */
bool http_header_is_ours(const char *name);

/* Appends "name: value" NUL ("name;" NUL when the value is empty, which is how libcurl is
 * told to send one without) for each header that is not ours. Returns the number of lines;
 * -EINVAL when a name is no token or a value has a control byte other than a tab, -ENOSPC,
 * -ENOMEM. Values are never named in e: they may be keys. */
int http_header_lines(const struct http_header *headers, size_t count, struct buf *lines,
                      struct error *e) MUST_CHECK;

/* One line of a reply, with or without its line end. A folded line (obs-fold) is joined to
 * the value before it, a line without a colon is left out. Returns 0, -ENOSPC or -ENOMEM. */
int http_header_store(struct buf *reply, const char *line, size_t len) MUST_CHECK;

/* The last value of name, in any case; NULL when there is none. Borrowed from reply. */
const char *http_header_find(const struct buf *reply, const char *name);
void http_header_each(const struct buf *reply,
                      void (*fn)(void *arg, const char *name, const char *value), void *arg);

#endif
