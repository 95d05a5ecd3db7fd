/*
 * embed_answer: an answer with many vectors cut up, and answers of some of them made.
 *
 * Vectors are bytes here: numbers and base64 reach the callers as the provider wrote them. An item
 * keeps all its members but for its index, which is counted anew; an answer keeps all its members
 * but for its items and its usage.
 *
 *   ownership  spans borrow from the answer.
 *   threads    none.
 */
#ifndef SCHEDULER_BATCH_EMBED_ANSWER_H
#define SCHEDULER_BATCH_EMBED_ANSWER_H

#include "common/buf.h"
#include "common/json_scan.h"

#define EMBED_USAGE_MAX   6
#define EMBED_USAGE_BYTES 32

/* The whole numbers of a usage object, by their names; what is no such number is left out. */
struct embed_usage {
    struct {
        char name[EMBED_USAGE_BYTES];
        int64_t value;
    } of[EMBED_USAGE_MAX];
    size_t count;
};

struct embed_answer {
    struct json_span body;
    struct embed_usage usage;
};

/* Finds the items of an answer to `count` inputs: items[i] is that of input i. -EINVAL: no JSON, or
 * not one item for each input (where no item has an index, they are in order). */
int embed_answer_read(const char *body, size_t len, size_t count, struct json_span *items,
                      struct embed_answer *ret) MUST_CHECK;
/* Appends an item with another index. As buf_add(). */
int embed_answer_item(struct json_span item, size_t index, struct buf *out) MUST_CHECK;
/* Appends an answer as `from`, with these items (as they stand inside the array) and this usage
 * (none when it is empty). As buf_add(). */
int embed_answer_write(const struct embed_answer *from, const struct buf *items,
                       const struct embed_usage *usage, struct buf *out) MUST_CHECK;

/* The usage for each of several, by their weights: numbers of a name add up to that of `all`.
 * -ENOMEM. */
int embed_usage_share(const struct embed_usage *all, const int64_t *weights, size_t count,
                      struct embed_usage *ret) MUST_CHECK;
void embed_usage_add(struct embed_usage *to, const struct embed_usage *more);
int64_t embed_usage_of(const struct embed_usage *u, const char *name); /* -1: not known */

#endif
