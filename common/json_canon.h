/*
 * json_canon: one spelling for all spellings of a JSON value, to compare requests by their digest.
 *
 * Members are sorted by their decoded names, white space between tokens is left out, and strings
 * are escaped in one way. Numbers stay as they are written: 1 and 1.0 are the same to most
 * readers, but not to all, and taking them for different costs no more than a second request.
 *
 * What readers may understand differently has no canonical form: a name that stands twice in an
 * object, a number with an exponent, -0 or more than JSON_CANON_DIGITS characters, a lone
 * surrogate.
 *
 *   errors   -EINVAL no canonical form; -E2BIG an object of more than the most members; else as
 *            buf_add().
 *   threads  none.
 */
#ifndef COMMON_JSON_CANON_H
#define COMMON_JSON_CANON_H

#include "common/buf.h"
#include "common/json_scan.h"

#define JSON_CANON_DIGITS 17 /* what a double can tell apart */

struct json_canon_rules {
    size_t most_members;         /* of one object */
    const char *const *left_out; /* names in the outermost object; ended by NULL; may be NULL */
    /* Below these, members keep the order in which they were written: who gets them may care. */
    const char *const *in_order;
};

/* value: of a text that json_scan_check() took. Appends. */
int json_canon(struct json_span value, const struct json_canon_rules *rules,
               struct buf *out) MUST_CHECK;

#endif
