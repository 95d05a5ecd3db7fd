/*
 * Any bytes: the count with a limit agrees with the count, a cut text has at most the tokens
 * asked for and ends between characters, and no byte counts more than three tokens.
 *
 * The first byte chooses the encoding, the second how many tokens to keep.
 */
#include "common/utf8.h"
#include "scheduler/prompt/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool fine)
{
    if (!fine)
        abort();
}

static struct tokenizer *chosen(struct tokenizers *set, size_t number)
{
    size_t count = 0;
    while (tokenizer_encoding(count))
        count++;
    struct tokenizer *t;
    return tokenizer_get(set, tokenizer_encoding(number % count), &t, NULL) == 0 ? t : NULL;
}

static void check_cut(struct tokenizer *t, const uint8_t *text, size_t len, size_t keep)
{
    size_t tokens = tokenizer_count(t, text, len);
    size_t cut = tokenizer_prefix(t, text, len, keep);
    require(cut <= len);
    require(utf8_floor(text, len, cut) == cut);
    require(tokenizer_count(t, text, cut) <= keep);
    require((cut == len) == (keep >= tokens));
    require(tokenizer_count_limit(t, text, len, keep) == (tokens <= keep ? tokens : keep + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    /* Kept over all inputs: loading costs more than counting. */
    static struct tokenizers *set;
    if (len < 2 || (!set && tokenizers_new(&set) < 0))
        return 0;
    struct tokenizer *t = chosen(set, bytes[0]);
    if (!t)
        return 0;
    check_cut(t, bytes + 2, len - 2, bytes[1]);
    check_cut(t, bytes + 2, len - 2, bytes[1] % 8);
    require(tokenizer_count(t, bytes + 2, len - 2) <= 3 * (len - 2));
    return 0;
}
