/*
 * aside_store: pools that are set aside, as all instances see it.
 *
 * The provider refused a pool's key (or its money), so requests go elsewhere for a while. It is one
 * key with an expiry, so that no clock but Redis' own is read and nobody has to end it.
 *
 *   units   ms
 *   errors  what Redis does not take is lost: every instance finds out by itself then.
 */
#ifndef STORAGE_ASIDE_STORE_H
#define STORAGE_ASIDE_STORE_H

#include "storage/pool_store.h"

#define ASIDE_REASON_BYTES 16

/* reason is one word. */
void aside_store_set(struct pool_store *s, const struct store_pool *pool, const char *reason,
                     int64_t ms);
void aside_store_clear(struct pool_store *s, const struct store_pool *pool);
/* Answered once: left_ms 0 when the pool is not set aside; -1 when it is not known now. hash is the
 * pool's, borrowed, as reason is. */
typedef void (*aside_store_fn)(void *arg, const char *hash, const char *reason, int64_t left_ms);
void aside_store_look(struct pool_store *s, const struct store_pool *pool, aside_store_fn fn,
                      void *arg);

#endif
