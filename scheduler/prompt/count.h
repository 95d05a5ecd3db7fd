/*
 * count: how many tokens a request has, in whole and message by message.
 *
 * Exact for OpenAI's models as far as their rules are known: texts to the token, frames of
 * messages and flat tool schemas as the cookbook gives them; images by size and detail. For
 * others the count of their own or OpenAI's vocabulary times the family's ratio. What is text
 * and what is not is decided as for the estimate (provider/wire_content.h).
 *
 * Counts of messages are remembered by content, so what is sent again costs a hash.
 *
 *   units      tokens.
 *   invariant  count_transcript()'s total is its fixed part plus count_message() of all sizes,
 *              so the saving of an edit is known without counting again.
 *   ownership  a counter owns its tokenizers and memo.
 *   threads    one for a counter.
 *   errors     counting never fails: when memory is short, escapes are counted as written.
 */
#ifndef SCHEDULER_PROMPT_COUNT_H
#define SCHEDULER_PROMPT_COUNT_H

#include "scheduler/prompt/count_family.h"
#include "scheduler/prompt/count_memo.h"
#include "scheduler/prompt/transcript.h"

struct counter;
struct tokenizer;

int counter_new(uint64_t seed, struct counter **ret) MUST_CHECK; /* 0 or -ENOMEM */
void counter_free(struct counter *c);                            /* accepts NULL */

/* Until counter_whole(), at most so many bytes that are not remembered are counted to the token,
 * so that one request cannot hold the loop; what is beyond them is estimated on the high side,
 * and not remembered. */
void counter_at_most(struct counter *c, size_t bytes);
/* Counts all again. */
void counter_whole(struct counter *c);

/* Texts that were estimated so far; grows only. */
uint64_t counter_rough(const struct counter *c);

/* A model's way of counting; valid while the counter is. */
struct count_model {
    struct tokenizer *tokenizer;
    const struct count_family *family;
    uint64_t salt; /* tells vocabularies and families apart in the memo */
    bool exact;
};

/* model without quotes, any bytes; a vendor's prefix (openai/gpt-4o) is looked past. 0 or -ENOMEM
 * when its vocabulary cannot be loaded. */
int counter_model(struct counter *c, const char *model, struct count_model *ret) MUST_CHECK;
/* The same of a model's span in a body; of none, the model "". */
int counter_model_of(struct counter *c, struct json_span model, struct count_model *ret) MUST_CHECK;

/* A string, a block or a list of them: what is billed of it. */
struct count_size count_value(struct counter *c, const struct count_model *m,
                              struct json_span value);
/* Any value as the compact JSON that it is. */
struct count_size count_json(struct counter *c, const struct count_model *m,
                             struct json_span value);
/* A plain text that stands in no JSON. */
struct count_size count_text(struct counter *c, const struct count_model *m, const char *text,
                             size_t len);

/* Tokens of a message of that size, its frame included. */
int64_t count_message(const struct count_model *m, struct count_size size);
/* Tokens of a text of that size, without a frame. */
int64_t count_tokens(const struct count_model *m, struct count_size size);

struct count_total {
    int64_t fixed; /* frame, system, tools, answer schema: what is in no message */
    int64_t messages;
    int64_t total;    /* fixed + messages */
    int64_t reserved; /* what 98 of 100 such requests do not exceed; at least total */
};

/* sizes: NULL, or room for t->count. */
struct count_total count_transcript(struct counter *c, const struct count_model *m,
                                    const struct transcript *t, struct count_size *sizes);

#endif
