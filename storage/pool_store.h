/*
 * pool_store: the pools of limiter/pool.h as they stand in Redis, shared by every instance.
 *
 * Each call is one script, one round trip, and is answered exactly once. A pool that Redis does
 * not know (new, or its data were lost) is configured on the way and the call repeated once:
 * full when this process has never configured it, empty when it had, since lost data must not
 * double the burst.
 *
 *   ownership  struct pool_store is opaque; a struct store_pool is the caller's (embedded), its
 *              limits are read at each call and may be changed between calls followed by
 *              pool_store_configure(). Arguments are copied before return.
 *   tenants    limits.tenants are told with configure, to all instances' tickets, also those that
 *              wait. In a binding and in a detail a tenant's own limit stands as "tenant:tpm", the
 *              pool's as "tpm"; pool_store_limit_name() takes that apart.
 *   threads    one event loop.
 *   errors     turn.status other than REDIS_OK: the other fields are unset. REDIS_LOST means it may
 *              have happened; submit and settle may be repeated safely with the same id and fence.
 */
#ifndef STORAGE_POOL_STORE_H
#define STORAGE_POOL_STORE_H

#include "limiter/pool.h"
#include "storage/key.h"
#include "storage/redis_confirm.h"
#include "storage/redis_latency.h"
#include "storage/redis_link.h"

struct pool_store;

struct store_pool {
    char id[POOL_NAME_BYTES]; /* provider:account:group */
    char hash[POOL_HASH_BYTES];
    struct pool_limits limits;
    int64_t finished_ttl_ms; /* how long a finished job is kept */
    bool guest;              /* looked at only: never configured from here */
    bool configured;         /* by this process, ever */
    int64_t data_losses;     /* times that Redis did not know it after that */
};

struct store_grant {
    char id[TICKET_ID_BYTES];
    int64_t fence, seq;
    bool is_job;
};

struct store_level {
    int64_t remaining;  /* whole tokens in the bucket; negative in debt */
    int64_t full_in_ms; /* until it is full again */
};

struct store_turn {
    enum redis_status status;
    enum submit_result submit; /* of pool_store_submit() */
    const char *result;        /* the script's own first word: "settled", "stale", "queued", … */
    int64_t fence, seq;        /* granted, known; fence: cancelled */
    int64_t eta_ms, ahead;     /* queued */
    const char *detail;        /* dimension, state, binding or reason of the result; "" none */
    int64_t detail_number;     /* capacity of too_large; what may wait, of tenant_full; circuit: ms
                                  until it is tried again */
    const char *moves;         /* settled: what the news moved, for people; "" or NULL nothing */
    int64_t wait_ms;           /* as struct pool_turn */
    const char *binding;       /* dimension name, "max_parallel_requests", or "" */
    struct store_grant grants[DISPATCH_MAX_GRANTS];
    size_t grant_count;
    struct store_level levels[POOL_MAX_DIMS]; /* in the order of limits.dims */
    size_t level_count;
    uint64_t stamp; /* of a job's submit, for pool_store_confirm() */
    /* Of an answer, learned by all instances where output counts as it is produced; 0: nothing was.
     */
    int64_t foreseen_output;
    int64_t queued;                 /* tickets now waiting in the pool */
    const struct redisReply *items; /* the whole result array, for heartbeat, reap and peek */
};

/* turn and all it points to is borrowed. */
typedef void (*pool_store_fn)(void *arg, struct store_pool *pool, const struct store_turn *turn);

struct store_field {
    const char *name;
    const char *value;
    size_t len;
};

struct store_ticket {
    const char *id;
    bool is_job;
    int64_t lease_ms; /* > 0: a permit, whose lease this is; nobody renews it by a heartbeat, and at
                         its end the permit has expired */
    enum pool_class class;
    const char *tenant;
    int64_t weight;
    int64_t cost[POOL_MAX_DIMS];
    int64_t fair_cost;
    int64_t deadline_in_ms; /* 0: none */
    int64_t aging_ms;
    const struct store_field *fields; /* kept in the ticket's record, unread by the scripts */
    size_t field_count;
    int64_t listed_us;     /* its place in the tenant's list (job_store.h); 0: none */
    int64_t listed_ttl_ms; /* of the whole list, renewed by each entry */
    const char *group;     /* of one that is listed: key_group(); NULL: none */
};

struct store_outcome {
    const char *id;
    int64_t fence;
    enum ticket_state state; /* DONE FAILED CANCELLED QUEUED */
    int64_t delay_ms;
    bool unsent;
    bool is_call;                  /* only this instance can run it: see pool_agent_settle() */
    int64_t actual[POOL_MAX_DIMS]; /* -1: unknown */
    int64_t fair_actual;
    const char *pause_dim; /* NULL: no pause; "*": every dimension */
    int64_t pause_ms;
    const char *news; /* what the answer told of limits, as storage/lua/adapt.lua reads it; may be
                         NULL; at most STORE_NEWS_BYTES - 1 */
    const struct store_field *fields;
    size_t field_count;
};

#define STORE_MAX_FIELDS 32
#define STORE_NEWS_BYTES 512

struct pool_store_options {
    struct redis_link *link; /* kept */
    const char *instance;    /* kept */
    int timeout_ms;          /* of one command */
    int64_t alive_ms;        /* an instance without a heartbeat for this long is dead */
    /* Where an accepted job must be safer than one answer of Redis: the link that jobs are
     * submitted over (kept), and what is waited for. NULL: no need. */
    struct redis_link *durable;
    int replicas;   /* that must have it; 0: the disk of the server itself */
    int confirm_ms; /* how long they may take */
};

struct pool_store *pool_store_new(const struct pool_store_options *options, struct error *e);
void pool_store_free(struct pool_store *s);

/* Sets id, hash and limits. */
void store_pool_init(struct store_pool *pool, const char *id, const struct pool_limits *limits);

/* most: grants that the caller can take now (0 while it drains). */
void pool_store_configure(struct pool_store *s, struct store_pool *pool, pool_store_fn fn,
                          void *arg);
void pool_store_submit(struct pool_store *s, struct store_pool *pool, const struct store_ticket *t,
                       int most, pool_store_fn fn, void *arg);
/* Whether what a job's submit wrote is safe; to be asked inside of its answer, with the turn's
 * stamp. a: as redis_confirm_ask(). Without need: no copy, at once (before return). */
bool pool_store_confirms(const struct pool_store *s);
void pool_store_confirm(struct pool_store *s, const struct store_pool *pool, uint64_t stamp,
                        struct redis_asker *a, redis_confirm_fn fn, void *arg);
/* There is no need after all: the server writes to its disk before each answer. */
void pool_store_trust_disk(struct pool_store *s);

void pool_store_dispatch(struct pool_store *s, struct store_pool *pool, int most, pool_store_fn fn,
                         void *arg);
void pool_store_settle(struct pool_store *s, struct store_pool *pool, const struct store_outcome *o,
                       int most, pool_store_fn fn, void *arg);
void pool_store_cancel(struct pool_store *s, struct store_pool *pool, const char *id, int most,
                       pool_store_fn fn, void *arg);
void pool_store_reap(struct pool_store *s, struct store_pool *pool, int most, pool_store_fn fn,
                     void *arg);

/* What was granted without Redis. A charge that is repeated under its number takes effect once;
 * numbers of one instance grow from 1 and wait for each other. */
struct store_charge {
    int64_t number;
    int64_t tokens[POOL_MAX_DIMS];   /* in the order of limits.dims; negative: they come back */
    int64_t pause_ms[POOL_MAX_DIMS]; /* 0: none */
};
void pool_store_charge(struct pool_store *s, struct store_pool *pool, const struct store_charge *c,
                       int most, pool_store_fn fn, void *arg);

struct store_lease {
    const char *id;
    int64_t fence;
};
#define STORE_MAX_LEASES 128 /* of one heartbeat call */
void pool_store_heartbeat(struct pool_store *s, struct store_pool *pool,
                          const struct store_lease *leases, size_t count, pool_store_fn fn,
                          void *arg);

/* What a ticket that runs has produced so far, in the order of limits.dims, as pool_accrue(). "ok",
 * or "stale": it does not run under this fence. May be repeated and may be lost. */
void pool_store_accrue(struct pool_store *s, struct store_pool *pool,
                       const struct store_lease *lease, const int64_t *produced, pool_store_fn fn,
                       void *arg);

/* The limit's name without its owner, who is told apart. */
const char *pool_store_limit_name(const char *binding, bool *ret_own);
/* "pool", "tenant", or "provider" (of "circuit": it wants money first); "" of no limit. */
const char *pool_store_limit_whose(const char *binding);
/* The other way: "tenant:tpm" of "tpm"; "" of a name that is no limit. Static storage. */
const char *pool_store_own_name(const char *limit);

struct store_look {
    const char *id;            /* a ticket; NULL: the pool */
    const char *const *fields; /* of its record, to be given back behind the fixed ones */
    size_t field_count;
    const char *tenant; /* with the pool, and instead of fields: what it has left; or NULL */
};
/* A tenant's part, behind the twelve fixed items of a pool: running, max_parallel_requests, queued,
 * max_queue (0: no limit), then for each of its dimensions name, capacity, remaining, full_in_ms.
 * Not there when it has no limits. With STORE_PEEK_TENANTS as the only field of a pool there is an
 * array of LENGTH:NAME, queued, running … of its tenants. */
#define STORE_PEEK_TENANTS "*"
#define STORE_PEEK_TENANT  12
void pool_store_peek(struct pool_store *s, struct store_pool *pool, const struct store_look *look,
                     pool_store_fn fn, void *arg);

/* For plain commands about a pool beside the scripts (storage/aside_store.h). */
const struct redis_latency *pool_store_latency(const struct pool_store *s);
struct redis_link *pool_store_link(const struct pool_store *s, int *ret_timeout_ms);

/* A permit, and perhaps a longer lease for it (extend_ms from now; 0: only look). turn.items is
 * {state, fence, ms left of the lease, fields ...}; turn.result its state; "none": no permit. */
void pool_store_permit(struct pool_store *s, struct store_pool *pool, const struct store_look *look,
                       int64_t extend_ms, pool_store_fn fn, void *arg);

/* What would become of t now, as pool_store_submit() would answer; t->id and fields are not
 * looked at, and nothing is changed. */
void pool_store_probe(struct pool_store *s, struct store_pool *pool, const struct store_ticket *t,
                      pool_store_fn fn, void *arg);

/* How far a group is; ids: how many of its open tickets are to be named. turn.result
 * "none": there is none here. turn.items: see storage/lua/group.lua; STORE_GROUP_IDS words stand
 * ahead of the ids. */
struct store_group {
    const char *key; /* key_group() */
    int ids;
};
#define STORE_GROUP_IDS 12
void pool_store_group(struct pool_store *s, struct store_pool *pool, const struct store_group *g,
                      pool_store_fn fn, void *arg);

/* Waiting jobs of the same flow whose field bk is key go along with a running one, most of them at
 * most: they are granted in the turn, charged no request and no slot (storage/lua/ride.lua). Those
 * that were granted by themselves give both back. */
struct store_ride {
    struct store_lease lead;
    const char *key;
    int most;                                 /* at most DISPATCH_MAX_GRANTS */
    struct store_lease with[JOINT_MAX_ITEMS]; /* granted ones */
    size_t with_count;
};
void pool_store_ride(struct pool_store *s, struct store_pool *pool, const struct store_ride *r,
                     pool_store_fn fn, void *arg);

/* Adds to counters of the pool, over all instances. Not answered: what is lost with a broken
 * connection is lost from the statistics only. */
struct store_count {
    const char *name;
    int64_t amount;
};
void pool_store_count(struct pool_store *s, const struct store_pool *pool,
                      const struct store_count *counts, size_t n);
/* All counters: fn for each, then once with name NULL. */
typedef void (*pool_store_count_fn)(void *arg, const char *name, int64_t value);
void pool_store_counts(struct pool_store *s, const struct store_pool *pool, pool_store_count_fn fn,
                       void *arg);

#endif
