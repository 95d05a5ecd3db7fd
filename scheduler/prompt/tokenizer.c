#include "scheduler/prompt/tokenizer.h"

#include "common/limits.h"
#include "common/utf8.h"
#include "scheduler/prompt/bpe.h"
#include "scheduler/prompt/char_class.h"
#include "scheduler/prompt/model_encoding.h"
#include "scheduler/prompt/pieces.h"

#include "prompt_blobs.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BITS      16  /* 2 MiB */
#define CACHED_BYTES    14  /* with a length and a count, 16 */
#define SPARE_BYTES     256 /* repaired at a time when memory is short */
#define PREFIX_ATTEMPTS 8

enum vocabulary { O200K, CL100K, P50K, R50K, VOCABULARIES };

/* A cache of short pieces with two places for each hash, the newer first: on mixed text a
 * quarter faster than one place in a cache as large. The count stands in the key's last byte,
 * which is no part of a comparison; a free entry has length 0, which no piece has. */
struct cached {
    uint64_t low, high; /* 8 bytes; 6 bytes, length << 48, count << 56 */
};

struct tokenizer {
    const unsigned char *classes;
    piece_fn next_piece;
    struct bpe *bpe;
    struct cached cache[1 << CACHE_BITS][2];
    unsigned char spare[SPARE_BYTES * UTF8_REPLACEMENT_BYTES];
};

struct tokenizers {
    struct tokenizer *loaded[VOCABULARIES];
    unsigned char classes[CHAR_POINTS];
};

struct encoding {
    const char *name;
    enum vocabulary vocabulary;
};

/* o200k_harmony differs from o200k_base in its special tokens only. */
static const struct encoding encodings[] = {
    {"o200k_base", O200K}, {"o200k_harmony", O200K}, {"cl100k_base", CL100K},
    {"p50k_base", P50K},   {"r50k_base", R50K},
};

static piece_fn piece_fn_of(enum vocabulary v)
{
    static const piece_fn functions[VOCABULARIES] = {piece_o200k, piece_cl100k, piece_r50k,
                                                     piece_r50k};
    return functions[v];
}

static int load_bpe(enum vocabulary v, struct bpe **ret, struct error *e)
{
    const unsigned char *from[VOCABULARIES] = {prompt_o200k_base, prompt_cl100k_base,
                                               prompt_p50k_base, prompt_r50k_base};
    const unsigned char *to[VOCABULARIES] = {prompt_o200k_base_end, prompt_cl100k_base_end,
                                             prompt_p50k_base_end, prompt_r50k_base_end};
    return bpe_new(from[v], (size_t)(to[v] - from[v]), ret, e);
}

static void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    bpe_free(t->bpe);
    free(t);
}

int tokenizers_new(struct tokenizers **ret)
{
    struct tokenizers *set = calloc(1, sizeof(*set));
    if (!set)
        return -ENOMEM;
    char_class_fill(set->classes);
    *ret = set;
    return 0;
}

void tokenizers_free(struct tokenizers *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < VOCABULARIES; i++)
        tokenizer_free(set->loaded[i]);
    free(set);
}

const char *tokenizer_encoding(size_t i)
{
    return i < sizeof(encodings) / sizeof(encodings[0]) ? encodings[i].name : NULL;
}

static int load(struct tokenizers *set, enum vocabulary v, struct error *e)
{
    struct tokenizer *t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(e, -ENOMEM, "no memory for a tokenizer");
    t->classes = set->classes;
    t->next_piece = piece_fn_of(v);
    int r = load_bpe(v, &t->bpe, e);
    if (r < 0) {
        tokenizer_free(t);
        return r;
    }
    set->loaded[v] = t;
    return 0;
}

int tokenizer_get(struct tokenizers *set, const char *encoding, struct tokenizer **ret,
                  struct error *e)
{
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        enum vocabulary v = encodings[i].vocabulary;
        if (strcmp(encodings[i].name, encoding) != 0)
            continue;
        int r = set->loaded[v] ? 0 : load(set, v, e);
        if (r == 0)
            *ret = set->loaded[v];
        return r;
    }
    return error_set(e, -ENOENT,
                     "no encoding \"%.64s\": there are o200k_base, o200k_harmony, cl100k_base, "
                     "p50k_base and r50k_base",
                     encoding);
}

int tokenizer_for_model(struct tokenizers *set, const char *model, struct tokenizer **ret,
                        struct error *e)
{
    const char *encoding = model_encoding(model);
    return tokenizer_get(set, encoding ? encoding : MODEL_ENCODING_DEFAULT, ret, e);
}

/* Counts or cuts one piece or a part of one, of valid UTF-8 or else repaired first.
 * *ret_used is how much of it that was. */
static size_t count_part(struct tokenizer *t, const unsigned char *p, size_t len, size_t *ret_used)
{
    size_t max = (size_t)TOKENIZER_MAX_PIECE_BYTES;
    size_t n = len <= max ? len : utf8_floor(p, len, max);
    *ret_used = n;
    if (utf8_valid(p, n))
        return bpe_count(t->bpe, p, n);

    max /= UTF8_REPLACEMENT_BYTES;
    n = len <= max ? len : utf8_floor(p, len, max);
    unsigned char *repaired = malloc(n * UTF8_REPLACEMENT_BYTES);
    if (!repaired && n > SPARE_BYTES)
        n = utf8_floor(p, len, SPARE_BYTES);
    *ret_used = n;
    unsigned char *to = repaired ? repaired : t->spare;
    size_t tokens = bpe_count(t->bpe, to, utf8_repair(p, n, to));
    free(repaired);
    return tokens;
}

static size_t count_uncached(struct tokenizer *t, const unsigned char *p, size_t len)
{
    size_t tokens = 0;
    while (len > 0) {
        size_t used;
        tokens += count_part(t, p, len, &used);
        p += used;
        len -= used;
    }
    return tokens;
}

/* The piece as a key, without reading behind the text's end. */
static struct cached key_of(const unsigned char *p, size_t len, const unsigned char *end)
{
    uint64_t words[2] = {0, 0};
    if (end - p >= (ptrdiff_t)sizeof(words)) {
        memcpy(words, p, sizeof(words));
        uint64_t low = le64toh(words[0]), high = le64toh(words[1]);
        if (len < 8)
            return (struct cached){low & ((UINT64_C(1) << 8 * len) - 1), (uint64_t)len << 48};
        high &= (UINT64_C(1) << 8 * (len - 8)) - 1;
        return (struct cached){low, high | (uint64_t)len << 48};
    }
    memcpy(words, p, len);
    return (struct cached){le64toh(words[0]), le64toh(words[1]) | (uint64_t)len << 48};
}

static inline bool same_key(struct cached a, struct cached b)
{
    return a.low == b.low && a.high << 8 == b.high << 8;
}

static inline size_t count_piece(struct tokenizer *t, const unsigned char *p, size_t len,
                                 const unsigned char *end)
{
    if (len > CACHED_BYTES)
        return count_uncached(t, p, len);
    struct cached key = key_of(p, len, end);
    uint64_t hash =
        (key.low ^ (key.high * UINT64_C(0xD6E8FEB86659FD93))) * UINT64_C(0x9E3779B97F4A7C15);
    struct cached *pair = t->cache[hash >> (64 - CACHE_BITS)];
    if (same_key(pair[0], key))
        return pair[0].high >> 56;
    if (same_key(pair[1], key))
        return pair[1].high >> 56;

    size_t tokens = count_uncached(t, p, len);
    pair[1] = pair[0];
    pair[0].low = key.low;
    pair[0].high = key.high | (uint64_t)tokens << 56;
    return tokens;
}

size_t tokenizer_count_limit(struct tokenizer *t, const void *bytes, size_t len, size_t limit)
{
    if (len == 0) /* bytes may then be NULL */
        return 0;
    const unsigned char *p = bytes, *end = p + len;
    size_t tokens = 0;
    while (p < end) {
        const unsigned char *next = t->next_piece(t->classes, p, end);
        tokens += count_piece(t, p, (size_t)(next - p), end);
        if (tokens > limit)
            return limit + 1;
        p = next;
    }
    return tokens;
}

size_t tokenizer_count(struct tokenizer *t, const void *bytes, size_t len)
{
    return tokenizer_count_limit(t, bytes, len, SIZE_MAX - 1);
}

static bool is_blank(const struct tokenizer *t, const unsigned char *p, const unsigned char *end)
{
    while (p < end) {
        size_t n;
        if ((t->classes[utf8_next(p, end, &n)] & CHAR_SPACE) == 0)
            return false;
        p += n;
    }
    return true;
}

/* Where byte `at` of the repaired text stands in the text, at or before it. */
static size_t unrepaired(const unsigned char *p, size_t len, size_t at)
{
    size_t from = 0, repaired = 0;
    while (from < len) {
        size_t n;
        bool bad = utf8_next(p + from, p + len, &n) == UTF8_REPLACEMENT;
        repaired += bad ? UTF8_REPLACEMENT_BYTES : n;
        if (repaired > at)
            break;
        from += n;
    }
    return from;
}

/* Bytes of the first max_tokens tokens of what count_part() counts as one. */
static size_t cut_part(struct tokenizer *t, const unsigned char *p, size_t len, size_t max_tokens)
{
    if (utf8_valid(p, len))
        return bpe_prefix(t->bpe, p, len, max_tokens);
    unsigned char *repaired = malloc(len * UTF8_REPLACEMENT_BYTES);
    if (!repaired && len > SPARE_BYTES)
        len = utf8_floor(p, len, SPARE_BYTES);
    unsigned char *to = repaired ? repaired : t->spare;
    size_t at = bpe_prefix(t->bpe, to, utf8_repair(p, len, to), max_tokens);
    free(repaired);
    return unrepaired(p, len, at);
}

static size_t cut_piece(struct tokenizer *t, const unsigned char *p, size_t len, size_t max_tokens)
{
    size_t done = 0;
    while (done < len) {
        size_t used, tokens = count_part(t, p + done, len - done, &used);
        if (tokens > max_tokens)
            return done + cut_part(t, p + done, used, max_tokens);
        max_tokens -= tokens;
        done += used;
    }
    return done;
}

/* The largest cut that leaves at most max_tokens, close to and not above `to`. from is where
 * the split of the text cannot depend on what stands behind the cut. */
static size_t settle_cut(struct tokenizer *t, const unsigned char *text, size_t from, size_t to,
                         size_t max_tokens)
{
    for (int i = 0; i < PREFIX_ATTEMPTS && to > from; i++) {
        if (tokenizer_count_limit(t, text + from, to - from, max_tokens) <= max_tokens)
            return to;
        to = utf8_floor(text, to, to - 1);
    }
    return from;
}

size_t tokenizer_prefix(struct tokenizer *t, const void *bytes, size_t len, size_t max_tokens)
{
    if (len == 0)
        return 0;
    const unsigned char *text = bytes, *p = text, *end = text + len;
    size_t tokens = 0, fixed_tokens = 0, fixed = 0;
    while (p < end) {
        const unsigned char *next = t->next_piece(t->classes, p, end);
        size_t piece = (size_t)(next - p);
        size_t n = count_piece(t, p, piece, end);
        if (tokens + n > max_tokens) {
            size_t cut = (size_t)(p - text) + cut_piece(t, p, piece, max_tokens - tokens);
            cut = utf8_floor(text, len, cut);
            return settle_cut(t, text, fixed, cut, max_tokens - fixed_tokens);
        }
        tokens += n;
        /* A run of white space is split by what follows it, nothing else looks so far. */
        if (!is_blank(t, p, next)) {
            fixed = (size_t)(next - text);
            fixed_tokens = tokens;
        }
        p = next;
    }
    return len;
}
