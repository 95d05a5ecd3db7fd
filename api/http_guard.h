/*
 * http_guard: a strict reader of HTTP/1.x framing that runs before evhttp's own.
 *
 * evhttp 2.1.12 accepts what RFC 9112 calls malformed (bare LF, folded lines, NUL in
 * values, "0x5" as a chunk size, two lengths, "Transfer-Encoding : chunked"), and what it
 * does refuse it answers in HTML. The guard sees the raw bytes first. What it passes is
 * a small, unambiguous part of the grammar, so evhttp can only read it in one way, and
 * what it refuses never gets to evhttp.
 *
 * It follows one message at a time: feed it until it is DONE, then http_guard_next().
 * Nothing is kept but counters and a few bytes, with the key of an upload among them, which is
 * wiped by the next message; there is nothing to release.
 *
 *   refused    `status` is the HTTP status to answer and `why` a constant sentence. The
 *              connection must be closed after that: its framing is unknown.
 *   narrower   than the RFC where evhttp is: no chunk extensions, and origin-form targets
 *              only, without "//" at their start (evhttp reads an authority there).
 *   source     RFC 9112 sections 2-7, RFC 9110 section 5.
 */
#ifndef API_HTTP_GUARD_H
#define API_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_GUARD_TARGET_BYTES 64
#define HTTP_GUARD_KEY_BYTES    128 /* a longer key is none */

enum http_guard_phase {
    HTTP_GUARD_START, /* before the first byte of a message */
    HTTP_GUARD_HEAD,
    HTTP_GUARD_BODY,
    HTTP_GUARD_DONE,
    HTTP_GUARD_REFUSED,
};

struct http_guard {
    uint64_t max_body_bytes;
    const char *large_target; /* the one with larger bodies, if they have a length; NULL none */
    uint64_t max_large_bytes; /* of those */
    uint64_t left;            /* of a body with a length, or of the chunk at hand */
    uint64_t body_bytes;      /* announced so far */
    uint64_t length;          /* Content-Length */
    uint32_t uri_bytes;
    uint32_t header_bytes; /* of all header lines, trailers included */
    uint16_t headers;
    uint16_t status; /* 0, or why it is refused */
    const char *why;
    uint8_t state;
    uint8_t field; /* the header line at hand, when it matters */
    uint8_t word_len, key_len;
    bool has_length, has_encoding, has_expect, is_head, is_1_0, in_body, in_trailer, has_api_key;
    char word[24];                        /* method, version, name, value or size at hand */
    char target[HTTP_GUARD_TARGET_BYTES]; /* start of the target, for an error's dialect */
    char key[HTTP_GUARD_KEY_BYTES];       /* x-api-key or else the bearer token, of large_target */
};

void http_guard_init(struct http_guard *g, uint64_t max_body_bytes);
void http_guard_next(struct http_guard *g); /* a new message on the same connection */
enum http_guard_phase http_guard_phase(const struct http_guard *g);

/* Whether the message is one with a larger body, which has begun. */
bool http_guard_is_large(const struct http_guard *g);

/* Of such a message: its key, which is secret; "" when it has none. */
const char *http_guard_key(const struct http_guard *g);

/* Reads on; returns how many bytes belong to this message, less than len only when it is
 * DONE or REFUSED. */
size_t http_guard_feed(struct http_guard *g, const char *bytes, size_t len);
/* As feed, but body bytes only, which need not be looked at: 0 when there are none. */
size_t http_guard_skip(struct http_guard *g, size_t len);

#endif
