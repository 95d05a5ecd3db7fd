/*
 * pool_kit: pools and tickets with round numbers, and calls that check the pool as they go.
 */
#ifndef TESTS_SUPPORT_POOL_KIT_H
#define TESTS_SUPPORT_POOL_KIT_H

#include "limiter/pool.h"

#define KIT_MINUTE 60000 /* ticks */
#define KIT_T0     INT64_C(1760000000000)

/* "tpm": one token a second, 60 at once; nobody passes a held head. */
struct pool_limits kit_one_a_second(void);
struct pool_limits kit_two_dims(void); /* "tpm" and "rpm", each as above */
struct pool *kit_make(const struct pool_limits *l);

/* Normal class, weight 1, no deadline; cost in the first dimension and the same fair cost. */
struct ticket kit_ticket(const char *id, const char *tenant, int64_t cost);
enum submit_result kit_submit(struct pool *p, const struct ticket *t, int64_t now,
                              struct pool_turn *turn);
enum submit_result kit_put(struct pool *p, const char *id, const char *tenant, int64_t cost,
                           int64_t now);
struct pool_turn kit_dispatch(struct pool *p, int64_t now);
struct pool_outcome kit_outcome(enum ticket_state state); /* nothing is known */
bool kit_settle_turn(struct pool *p, const char *id, int64_t fence, const struct pool_outcome *o,
                     int64_t now, struct pool_turn *turn);
bool kit_settle(struct pool *p, const char *id, int64_t fence, const struct pool_outcome *o,
                int64_t now);

void kit_assert_granted(const struct pool_turn *turn, size_t i, const char *id, int64_t fence);
/* Nothing one ms before the wait; at the wait, the grant. */
void kit_assert_granted_exactly_after(struct pool *p, int64_t wait, int64_t now, const char *id);

#endif
