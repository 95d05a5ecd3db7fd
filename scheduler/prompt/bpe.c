#include "scheduler/prompt/bpe.h"

#include "common/limits.h"
#include "common/utf8.h"
#include "scheduler/prompt/bpe_table.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define SHORT_BYTES  32   /* up to here scanning an array beats the queue */
#define SPARE_PARTS  256  /* scratch that is always there, for when memory is short */
#define KEPT_PARTS   4096 /* larger scratch is given back after use */
#define QUEUE_LEVELS 3    /* 64 * 64 * 64 = 2^18 ranks */

/* A token of the piece at hand, at the index of its first byte. The pair that it begins is
 * in the list of the token that it would make. */
struct part {
    uint32_t token;
    uint32_t next, prev;     /* neighbours in the piece; BPE_NONE at its ends */
    uint32_t made;           /* the token that this and next make, or BPE_NONE */
    uint32_t later, earlier; /* neighbours in the list of `made` */
};

struct bpe {
    struct bpe_table table;
    struct part *parts;
    size_t room;                     /* of parts */
    uint32_t *heads;                 /* by rank: first part of its list, or BPE_NONE */
    uint64_t *waiting[QUEUE_LEVELS]; /* bit r of level 0: list r is not empty, and so on up */
    struct part spare[SPARE_PARTS];
};

_Static_assert(BPE_TOKEN_BITS == 6 * QUEUE_LEVELS, "the top level of the queue is one word");

static void queue_mark(struct bpe *b, uint32_t rank)
{
    for (unsigned level = 0; level < QUEUE_LEVELS; level++, rank >>= 6)
        b->waiting[level][rank >> 6] |= UINT64_C(1) << (rank & 63);
}

static void queue_unmark(struct bpe *b, uint32_t rank)
{
    for (unsigned level = 0; level < QUEUE_LEVELS; level++, rank >>= 6) {
        uint64_t *word = &b->waiting[level][rank >> 6];
        *word &= ~(UINT64_C(1) << (rank & 63));
        if (*word != 0)
            return;
    }
}

/* The lowest rank that waits, or BPE_NONE. */
static uint32_t queue_lowest(const struct bpe *b)
{
    uint32_t at = 0;
    for (unsigned level = QUEUE_LEVELS; level-- > 0;) {
        uint64_t word = b->waiting[level][at];
        if (word == 0)
            return BPE_NONE;
        at = at << 6 | (uint32_t)__builtin_ctzll(word);
    }
    return at;
}

/* Looks up what part i and its neighbour make, and queues it. */
static void queue_add(struct bpe *b, uint32_t i)
{
    struct part *part = &b->parts[i];
    part->made = BPE_NONE;
    if (part->next == BPE_NONE)
        return;
    uint32_t made = bpe_pair(&b->table, part->token, b->parts[part->next].token);
    if (made == BPE_NONE)
        return;

    part->made = made;
    part->earlier = BPE_NONE;
    part->later = b->heads[made];
    if (part->later == BPE_NONE)
        queue_mark(b, made);
    else
        b->parts[part->later].earlier = i;
    b->heads[made] = i;
}

static void queue_remove(struct bpe *b, uint32_t i)
{
    struct part *part = &b->parts[i];
    if (part->made == BPE_NONE)
        return;
    if (part->later != BPE_NONE)
        b->parts[part->later].earlier = part->earlier;
    if (part->earlier != BPE_NONE)
        b->parts[part->earlier].later = part->later;
    else
        b->heads[part->made] = part->later;
    if (b->heads[part->made] == BPE_NONE)
        queue_unmark(b, part->made);
    part->made = BPE_NONE;
}

static void merge(struct bpe *b, uint32_t i)
{
    struct part *left = &b->parts[i], *right = &b->parts[left->next];
    uint32_t made = left->made;
    queue_remove(b, left->next);
    queue_remove(b, i);
    left->token = made;
    left->next = right->next;
    if (left->next != BPE_NONE)
        b->parts[left->next].prev = i;
    if (left->prev != BPE_NONE) {
        queue_remove(b, left->prev);
        queue_add(b, left->prev);
    }
    queue_add(b, i);
}

/* Merges every pair in the list of one rank. Which goes first matters only where pairs
 * overlap, in a run of one token, and there the leftmost goes first: back to the start of
 * the run, then forward. That is no second walk, since nothing of the run is left over. */
static size_t merge_rank(struct bpe *b, uint32_t rank)
{
    size_t merges = 0;
    while (b->heads[rank] != BPE_NONE) {
        uint32_t i = b->heads[rank];
        while (b->parts[i].prev != BPE_NONE && b->parts[b->parts[i].prev].made == rank)
            i = b->parts[i].prev;
        while (i != BPE_NONE && b->parts[i].made == rank) {
            merge(b, i);
            merges++;
            i = b->parts[i].next;
        }
    }
    return merges;
}

static size_t merge_long(struct bpe *b, const unsigned char *piece, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        b->parts[i] = (struct part){
            .token = b->table.byte[piece[i]],
            .next = i + 1 < len ? (uint32_t)i + 1 : BPE_NONE,
            .prev = i > 0 ? (uint32_t)i - 1 : BPE_NONE,
            .made = BPE_NONE,
        };
    }
    for (size_t i = 0; i < len; i++)
        queue_add(b, (uint32_t)i);

    size_t tokens = len;
    for (uint32_t rank; (rank = queue_lowest(b)) != BPE_NONE;)
        tokens -= merge_rank(b, rank);
    return tokens;
}

/* The same for few bytes: finds the lowest rank by looking at all. */
static size_t merge_short(const struct bpe *b, const unsigned char *piece, size_t len)
{
    uint32_t tokens[SHORT_BYTES], made[SHORT_BYTES];
    const struct bpe_table *t = &b->table;
    for (size_t i = 0; i < len; i++)
        tokens[i] = t->byte[piece[i]];
    for (size_t i = 0; i < len; i++)
        made[i] = i + 1 < len ? bpe_pair(t, tokens[i], tokens[i + 1]) : BPE_NONE;

    for (; len > 1; len--) {
        size_t at = 0;
        for (size_t i = 1; i + 1 < len; i++) {
            if (made[i] < made[at])
                at = i;
        }
        if (made[at] == BPE_NONE)
            break;
        tokens[at] = made[at];
        for (size_t i = at + 1; i + 1 < len; i++) {
            tokens[i] = tokens[i + 1];
            made[i] = made[i + 1];
        }
        if (at > 0)
            made[at - 1] = bpe_pair(t, tokens[at - 1], tokens[at]);
        if (at + 2 < len)
            made[at] = bpe_pair(t, tokens[at], tokens[at + 1]);
    }
    return len;
}

/* Scratch for len parts, or fewer when there is no memory. */
static size_t reserve(struct bpe *b, size_t len)
{
    if (len > (size_t)TOKENIZER_MAX_PIECE_BYTES)
        len = (size_t)TOKENIZER_MAX_PIECE_BYTES;
    if (len <= b->room)
        return len;
    size_t room = len < KEPT_PARTS ? KEPT_PARTS : len;
    struct part *parts = malloc(room * sizeof(*parts));
    if (!parts)
        return b->room;
    if (b->parts != b->spare)
        free(b->parts);
    b->parts = parts;
    b->room = room;
    return len;
}

static void give_back(struct bpe *b)
{
    if (b->room <= KEPT_PARTS)
        return;
    free(b->parts);
    b->parts = b->spare;
    b->room = SPARE_PARTS;
}

/* The next part of a piece that is counted as one. */
static size_t slice(struct bpe *b, const unsigned char *piece, size_t len)
{
    size_t n = reserve(b, len);
    return n < len ? utf8_floor(piece, len, n) : len;
}

size_t bpe_count(struct bpe *b, const unsigned char *piece, size_t len)
{
    if (bpe_whole(&b->table, piece, len))
        return 1;
    if (len <= SHORT_BYTES)
        return merge_short(b, piece, len);

    size_t tokens = 0;
    while (len > 0) {
        size_t n = slice(b, piece, len);
        tokens += merge_long(b, piece, n);
        piece += n;
        len -= n;
    }
    give_back(b);
    return tokens;
}

size_t bpe_prefix(struct bpe *b, const unsigned char *piece, size_t len, size_t max_tokens)
{
    size_t done = 0;
    while (done < len && max_tokens > 0) {
        size_t n = slice(b, piece + done, len - done);
        size_t tokens = merge_long(b, piece + done, n);
        if (tokens <= max_tokens) {
            done += n;
            max_tokens -= tokens;
            continue;
        }
        uint32_t end = 0;
        for (; max_tokens > 0; max_tokens--)
            end = b->parts[end].next;
        done += end;
    }
    give_back(b);
    return done;
}

static int queue_init(struct bpe *b)
{
    b->heads = malloc(b->table.count * sizeof(*b->heads));
    if (!b->heads)
        return -ENOMEM;
    for (uint32_t i = 0; i < b->table.count; i++)
        b->heads[i] = BPE_NONE;
    size_t words = BPE_MAX_TOKENS / 64;
    for (unsigned level = 0; level < QUEUE_LEVELS; level++, words /= 64) {
        b->waiting[level] = calloc(words, sizeof(uint64_t));
        if (!b->waiting[level])
            return -ENOMEM;
    }
    return 0;
}

int bpe_new(const unsigned char *data, size_t size, struct bpe **ret, struct error *e)
{
    struct bpe *b = calloc(1, sizeof(*b));
    if (!b)
        return error_set(e, -ENOMEM, "no memory for a vocabulary");
    b->parts = b->spare;
    b->room = SPARE_PARTS;
    int r = bpe_table_init(&b->table, data, size, e);
    if (r == 0 && queue_init(b) < 0)
        r = error_set(e, -ENOMEM, "no memory for a vocabulary");
    if (r < 0) {
        bpe_free(b);
        return r;
    }
    *ret = b;
    return 0;
}

void bpe_free(struct bpe *b)
{
    if (!b)
        return;
    bpe_table_release(&b->table);
    free(b->heads);
    for (unsigned level = 0; level < QUEUE_LEVELS; level++)
        free(b->waiting[level]);
    if (b->parts != b->spare)
        free(b->parts);
    free(b);
}
