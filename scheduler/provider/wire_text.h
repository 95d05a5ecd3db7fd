/*
 * wire_text: what a text is made of, as far as it tells how many tokens it becomes.
 *
 * Bytes alone say little: English prose has 3.9 bytes per token, tool results in JSON 2.7,
 * hexadecimal 1.7. Tokenizers first cut a text at the borders of words, numbers and marks,
 * so counting these borders while the text is walked anyway is nearly as good as the
 * cutting itself. One pass, one table look-up and one increment per byte.
 *
 *   units      bytes and characters of the decoded text
 *   threads    none; no allocation.
 */
#ifndef SCHEDULER_PROVIDER_WIRE_TEXT_H
#define SCHEDULER_PROVIDER_WIRE_TEXT_H

#include "common/json_scan.h"

#include <stdint.h>

struct wire_text {
    int64_t bytes;
    int64_t words;          /* runs of ASCII letters; fooBar is two */
    int64_t letters;        /* ASCII letters */
    int64_t numbers;        /* runs of digits */
    int64_t digits;         /* ASCII digits */
    int64_t spaced_numbers; /* of the numbers, those behind a space */
    int64_t mark_runs;      /* runs of ASCII marks, such as "}, */
    int64_t marks;
    int64_t blank_runs;  /* line ends, tabs and other controls, in runs */
    int64_t two_bytes;   /* characters of two bytes in UTF-8: accents, Greek, Cyrillic, Arabic */
    int64_t three_bytes; /* of three: Chinese, Japanese, Korean, Indic */
    int64_t four_bytes;  /* of four: emoji, rare signs */
};

#define WIRE_TEXT_CLASSES 16 /* a power of two; ten are used */

/* While counting: how often a character of one class follows one of another. */
struct wire_text_count {
    uint32_t pairs[WIRE_TEXT_CLASSES * WIRE_TEXT_CLASSES];
    int64_t bytes;
};

/* Adds the decoded text of a string; nothing when value is no string. Two strings never
 * join into one word. */
void wire_text_add(struct wire_text_count *c, struct json_span value);
/* Adds any value as the compact JSON text that it would be, strings with their quotes. */
void wire_text_add_json(struct wire_text_count *c, struct json_span value);
struct wire_text wire_text_of(const struct wire_text_count *c);

#endif
