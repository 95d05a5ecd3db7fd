/*
 * call_flight: calls that are answered together.
 *
 *   one leads     it is sent to the provider, as any call is. Between it and its owner stands the
 *                 flight, which keeps what comes.
 *   others read   they are joined (call_given.h), and are given what is kept so far, then what
 *                 comes. Each at its own pace: one that is paused goes on from the kept bytes.
 *
 * When the leader fails before its answer began, one of those who read goes its own way and leads
 * from then on; after FLIGHT_MAX_FAILURES requests that were sent in vain all are told. An answer
 * that says that the request itself is wrong is everybody's. When the leader's owner leaves, its
 * call goes on for the others.
 *
 *   limits   FLIGHT_MAX_BYTES of a stream are kept for the slowest; who is further behind is
 *            failed, in the middle of its answer, and nobody joins an answer whose beginning is
 *            gone. What does not stream is kept whole, as it is given. The leader waits for nobody,
 *            and others only for a leader whose client is as far behind.
 *   threads  one event loop. Readers are served from the loop, never inside the leader's answer.
 */
#ifndef SCHEDULER_CALL_FLIGHT_H
#define SCHEDULER_CALL_FLIGHT_H

#include "scheduler/answer_cache.h"

#include <stdbool.h>

struct answers;
struct call;

/* What call_answers.c decided. */
struct flight_plan {
    const char *key;
    bool may_look;  /* for what is kept in Redis */
    bool may_share; /* with others who ask the same */
    bool may_keep;
};

/* Replays what is kept. False: no memory. */
bool call_replay(struct answers *a, struct call *c, struct answer *answer);
/* Joins one that is on its way. False: there is none that it may join. */
bool call_flight_join(struct answers *a, struct call *c, const char *key);
/* Begins one. True: the call waits for Redis; false: it goes its own way, perhaps as a leader. */
bool call_flight_begin(struct answers *a, struct call *c, const struct flight_plan *plan);

/* ---- of a call that leads; none of them does anything for another */
/* Its owner leaves. True: it goes on for others, and the owner is told nothing more. */
bool call_flight_goes_on(struct call *c);
/* False once its owner has left and it goes on for others: nobody is to be told of it. */
bool call_flight_has_owner(const struct call *c);
/* Its owner takes no data. True: it is not to be stopped, for others do. */
bool call_flight_flows(struct call *c);
void call_flight_resumed(struct call *c);
/* It is not sent as it was asked: its answer is its owner's only. */
void call_flight_apart(struct call *c);

#endif
