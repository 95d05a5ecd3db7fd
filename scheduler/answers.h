/*
 * answers: the same request, one answer: what was answered before, or is being answered now.
 *
 * Two requests are the same when their tenant, provider, account, endpoint and all of their body
 * that can change the answer are (scheduler/call_answers.c says what that is). Then the later one
 * is given what is kept, in memory or in Redis, or what the earlier one is being given at this
 * moment (scheduler/call_flight.h).
 *
 * Embeddings are kept for each input, and only inputs that are missing are sent
 * (scheduler/call_vectors.h).
 *
 * Only where the caller allows it: by x-sluice-cache: on, or, where `cache.enabled` is set, by
 * asking for what would be the same again (temperature 0, a seed, embeddings). Never a part of a
 * conversation that is kept somewhere, and never where tool calls are capped.
 *
 *   ownership  opaque; kept until all calls have ended and Redis has answered.
 *   threads    one event loop.
 */
#ifndef SCHEDULER_ANSWERS_H
#define SCHEDULER_ANSWERS_H

#include "storage/answer_store.h"

#include <stdint.h>

struct answers;
struct event_base;

/* store NULL: they are kept in memory only. */
struct answers *answers_new(struct event_base *base, struct answer_store *store, uint64_t seed);
void answers_free(struct answers *a); /* accepts NULL */

/* Of this instance, since it began; the first two as they are now. */
struct answers_stats {
    int64_t entries, bytes; /* in memory */
    int64_t hits_memory, hits_redis, misses, shared, kept, purged;
    int64_t partial; /* of misses and shared: embeddings of which some inputs were kept */
    int64_t inputs_kept, inputs_sent; /* of embeddings that may be kept */
    int64_t flights;                  /* requests on their way that others may join */
};
void answers_stats(const struct answers *a, struct answers_stats *ret);

/* "" all. Here at once, then on all instances; fn is told when they were told. */
void answers_purge(struct answers *a, const char *tenant, const char *model, answer_purged_fn fn,
                   void *arg);
/* A message on KEY_ANSWERS_PURGE. */
void answers_purged(struct answers *a, const char *payload);
/* The channel is up again: what was purged meanwhile is not known, so all goes from memory. */
void answers_channel_back(struct answers *a);

#endif
