/*
 * answer_store: answers that were given once, kept in Redis for all instances and over restarts.
 *
 * What is purged is not looked for and deleted: each answer carries the counters of purges as they
 * stood when it was asked for (of all, of its tenant, of its model, of both), and is good for as
 * long as they stand so. So a purge is one command, whatever is kept, and holds for what is being
 * made meanwhile. What it made useless goes when its time is over.
 *
 *   sluice:ans:DIGEST   STRING stamp, LF, the answer. TTL: cache.ttl_s
 *   sluice:ans:purged   HASH what was purged -> how often. Never removed: one field for each name
 *                       that was ever purged.
 *   sluice:ans:purge    channel: who purges, LF, tenant, LF, model; "" for all
 *
 * Nothing but the time that each is kept bounds them all: give a Redis that is to be bounded a
 * maxmemory of its own, or keep them in memory only.
 *
 *   ownership  opaque; arguments are copied before return.
 *   threads    one event loop. Each get and purge is answered exactly once.
 */
#ifndef STORAGE_ANSWER_STORE_H
#define STORAGE_ANSWER_STORE_H

#include "storage/key.h"
#include "storage/redis_link.h"

#include <stdint.h>

#define ANSWER_STAMP_BYTES 96

struct answer_store;

struct answer_store *answer_store_new(struct redis_link *link, int timeout_ms);
void answer_store_free(struct answer_store *s); /* accepts NULL */
bool answer_store_is_up(const struct answer_store *s);

/* Looked for together: what one request needs. */
struct answer_names {
    const char *tenant, *model;
    const char *const *digests; /* hex */
    size_t count;               /* at most VECTORS_LOOK_INPUTS */
};
/* bytes: borrowed; NULL when there is none, it was purged, or Redis does not say. */
struct answer_found {
    const char *bytes;
    size_t len;
};

/* found: one for each digest, in order; NULL: no memory. stamp: of now, for what is put in place of
 * those that are missing; NULL when Redis does not say. */
typedef void (*answer_store_fn)(void *arg, const struct answer_found *found, const char *stamp);
void answer_store_get(struct answer_store *s, const struct answer_names *names, answer_store_fn fn,
                      void *arg);

struct answer_bytes {
    const char *digest, *stamp;
    const char *bytes;
    size_t len;
    int64_t ttl_ms;
};
/* Not answered: what is lost is asked for again. */
void answer_store_put(struct answer_store *s, const struct answer_bytes *answer);

struct answer_purge {
    const char *by;             /* who has forgotten them already */
    const char *tenant, *model; /* "" all */
};
/* Tells all instances, which forget what they have in memory. */
typedef void (*answer_purged_fn)(void *arg, enum redis_status status);
void answer_store_purge(struct answer_store *s, const struct answer_purge *what,
                        answer_purged_fn fn, void *arg);

#endif
