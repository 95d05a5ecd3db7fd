/*
 * history: tells Redis now and then what happened here, so that charts have a past.
 *
 * Every stats.history_every_ms, and at the end of the process, each instance adds to the points of
 * now (storage/history_store.h) what it counted since the last time: of all pools together, of each
 * pool and of each tenant. Depths and levels come from one look at all pools; every instance takes
 * such samples, and a point has their mean and their largest. Pools whose account is a caller's own
 * key are added up as PROVIDER:callers:POOL, since there may be thousands of them.
 *
 * While Redis is away nothing is told, and what was counted meanwhile goes to the first point after
 * that. A process that is killed takes its last stats.history_every_ms along.
 *
 *   names      counters of pool_stats and tally under their own names, waits as w:BUCKET; gauges as
 *              g:NAME (sum of samples) and m:NAME (largest), n samples, up: somebody told something
 *   ownership  opaque.
 *   threads    one event loop.
 */
#ifndef API_HISTORY_H
#define API_HISTORY_H

struct history;
struct history_store;
struct service;

/* After the scheduler and stats. NULL: no memory. */
struct history *history_new(struct service *service, struct history_store *store);
/* Tells the rest. Before stats, the scheduler and the store end. Accepts NULL. */
void history_free(struct history *h);

#endif
