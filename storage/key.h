/*
 * key: every name that Sluice uses in Redis is made here.
 *
 *   sluice:{POOL}:…      all of one pool (see storage/lua/lib.lua); the hash tag keeps it in one
 *                        slot of a cluster. Owner: the pool; 30 days without a heartbeat.
 *   sluice:{POOL}:stats  counters of the pool, over all instances. Owner: the pool, as above.
 *   sluice:{POOL}:aside  why the pool is set aside (storage/aside_store.h). TTL: how long.
 *   sluice:{POOL}:jobs:T ids of a tenant's durable jobs by time, JOB_MAX_LISTED at most. TTL: a
 *                        month and the time that a result is kept, from the newest job.
 *   sluice:{s:H}:…       one conversation, H being a hash of tenant and name. f HASH numbers,
 *                        m HASH its set-up, l LIST messages, k STRING fence of the post that runs,
 *                        q and a ZSET posts that wait, by order and by the time until which each
 *                        counts as alive. TTL: sessions.ttl_s from the last use.
 *   sluice:sessions:T    ZSET ids of a tenant's kept conversations by last use, SESSION_MAX_LISTED
 *                        at most. TTL: as theirs.
 *   sluice:{POOL}:g:H    a group's tickets that have not ended, and gc:H what became of the others
 *                        (storage/lua/lib.lua). TTL: as the list of jobs; of the results, once all
 *                        have ended.
 *   sluice:{POOL}:w      written ahead of WAIT, never read; TTL 1 min.
 *   sluice:{POOL}:wh     ZSET ids of ended jobs whose webhook event is not in the outbox yet.
 *                        Owner: the pool; empties itself.
 *   sluice:{wh}:…        the outbox of webhook events (storage/lua/webhook.lua). TTL of what
 *                        has ended: webhooks.kept_s.
 *   sluice:pools         HASH short hash -> pool id. Owner: never removed; one field a pool.
 *   sluice:idem:T:H      an Idempotency-Key of a tenant. TTL: of job results.
 *   sluice:cal:P:H       what was learned of a provider's model. TTL: 30 days from the last change.
 *   sluice:history:T:…   points of the past, of tenant T or (0:) of all; of a pool they are
 *                        sluice:{POOL}:h:… TTL: as they are kept (storage/history_store.h).
 *   sluice:tally:KIND    counters by tenant or by model (storage/tally_store.h). TTL: 30 days.
 *   sluice:sum:T:H        the summary of a tenant's turns, by digest. TTL: summaries.ttl_s.
 *   sluice:{insts}:ID    what an instance tells of itself, JSON. TTL 15 s. Read by one MGET, so in
 *                        one slot with:
 *   sluice:{insts}       ZSET of instance ids by last heartbeat. Owner: trimmed at each heartbeat.
 *   sluice:SET:T         HASH id -> JSON record of a tenant's files, batches, or cancels of
 * batches; SET "open", without a tenant: batches that are not at their end -> tenant. Owner: who
 * made it; removed by its DELETE. sluice:lease:ID      who runs a batch. TTL 5 s, renewed by it.
 *   sluice:{cost}:d:DAY    HASH what was spent on a day (storage/cost_store.h). TTL: 400 days.
 *   sluice:{cost}:b:W:S    HASH what a budget W has spent since S. TTL: a day behind the end of its
 *                        period; without an end: 400 days from the last change.
 *   sluice:access        HASH id -> record of an access key (see storage/access_store.h). Owner:
 *                        who administers them; never removed by itself.
 *   sluice:ans:DIGEST    an answer that is kept (storage/answer_store.h). TTL: cache.ttl_s.
 *   sluice:ans:purged    HASH what was purged of these -> how often. Never removed.
 *   sluice:ans:purge     channel: forget answers in memory
 *   sluice:access:changed channel: load the access keys again
 *   sluice:{settings}    HASH PROVIDER/MODEL -> saved settings, and a count of all changes (see
 *                        storage/settings_store.h). Owner: who administers them; never removed by
 *                        itself.
 *   sluice:settings:changed channel: load the settings again
 *   sluice:i:ID          channel: grants and cancels for one instance
 *   sluice:events        channel: state changes of durable jobs
 *   sluice:webhooks      channel: a job with a webhook has ended
 *
 * Names that users give never stand bare: a tenant is LENGTH:NAME, an Idempotency-Key is hashed.
 */
#ifndef STORAGE_KEY_H
#define STORAGE_KEY_H

#include "common/error.h"
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES            320
#define KEY_POOLS            "sluice:pools"
#define KEY_INSTANCES        "sluice:{insts}"
#define KEY_EVENTS           "sluice:events"
#define KEY_ACCESS           "sluice:access"
#define KEY_ACCESS_CHANGED   "sluice:access:changed"
#define KEY_ANSWERS_PURGED   "sluice:ans:purged"
#define KEY_ANSWERS_PURGE    "sluice:ans:purge"
#define KEY_SETTINGS         "sluice:{settings}"
#define KEY_SETTINGS_CHANGED "sluice:settings:changed"
#define KEY_WEBHOOKS         "sluice:webhooks"
#define POOL_HASH_BYTES      9 /* 8 hex digits of SHA-256 and a NUL */

struct key {
    char text[KEY_BYTES];
    size_t len;
};

struct key key_pool(const char *pool, const char *part); /* part: "b", "stats", … */
struct key key_jobs(const char *pool, const char *tenant);
struct key key_idempotency(const char *tenant, const char *given);
/* part: "f", "m", … */
struct key key_session(const char *tenant, const char *id, const char *part);
struct key key_sessions(const char *tenant);
struct key key_calibration(const char *provider, const char *model);
struct key key_summary(const char *tenant, const char *digest); /* hex */
struct key key_answer(const char *digest);                      /* hex */
/* tenant: "" of all; part: which chunk. */
struct key key_history(const char *tenant, const char *part);
struct key key_tally(const char *kind);
struct key key_records(const char *set, const char *tenant);
struct key key_cost_day(const char *date); /* "2026-11-21" */
/* who: "all", or of one letter and a name: "t:NAME" of a tenant, "k:ID" of an access key */
struct key key_cost_budget(const char *who, int64_t start_s);
struct key key_lease(const char *id);
struct key key_instance(const char *instance);
struct key key_instance_channel(const char *instance);
struct key key_webhook(const char *part);                            /* "ends", "d:ID", … */
struct key key_webhook_list(const char *tenant, const char *status); /* tenant NULL: of all */
struct key key_tenant(const char *tenant); /* LENGTH:NAME, as the scripts want it */

/* First 8 hex digits of SHA-256 of the pool's id: stands in every job id, so that a job is
 * found without an index. */
void key_pool_hash(const char *pool, char ret[POOL_HASH_BYTES]);
/* "job_" + pool hash + 24 random hex digits. */
void key_new_id(const char *pool_hash, char ret[TICKET_ID_BYTES]);
/* "sess_" + 24 random hex digits. */
#define SESSION_NEW_ID_BYTES 30
void key_new_session_id(char ret[SESSION_NEW_ID_BYTES]);
/* The same with "permit_". */
void key_new_permit_id(const char *pool_hash, char ret[TICKET_ID_BYTES]);
bool key_is_permit(const char *id); /* by its prefix */
/* "job_group_" + 24 hex digits: random ones, or made of the seed, the same each time. */
void key_new_group_id(const char *seed, char ret[GROUP_ID_BYTES]);
bool key_is_group(const char *id);
/* What stands for a tenant's group in the names of keys; another tenant's of that id is another. */
#define GROUP_KEY_BYTES 25
void key_group(const char *tenant, const char *id, char ret[GROUP_KEY_BYTES]);
/* The pool hash inside an id; false when it is no id of ours. */
bool key_id_hash(const char *id, char ret[POOL_HASH_BYTES]);

#endif
