#include "scheduler/prompt/bpe_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES (8 + BPE_BYTES)
#define BATCH        16
#define COPY_BYTES   16
#define PAIR_BYTES   6

static uint32_t read24(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

/* The two tokens that make token i (>= BPE_BYTES). */
static void parts_of(const unsigned char *data, uint32_t i, uint32_t *ret_left, uint32_t *ret_right)
{
    const unsigned char *p = data + HEADER_BYTES + (size_t)PAIR_BYTES * (i - BPE_BYTES);
    *ret_left = read24(p);
    *ret_right = read24(p + 3);
}

static uint64_t load(const unsigned char *p, size_t n)
{
    uint64_t word = 0;
    memcpy(&word, p, n);
    return word;
}

/* Up to 8 bytes without a copy of a length unknown to the compiler; bytes may count twice. */
static uint64_t load_tail(const unsigned char *p, size_t n)
{
    if (n >= 4)
        return load(p, 4) << 32 | load(p + n - 4, 4);
    return n == 0 ? 0 : (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
}

static uint64_t hash_of(const unsigned char *p, size_t n)
{
    uint64_t h = n * BPE_HASH;
    for (; n > 8; n -= 8, p += 8) {
        h = (h ^ load(p, 8)) * BPE_HASH;
        h ^= h >> 29;
    }
    h = (h ^ load_tail(p, n)) * BPE_HASH;
    h ^= h >> 32;
    return h * BPE_HASH;
}

/* The slot's upper bits, from a part of the hash that does not choose the slot. */
static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash & (UINT32_MAX >> BPE_TOKEN_BITS)) << BPE_TOKEN_BITS;
}

bool bpe_whole(const struct bpe_table *t, const unsigned char *piece, size_t len)
{
    if (len <= 1 || len > t->longest)
        return len == 1;
    uint64_t hash = hash_of(piece, len), mask = (UINT64_C(1) << (64 - t->word_shift)) - 1;
    uint32_t tag = tag_of(hash);
    for (uint64_t i = hash >> t->word_shift; t->words[i] != 0; i = (i + 1) & mask) {
        if ((t->words[i] & ~BPE_TOKEN_MASK) != tag)
            continue;
        uint32_t token = t->words[i] & BPE_TOKEN_MASK;
        uint32_t from = t->offsets[token];
        if (t->offsets[token + 1] - from == len && memcmp(t->spelling + from, piece, len) == 0)
            return true;
    }
    return false;
}

static void add_word(struct bpe_table *t, uint32_t token, uint64_t hash)
{
    uint64_t mask = (UINT64_C(1) << (64 - t->word_shift)) - 1;
    uint64_t i = hash >> t->word_shift;
    while (t->words[i] != 0)
        i = (i + 1) & mask;
    t->words[i] = tag_of(hash) | token;
}

/* In batches, so that the loads of a batch wait for memory together. */
static void add_words(struct bpe_table *t)
{
    for (uint32_t i = BPE_BYTES; i < t->count; i += BATCH) {
        uint32_t n = t->count - i < BATCH ? t->count - i : BATCH;
        uint64_t hashes[BATCH];
        for (uint32_t k = 0; k < n; k++) {
            uint32_t from = t->offsets[i + k];
            hashes[k] = hash_of(t->spelling + from, t->offsets[i + k + 1] - from);
            __builtin_prefetch(&t->words[hashes[k] >> t->word_shift], 1);
        }
        for (uint32_t k = 0; k < n; k++)
            add_word(t, i + k, hashes[k]);
    }
}

static void add_pair(struct bpe_table *t, uint64_t key, uint32_t token)
{
    uint32_t left = (uint32_t)(key >> BPE_TOKEN_BITS), right = (uint32_t)key & BPE_TOKEN_MASK;
    if ((left | right) < BPE_BYTES) {
        t->of_bytes[left * BPE_BYTES + right] = token;
        return;
    }
    uint64_t mask = (UINT64_C(1) << (64 - t->pair_shift)) - 1;
    uint64_t i = key * BPE_HASH >> t->pair_shift;
    while (t->pairs[i] != 0)
        i = (i + 1) & mask;
    t->pairs[i] = key << BPE_TOKEN_BITS | token;
}

static void add_pairs(struct bpe_table *t, const unsigned char *data)
{
    for (uint32_t i = BPE_BYTES; i < t->count; i += BATCH) {
        uint32_t n = t->count - i < BATCH ? t->count - i : BATCH;
        uint64_t keys[BATCH];
        for (uint32_t k = 0; k < n; k++) {
            uint32_t left, right;
            parts_of(data, i + k, &left, &right);
            keys[k] = (uint64_t)left << BPE_TOKEN_BITS | right;
            __builtin_prefetch(&t->pairs[keys[k] * BPE_HASH >> t->pair_shift], 1);
        }
        for (uint32_t k = 0; k < n; k++)
            add_pair(t, keys[k], i + k);
    }
}

static int check_header(const unsigned char *data, size_t size, uint32_t *ret_count)
{
    if (size < HEADER_BYTES || memcmp(data, "BPE1", 4) != 0)
        return -EINVAL;
    uint32_t count = read24(data + 4) | (uint32_t)data[7] << 24;
    if (count < BPE_BYTES || count > BPE_MAX_TOKENS)
        return -EINVAL;
    *ret_count = count;
    return size == HEADER_BYTES + (size_t)PAIR_BYTES * (count - BPE_BYTES) ? 0 : -EINVAL;
}

/* Offsets of all spellings; with them the size of the whole. */
static int measure(struct bpe_table *t, const unsigned char *data)
{
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t len = 1;
        if (i >= BPE_BYTES) {
            uint32_t left, right;
            parts_of(data, i, &left, &right);
            if (left >= i || right >= i)
                return -EINVAL;
            len = t->offsets[left + 1] - t->offsets[left];
            len += t->offsets[right + 1] - t->offsets[right];
        }
        if (t->offsets[i] > UINT32_MAX / 2 || len > UINT16_MAX)
            return -EINVAL;
        t->offsets[i + 1] = t->offsets[i] + len;
        if (len > t->longest)
            t->longest = len;
    }
    return 0;
}

/* Tokens are written one behind the other, so what a short one writes too much is written
 * over by the next; the buffer has COPY_BYTES more at its end. */
static unsigned char *copy_token(const struct bpe_table *t, unsigned char *to, uint32_t token)
{
    uint32_t from = t->offsets[token], len = t->offsets[token + 1] - from;
    if (len <= COPY_BYTES)
        memmove(to, t->spelling + from, COPY_BYTES);
    else
        memcpy(to, t->spelling + from, len);
    return to + len;
}

static void spell(struct bpe_table *t, const unsigned char *data)
{
    for (uint32_t i = 0; i < BPE_BYTES; i++) {
        t->byte[data[8 + i]] = i;
        t->spelling[i] = data[8 + i];
    }
    unsigned char *to = t->spelling + BPE_BYTES;
    for (uint32_t i = BPE_BYTES; i < t->count; i++) {
        uint32_t left, right;
        parts_of(data, i, &left, &right);
        to = copy_token(t, to, left);
        to = copy_token(t, to, right);
    }
}

/* 64 - log2 of a table of at least twice count slots. */
static unsigned shift_for(uint32_t count)
{
    unsigned bits = 9;
    while ((UINT32_C(1) << bits) < 2 * count)
        bits++;
    return 64 - bits;
}

/* One block for all tables but the spellings. It is cleared by hand: the pages of calloc()
 * fault twice when they are read before they are written. Huge pages were tried: half the
 * time, but now and then 25 ms while the kernel makes one. */
static int allocate(struct bpe_table *t)
{
    t->pair_shift = t->word_shift = shift_for(t->count);
    size_t slots = (size_t)1 << (64 - t->pair_shift), singles = (size_t)BPE_BYTES * BPE_BYTES;
    size_t size = slots * (sizeof(*t->pairs) + sizeof(*t->words)) + singles * sizeof(*t->of_bytes) +
                  ((size_t)t->count + 1) * sizeof(*t->offsets);
    t->pairs = malloc(size);
    if (!t->pairs)
        return -ENOMEM;
    memset(t->pairs, 0, size);
    t->words = (uint32_t *)(t->pairs + slots);
    t->of_bytes = t->words + slots;
    t->offsets = t->of_bytes + singles;
    return 0;
}

int bpe_table_init(struct bpe_table *t, const unsigned char *data, size_t size, struct error *e)
{
    *t = (struct bpe_table){0};
    if (check_header(data, size, &t->count) < 0)
        return error_set(e, -EINVAL, "a vocabulary is damaged: wrong header or size");
    if (allocate(t) < 0)
        goto no_memory;
    if (measure(t, data) < 0) {
        bpe_table_release(t);
        return error_set(e, -EINVAL, "a vocabulary is damaged: a token is made of later ones");
    }
    t->spelling = calloc((size_t)t->offsets[t->count] + COPY_BYTES, 1);
    if (!t->spelling)
        goto no_memory;
    memset(t->of_bytes, 0xFF, sizeof(*t->of_bytes) * BPE_BYTES * BPE_BYTES);
    add_pairs(t, data);
    spell(t, data);
    add_words(t);
    return 0;

no_memory:
    bpe_table_release(t);
    return error_set(e, -ENOMEM, "no memory for a vocabulary");
}

void bpe_table_release(struct bpe_table *t)
{
    free(t->pairs); /* and with it the other tables */
    free(t->spelling);
    *t = (struct bpe_table){0};
}
