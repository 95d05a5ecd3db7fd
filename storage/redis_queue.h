/*
 * redis_queue: callers that wait for an answer, first in, first out.
 *
 * A ring of fixed size, allocated once (untouched pages cost nothing), so that accepting a
 * command cannot fail halfway for want of memory.
 *
 *   units      deadlines are milliseconds of clock_mono_ms().
 *   ownership  the caller owns the struct; arg of a waiter is borrowed from its owner.
 *   threads    none.
 */
#ifndef STORAGE_REDIS_QUEUE_H
#define STORAGE_REDIS_QUEUE_H

#include "storage/redis_conn.h"

struct redis_waiter {
    redis_reply_fn fn; /* NULL: nobody wants to know */
    void *arg;
    int64_t deadline_ms;
    enum redis_status status; /* of a refusal: what it will be told */
};

struct redis_queue {
    struct redis_waiter *items;
    size_t room, head, count;
};

int redis_queue_init(struct redis_queue *q, size_t room) MUST_CHECK; /* 0 or -ENOMEM */
void redis_queue_release(struct redis_queue *q);
bool redis_queue_push(struct redis_queue *q, const struct redis_waiter *w); /* false: full */
bool redis_queue_pop(struct redis_queue *q, struct redis_waiter *ret);      /* false: empty */
/* The earliest deadline of all, INT64_MAX when empty. Looks at each. */
int64_t redis_queue_deadline_ms(const struct redis_queue *q);

#endif
