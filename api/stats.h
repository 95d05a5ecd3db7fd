/*
 * stats: all numbers of all pools, gathered once for everybody who asks.
 *
 * A gathering reads, for each pool, its counters and one read-only script, and who else is alive.
 * Asks that come while one is under way share the next: what a caller did before it asked is in
 * its answer. Watchers get a view a second from the same gatherings; with no watcher and no ask
 * nothing is read. While Redis is away a view says so (redis_up, known) and has no levels.
 *
 *   units      ms where the name says it; tokens and requests else
 *   ownership  opaque; asks and watches are the caller's (embedded). A view is valid inside the
 *              callback that gets it.
 *   threads    one event loop. No callback comes before the function that asked returns.
 */
#ifndef API_STATS_H
#define API_STATS_H

#include "common/list.h"
#include "limiter/pool.h"
#include "scheduler/pool_aside.h"
#include "scheduler/pool_stats.h"
#include "scheduler/tally.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct config;
struct redisReply;
struct service;
struct stats;

#define STATS_LIMIT_NAME_BYTES 24
#define STATS_EVERY_MS         1000

struct stats_limit {
    char name[STATS_LIMIT_NAME_BYTES];
    int64_t configured, capacity;
    int64_t learned;    /* told by the provider, or learned from refusals; -1: neither */
    int64_t rate;       /* what holds now: the lower of the two */
    int64_t remaining;  /* below zero: a debt */
    int64_t full_in_ms; /* -1: not told by time (slots) */
};

struct stats_counters {
    int64_t counts[COUNT_MAX];
    int64_t waits[WAIT_BUCKETS];
    int64_t details[DETAILS];
};

struct stats_pool {
    char id[POOL_NAME_BYTES], group[POOL_NAME_BYTES], provider[64];
    char account[ACCOUNT_NAME_BYTES];
    char aside[ASIDE_REASON_BYTES]; /* why it is set aside, as this instance knows; "" not */
    int64_t aside_ms;               /* for how long still */
    bool of_callers;                /* the account is the hash of a caller's key */
    bool known;                     /* Redis told depths and levels; else they are 0 */
    struct stats_limit limits[POOL_MAX_DIMS + 1];
    size_t limit_count;
    int64_t depth[CLASS_COUNT], oldest_ms[CLASS_COUNT];
    int64_t in_flight, eta_ms, paused_ms;
    char binding[STATS_LIMIT_NAME_BYTES]; /* "" none */
    char circuit[12];                     /* "closed", "open", "half_open" */
    char circuit_reason[48];              /* what the provider said; "" closed */
    int64_t circuit_ms;                   /* until a request is let through */
    /* Over all instances, as Redis holds them, and what of ours it had not been told then. Only
     * the first is the same whichever instance is asked, and never steps back. */
    struct stats_counters stored, unsent;
};

/* One tenant or model; "other" holds those past STATS_MAX_TENANTS or STATS_MAX_MODELS. */
struct stats_name {
    char name[MODEL_NAME_BYTES + 1];
    int64_t queued, running;       /* of tenants */
    int64_t number[TALLY_NUMBERS]; /* over all instances, with what this one has not told yet */
    int64_t stored[TALLY_NUMBERS]; /* without that: whichever is asked, it never steps back */
};
struct stats_names {
    struct stats_name *rows; /* by name */
    size_t count, room;
};

struct stats_view {
    struct stats_names names[TALLY_KINDS];
    char *own_text; /* of stats_text() for one tenant */
    int64_t at_ms;  /* wall clock */
    bool redis_up;
    int64_t redis_us; /* until the first answer of this gathering; -1 none came */
    struct stats_pool *pools;
    size_t pool_count;
    json_t *instances; /* as they stand in the API */
    size_t alive;      /* of them */
    char *text;        /* of stats_text(), made once */
};

/* view is NULL when memory was short. */
typedef void (*stats_fn)(void *arg, struct stats_view *view);

struct stats_wait {
    struct list link;
    stats_fn fn;
    void *arg;
};

struct stats *stats_new(struct service *service);
/* Nobody is told. Before the scheduler and the store end. Accepts NULL. */
void stats_free(struct stats *s);

/* Answered once. */
void stats_ask(struct stats *s, struct stats_wait *w);
/* Called at once and then every STATS_EVERY_MS until stats_forget(). */
void stats_watch(struct stats *s, struct stats_wait *w);
/* Ends either; idempotent, also inside a callback. */
void stats_forget(struct stats_wait *w);

/* Of scheduler/answers.h, in the form of the API. NULL: no memory. route_cache.c */
json_t *stats_of_answers(const struct service *service);

/* The object of GET /v1/stats; borrowed from the view until the next call. tenant: of the others
 * nothing is told; NULL: of all. NULL: no memory. stats_text.c */
const char *stats_text(struct service *service, struct stats_view *view, const char *tenant);
/* Its parts "tenants" and "models". stats_names_text.c */
json_t *stats_tenants(const struct config *c, const struct stats_view *view, const char *tenant);
json_t *stats_models(const struct stats_view *view);

/* ---- stats_names.c */
/* The row of a name, made when it is new. NULL: no memory. */
struct stats_name *stats_names_of(struct stats_names *names, enum tally_kind kind,
                                  const char *name);
/* What a peek with STORE_PEEK_TENANTS says of one pool. */
void stats_names_add_queue(struct stats_names *names, const struct redisReply *tenants);
void stats_names_sort(struct stats_names *names);

#endif
