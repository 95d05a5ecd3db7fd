/*
 * call_vectors: embeddings that are kept for each input, so that only the missing ones are sent.
 *
 * Each input of a request is looked for by its own key (scheduler/call_answers.h), in memory and
 * then in Redis. Where all are kept they are the answer. Else those that are kept, and repetitions,
 * are taken out of the request, which goes its own way as any other (a batch among them), and the
 * answer is put together in the order of the inputs: the items' bytes are the provider's, but for
 * their index, and the other members are those of the answer that came, or of the one that the
 * first item was kept from. Its usage is what was billed: that of the inputs that were sent, and 0
 * for none.
 *
 * A request of which a part is kept does not go to a fallback, as vectors of two models are not to
 * be compared; nor is kept what came from elsewhere than was asked for.
 *
 *   limits     VECTORS_*; with more inputs or bytes nothing of a request is kept, and what is past
 *              VECTORS_LOOK_* is not looked for in Redis.
 *   ownership  belongs to its call.
 *   threads    one event loop.
 */
#ifndef SCHEDULER_CALL_VECTORS_H
#define SCHEDULER_CALL_VECTORS_H

#include <stdbool.h>

struct call;
struct vectors;

/* One of the ways of call_ways.c. */
bool call_take_vectors(struct call *c);
/* Whether the rest of it may be shared with an equal request on its way: a flight holds it whole.
 */
bool call_vectors_may_share(const struct call *c);
void call_vectors_free(struct vectors *v); /* accepts NULL */

#endif
