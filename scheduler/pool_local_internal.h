/*
 * pool_local_internal: the fields of struct pool_local. Only for scheduler/pool_local*.c.
 *
 *   pool_local.c         in, out, submits, grants, settles, charges
 *   pool_local_accrue.c  output that is charged while it streams
 */
#ifndef SCHEDULER_POOL_LOCAL_INTERNAL_H
#define SCHEDULER_POOL_LOCAL_INTERNAL_H

#include "common/list.h"
#include "common/map.h"
#include "limiter/share.h"
#include "limiter/spent.h"
#include "scheduler/pool_local.h"

struct event;

/* Where a ticket is that was granted here, or waits here. */
enum place {
    WAITING, /* in the pool */
    RUNNING, /* granted by the pool, or by one that was left since */
    PARKED,  /* in its backoff, without a pool */
};

struct entry {
    struct list link;
    char id[TICKET_ID_BYTES];
    enum place place;
    bool pooled; /* the pool of now knows it */
    int64_t fence, due_ms;
    struct spent_cost cost;
    struct spent_cost accrued; /* beyond it, while it runs */
};

struct pool_local {
    struct pool_local_options options;
    struct event *timer;
    struct pool *pool; /* NULL: outside */
    struct share share;
    bool shared; /* false: without limits */
    bool held;
    int64_t look_ms; /* when the pool can do something */
    struct map by_id;
    struct list entries;
    size_t parked;
    struct list arrivals;
    struct spent spent, batch;              /* still to be sent; sent and not yet answered */
    int64_t paused_until_ms[POOL_MAX_DIMS]; /* by the numbers of spent */
    int64_t charge_number;
    bool charging; /* batch is open */
    int64_t grants;
};

#endif
