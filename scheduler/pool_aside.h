/*
 * pool_aside: pools whose key the provider refuses, set aside for a while.
 *
 *   401, 402, 403, and money that ran out, are no matter of waiting: another key or model serves
 *   meanwhile, where there is one. The time doubles while the refusals go on, and ends with the
 *   first answer. Every instance is told through Redis (storage/aside_store.h); one that does not
 *   hear of it meets the same refusal and runs its request again elsewhere.
 *
 * A pool of a caller's own key is never set aside: it is the caller who must hear of that.
 *
 *   units    ms of the monotonic clock
 *   threads  one event loop.
 */
#ifndef SCHEDULER_POOL_ASIDE_H
#define SCHEDULER_POOL_ASIDE_H

#include "scheduler/provider/wire.h"
#include "storage/aside_store.h"

struct pool_view;

struct pool_aside {
    int64_t until_ms;
    int64_t times;     /* in a row */
    int64_t forbidden; /* 403 in a row */
    char reason[ASIDE_REASON_BYTES];
};

/* Whether an answer of this kind sets its pool aside. */
bool pool_aside_by(enum wire_failure failure);
/* A 403 may be about the request (its content, its model) and not about the key: only several in a
 * row count, so that no caller can take a key from the others with one request. */
void pool_set_aside(struct pool_store *store, struct pool_view *v, const struct wire_answer *why,
                    int status);
bool pool_is_set_aside(const struct pool_view *v, int64_t now_ms);
/* The provider has answered: it is good again. */
void pool_aside_end(struct pool_store *store, struct pool_view *v);
/* What Redis tells. */
void pool_aside_hear(struct pool_view *v, const char *reason, int64_t left_ms);

#endif
