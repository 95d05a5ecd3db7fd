/*
 * vector: the item of one input of an embeddings answer, as the cache keeps it.
 *
 * Kept are the item's bytes as the provider wrote them, parted where its index stands, so that
 * putting an answer together copies bytes and reads no numbers; and the envelope, which is the
 * answer without its items and with a usage of nothing, for an answer that is made of kept items
 * only.
 *
 *   head length, tail length, whether it has an index, LF, head, tail, envelope
 *
 *   ownership  spans borrow from the bytes.
 *   threads    none; pure.
 */
#ifndef SCHEDULER_VECTOR_H
#define SCHEDULER_VECTOR_H

#include "scheduler/batch/embed_answer.h"

struct vector {
    struct json_span head, tail; /* before and behind the index */
    struct json_span envelope;
    bool numbered;
};

/* All that follow append, as buf_add(). */
int vector_envelope(const struct embed_answer *from, struct buf *out) MUST_CHECK;
int vector_write(struct json_span item, const struct buf *envelope, struct buf *out) MUST_CHECK;
int vector_put(const struct vector *v, size_t index, struct buf *out) MUST_CHECK;
/* The answer to inputs that were all kept, with these items inside its array. -EINVAL: the envelope
 * is none. */
int vector_answer(const struct vector *v, const struct buf *items, struct buf *out) MUST_CHECK;

/* False: these are not the bytes of one. */
bool vector_read(const char *bytes, size_t len, struct vector *ret);

#endif
