/*
 * job_store: what a durable job needs beside its ticket: idempotency, the index, the registry.
 *
 * A job's record is its ticket's hash (pool_store): submit stores the payload there, settle the
 * result, each in the same script as the queue move. Here stand the parts outside of a pool's slot.
 *
 *   registry     pool hash -> pool id, so that an id finds its pool on any instance
 *   index        a tenant's jobs of a pool by time, for lists; written by the submit together with
 *                the record; entries whose record is gone are left out and removed on reading; the
 *                oldest leave when there are too many
 *   idempotency  key -> "FINGERPRINT ID": the id is chosen before the submit, so that a crash
 *                between the two is healed by submitting the same id again. Where jobs are
 * confirmed the claim must be as safe as the job: it goes over the same connection ahead of the
 * submit, and what confirms the one confirms the other. Not so in a cluster, where the two are on
 * different servers.
 *
 *   threads  one event loop. Each call is answered exactly once.
 */
#ifndef STORAGE_JOB_STORE_H
#define STORAGE_JOB_STORE_H

#include "storage/key.h"
#include "storage/redis_link.h"
#include "storage/time_index.h"

#include <stdint.h>

struct job_store;

struct job_store *job_store_new(struct redis_link *link, int timeout_ms);
void job_store_free(struct job_store *s);
/* The link that confirmed submits go over (kept; NULL: none); timeout_ms covers a WAIT too. Accepts
 * no store. */
void job_store_use_durable(struct job_store *s, struct redis_link *durable, int timeout_ms);

void job_store_register_pool(struct job_store *s, const char *hash, const char *pool);
/* All registered pools: fn for each, then once with hash NULL. */
typedef void (*job_store_pool_fn)(void *arg, const char *hash, const char *pool);
void job_store_pools(struct job_store *s, job_store_pool_fn fn, void *arg);

/* existing_id: NULL when the key was free and now stands for id. same: the fingerprint matches. */
typedef void (*job_store_claim_fn)(void *arg, enum redis_status status, const char *existing_id,
                                   bool same);
struct job_claim {
    const char *tenant, *key;
    const char *fingerprint; /* 64 hex digits of the payload */
    const char *id;
    int64_t ttl_ms;
};
void job_store_claim(struct job_store *s, const struct job_claim *claim, job_store_claim_fn fn,
                     void *arg);

/* Inside of a claim's answer: the connection that it came over, to be compared with the stamp of
 * the submit's turn. When they differ a failover between the two may have lost the claim. 0: there
 * is nothing to compare. */
uint64_t job_store_claim_stamp(const struct job_store *s);

struct job_entry {
    const char *pool, *tenant, *id;
};
void job_store_unindex(struct job_store *s, const char *pool, const char *tenant, const char *id);

/* The place of an entry (pool, tenant, id), which is what lists are ordered by. */
void job_store_place(struct job_store *s, const struct job_entry *entry, time_index_place_fn fn,
                     void *arg);

/* The newest first, as storage/time_index.h orders them; before_us 0: from the first. */
struct job_range {
    const char *pool, *tenant;
    int64_t before_us;
    const char *before_id;
    int limit;
};
void job_store_list(struct job_store *s, const struct job_range *range, time_index_fn fn,
                    void *arg);

#endif
