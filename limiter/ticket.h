/*
 * ticket: a request for a place in a pool, and the states of its life.
 *
 *                  +---------------- lease lost, repeat -----------+
 *                  v                                               |
 *   NONE ----> QUEUED -------------------- grant ------------> RUNNING --> DONE
 *     |         |  ^                                            |  |  +--> FAILED, EXPIRED
 *     |         |  +-- due -- DELAYED <------ repeat later -----+  |  +--> CANCELLED
 *     |         |               |                                  |  +--> DEAD
 *     |         +-> EXPIRED     +-> CANCELLED                      |
 *     |         +-> CANCELLED                                      |
 *     +------------------------ grant at once ---------------------+
 */
#ifndef LIMITER_TICKET_H
#define LIMITER_TICKET_H

#include "common/limits.h"
#include "limiter/pool_class.h"

#include <stdbool.h>
#include <stdint.h>

enum ticket_state {
    TICKET_NONE, /* never seen, or forgotten */
    TICKET_QUEUED,
    TICKET_DELAYED, /* waits for a backoff to end, then queued at its old place */
    TICKET_RUNNING,
    TICKET_DONE,
    TICKET_FAILED,
    TICKET_CANCELLED,
    TICKET_EXPIRED, /* its deadline passed in the queue, or a permit's lease ended */
    TICKET_DEAD,    /* lost its lease too often */
    TICKET_STATE_COUNT,
};

/* "none", "queued", ...; "?" for a value that is no state. Static storage. */
const char *ticket_state_name(enum ticket_state s);

/* Whether the drawing above has the edge. */
bool ticket_state_may_follow(enum ticket_state from, enum ticket_state to);

/* True for DONE, FAILED, CANCELLED, EXPIRED and DEAD. */
bool ticket_state_is_final(enum ticket_state s);

/* What a caller submits. Texts are borrowed. */
struct ticket {
    const char *id; /* 1 .. TICKET_ID_BYTES - 1 bytes */
    enum pool_class class;
    const char *tenant;          /* at most TENANT_NAME_BYTES - 1 bytes */
    int64_t weight;              /* of the tenant, > 0 */
    int64_t cost[POOL_MAX_DIMS]; /* tokens, >= 0, in the order of the pool's limits */
    int64_t fair_cost;           /* tokens, 1 .. FAIR_MAX_TOKENS */
    int64_t order_us;            /* order key, 0 .. 2^53 - 1 */
    int64_t deadline_ms;         /* absolute; 0: none. A queued ticket at or past it is dropped
                                    when it comes up as head or candidate */
    int64_t lease_ms;            /* > 0: a permit, with a lease of its own. When that ends it has
                                    expired: whoever has it may have sent its request */
};

#endif
