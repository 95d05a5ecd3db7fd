/*
 * access_store: the access keys that are kept in Redis, as records that nobody here reads.
 *
 *   sluice:access          HASH id -> record (a text of at most ACCESS_RECORD_BYTES)
 *   sluice:access:changed  channel: a record was written or removed
 *
 * All keys fit into one answer (ACCESS_MAX_KEYS), so an instance keeps a copy and asks nobody per
 * request; whoever hears of a change loads them again.
 *
 *   threads  one event loop. Each call is answered exactly once.
 */
#ifndef STORAGE_ACCESS_STORE_H
#define STORAGE_ACCESS_STORE_H

#include "storage/redis_link.h"

#define ACCESS_MAX_KEYS     10000
#define ACCESS_RECORD_BYTES 2048
#define ACCESS_TIMEOUT_MS   5000

/* fn for each, then once with id NULL and the status. */
typedef void (*access_store_fn)(void *arg, enum redis_status status, const char *id,
                                const char *record);
/* -ENOMEM: nothing will be told. */
int access_store_load(struct redis_link *link, access_store_fn fn, void *arg) MUST_CHECK;

typedef void (*access_store_done_fn)(void *arg, enum redis_status status);
/* record NULL: removed. Others are told of it. -ENOMEM: nothing will be told. */
int access_store_put(struct redis_link *link, const char *id, const char *record,
                     access_store_done_fn fn, void *arg) MUST_CHECK;

#endif
