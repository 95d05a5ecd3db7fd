/*
 * joint_calls: small chat calls that ask for it, sent as one (x-sluice-batch).
 *
 * Calls of one kind (same tenant, pool, class, group, and all that joint_request.h wants to be the
 * same) gather: the first waits for others as long as its group says, and while an earlier crowd of
 * the kind waits in the queue for its budget, the next keeps growing up to its size. A crowd is a
 * call of its own, for that tenant and in that class; who is in it is answered by it
 * (call_given.h): with an ordinary answer of its own and its share of the usage. Whoever gets no
 * good part of the joint answer, and all when there is none, goes its own way, alone.
 *
 *   leaving    who leaves before the joint request is sent is not in it; one that nobody waits for
 *              any more is cancelled. Each caller's own wait holds while nothing is sent.
 *   ownership  opaque; the board is the caller's.
 *   threads    one event loop. Nothing is sent or told inside joint_calls_take().
 */
#ifndef SCHEDULER_JOINT_JOINT_CALLS_H
#define SCHEDULER_JOINT_JOINT_CALLS_H

#include "scheduler/joint/joint_board.h"

struct call;
struct event_base;
struct joint_calls;

struct joint_calls *joint_calls_new(struct event_base *base, struct joint_board *board);
/* Crowds are cancelled, and nobody is told. Before the pools end. */
void joint_calls_stop(struct joint_calls *j);
void joint_calls_free(struct joint_calls *j); /* accepts NULL */

/* Of what a call joins. */
struct joint_terms {
    char key[JOINT_KEY_BYTES];
    const char *group;
    struct joint_settings settings;
    int64_t most_output; /* of the model; 0 unknown */
};
/* False: it is to go alone. The item borrows from the call's own body. */
bool joint_calls_take(struct joint_calls *j, struct call *c, const struct joint_terms *terms,
                      const struct joint_item *item);

#endif
