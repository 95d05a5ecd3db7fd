/*
 * call_vectors_internal: the inputs of one call, and what is known of each. Only for the files of
 * call_vectors.h.
 *
 *   call_vectors.c       finding what is kept, and taking it out of the request
 *   call_vectors_give.c  the answer, put together; and what is kept of it
 */
#ifndef SCHEDULER_CALL_VECTORS_INTERNAL_H
#define SCHEDULER_CALL_VECTORS_INTERNAL_H

#include "scheduler/answers_internal.h"
#include "scheduler/call_internal.h"
#include "scheduler/call_vectors.h"

/* Inputs that are written alike. */
struct vector_slot {
    char key[DIGEST_HEX_BYTES];
    int64_t tokens; /* estimated, of one */
    size_t first;   /* of the inputs */
    size_t sent;    /* its place in what is sent, when it is */
    struct answer *kept;
};

struct vector_look;

struct vectors {
    struct list link;
    struct answers *owner;
    struct call *call;
    struct event *timer;
    struct vector_look *look; /* Redis is waited for */
    char base[DIGEST_HEX_BYTES];
    struct answer_head head; /* of what will be kept, but for key, times and usage */
    char stamp[ANSWER_STAMP_BYTES];
    struct vector_slot *slots;
    uint32_t *slot_of; /* each input */
    size_t slot_count, input_count;
    size_t kept_inputs, kept_slots;
    int64_t vector_bytes; /* of an answer, as expected */
    struct call_sink own; /* of the call's owner, while it is sent */
    void *own_arg;
    struct buf out;
    bool keeps;
    bool from_redis;
    bool purged; /* what is found is not to be given */
    bool uncut;  /* it was sent as it came, for want of memory */
    bool told;   /* its owner, that the answer begins */
};

/* At most so many of a request go to Redis and come from there. */
size_t vectors_most_stored(const struct vectors *v);

/* All are kept: its call, which is joined, is answered. */
void vectors_give(struct vectors *v);
/* From now on its answer is put together before its owner has it. */
void vectors_watch(struct vectors *v);

#endif
