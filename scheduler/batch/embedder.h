/*
 * embedder: small requests for embeddings, sent as one.
 *
 * Calls of one kind (same tenant, class, key of the caller, model, and all else but the inputs)
 * are joined (call_given.h): the first waits for others a few milliseconds, and a batch that waits
 * in the queue for its budget keeps a next one growing behind it, so that of one kind at most one
 * waits and one grows. What is full goes to the queue at once. A batch is a call of its own, on
 * behalf of that tenant and in that class, whose cost is all its inputs.
 *
 *   equal inputs  are sent once; a call with more inputs than one request may have is sent in
 *                 parts, and its answer put together again.
 *   answers       each call has its own vectors, in order, and its share of the usage. One that
 *                 was alone in its batch is sent and answered byte for byte.
 *   refusals      a batch that the provider calls wrong is halved until the guilty are alone; they
 *                 are told what the provider said. All other failures are everybody's.
 *   leaving       inputs of a caller who left are not sent, if they were not yet; a batch without
 *                 callers is cancelled. Each caller's own wait holds while its inputs are not sent.
 *
 *   limits        EMBED_* of common/limits.h. A batch takes no more inputs than its answer is
 *                 expected to have room for (EMBED_ANSWER_BYTES): 2,048 as base64, about 1,600 of
 *                 1,536 numbers. Past EMBED_HELD_BYTES and EMBED_MAX_KEYS calls go alone.
 *   ownership     opaque.
 *   threads       one event loop. Nothing is sent or told inside embedder_take().
 */
#ifndef SCHEDULER_BATCH_EMBEDDER_H
#define SCHEDULER_BATCH_EMBEDDER_H

#include "common/digest.h"
#include "scheduler/batch/embed_input.h"

struct call;
struct embedder;
struct event_base;

struct embedder *embedder_new(struct event_base *base);
/* Its batches are cancelled, and nobody is told. Before the pools end. */
void embedder_stop(struct embedder *e);
void embedder_free(struct embedder *e); /* accepts NULL */

struct embed_terms {
    char key[DIGEST_HEX_BYTES]; /* of what all calls of a batch have in common */
    int64_t wait_ms;
    size_t max_inputs;
    size_t split_inputs; /* a call of more inputs is sent in parts */
    int64_t max_tokens;  /* and of more tokens than this */
};

/* Joins the call, whose inputs these are; they are given when it returns true. False: it is to go
 * alone. */
bool embedder_take(struct embedder *e, struct call *c, const struct embed_terms *terms,
                   const struct embed_inputs *inputs);

/* For tests and statistics. */
struct embedder_counts {
    size_t keys, batches; /* kinds that grow or wait; batches not answered */
    size_t held_bytes;
};
void embedder_count(const struct embedder *e, struct embedder_counts *ret);

#endif
