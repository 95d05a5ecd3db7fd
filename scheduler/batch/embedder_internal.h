/*
 * embedder_internal: batches of embeddings and what they are made of. Only for scheduler/batch.
 *
 *   embedder.c      kinds of requests: which batch a call joins, and when it goes to the queue
 *   embed_batch.c   a batch on its way: its body, its call, those who leave it
 *   embed_give.c    its answer, cut up and handed out; or its refusal, halved
 */
#ifndef SCHEDULER_BATCH_EMBEDDER_INTERNAL_H
#define SCHEDULER_BATCH_EMBEDDER_INTERNAL_H

#include "common/limits.h"
#include "common/list.h"
#include "common/map.h"
#include "scheduler/batch/embed_answer.h"
#include "scheduler/batch/embedder.h"
#include "scheduler/call_embed.h"
#include "scheduler/call_given.h"

#include <event2/event.h>

struct embedder {
    struct event_base *base;
    struct map kinds; /* key -> struct embed_kind */
    struct list batches;
    size_t batch_count, held_bytes;
    bool stopped;
};

struct embed_kind {
    char key[DIGEST_HEX_BYTES];
    struct embed_batch *growing; /* NULL: none */
    size_t waiting;              /* batches that go to the queue, or stand there */
};

enum embed_state {
    EMBED_GROWING, /* its timer tells when it is due */
    EMBED_READY,   /* goes to the queue in the next turn of the loop */
    EMBED_QUEUED,
    EMBED_SENT,
    EMBED_ENDED, /* is being handed out */
};

struct embed_batch {
    struct list link;
    struct embedder *owner;
    char key[DIGEST_HEX_BYTES];
    struct embed_kind *kind; /* while it grows or waits */
    enum embed_state state;
    struct event *timer;
    struct list parts;
    size_t part_count;    /* those whose callers left after they were sent among them */
    size_t live;          /* the others */
    size_t inputs, bytes; /* of all parts */
    int64_t tokens;
    struct call *call; /* NULL before it is queued, and once it has ended */
    size_t slot_count; /* different inputs */
    bool whole;        /* the request of its only call, as it came */
    bool due;
    bool counted;
    const char *answer; /* borrowed from the call */
    size_t answer_len;
};

/* Inputs of one call that are in one batch. Owned by the batch. */
struct embed_part {
    struct list link;
    struct embed_batch *batch;
    struct embed_member *member; /* NULL: its caller left */
    size_t first, count, index;  /* of the call's inputs; and of its parts */
    size_t bytes;
    int64_t tokens;
    bool sent;
    uint32_t slots[]; /* where they stand in what is sent */
};

/* A call that was joined. */
struct embed_member {
    struct embedder *owner;
    struct call *call;
    struct embed_inputs inputs;
    struct embed_part **parts; /* NULL: answered */
    struct buf *items;         /* of each part: what was answered */
    size_t part_count, answered, unsent;
    struct embed_usage usage;
    bool giving; /* it is being answered */
    bool gone;   /* and left meanwhile */
};

/* embedder.c */
/* It waits (again), and the next of its kind waits for it. Without memory that goes at once. */
void embed_batch_rejoin(struct embed_batch *b);
/* The batch waits no more: the next of its kind may go. */
void embed_batch_pass(struct embed_batch *b);
void embed_member_free(struct embed_member *m);
/* Takes the call's inputs out of all its batches, which may end by it. */
void embed_member_detach(struct embed_member *m);

/* embed_batch.c */
struct embed_batch *embed_batch_new(struct embedder *e, const char *key,
                                    event_callback_fn on_timer);
void embed_batch_free(struct embed_batch *b); /* and its parts; its call was ended before */
void embed_batch_arm(struct embed_batch *b, int64_t ms);
void embed_batch_add(struct embed_batch *b, struct embed_part *p);
/* In the next turn of the loop. */
void embed_batch_queue(struct embed_batch *b);
void embed_batch_send(struct embed_batch *b);
void embed_part_unlink(struct embed_part *p); /* not counted as alive before or after */
/* Takes a part out whose caller leaves. */
void embed_part_leave(struct embed_part *p);

/* embed_give.c */
void embed_batch_end(struct embed_batch *b);
void embed_batch_fail(struct embed_batch *b, const struct call_failure *failure);

#endif
