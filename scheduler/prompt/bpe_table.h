/*
 * bpe_table: a vocabulary's look-ups, read only once made.
 *
 *   bpe_pair()   the token that two adjacent tokens make.
 *   bpe_whole()  whether bytes are one token. Merging would find out too; this is faster.
 *
 * Both are open-addressing tables that are at most half full. A pair's slot holds the whole
 * key, so that a probe is one load.
 */
#ifndef SCHEDULER_PROMPT_BPE_TABLE_H
#define SCHEDULER_PROMPT_BPE_TABLE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BPE_BYTES      256
#define BPE_TOKEN_BITS 18
#define BPE_MAX_TOKENS (1u << BPE_TOKEN_BITS)
#define BPE_TOKEN_MASK (BPE_MAX_TOKENS - 1)
#define BPE_NONE       UINT32_MAX

struct bpe_table {
    uint32_t count;           /* tokens */
    uint32_t longest;         /* bytes of the longest token */
    uint32_t byte[BPE_BYTES]; /* the token of a single byte, below BPE_BYTES */
    uint32_t *of_bytes;       /* BPE_BYTES * BPE_BYTES: pairs of single bytes */
    uint64_t *pairs;          /* left << 36 | right << 18 | token; 0: free */
    uint32_t *words;          /* tag << 18 | token; 0: free (token 0 is never there) */
    uint32_t *offsets;        /* count + 1, into spelling */
    unsigned char *spelling;  /* the bytes of all tokens */
    unsigned pair_shift, word_shift;
};

int bpe_table_init(struct bpe_table *t, const unsigned char *data, size_t size,
                   struct error *e) MUST_CHECK;
void bpe_table_release(struct bpe_table *t); /* accepts a zeroed struct */

bool bpe_whole(const struct bpe_table *t, const unsigned char *piece, size_t len);

#define BPE_HASH UINT64_C(0x9E3779B97F4A7C15)

static inline uint32_t bpe_pair(const struct bpe_table *t, uint32_t left, uint32_t right)
{
    if ((left | right) < BPE_BYTES)
        return t->of_bytes[left * BPE_BYTES + right];
    uint64_t key = (uint64_t)left << BPE_TOKEN_BITS | right;
    uint64_t mask = (UINT64_C(1) << (64 - t->pair_shift)) - 1;
    for (uint64_t i = key * BPE_HASH >> t->pair_shift;; i = (i + 1) & mask) {
        uint64_t slot = t->pairs[i];
        if (slot >> BPE_TOKEN_BITS == key)
            return (uint32_t)(slot & BPE_TOKEN_MASK);
        if (slot == 0)
            return BPE_NONE;
    }
}

#endif
