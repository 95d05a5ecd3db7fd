/*
 * scheduler: the pools, calls and jobs of this instance.
 *
 * It owns one pool_agent per pool that it has met, finds the pool of a request, carries grants to
 * the calls that wait for them, and knows how much this instance may take on.
 *
 *   ownership  opaque. Everything in the options is kept, but for the configuration, which is
 * given. threads    one event loop.
 */
#ifndef SCHEDULER_SCHEDULER_H
#define SCHEDULER_SCHEDULER_H

#include "common/config.h"
#include "common/rand.h"
#include "limiter/profile.h"
#include "limiter/quantile.h"
#include "scheduler/outage.h"
#include "scheduler/plan.h"
#include "scheduler/pool_agent.h"
#include "scheduler/pool_aside.h"
#include "storage/job_store.h"

struct answers;
struct event_base;
struct http_client;
struct call;
struct embedder;
struct joint_calls;
struct gauge;
struct price_table;
struct scheduler;
struct spending;
struct settings;
struct summaries;
struct summary_store;
struct tally;

struct scheduler_options {
    struct event_base *base;
    struct pool_store *store;
    struct job_store *jobs;
    struct summary_store *summaries;        /* NULL: they are kept in memory only */
    struct calibration_store *calibrations; /* NULL: what is learned of counts stays here */
    struct spending *spending;              /* NULL: no money is counted */
    struct settings *settings;              /* NULL: nothing is ever saved */
    struct http_client *http;
    struct answers *answers;         /* NULL: none are kept or shared */
    struct embedder *embedder;       /* NULL: embeddings are not joined */
    struct joint_calls *joint_calls; /* NULL: chat calls are not */
    struct tally *tally;             /* NULL: nobody wants to know of tenants and models */
    const char *instance;
    uint64_t seed;
};

struct scheduler *scheduler_new(const struct scheduler_options *options, struct config *config);
/* The end, in this order: the owners have cancelled their calls; scheduler_stop(); the connection
 * to Redis is freed, which answers all that is open; scheduler_free(). */
void scheduler_stop(struct scheduler *s);
void scheduler_free(struct scheduler *s);

/* All or nothing was decided by config_load(); from here the new one holds for new requests, and
 * the limits of known pools change at once. */
void scheduler_reload(struct scheduler *s, struct config *config);
struct plan *scheduler_plan(struct scheduler *s);
/* Known pools take their limits anew: the configuration's, and in place of them what is saved. all:
 * also those whose own limits stay as they are, for their tenants' sake. In scheduler_limits.c, as
 * the next two. */
void scheduler_apply_limits(struct scheduler *s, bool all);
struct config_limits scheduler_limits(const struct scheduler *s, const struct config_provider *p,
                                      const struct config_model *row, const char *account);
/* NULL: the provider has no key of that name. */
const struct config_account *scheduler_find_account(const struct config_provider *p,
                                                    const char *name);

void scheduler_connected(struct scheduler *s, bool up);
/* The instance's channel is up again: what was published meanwhile is gone. */
void scheduler_channel_back(struct scheduler *s);
bool scheduler_is_connected(const struct scheduler *s);

/* Who decides about calls now, over all pools. */
struct scheduler_outage {
    const char *mode; /* "central"; "recovering": Redis is back and hears what was granted without
                         it; "local", "open", "closed" while it is away; "starting" */
    bool serves;      /* calls are taken */
    int64_t waiting, running; /* granted, or to be granted, by this instance */
    int64_t uncharged;        /* pools whose local grants Redis does not know yet */
};
void scheduler_outage(struct scheduler *s, struct scheduler_outage *ret);
/* A message on this instance's channel: "grant ID FENCE SEQ PREFIX", "cancel ID …". */
void scheduler_message(struct scheduler *s, const char *payload);
/* No new grants of jobs from now on; what runs goes on. */
void scheduler_drain(struct scheduler *s);
bool scheduler_is_draining(const struct scheduler *s);
size_t scheduler_active(const struct scheduler *s); /* calls that have not ended */
size_t scheduler_unsettled(struct scheduler *s);

/* A granted durable job was handed to this instance. */
typedef void (*scheduler_job_fn)(void *arg, struct pool_agent *agent,
                                 const struct store_grant *grant);
/* The job of this id is to be cancelled; told when no call stands for it (yet). */
typedef void (*scheduler_job_cancel_fn)(void *arg, const char *id);
void scheduler_on_job(struct scheduler *s, scheduler_job_fn fn, scheduler_job_cancel_fn cancel,
                      void *arg);
/* A permit of this instance was granted (scheduler/permit.h). */
typedef void (*scheduler_permit_fn)(void *arg, const struct store_grant *grant);
void scheduler_on_permit(struct scheduler *s, scheduler_permit_fn fn, void *arg);
int scheduler_job_room(const struct scheduler *s);     /* jobs that this instance may take on now */
void scheduler_count_job(struct scheduler *s, int by); /* one more or one less runs here */

/* ---- pools: one for (provider, account, group) */

/* A pool as this instance sees it: where it leads and what it has learned. */
struct pool_view {
    struct pool_agent *agent;
    const struct profile *profile;
    struct pool_tenant *tenants; /* what the agent's limits point to */
    struct quantile output;      /* of answers, for predicting */
    char provider[64], group[POOL_NAME_BYTES], account[ACCOUNT_NAME_BYTES];
    struct pool_aside aside;
    bool has_others; /* other keys or models serve instead of it */
    bool transient;  /* of a caller's own key: it holds no jobs, and makes room when it is idle */
    unsigned users;  /* who keep a pointer to it over a turn of the loop; counted by themselves */
};

/* The pool of a row; made when it is new. account: the name of one of the provider's keys, or a
 * hash of the caller's key.
 * NULL: no memory, too many pools in use, or one whose short hash is another's. */
struct pool_view *scheduler_pool(struct scheduler *s, const struct config_provider *provider,
                                 const struct config_model *row, const char *account);
/* By the hash that stands in job ids; NULL when this instance does not know it. */
struct pool_view *scheduler_pool_by_hash(struct scheduler *s, const char *hash);
/* The same, and where it is none of those met so far, by every pool that the configuration leads
 * to: those of providers without a key here are made when they are first used. caller_key: NULL
 * none. NULL: there is no such pool, or it could not be made. */
struct pool_view *scheduler_find_pool(struct scheduler *s, const char *hash,
                                      const char *caller_key);
/* The account of a caller's own key, as it stands in the pool's id. */
#define ACCOUNT_BYTES 17
void scheduler_account(const char *key, char ret[ACCOUNT_BYTES]);
struct pool_view *scheduler_pool_of(struct scheduler *s, struct pool_agent *agent);
struct pool_view *scheduler_next_pool(const struct scheduler *s, size_t *at); /* start at 0 */

/* ---- what calls need */
const struct scheduler_options *scheduler_options(const struct scheduler *s);
struct rand *scheduler_rand(struct scheduler *s);
struct summaries *scheduler_summaries(struct scheduler *s);
struct gauge *scheduler_gauge(struct scheduler *s);
const struct price_table *scheduler_prices(const struct scheduler *s);
/* The rules of a provider; those of "generic" where it names none that is known. */
const struct profile *scheduler_profile(const struct config_provider *provider);
int scheduler_add_call(struct scheduler *s, struct call *c, const char *id) MUST_CHECK;
void scheduler_remove_call(struct scheduler *s, const char *id);
/* Ended calls are freed from the loop, so that whoever is still on the stack may touch them. */
void scheduler_bury(struct scheduler *s, struct list *grave);

#endif
