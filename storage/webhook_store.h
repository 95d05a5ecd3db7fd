/*
 * webhook_store: the outbox of events in Redis, shared by all instances.
 *
 * An event that stands here is delivered at least once, by whichever instance takes it under a
 * lease (storage/lua/webhook.lua tells how it lies in Redis). Jobs do not come here in the script
 * that ends them, since in a cluster their pool is in another slot: that script notes the job in a
 * set beside it ("owed"), and it leaves the set when its event stands here. A crash between the two
 * makes the event again under the same id, which is then known.
 *
 *   units      ms where the name says it
 *   ownership  opaque; arguments are copied before return.
 *   threads    one event loop. Each call is answered exactly once, as the connection does it.
 */
#ifndef STORAGE_WEBHOOK_STORE_H
#define STORAGE_WEBHOOK_STORE_H

#include "common/limits.h"
#include "storage/redis_link.h"
#include "storage/time_index.h"

#include <stdbool.h>
#include <stdint.h>

struct webhook_store;

struct webhook_store *webhook_store_new(struct redis_link *link, int timeout_ms);
void webhook_store_free(struct webhook_store *s); /* accepts NULL */

struct webhook_rules {
    int64_t places;   /* deliveries on their way to one endpoint at once */
    int64_t lease_ms; /* of one on its way */
    int64_t tries;    /* after which one has failed */
    int64_t kept_ms;  /* what has ended */
};

struct webhook_entry {
    const char *id, *tenant, *type;
    const char *object; /* id of what it is about; "" nothing */
    const char *url;
    const char *endpoint; /* what shares places: a short text of letters and digits */
    const char *payload;
    int64_t created_us;
};
/* word: "added", "known", "full"; NULL unless status is REDIS_OK. */
typedef void (*webhook_word_fn)(void *arg, enum redis_status status, const char *word);
void webhook_store_add(struct webhook_store *s, const struct webhook_rules *rules,
                       const struct webhook_entry *entry, webhook_word_fn fn, void *arg);

/* One that was taken; borrowed. */
struct webhook_taken {
    struct webhook_entry entry; /* without created_us */
    size_t payload_len;
    int64_t number; /* of the attempt, ever: its fence */
    int64_t tries;  /* of this round, this one counted */
};
struct webhook_totals { /* over all instances and tenants */
    int64_t waiting, delivered, failed, attempts_failed, dropped;
};
struct webhook_take {
    const struct webhook_taken *items;
    size_t count;
    int64_t next_ms; /* until something is due; -1 nothing */
    struct webhook_totals totals;
};
/* take is NULL unless status is REDIS_OK. */
typedef void (*webhook_take_fn)(void *arg, enum redis_status status,
                                const struct webhook_take *take);
/* room: 1..WEBHOOK_MAX_TAKEN */
void webhook_store_take(struct webhook_store *s, const struct webhook_rules *rules, int room,
                        webhook_take_fn fn, void *arg);

enum webhook_state { WEBHOOK_WAITING, WEBHOOK_DELIVERED, WEBHOOK_FAILED, WEBHOOK_STATES };
const char *webhook_state_name(enum webhook_state state);

struct webhook_outcome {
    const char *id;
    int64_t number;
    enum webhook_state state;
    int64_t delay_ms;    /* with WEBHOOK_WAITING */
    const char *attempt; /* JSON, in one line */
};
/* word: "settled", "stale". */
void webhook_store_settle(struct webhook_store *s, const struct webhook_rules *rules,
                          const struct webhook_outcome *outcome, webhook_word_fn fn, void *arg);
/* Due at once, and all its attempts anew. tenant NULL: of any. word: "queued", "none". */
void webhook_store_redeliver(struct webhook_store *s, const struct webhook_rules *rules,
                             const char *id, const char *tenant, webhook_word_fn fn, void *arg);

/* ---- looking */

struct webhook_record { /* borrowed; texts "" where there is nothing */
    const char *id, *tenant, *type, *object, *url, *status;
    int64_t created_us, number, next_ms, ended_ms; /* ms: wall clock; 0 none */
    const char *attempts;                          /* lines of JSON */
};
/* record NULL: there is none, or status tells why it is not known. */
typedef void (*webhook_record_fn)(void *arg, enum redis_status status,
                                  const struct webhook_record *record);
void webhook_store_get(struct webhook_store *s, const char *id, webhook_record_fn fn, void *arg);

/* The newest first. tenant NULL: of all; state WEBHOOK_STATES: all. */
struct webhook_range {
    const char *tenant;
    enum webhook_state state;
    int64_t before_us; /* 0: from the newest */
    const char *before_id;
    int limit;
};
void webhook_store_list(struct webhook_store *s, const struct webhook_range *range,
                        time_index_fn fn, void *arg);
/* An entry of a list without a record. */
void webhook_store_unlist(struct webhook_store *s, const struct webhook_range *range,
                          const char *id);

/* ---- jobs that have ended */

/* fn for each, then once with id NULL. They are the caller's for lease_ms. */
typedef void (*webhook_owed_fn)(void *arg, enum redis_status status, const char *id);
void webhook_store_owed(struct webhook_store *s, const char *pool, int64_t lease_ms,
                        webhook_owed_fn fn, void *arg);
/* The event of a job stands in the outbox, or nobody wants it. The job was kept longer for it:
 * until_ms (wall clock; 0: not known here) is when it would have gone. */
void webhook_store_paid(struct webhook_store *s, const char *pool, const char *id,
                        int64_t until_ms);

#endif
