/*
 * multipart: the parts of a multipart/form-data body (RFC 7578, RFC 2046 5.1).
 *
 * Pure; parts borrow from the body. Encodings of parts (Content-Transfer-Encoding) are not
 * decoded: RFC 7578 4.7 deprecates them and no client sends them.
 */
#ifndef API_MULTIPART_H
#define API_MULTIPART_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_BOUNDARY_BYTES 70
#define MULTIPART_NAME_BYTES     256
#define MULTIPART_PREAMBLE_BYTES 65536 /* before the first part */

struct multipart {
    const char *at, *end;
    const char *scan; /* inside a part: its end is looked for from here; else NULL */
    size_t budget;    /* bytes of a part that one call looks through; 0: all */
    char delimiter[MULTIPART_BOUNDARY_BYTES + 5]; /* "\r\n--BOUNDARY" */
    size_t delimiter_len;
};

struct multipart_part {
    char name[MULTIPART_NAME_BYTES];
    char filename[MULTIPART_NAME_BYTES]; /* its last segment; "" none */
    const char *data;
    size_t len;
};

/* -EINVAL: content_type is none of multipart/form-data with a boundary, or the body does not begin
 * with it. */
int multipart_start(struct multipart *m, const char *content_type, const char *body,
                    size_t len) MUST_CHECK;
/* 1: a part; 0: the end; -EINVAL: it is broken off or malformed. -EAGAIN: the budget is used, call
 * again with the same ret. A form of 200 MB takes a tenth of a second to look through, so that a
 * loop must not do it in one go. */
int multipart_next(struct multipart *m, struct multipart_part *ret) MUST_CHECK;
bool multipart_is_end(const struct multipart *m);

#endif
