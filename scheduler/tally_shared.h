/*
 * tally_shared: the sums over all instances: what is told to Redis, and what it says of them.
 *
 * A reader gets each number in two parts, of which nothing is counted twice and nothing is left
 * out: what Redis holds, and what of ours does not stand in it yet. The latter is what is unsent or
 * sent without an answer WHEN REDIS HAS ANSWERED THE READING: answers come in the order of the
 * commands, so an addition without an answer then was not part of what was read. It must not be
 * noted when the reading begins: the addition is a script, and one that a server does not hold yet
 * runs behind commands that were sent after it.
 *
 * An addition that did not run for sure is sent again with the next; one whose answer is lost is
 * not.
 *
 *   ownership  the tally must outlive the store.
 *   threads    one event loop. No callback comes before the function that asked returns, but for
 *              want of memory.
 */
#ifndef SCHEDULER_TALLY_SHARED_H
#define SCHEDULER_TALLY_SHARED_H

#include "scheduler/tally.h"
#include "storage/tally_store.h"

/* Tells all that is unsent. */
void tally_shared_send(const struct tally *t, struct tally_store *store);

/* number: of tally.h. stored or own is 0. At the end once with name NULL. */
typedef void (*tally_shared_fn)(void *arg, const char *name, size_t number, int64_t stored,
                                int64_t own);
void tally_shared_read(const struct tally *t, struct tally_store *store, enum tally_kind kind,
                       tally_shared_fn fn, void *arg);

#endif
