/*
 * cost_store: what was spent, over all instances, and what is left of budgets.
 *
 *   sluice:{cost}:d:DATE      HASH of a day in UTC: "COUNTER ROW" -> number. A row is
 *                             "TENANT KEY MODEL" (KEY "-": none), a counter one letter, below.
 *   sluice:{cost}:b:WHO:S     HASH of a budget's period that began at second S: "c *" -> spent
 *
 * All of it is in one slot: a change of a row is one command without an answer that anybody waits
 * for, and instances send what they have gathered a few times a second, so that one node of a
 * cluster has little to do for it. Rejected: a hash for each tenant, which needs an index of
 * tenants and a command for each of them to add up a day.
 *
 * A day has at most COST_MAX_FIELDS counters; what finds no room is counted for its tenant as the
 * model "(other)", as clients may name any model.
 *
 *   units    nano-dollars (common/money.h), tokens
 *   errors   REDIS_DOWN and REDIS_BUSY_LOCAL: nothing was counted; REDIS_LOST: it may have been.
 *   threads  one event loop. Each call is answered exactly once, and never before it has returned.
 */
#ifndef STORAGE_COST_STORE_H
#define STORAGE_COST_STORE_H

#include "common/limits.h"
#include "storage/redis_script.h"

#include <stdbool.h>
#include <stdint.h>

#define COST_DAYS_KEPT  400
#define COST_MAX_FIELDS 50000
#define COST_KEY_BYTES  32 /* the id of an access key */
#define COST_OTHER      "(other)"
#define COST_ROW_BYTES  (TENANT_NAME_BYTES + COST_KEY_BYTES + MODEL_NAME_BYTES + 8)
#define COST_WHO_BYTES  (TENANT_NAME_BYTES + 8)

/* clang-format off */
#define COST_COUNTERS(X)                                                                          \
    X(requests, "n")     /* that used tokens */                                                   \
    X(unpriced, "u")     /* of these, those whose model's price is not known: they add no cost */ \
    X(cost, "c")                                                                                  \
    X(input, "i") X(cache_read, "r") X(cache_write, "w") X(output, "o")                           \
    X(saved_trim, "st") X(saved_prompt_cache, "sp") X(saved_response, "sr") X(saved_batch, "sb")
/* clang-format on */

enum cost_counter {
#define X(name, letter) COST_##name,
    COST_COUNTERS(X)
#undef X
        COST_COUNTER_COUNT,
};

struct cost_row { /* whose; texts hold no space but in the model */
    int64_t day;  /* since 1970 */
    char tenant[TENANT_NAME_BYTES + 1];
    char key[COST_KEY_BYTES]; /* "": none */
    char model[MODEL_NAME_BYTES + 1];
    int64_t count[COST_COUNTER_COUNT];
};

struct cost_store;

struct cost_store *cost_store_new(struct redis_link *link, int timeout_ms); /* NULL: no memory */
void cost_store_free(struct cost_store *s); /* accepts NULL; when the link has answered all */
bool cost_store_is_up(const struct cost_store *s);

typedef void (*cost_store_fn)(void *arg, enum redis_status status);
void cost_store_add(struct cost_store *s, const struct cost_row *row, cost_store_fn fn, void *arg);

/* One period of a budget. */
struct cost_period {
    const char *who;        /* as key_cost_budget() */
    int64_t start_s, end_s; /* INT64_MAX: it has no end */
};

/* sum: of all that was spent in it, with this amount. */
typedef void (*cost_store_sum_fn)(void *arg, enum redis_status status, int64_t sum);
void cost_store_spend(struct cost_store *s, const struct cost_period *period, int64_t amount,
                      cost_store_sum_fn fn, void *arg);
void cost_store_spent(struct cost_store *s, const struct cost_period *period, cost_store_sum_fn fn,
                      void *arg);

/* Every counter of a day, one by one, in no order and some of them twice: `count` has only that one
 * set. Then once with row NULL. 0; -ENOMEM: nothing will be told. */
typedef void (*cost_store_row_fn)(void *arg, enum redis_status status, const struct cost_row *row,
                                  enum cost_counter which);
int cost_store_day(struct cost_store *s, int64_t day, cost_store_row_fn fn, void *arg) MUST_CHECK;

#endif
