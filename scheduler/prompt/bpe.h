/*
 * bpe: byte-pair merging with one vocabulary.
 *
 * Merging starts from single bytes and always joins the adjacent pair that makes the token
 * of lowest rank, the leftmost of equal ones, until no pair makes a token. Every token of
 * our vocabularies is made by exactly one pair of tokens of lower rank (checked by
 * data/make_vocab.mjs for all of them), which has two consequences used here: a table of
 * those pairs is all a merge needs, and the ranks it meets never fall, so a queue with one
 * list for each rank makes it linear in the bytes.
 *
 *   units      bytes in, tokens out. A token's number is its rank.
 *   memory     14 MB for 200,000 tokens, plus 24 bytes for each byte of the piece at hand.
 *   ownership  bpe_new() borrows data for the life of the struct.
 *   threads    one: counting uses scratch memory of the struct.
 */
#ifndef SCHEDULER_PROMPT_BPE_H
#define SCHEDULER_PROMPT_BPE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct bpe;

/* Reads a vocabulary as data/make_vocab.mjs writes it. 0; -EINVAL when the data is damaged,
 * -ENOMEM. */
int bpe_new(const unsigned char *data, size_t size, struct bpe **ret, struct error *e) MUST_CHECK;
void bpe_free(struct bpe *b); /* accepts NULL */

/* Tokens of a piece. Exact up to TOKENIZER_MAX_PIECE_BYTES; a longer piece is counted in
 * parts of that size (smaller ones when memory is short), so that each cut between two parts
 * may add tokens. */
size_t bpe_count(struct bpe *b, const unsigned char *piece, size_t len);

/* Bytes of the first max_tokens tokens of a piece, cut as by bpe_count(). */
size_t bpe_prefix(struct bpe *b, const unsigned char *piece, size_t len, size_t max_tokens);

#endif
