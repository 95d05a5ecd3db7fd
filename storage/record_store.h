/*
 * record_store: small JSON records of a tenant, by id: files and batches.
 *
 * A set of a tenant's records is one hash, so that another tenant's are never met, and a set fits
 * into one slot of a cluster. A record is written whole; who may write it is the caller's matter
 * (a batch's by its lease).
 *
 *   ownership  opaque; arguments are copied before return.
 *   threads    one event loop. Each call with a function is answered exactly once.
 */
#ifndef STORAGE_RECORD_STORE_H
#define STORAGE_RECORD_STORE_H

#include "storage/redis_link.h"

#include <stdint.h>

struct record_store;

struct record_store *record_store_new(struct redis_link *link, int timeout_ms);
void record_store_free(struct record_store *s); /* accepts NULL */

struct record_at {
    const char *set;    /* "files", "batches", ... */
    const char *tenant; /* "" for a set of all */
    const char *id;
};

/* text: borrowed, NUL-terminated; NULL when there is no such record, and of a put. */
typedef void (*record_fn)(void *arg, enum redis_status status, const char *text, size_t len);
void record_store_put(struct record_store *s, const struct record_at *at, const char *text,
                      record_fn fn, void *arg); /* fn may be NULL */
void record_store_get(struct record_store *s, const struct record_at *at, record_fn fn, void *arg);
void record_store_remove(struct record_store *s, const struct record_at *at, record_fn fn,
                         void *arg); /* fn may be NULL */

/* In no order: fn for each, then once with id NULL and the status. */
typedef void (*record_list_fn)(void *arg, enum redis_status status, const char *id,
                               const char *text);
void record_store_list(struct record_store *s, const struct record_at *at, record_list_fn fn,
                       void *arg);

/* Takes or renews the lease of an id for owner; text is who has it now. It ends by itself ttl_ms
 * after the last call of its owner. */
void record_store_lease(struct record_store *s, const char *id, const char *owner, int64_t ttl_ms,
                        record_fn fn, void *arg);
void record_store_unlease(struct record_store *s, const char *id); /* its owner only */

#endif
