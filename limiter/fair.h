/*
 * fair: the queue of a pool in fair order: classes, flows and their tags.
 *
 * The section ORDER of limiter/pool.h, and nothing of limits. A flow is a (class, tenant) pair and
 * lives while a ticket refers to it (queued or not), and after that while its F still says more
 * than the virtual time of its class.
 *
 *   units      tags are 1/1000 token per weight
 *   ownership  entries stand inside the caller's tickets; flows are made by fair_open() and belong
 *              to the caller's ticket until fair_close(). Names are copied.
 *   threads    none.
 *   errors     -ENOMEM of fair_open() only: entering and leaving the queue cannot fail.
 */
#ifndef LIMITER_FAIR_H
#define LIMITER_FAIR_H

#include "common/map.h"
#include "common/tree.h"
#include "limiter/pool_class.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fair_flow;

/* A ticket's place. The caller sets the part above the line once. */
struct fair_entry {
    const char *id; /* kept */
    int64_t order_us;
    int64_t weight; /* > 0 */
    int64_t cost;   /* fair cost, > 0 */
    struct fair_flow *flow;
    /* ---- */
    struct tree_node in_flow;
    int64_t charged_in; /* busy period; 0: not charged fairly */
};

struct fair_class {
    struct map flows;       /* by tenant: all that are known */
    struct tree backlogged; /* flows with queued tickets, by S */
    struct tree idle;       /* flows that no ticket refers to, by F */
    int64_t start, finish;  /* S, F */
    int64_t virtual_time;   /* v */
    size_t depth;           /* queued tickets, those of parked flows too */
    bool barred;            /* out of the order as a whole */
};

struct fair {
    struct fair_class classes[CLASS_COUNT];
    struct tree parked; /* flows that are out of the order for a while, by until when */
    int64_t virtual_time;
    int64_t period; /* number of the busy period, from 1 */
    size_t depth;
};

void fair_init(struct fair *f, uint64_t seed);
void fair_release(struct fair *f); /* every flow must have been closed */

/* The flow of a tenant, made when it is new; one fair_close() belongs to each. */
int fair_open(struct fair *f, enum pool_class c, const char *tenant,
              struct fair_flow **ret_flow) MUST_CHECK;
void fair_close(struct fair *f, struct fair_flow *flow); /* NULL is allowed */

void fair_enqueue(struct fair *f, struct fair_entry *e);
void fair_leave(struct fair *f, struct fair_entry *e);  /* out of the queue, ungranted */
void fair_charge(struct fair *f, struct fair_entry *e); /* out of the queue, granted */
/* What a charged ticket really cost; at most one takes effect. */
void fair_correct(struct fair *f, struct fair_entry *e, int64_t actual);

/* A flow that may not be served now leaves the order, so that it holds up nobody and saves up no
 * credit: it comes back as one that was empty meanwhile. until_ms: INT64_MAX until it is hurried.
 */
void fair_park(struct fair *f, struct fair_flow *flow, int64_t until_ms);
void fair_unpark(struct fair *f, struct fair_flow *flow);
/* It is due at once. Also by itself: when its first ticket becomes another one. */
void fair_hurry(struct fair *f, enum pool_class c, const char *tenant);
void fair_hurry_all(struct fair *f);
struct fair_flow *fair_first_parked(const struct fair *f); /* or NULL */
int64_t fair_parked_until(const struct fair_flow *flow);
size_t fair_tenant_depth(const struct fair *f, const char *tenant); /* queued, of all classes */

/* A class that may not be served now leaves the order as it is; it comes back no further ahead than
 * one that was empty. Idempotent. */
void fair_bar(struct fair *f, enum pool_class c, bool barred);

/* Looking at backlogged flows in the order of tags, then at a flow's first ticket. */
struct fair_flow *fair_first(const struct fair *f);                               /* or NULL */
struct fair_flow *fair_after(const struct fair *f, const struct fair_flow *flow); /* or NULL */
struct fair_entry *fair_flow_head(const struct fair_flow *flow);                  /* or NULL */

size_t fair_flow_depth(const struct fair_flow *flow);
int64_t fair_flow_start(const struct fair_flow *flow); /* S, while backlogged */
enum pool_class fair_class(const struct fair_flow *flow);
const char *fair_tenant(const struct fair_flow *flow);

/* NULL, or which of its own counts and tags disagree. */
const char *fair_check(const struct fair *f);

#endif
