#include "storage/redis_queue.h"

#include <errno.h>
#include <stdlib.h>

int redis_queue_init(struct redis_queue *q, size_t room)
{
    *q = (struct redis_queue){.room = room};
    q->items = calloc(room, sizeof(*q->items));
    return q->items ? 0 : -ENOMEM;
}

void redis_queue_release(struct redis_queue *q)
{
    free(q->items);
    *q = (struct redis_queue){.items = NULL};
}

bool redis_queue_push(struct redis_queue *q, const struct redis_waiter *w)
{
    if (q->count == q->room)
        return false;
    q->items[(q->head + q->count++) % q->room] = *w;
    return true;
}

bool redis_queue_pop(struct redis_queue *q, struct redis_waiter *ret)
{
    if (q->count == 0)
        return false;
    *ret = q->items[q->head];
    q->head = (q->head + 1) % q->room;
    q->count--;
    return true;
}

int64_t redis_queue_deadline_ms(const struct redis_queue *q)
{
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < q->count; i++) {
        int64_t deadline_ms = q->items[(q->head + i) % q->room].deadline_ms;
        if (deadline_ms < earliest)
            earliest = deadline_ms;
    }
    return earliest;
}
