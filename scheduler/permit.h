/*
 * permit: leave to send one request to a provider, for workers that send it themselves.
 *
 * A permit is a ticket like any other: it waits in the same fair order, is charged to the same
 * buckets and holds a slot. It differs in whom its lease belongs to. Nobody renews it by a
 * heartbeat: it lasts its own time (ttl) from the grant, and longer when its holder renews it.
 * When it ends, the slot comes back, the tokens stay charged and the permit has expired, since
 * its holder may have sent the request. All that is needed to settle, renew or release one stands
 * in its record, so any instance does that, also when the one that granted it is dead.
 *
 * Fields that a permit keeps in its record beside those of storage/lua/lib.lua:
 *   ten tenant    mdl model     pe endpoint path    est "INPUT OUTPUT MAX_OUTPUT BYTES" reserved
 *   tl ttl, ms    cr asked at, wall ms    ky id of the access key that asked for it; "" none
 * and from its settlement:
 *   fp "INPUT OUTPUT CACHED STATUS OUTCOME", where INPUT is -1 when the usage was not told
 *
 * While Redis is away none are given, in every outage mode: one that is granted here could not be
 * settled anywhere else.
 *
 *   units      ms, tokens
 *   ownership  opaque; texts are copied. Records and failures are borrowed in the callback.
 *   threads    one event loop. No callback is called before the registering function returned.
 */
#ifndef SCHEDULER_PERMIT_H
#define SCHEDULER_PERMIT_H

#include "scheduler/call.h"

#define PERMIT_TTL_MS  60000 /* unless asked for, and queue.lease_ms on top */
#define PERMIT_WAIT_MS 30000 /* unless asked for */

struct permits;
struct permit; /* one that is waited for */

struct permits *permits_new(struct scheduler *s);
/* When Redis has answered all, and the owners have left theirs. Accepts NULL. */
void permits_free(struct permits *p);

enum permit_status {
    PERMIT_WAITING,
    PERMIT_GRANTED,
    PERMIT_SETTLED,
    PERMIT_EXPIRED,
    PERMIT_RELEASED,
};
const char *permit_status_name(enum permit_status s); /* "granted", … */

/* A permit as its record tells. */
struct permit_record {
    const char *id;
    enum permit_status status;
    const char *tenant, *model, *endpoint, *pool;
    const char *key; /* that asked for it; "" none */
    int64_t left_ms; /* of its lease, while granted */
    int64_t ttl_ms;
    int64_t asked_ms; /* wall clock */
    int64_t wait_ms;  /* until the grant */
    const struct pool_limits *limits;
    int64_t reserved[POOL_MAX_DIMS]; /* in the order of limits->dims */
    struct profile_estimate estimate;
    int64_t input_bytes;
    const char *settlement; /* "" until it is settled */
};

/* Exactly one of record and failure is set. */
typedef void (*permit_fn)(void *arg, const struct permit_record *record,
                          const struct call_failure *failure);

struct permit_ask {
    struct call_spec call; /* its body is given; for_permit is set here */
    int64_t wait_ms;       /* 0: now or not at all */
    int64_t ttl_ms;        /* 0: the default */
};
/* NULL with *failure set when it cannot be served; fn is not called then. Else fn is, once:
 * with the granted permit, or 429 permit_timeout and the like, the ticket then being out. */
struct permit *permit_ask(struct permits *all, const struct permit_ask *ask, permit_fn fn,
                          void *arg, struct call_failure *failure);
/* Whoever asked is gone: fn is not called, and a permit that was granted meanwhile is given back.
 * Only before fn was called. */
void permit_leave(struct permit *p);

/* ---- what is done to a permit, on any instance. Another tenant's is not found (404). */
struct permit_who {
    const char *id;
    const char *tenant;
    const char *caller_key; /* NULL none; leads to the pools of callers' keys */
};
void permit_get(struct permits *all, const struct permit_who *who, permit_fn fn, void *arg);
/* Its lease is to last ttl_ms from now (0: the time it was asked with); it is never shortened. */
void permit_renew(struct permits *all, const struct permit_who *who, int64_t ttl_ms, permit_fn fn,
                  void *arg);
/* Nothing was sent: all comes back. Again: the same answer. */
void permit_release(struct permits *all, const struct permit_who *who, permit_fn fn, void *arg);
/* text: a body that permit_result_read() takes; copied. The same result again: the same answer;
 * another one, or one after the end: 409, and nothing is corrected twice. */
void permit_settle(struct permits *all, const struct permit_who *who, const char *text, size_t len,
                   permit_fn fn, void *arg);

#endif
