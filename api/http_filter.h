/*
 * http_filter: says whether a parsed request may be handled.
 *
 * The second of two gates. http_guard has checked the bytes; this one checks what they
 * mean, as evhttp understood them: one Host, no second copy of a header that decides who
 * is asking or what the body is, a path that means one thing. The rules on framing and
 * names are repeated here on purpose, so that a gap in one gate is not a hole.
 *
 * Pure and without memory: feed it every header, then ask. Borrows all text for the call
 * only. Sources: RFC 9110 5.1, 7.2; RFC 9112 3.2, 6; RFC 3986 2.1.
 */
#ifndef API_HTTP_FILTER_H
#define API_HTTP_FILTER_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct http_filter {
    const char *why; /* first thing found wrong, a constant sentence; NULL: nothing */
    int status;      /* what to answer then */
    int headers;
    unsigned seen;   /* a bit for each header that may come once */
    bool has_body;   /* Content-Length above 0, or Transfer-Encoding */
    bool close;      /* Connection holds close */
    bool keep_alive; /* Connection holds keep-alive */
};

struct http_request_line {
    const char *method, *uri;
    int major, minor;
};

void http_filter_init(struct http_filter *f);
void http_filter_header(struct http_filter *f, const char *name, const char *value);
/* 0, or the status to answer; f->why then says why. */
int http_filter_end(struct http_filter *f, const struct http_request_line *line);

/* Decodes the %XX of len bytes (and + as a space when plus is set) into out, which must
 * have room for len + 1. -EINVAL for a broken escape or one that stands for NUL. */
MUST_CHECK int http_unescape(const char *text, size_t len, bool plus, char *out);

#endif
