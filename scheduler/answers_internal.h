/*
 * answers_internal: only for scheduler/answers.c, call_answers.c and call_flight.c.
 *
 *   answers.c       what is kept; its numbers; purges
 *   call_answers.c  which requests may have an answer of others, and by which key
 *   call_flight.c   those who are answered together, and the replay of what is kept
 *   call_vectors.c  answers to embeddings, which are kept for each input
 */
#ifndef SCHEDULER_ANSWERS_INTERNAL_H
#define SCHEDULER_ANSWERS_INTERNAL_H

#include "scheduler/answer_cache.h"
#include "scheduler/answers.h"

struct event;
struct config;

struct answers {
    struct event_base *base;
    struct answer_store *store;
    char id[17]; /* of this one, for purges: its own come back to it over the channel */
    struct answer_cache cache;
    struct map flights;  /* key -> the one that may be joined */
    struct list all;     /* of struct flight */
    struct list vectors; /* of struct vectors */
    struct list due;     /* of struct reader: there is something to give them */
    struct event *serve; /* does so */
    struct answers_stats stats;
};

/* What is to be kept of an answer that is whole. */
struct answers_fresh {
    const struct answer_head *head;
    const char *stamp; /* of Redis, when it was looked for; "" it was not */
    const char *bytes;
    size_t len;
};
void answers_keep(struct answers *a, const struct config *config,
                  const struct answers_fresh *fresh);
/* From what Redis holds. NULL: it is none of ours, or no memory. The caller's. */
struct answer *answers_read(struct answers *a, const struct config *config,
                            const struct answer_head *head, const struct answer_found *found);

/* call_flight.c: whatever is on its way is not to be kept, and not to be joined any more. */
void call_flights_purged(struct answers *a, const char *tenant, const char *model);
/* call_flight.c: the loop's turn of a->serve. */
void call_flights_serve(struct answers *a);
void call_flights_free(struct answers *a);
/* call_vectors.c: the same of embeddings that are on their way. */
void call_vectors_purged(struct answers *a, const char *tenant, const char *model);

#endif
