/*
 * call_given: a call that another one answers: the response cache, an equal request that is on its
 * way, a batch that it is a part of.
 *
 * Such a call has no ticket, no transfer and nothing to settle; what was sent for it is the
 * business of its giver. To its owner it looks like any other: it waits, is answered or fails once,
 * may be cancelled, and tells its decision.
 *
 *   join -> start -> data ... -> end          or fail, at any point
 *   join -> part                              it goes its own way, as by call_start()
 *   join ... left()                           it ended by itself: its owner left, or it waited for
 *                                             as long as it may (its sink was told 504)
 *
 *   invariants  left() is called at most once, and never after end, fail or part.
 *   ownership   the giver and its argument outlive the join; bytes are borrowed.
 *   threads     one event loop. As call_start() promises, nothing may be given before the turn of
 *               the loop in which it was joined is over.
 */
#ifndef SCHEDULER_CALL_GIVEN_H
#define SCHEDULER_CALL_GIVEN_H

#include "scheduler/call.h"

#define CALL_TYPE_BYTES 128 /* of a content type */

struct call_giver {
    /* Not to be touched any more. */
    void (*left)(void *arg);
    /* Its owner takes data again after call_is_paused(). NULL: data that comes meanwhile is given
     * all the same, which only small answers may. */
    void (*resume)(void *arg);
};

/* Instead of call_start(), of a call that is ready (call_is_ready()). decision: as the header
 * x-sluice-decision tells it; static storage. Its wait is counted from now on. */
void call_join(struct call *c, const char *decision, const struct call_giver *giver, void *arg);
/* Before call_given_start() only. */
void call_part(struct call *c);

/* Its wait is over. counter: how pools count the decision. */
void call_given_start(struct call *c, int status, const char *type, enum pool_counter counter);
/* The sink may cancel it: then left() has been called when this returns. */
void call_given_data(struct call *c, const char *bytes, size_t len);
/* usage: its own, or its share; NULL unknown. Nobody's budget is charged for it. */
void call_given_end(struct call *c, const struct wire_usage *usage);
void call_given_fail(struct call *c, const struct call_failure *failure);

/* What it waits for was sent, so that it is waited for as long as it takes; or it was not, after
 * all. Before call_given_start() only. */
void call_given_sent(struct call *c);
void call_given_waits(struct call *c);
/* Before call_given_start(): it is the answer of this one (header lines and times), which is inside
 * its own start, data or end, as one of so many calls; and its share of what that used. 0: of it
 * alone, as if it had been sent itself; then its decision is that one's. */
void call_given_by(struct call *c, const struct call *source, size_t batch_size,
                   const struct wire_usage *usage);

bool call_is_paused(const struct call *c);

#endif
