/*
 * pool_internal: the fields of struct pool. Only for limiter/pool*.c.
 *
 *   pool.c       tickets in and out, configure, looking
 *   pool_turn.c  grants: who comes up, may pass, and when to look again
 */
#ifndef LIMITER_POOL_INTERNAL_H
#define LIMITER_POOL_INTERNAL_H

#include "limiter/book.h"
#include "limiter/gate.h"
#include "limiter/pool.h"

struct pool {
    struct pool_limits limits;
    struct gate gate;
    struct book book;
    struct quotas quotas;
    int64_t seq;           /* of the last grant */
    int64_t batch_running; /* tickets of the class batch; pool_turn.c writes it */
};

/* pool_turn.c */
bool pool_slots_are_full(const struct pool *p);
bool pool_batch_is_full(const struct pool *p); /* the slots of its class */
int64_t pool_lease_of(const struct pool *p, const struct record *r);
void pool_turn_reset(struct pool_turn *ret);
/* Grants a ticket whose cost the gate was charged. */
void pool_start(struct pool *p, struct record *r, int64_t now_ms, struct pool_turn *ret);
/* Takes an ungranted ticket out of the queue for good. */
void pool_drop(struct pool *p, struct record *r, enum ticket_state state);
/* A grant ends, also for its class and its tenant, whose flows look again whether they fit. outcome
 * NULL: what it used is not known. */
void pool_end_quota(struct pool *p, struct record *r, const struct pool_outcome *outcome,
                    int64_t now_ms);
/* So much more of each limit, while it runs. */
void pool_accrue_quota(struct pool *p, const struct record *r, const int64_t *more, int64_t now_ms);

#endif
