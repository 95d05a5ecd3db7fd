/*
 * redis_sentinel: which server is the master, told by sentinels.
 *
 * Every sentinel of the URL is asked SENTINEL MASTER once in SENTINEL_ASK_MS, and at once when
 * redis_sentinel_ask() says that the master is gone. Of the answers that stand now, the one with
 * the greatest configuration epoch holds, since that is how sentinels agree among themselves: one
 * that was cut off tells of an older epoch. Asking again and again was preferred to listening for
 * +switch-master: it finds the same within a second, and a sentinel that vanished without a word
 * too.
 *
 * That the server told is really a master is for the connection to check (ROLE): an old one that
 * comes back takes a while until it knows.
 *
 *   ownership  opaque; the address is copied.
 *   threads    one event loop.
 */
#ifndef STORAGE_REDIS_SENTINEL_H
#define STORAGE_REDIS_SENTINEL_H

#include "storage/redis_conn.h"

#define SENTINEL_ASK_MS 1000

struct redis_sentinel;

/* place is the master's; told after each answer, also when it is the same as before. NULL: no
 * sentinel tells of one, and reason says why. */
typedef void (*redis_sentinel_fn)(void *arg, const struct redis_place *place, const char *reason);

/* NULL with e set on no memory, or when no sentinel can be resolved. */
struct redis_sentinel *redis_sentinel_new(struct event_base *base,
                                          const struct redis_address *address, redis_sentinel_fn fn,
                                          void *arg, struct error *e);
void redis_sentinel_free(struct redis_sentinel *s); /* not from inside its callback; accepts NULL */
void redis_sentinel_ask(struct redis_sentinel *s);

#endif
