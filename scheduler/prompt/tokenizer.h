/*
 * tokenizer: exact token counts for OpenAI's encodings.
 *
 * Counts what tiktoken's encode_ordinary() would return, to the token: text such as
 * "<|endoftext|>" is ordinary text, and invalid UTF-8 and lone surrogates count as U+FFFD
 * (common/utf8.h says how many). Counts add up over pieces of a text (pieces.h), and most
 * pieces are words that come again, so a small cache of their counts does most of the work.
 *
 *   encodings  o200k_base, o200k_harmony, cl100k_base, p50k_base, r50k_base.
 *   exact      for every text whose words and runs (of letters, of white space, of
 *              punctuation) have up to TOKENIZER_MAX_PIECE_BYTES each, a third of that
 *              where the bytes are no valid UTF-8. A longer one is counted in parts of
 *              that size, and each cut can move the count by a few tokens. The same
 *              happens to smaller ones when memory is short: counting never fails.
 *   time       linear in the bytes, whatever they are.
 *   memory     1.1 MB for the set and up to 16 MB for each encoding in use; 6 MB more while
 *              a piece of the largest size is merged.
 *   ownership  a tokenizer belongs to its set and lives as long.
 *   threads    one for a set and all that is in it.
 */
#ifndef SCHEDULER_PROMPT_TOKENIZER_H
#define SCHEDULER_PROMPT_TOKENIZER_H

#include "common/error.h"

#include <stddef.h>

struct tokenizer;

/* The encodings of a process, each loaded when it is first asked for. */
struct tokenizers;

int tokenizers_new(struct tokenizers **ret) MUST_CHECK; /* 0 or -ENOMEM */
void tokenizers_free(struct tokenizers *set);           /* accepts NULL */

/* The encoding of that name, about 10 ms when it is not loaded yet. 0; -ENOENT with e
 * listing the names when there is none of that name; -ENOMEM. */
int tokenizer_get(struct tokenizers *set, const char *encoding, struct tokenizer **ret,
                  struct error *e) MUST_CHECK;

/* The encoding of a model (model_encoding.h); for an unknown one MODEL_ENCODING_DEFAULT,
 * which is then only an estimate. 0 or -ENOMEM. */
int tokenizer_for_model(struct tokenizers *set, const char *model, struct tokenizer **ret,
                        struct error *e) MUST_CHECK;

/* The name of encoding number i; NULL past the last. */
const char *tokenizer_encoding(size_t i);

size_t tokenizer_count(struct tokenizer *t, const void *bytes, size_t len);

/* The count when it is at most limit, else limit + 1, without reading on. */
size_t tokenizer_count_limit(struct tokenizer *t, const void *bytes, size_t len, size_t limit);

/* How many bytes of text to keep for max_tokens: those of its first max_tokens tokens, less
 * what stands behind the last whole character. Cutting a text can change how its end is
 * split; then a few characters less, so that always
 * tokenizer_count(t, bytes, result) <= max_tokens. */
size_t tokenizer_prefix(struct tokenizer *t, const void *bytes, size_t len, size_t max_tokens);

#endif
