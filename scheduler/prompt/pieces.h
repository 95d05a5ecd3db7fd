/*
 * pieces: the split of a text that byte-pair merging never crosses.
 *
 * Each function is one of tiktoken's regular expressions, written out by hand: three times
 * as fast as PCRE2's JIT and linear, where a backtracking engine is not. They agree with
 * fancy-regex on every input, also on invalid UTF-8 once that reads as U+FFFD.
 *
 *   input      1 or more bytes, p < end, at the start of a piece.
 *   result     the end of the piece, p < result <= end. Only white space looks further than
 *              one character behind its piece: to the end of its run.
 *   threads    any.
 */
#ifndef SCHEDULER_PROMPT_PIECES_H
#define SCHEDULER_PROMPT_PIECES_H

typedef const unsigned char *(*piece_fn)(const unsigned char *classes, const unsigned char *p,
                                         const unsigned char *end);

const unsigned char *piece_r50k(const unsigned char *classes, const unsigned char *p,
                                const unsigned char *end); /* also p50k */
const unsigned char *piece_cl100k(const unsigned char *classes, const unsigned char *p,
                                  const unsigned char *end);
const unsigned char *piece_o200k(const unsigned char *classes, const unsigned char *p,
                                 const unsigned char *end);

#endif
