/*
 * time_index: pages of a sorted set whose members are ids and whose scores are times.
 *
 * The order is by time, the newest first, and among equals by id, the greatest first: two instances
 * may write in the same microsecond, and a page may end between the two. So a page begins behind a
 * (time, id), and not behind a time.
 *
 *   units    microseconds since the epoch, which a score holds exactly
 *   limits   TIME_INDEX_MAX_EQUALS members of one moment: times are unique for an instance, and so
 *            many instances do not share a Redis (redis.max_instances)
 *   threads  one event loop. Arguments are copied before return; answered once.
 */
#ifndef STORAGE_TIME_INDEX_H
#define STORAGE_TIME_INDEX_H

#include "common/limits.h"
#include "storage/redis_link.h"

#define TIME_INDEX_MAX_EQUALS "1024"
_Static_assert(TICKET_ID_BYTES <= SESSION_NAME_BYTES + 1, "an id of either kind fits");
#define TIME_INDEX_ID_BYTES (SESSION_NAME_BYTES + 1) /* the longest of all ids */

struct time_page {
    const char *key;
    int64_t before_us; /* 0: from the newest */
    const char *before_id;
    int64_t since_us; /* older ones are left out; 0: none is */
    int limit;
};

/* fn for each, 2 * limit at most, then once with id NULL and the status. */
typedef void (*time_index_fn)(void *arg, enum redis_status status, const char *id, int64_t time_us);
void time_index_page(struct redis_link *link, int timeout_ms, const struct time_page *page,
                     time_index_fn fn, void *arg);

/* The time of an id; 0: it is not there. */
typedef void (*time_index_place_fn)(void *arg, enum redis_status status, int64_t time_us);
void time_index_place(struct redis_link *link, int timeout_ms, const char *key, const char *id,
                      time_index_place_fn fn, void *arg);

#endif
