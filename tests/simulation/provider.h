/*
 * provider: the far side of scheduler/http_client.h, and the judge of what it was sent.
 *
 * Each transfer is a script drawn from the seed: not sent, answered whole, streamed, refused (429
 * with and without retry-after, 500, 503, 529), silent, cut in the middle, slower than a lease.
 *
 * Ledger, per pool and limit: as a bucket, a request charges what its ticket reserved when it
 * arrives; unused tokens come back when the usage is told, and the level may never fall below 0. In
 * window mode, what was charged in the last period is at most capacity + rate * period, which is
 * what a bucket may give in it. Judged are requests whose grant is fresh (sent within the headroom
 * after it). What cannot be is counted and left out: sends from an instance that was stopped
 * between grant and send, grants without Redis (I14 judges these), the minute after Redis lost data
 * or its clock leapt.
 */
#ifndef TESTS_SIMULATION_PROVIDER_H
#define TESTS_SIMULATION_PROVIDER_H

#include "scheduler/http_client.h"
#include "tests/simulation/loop.h"
#include "tests/simulation/server.h"

#define LEDGER_MAX_DIMS 4
#define LEDGER_FRESH_US 950000 /* queue.headroom_ms is 1000 */

/* One request in the window of now. */
struct entry {
    int64_t at_us, tokens;
};

struct ledger_dim {
    struct dim_limit limit; /* the largest of all configurations of the run */
    int64_t level;          /* units, bucket mode */
    int64_t filled_us;
    struct entry *entries; /* window mode */
    size_t count, room, first;
    int64_t sum;
};

struct ledger {
    char pool[64];
    struct ledger_dim dims[LEDGER_MAX_DIMS];
    size_t dim_count;
};

struct call;

struct provider {
    struct server *server;
    struct ledger ledgers[SERVER_MAX_POOLS];
    size_t ledger_count;
    bool windows;          /* judge by windows, else by buckets */
    int64_t leapt_us;      /* its clock leapt: until then leases may have ended early */
    int64_t excused_us;    /* nothing is judged until then */
    bool strict;           /* a run without faults: every send must be fresh */
    int64_t fail_permille; /* of requests that do not succeed at once */
    uint64_t requests, refused, late, local, judged;
    size_t running;
};

void provider_init(struct provider *p, struct server *server);
void provider_release(struct provider *p);
/* The provider's limit is the largest that any instance was ever told. */
void provider_limit(struct provider *p, const char *pool, const struct pool_limits *limits);
void provider_excuse(struct provider *p, int64_t for_us);

/* ledger.c: charges what a request reserved, and judges it; its number, for the refund. */
size_t ledger_charge(struct provider *p, const char *pool, const int64_t *cost, bool judged);
void ledger_refund(struct provider *p, const char *pool, size_t number, const int64_t *tokens);

/* Stands for the transfers of one instance. */
struct http_client {
    struct event_base *process;
    struct provider *provider;
    struct list running;
    int64_t woken_us;   /* it was stopped: what it does at this instant may be late */
    int64_t cut_off_us; /* since when it has no Redis */
    int64_t share_of;   /* instances that share the limits in an outage; 0: without limits */
    int64_t rates[SERVER_MAX_POOLS]; /* the most requests a period that it was ever told */
    int64_t local_total[SERVER_MAX_POOLS];
    int64_t local_sent[SERVER_MAX_POOLS]; /* since cut_off_us, by ledger */
};

void sim_http_init(struct http_client *c, struct event_base *process, struct provider *p);
bool sim_http_runs(const struct http_client *c, const struct call *call);
bool sim_http_uses(const struct http_client *c, const char *id); /* this ticket */
void sim_http_check(const struct http_client *c); /* what runs without a lease, and goes on */
void sim_http_release(struct http_client *c);

#endif
