/*
 * char_class: what the tokenizers' regular expressions ask about a character.
 *
 * One byte for each code point, expanded from a committed list of ranges (Unicode 16.0;
 * data/make_unicode.mjs). A flat table costs 1.1 MB and saves the second, dependent load of
 * a two-stage one; only the lines that a text touches come into the cache.
 *
 *   ownership  the caller owns the table: CHAR_POINTS bytes.
 *   threads    any; read only once it is made.
 */
#ifndef SCHEDULER_PROMPT_CHAR_CLASS_H
#define SCHEDULER_PROMPT_CHAR_CLASS_H

#include <stddef.h>
#include <stdint.h>

#define CHAR_POINTS 0x110000

enum char_class {
    CHAR_LETTER = 1,   /* \p{L} */
    CHAR_NUMBER = 2,   /* \p{N} */
    CHAR_SPACE = 4,    /* \s: White_Space, with U+0085 and without U+FEFF and U+180E */
    CHAR_UPPER = 8,    /* Lu Lt Lm Lo M */
    CHAR_LOWER = 16,   /* Ll Lm Lo M */
    CHAR_NEWLINE = 32, /* CR LF */
    CHAR_MARK = CHAR_UPPER | CHAR_LOWER, /* \p{M}, when CHAR_LETTER is not set */
};

/* First code point << 8 | class, ascending, up to the next one's; the last runs to the end. */
extern const uint32_t char_ranges[];
extern const size_t char_range_count;

void char_class_fill(unsigned char table[CHAR_POINTS]);

#endif
