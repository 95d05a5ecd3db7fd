/*
 * permit_internal: what scheduler/permit*.c share.
 *
 *   permit.c         asking for one: submit, wait, grant
 *   permit_record.c  reading a record
 *   permit_change.c  get, renew, release, settle
 *   permit_cost.c    what the request cost, counted for budgets
 *   permit_result.c  what a worker tells of the provider's answer
 */
#ifndef SCHEDULER_PERMIT_INTERNAL_H
#define SCHEDULER_PERMIT_INTERNAL_H

#include "scheduler/permit.h"

#include "common/map.h"
#include "scheduler/spending.h"

struct permits {
    struct scheduler *scheduler;
    struct map waiting; /* id -> struct permit */
};

/* Of a record as it was read. Texts are borrowed from the reply. */
struct permit_read {
    struct permit_record record;
    char pool[POOL_NAME_BYTES];
    const char *fingerprint; /* "": not settled */
};

/* permit_cost.c: who pays for a permit, copied from its record, until the settle took effect. */
struct permit_whose {
    char tenant[TENANT_NAME_BYTES + 1], key[COST_KEY_BYTES];
    char provider[PROVIDER_NAME_BYTES], model[MODEL_NAME_BYTES + 1];
    enum wire_format format;
};
void permit_whose_read(const struct permit_record *r, const struct pool_view *pool,
                       struct permit_whose *ret);
void permit_count_cost(struct scheduler *s, const struct permit_whose *whose,
                       const struct wire_usage *usage);

/* One permit's record; extend_ms as pool_store_permit(). */
void permit_look(struct permits *all, struct pool_view *pool, const char *id, int64_t extend_ms,
                 pool_store_fn fn, void *arg);
/* From permit_look()'s answer. False when there is no such permit of the tenant (NULL: of any). */
bool permit_read(const struct store_turn *turn, struct pool_view *pool, const char *id,
                 const char *tenant, struct permit_read *ret);
void permit_storage_failed(struct call_failure *f, enum redis_status status);

#endif
