/*
 * sim_limit: the simulated provider's own limiter, exact and without a clock.
 *
 * It shares nothing with limiter/: the same mistake on both sides of a test would
 * hide itself. Levels are 128-bit products of tokens and microseconds, so nothing is
 * ever rounded but the wait that is told (up, to the next microsecond).
 *
 *   bucket          starts full, refills limit per window continuously up to capacity
 *   sliding_window  what was charged in the last window, entry by entry, <= limit
 *   fixed_window    a counter that is reset at every multiple of the window
 *
 * A scope is the set of dimensions that one model or one key has. A request is checked
 * against all its scopes, and is charged in all or in none.
 *
 *   units      tokens or requests; microseconds of one monotonic clock, which the
 *              caller passes in.
 *   ownership  the caller owns the structs; the logs inside are released.
 */
#ifndef API_SIMULATE_SIM_LIMIT_H
#define API_SIMULATE_SIM_LIMIT_H

#include "api/simulate/sim_log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_MINUTE_US  INT64_C(60000000)
#define SIM_DAY_US     INT64_C(86400000000)
#define SIM_NEVER      INT64_MAX
#define SIM_MAX_AMOUNT INT64_C(1000000000000)
#define SIM_NAME_BYTES 128

__extension__ typedef __int128 sim_wide;

enum sim_algorithm { SIM_BUCKET, SIM_SLIDING_WINDOW, SIM_FIXED_WINDOW, SIM_ALGORITHMS };

enum sim_dim {
    SIM_RPM,
    SIM_TPM,
    SIM_ITPM,
    SIM_OTPM,
    SIM_RPD,
    SIM_TPD,
    SIM_RATE_DIMS,
    SIM_CONCURRENCY = SIM_RATE_DIMS,
    SIM_DIMS,
};

const char *sim_dim_name(enum sim_dim dim);           /* "tpm" */
int sim_dim_find(const char *name, size_t len);       /* -1 when unknown */
const char *sim_algorithm_name(enum sim_algorithm a); /* "bucket" */
int sim_algorithm_find(const char *name);             /* -1 when unknown */
int64_t sim_dim_window_us(enum sim_dim dim);          /* a minute or a day */

struct sim_limit {
    enum sim_algorithm algorithm;
    int64_t limit;    /* per window; 0: not limited (use is still logged) */
    int64_t capacity; /* bucket: the most at once */
    int64_t window_us;
    sim_wide level;     /* bucket: tokens x window_us available; negative in debt */
    int64_t updated_us; /* bucket: time of level */
    int64_t used;       /* fixed_window: in the window of number `number` */
    int64_t number;
    struct sim_log log; /* of every charge, whatever the algorithm */
    int64_t charged;    /* since the start or the reset */
    /* The budget that was there to be used: offered_base + limit x (now - offered_us). */
    int64_t offered_base, offered_us;
    bool begun;
};

void sim_limit_init(struct sim_limit *l, int64_t window_us);
void sim_limit_release(struct sim_limit *l);
/* Sets or changes the limit, keeping what is used. capacity 0: limit. */
void sim_limit_set(struct sim_limit *l, enum sim_algorithm algorithm, int64_t limit,
                   int64_t capacity, int64_t now_us);

/* Microseconds until amount fits: 0 now, SIM_NEVER when it is above the capacity. */
int64_t sim_limit_wait_us(struct sim_limit *l, int64_t amount, int64_t now_us);
/* Charges without asking (output that was produced); may leave a debt. */
void sim_limit_charge(struct sim_limit *l, int64_t amount, int64_t now_us);
/* Gives back part of what was charged at charged_us. */
void sim_limit_refund(struct sim_limit *l, int64_t amount, int64_t charged_us, int64_t now_us);

int64_t sim_limit_remaining(struct sim_limit *l, int64_t now_us); /* rounded down, >= 0 */
int64_t sim_limit_used(struct sim_limit *l, int64_t now_us);      /* in debt above the limit */
int64_t sim_limit_reset_us(struct sim_limit *l, int64_t now_us);  /* until nothing is used */
/* Budget since the first charge: capacity + limit x elapsed. Windows: whole windows. */
int64_t sim_limit_offered(const struct sim_limit *l, int64_t now_us);

struct sim_scope {
    char name[SIM_NAME_BYTES];
    struct sim_limit limits[SIM_RATE_DIMS];
    int64_t concurrency; /* 0: not limited */
    int64_t in_flight, peak_in_flight;
};

void sim_scope_init(struct sim_scope *s, const char *name);
void sim_scope_release(struct sim_scope *s);

/* need: what must fit. charge: what is taken when all of it does (0 for output that is
 * charged as it is produced, where need is 1: something must be left). */
struct sim_cost {
    int64_t need[SIM_RATE_DIMS];
    int64_t charge[SIM_RATE_DIMS];
};

/* Why a request was refused: the dimension with the longest wait, or one that never fits. */
struct sim_refused {
    enum sim_dim dim;
    struct sim_scope *scope;
    int64_t limit, used, requested;
    int64_t wait_us; /* SIM_NEVER: larger than the limit */
};

/* All or nothing. True: charged, and in flight in every scope until sim_leave(). */
bool sim_admit(struct sim_scope **scopes, size_t count, const struct sim_cost *cost, int64_t now_us,
               struct sim_refused *ret_refused);
void sim_leave(struct sim_scope **scopes, size_t count);

#endif
