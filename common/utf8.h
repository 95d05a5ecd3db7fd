/*
 * utf8: characters of text that need not be valid.
 *
 * Invalid bytes read as U+FFFD, one for each maximal subpart of an ill-formed sequence
 * (Unicode 16.0, section 3.9, the practice of the WHATWG decoder). A surrogate in three
 * bytes (ED A0..BF 80..BF, as CESU-8 and WTF-8 write it) reads as one U+FFFD, not three:
 * that is what the JSON escape \ud800 becomes when it is decoded elsewhere.
 *
 *   ownership  nothing is kept.
 *   threads    any; there is no state.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT       0xFFFDu
#define UTF8_REPLACEMENT_BYTES 3

/* The character at p of 2 or more bytes, or an invalid one: the part of utf8_next() that
 * is worth no inlining. p < end; *ret_len is 1 to 4. */
uint32_t utf8_next_long(const unsigned char *p, const unsigned char *end, size_t *ret_len);

/* The character at p and its length in bytes. p < end. */
static inline uint32_t utf8_next(const unsigned char *p, const unsigned char *end, size_t *ret_len)
{
    if (*p < 0x80) {
        *ret_len = 1;
        return *p;
    }
    return utf8_next_long(p, end, ret_len);
}

bool utf8_valid(const void *bytes, size_t len);

/* Writes bytes with every invalid part as U+FFFD to out, which has room for
 * UTF8_REPLACEMENT_BYTES * len. Returns what was written. */
size_t utf8_repair(const void *bytes, size_t len, unsigned char *out);

/* The last character boundary at or before at (<= len): at itself, or up to 3 bytes less. */
size_t utf8_floor(const void *bytes, size_t len, size_t at);

#endif
