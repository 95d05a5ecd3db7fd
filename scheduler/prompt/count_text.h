/*
 * count_text: adds up the tokens of strings and JSON values, decoded as the model reads them.
 *
 *   ownership  borrows the tokenizer and the scratch buffer.
 *   errors     none: without memory a string is counted as it is written.
 */
#ifndef SCHEDULER_PROMPT_COUNT_TEXT_H
#define SCHEDULER_PROMPT_COUNT_TEXT_H

#include "common/buf.h"
#include "common/json_scan.h"
#include "scheduler/prompt/count_family.h"
#include "scheduler/prompt/tokenizer.h"

#include <stdint.h>

/* How much may be counted to the token. What is beyond is taken at the density of what was
 * counted, and a seventh more, since texts differ. */
struct count_budget {
    size_t left;            /* bytes */
    uint64_t bytes, tokens; /* counted so far */
    uint64_t rough;         /* texts that were not counted whole */
};

struct count_sum {
    struct tokenizer *tokenizer;
    const struct count_family *family;
    struct buf *scratch;
    struct count_budget *budget; /* NULL: all is counted */
    uint64_t text, flat;
};

void count_sum_string(struct count_sum *s, struct json_span string);
/* As compact JSON: blanks outside of strings are not counted. */
void count_sum_json(struct count_sum *s, struct json_span value);
/* A string, a message, a block or a list of these, by the rules of wire_content. */
void count_sum_content(struct count_sum *s, struct json_span value);
/* What stands in the scratch buffer, which is cleared. */
void count_sum_scratch(struct count_sum *s);

#endif
