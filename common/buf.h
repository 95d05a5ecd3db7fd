/*
 * buf: a growing run of bytes that has a maximum.
 *
 * A buffer without a maximum cannot be made: buf_init() asks for it. Nothing is
 * allocated before the first append. data is always followed by a NUL that len
 * leaves out (once something was appended), so text can be read as a string.
 *
 *   ownership  the caller owns the struct; buf_release() frees the bytes.
 *   errors     -ENOSPC past the maximum, -ENOMEM; the content is then untouched
 *              and `failed` stays set, so a chain of appends is checked once.
 *   threads    none.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL until the first append */
    size_t len;
    size_t room; /* allocated, without the NUL */
    size_t max;
    int failed; /* first error of an append since init or clear, else 0 */
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_release(struct buf *b); /* frees; b can be used again with the same maximum */
void buf_clear(struct buf *b);   /* keeps the memory */
int buf_add(struct buf *b, const void *bytes, size_t len);
int buf_adds(struct buf *b, const char *text);
int buf_addf(struct buf *b, const char *format, ...) PRINTF_AT(2, 3);
/* Text inside a JSON string: quotes, backslashes and control bytes are escaped;
 * the bytes must be valid UTF-8 already. Adds no surrounding quotes. */
int buf_add_json(struct buf *b, const char *text, size_t len);
void buf_consume(struct buf *b, size_t len); /* drops the first len bytes */
char *buf_take(struct buf *b);               /* gives the memory away; the caller frees it */

#endif
