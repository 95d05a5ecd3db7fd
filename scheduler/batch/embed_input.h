/*
 * embed_input: the inputs of an embeddings request, and all else in it that decides whether it may
 * be joined with another one.
 *
 *   ownership  spans borrow from the body; embed_inputs_release().
 *   threads    none.
 *   sources    OpenAI API reference, POST /v1/embeddings: input is a string, an array of strings,
 *              an array of token numbers, or an array of such arrays; none is empty.
 */
#ifndef SCHEDULER_BATCH_EMBED_INPUT_H
#define SCHEDULER_BATCH_EMBED_INPUT_H

#include "common/buf.h"
#include "common/json_scan.h"

struct embed_input {
    struct json_span text; /* a string with its quotes, or an array of numbers */
    int64_t tokens;        /* estimated, at least 1 */
};

struct embed_inputs {
    struct json_span body;  /* the request */
    struct json_span value; /* of its member "input" */
    struct embed_input *list;
    size_t count;
    int64_t tokens; /* of all */
    bool is_one;    /* no array around it */
};

/* body: as wire_request_read() accepted it; tokens: of all its inputs, as estimated. -EINVAL: one
 * that is not understood, or that the provider is bound to refuse, and so nobody's to join;
 * -E2BIG: more than most inputs; -ENOMEM. */
int embed_inputs_read(struct json_span body, int64_t tokens, size_t most,
                      struct embed_inputs *ret) MUST_CHECK;
void embed_inputs_release(struct embed_inputs *in);

/* Appends the request's other members, in the order of their names. -EINVAL when a name stands
 * twice: which one counts is the provider's to say. Else as buf_add(). */
int embed_inputs_rest(struct json_span body, struct buf *out) MUST_CHECK;

/* How many bytes of an answer a vector is expected to take: as base64 or as numbers, of the
 * dimensions that are asked for, or of the model's; the widest known where they are unknown. */
int64_t embed_vector_bytes(struct json_span body);

#endif
