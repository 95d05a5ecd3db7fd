/*
 * guard: input whose last byte is the last one that may be read.
 *
 * The bytes lie at the end of a mapping that an unreadable page follows, so a parser
 * that reads one byte too many dies, with or without a sanitizer.
 *
 *   ownership  guard_init() maps, guard_release() unmaps; failures end the test.
 */
#ifndef TESTS_SUPPORT_GUARD_H
#define TESTS_SUPPORT_GUARD_H

#include <stddef.h>

struct guard {
    char *map;
    size_t room; /* readable bytes; the unreadable page follows */
    size_t map_bytes;
};

void guard_init(struct guard *g, size_t max_bytes);
void guard_release(struct guard *g);
/* A copy of bytes (at most max_bytes) that ends at the unreadable page. */
char *guard_copy(struct guard *g, const void *bytes, size_t len);

#endif
