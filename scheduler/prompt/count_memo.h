/*
 * count_memo: remembers the counts of contents by their hash.
 *
 * Agents send their whole history again with every step, so nearly all messages of a request
 * were counted before. Sets of four places; the one used longest ago makes room.
 *
 *   ownership  opaque; 2 MB, allocated once.
 *   threads    none.
 */
#ifndef SCHEDULER_PROMPT_COUNT_MEMO_H
#define SCHEDULER_PROMPT_COUNT_MEMO_H

#include "common/error.h"
#include "scheduler/prompt/content_hash.h"

#include <stdbool.h>
#include <stdint.h>

struct count_size {
    uint32_t text; /* tokens of its texts in the counting vocabulary */
    uint32_t flat; /* tokens that do not depend on it: images, sound, files, names */
};

struct count_memo;

int count_memo_new(struct count_memo **ret) MUST_CHECK; /* 0 or -ENOMEM */
void count_memo_free(struct count_memo *m);             /* accepts NULL */

bool count_memo_find(struct count_memo *m, struct content_hash key, struct count_size *ret);
void count_memo_put(struct count_memo *m, struct content_hash key, struct count_size size);

#endif
