/*
 * json_scan: where things are in a JSON text, without building a tree.
 *
 * A proxied body is read for a few fields and must reach the provider byte for
 * byte, so what is wanted is spans: the bytes of a value inside the original
 * text. jansson would rewrite numbers (0.1 becomes 0.10000000000000001) and needs
 * about 21 times the body's size in memory.
 *
 *   input      any bytes; json_scan_check() accepts exactly the texts of RFC 8259
 *              in valid UTF-8 without a BOM, up to JSON_MAX_DEPTH levels. A lone
 *              surrogate in an escape is accepted, for the grammar allows it; it
 *              becomes U+FFFD when decoded. Everything else here needs a checked
 *              text: on any other the answers mean nothing, but no byte outside
 *              the span is read.
 *   ownership  spans borrow from the text.
 *   threads    none; no allocation except json_text().
 */
#ifndef COMMON_JSON_SCAN_H
#define COMMON_JSON_SCAN_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value's bytes: {"a":1} or "text" with its quotes. at == NULL: there is none. */
struct json_span {
    const char *at;
    size_t len;
};

/* Validates the whole text as one JSON value. 0, or -EINVAL with e naming the
 * byte offset and what was expected, or -E2BIG when it is nested too deeply. */
int json_scan_check(const char *text, size_t len, struct error *e) MUST_CHECK;

/* The value without surrounding white space. */
struct json_span json_span_of(const char *text, size_t len);

enum json_kind { JSON_NONE, JSON_OBJ, JSON_ARR, JSON_STR, JSON_NUM, JSON_BOOL, JSON_NUL };
enum json_kind json_kind(struct json_span value);

/* The value of a member of an object; none when absent or when obj is no object.
 * The LAST one wins when a key stands twice, as in jansson, Python and JavaScript. */
struct json_span json_get(struct json_span obj, const char *key);

/* Iteration over an array's items or an object's members:
 *   struct json_iter it = json_iter(array);
 *   while (json_next(&it)) use(it.value);        it.key is set for objects only  */
struct json_iter {
    struct json_span key; /* with its quotes */
    struct json_span value;
    bool object;
    const char *pos, *end;
};
struct json_iter json_iter(struct json_span container);
bool json_next(struct json_iter *it);

/* Typed reads. False when the kind differs; *ret is then untouched. An integer has
 * neither fraction nor exponent (1.0 and 1e3 are none, as in jansson) and fits int64.
 * A double is finite and written in at most JSON_NUMBER_BYTES. */
bool json_int(struct json_span value, int64_t *ret);
bool json_double(struct json_span value, double *ret);
bool json_bool(struct json_span value, bool *ret);
bool json_equals(struct json_span value, const char *text); /* a string with just this text */

/* Decodes a string's escapes and appends it. -EINVAL when value is no string;
 * else as buf_add(). A lone surrogate becomes U+FFFD. */
int json_text(struct json_span value, struct buf *out) MUST_CHECK;

/* For those who walk a string in place: its bytes without the quotes, escapes and all
 * (none when value is no string), and the character of the escape whose backslash is at
 * p; *ret_next is then behind it, never past end. */
struct json_span json_inside(struct json_span value);
uint32_t json_escape(const char *p, const char *end, const char **ret_next);

#endif
