/*
 * http_reply: the text of an answer's first lines, and of the errors the server finds.
 *
 * evhttp would make these too, with three allocations for each header and HTML for its
 * errors; and it does not check the reason phrase, so ours are constants.
 */
#ifndef API_HTTP_REPLY_H
#define API_HTTP_REPLY_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct evbuffer;

/* The longest that http_reply_start() writes. */
#define HTTP_REPLY_START_BYTES 192

/* The Date header's value, made once a second. */
struct http_date {
    int64_t second;
    char text[40];
};

const char *http_date_text(struct http_date *date, int64_t wall_ms);
const char *http_reason(int status); /* "" for a status without a name here */
bool http_status_has_body(int status);

enum http_framing { HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE, HTTP_NO_BODY };

/* Status line, Date and the header that frames the body; returns the length. */
size_t http_reply_start(char *out, int status, const char *date, enum http_framing framing,
                        size_t body_bytes);

/* Adds "name: value\r\n". -EINVAL for a name that is no token, one that frames the message
 * (which the server sets), or a value with a control byte; -ENOSPC, -ENOMEM. */
MUST_CHECK int http_reply_add_header(struct buf *lines, const char *name, const char *value);

/* {"error":{...}} in OpenAI's shape. */
void http_default_error(const char *path, int status, const char *message, struct evbuffer *out);

#endif
