/*
 * content_hash: 128 bits that stand for some bytes, to remember what is known about them.
 *
 * Not for secrets: it is fast (several GB/s) and no cryptographic hash. The seed is drawn at
 * random per process, so that nobody can look for two contents with one hash beforehand.
 *
 *   threads    none needed; nothing is kept.
 */
#ifndef SCHEDULER_PROMPT_CONTENT_HASH_H
#define SCHEDULER_PROMPT_CONTENT_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content_hash {
    uint64_t high, low;
};

struct content_hash content_hash(const void *bytes, size_t len, uint64_t seed);

static inline bool content_hash_same(struct content_hash a, struct content_hash b)
{
    return a.high == b.high && a.low == b.low;
}

#endif
