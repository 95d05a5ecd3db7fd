/*
 * dim: one dimension of a pool (requests or tokens per minute or day): a token bucket, or a
 * sliding window.
 *
 * The arithmetic and nothing else; limiter/pool.h has the rules in words. Both have a level:
 * units that may be taken now. A bucket's rises with time, a window's by what leaves its log.
 *
 *   units      levels are token x tick, so that refill is exact: a rate of R tokens per
 *              period of P ticks adds R units a tick, and a token is P units. A tick is U ms.
 *   ownership  the caller owns the struct; a window's log is allocated, so dim_release() it. A
 *              struct copy may be refilled and looked at, nothing else (limiter/window.h).
 *   threads    none.
 *   invariant  -DIM_MAX_UNITS <= level <= capacity * period <= DIM_MAX_UNITS, so that a
 *              difference of two amounts stays below 2^53, exact in Lua's doubles too.
 */
#ifndef LIMITER_DIM_H
#define LIMITER_DIM_H

#include "common/error.h"
#include "limiter/window.h"

#include <stdbool.h>
#include <stdint.h>

#define DIM_NAME_BYTES 8
#define DIM_MAX_UNITS  (INT64_C(1) << 52)
#define DIM_MAX_TICKS  INT64_C(86400000) /* of a period: a day of milliseconds */
#define DIM_MAX_TICK   1000              /* ms */
#define DIM_NEVER      INT64_MAX         /* a wait that does not end by itself */

enum dim_algorithm { DIM_BUCKET, DIM_WINDOW };
enum dim_rule { DIM_REFUND, DIM_KEEP, DIM_ACCRUE };

struct dim_limit {
    char name[DIM_NAME_BYTES]; /* "rpm", "tpm", "itpm", "otpm", "rpd", "tpd" */
    int64_t rate;              /* R: tokens per period, > 0; R*P <= DIM_MAX_UNITS */
    int64_t period;            /* P: ticks, 1 .. DIM_MAX_TICKS */
    int64_t tick_ms;           /* U: 1 .. DIM_MAX_TICK */
    int64_t capacity;          /* C: tokens, > 0; C*P <= DIM_MAX_UNITS */
    int64_t headroom;          /* M: units, 0 <= M < C*P */
    enum dim_rule rule;
    bool open; /* no limit of the pool: it is counted for tenants' own limits only */
    enum dim_algorithm algorithm; /* of a window the rate only says how long M is */
};

struct dim {
    struct dim_limit limit;
    int64_t level; /* L: units; negative while in debt. Of a window (C - sum of its log) * P */
    int64_t refilled_ms; /* T: up to when the refill is in the level. Not of a window */
    int64_t paused_ms;   /* W: nothing fits before; 0 never paused */
    struct window window;
};

/* 0, or -EINVAL with the reason when a field is outside what is stated above. */
int dim_limit_check(const struct dim_limit *limit, struct error *e) MUST_CHECK;

/* A window's length: the period, and the time in which M would be refilled. */
int64_t dim_window_ms(const struct dim_limit *limit);

/* Full or empty. -ENOMEM. */
int dim_init(struct dim *d, const struct dim_limit *limit, bool full, int64_t now_ms) MUST_CHECK;
int dim_copy(struct dim *ret, const struct dim *from) MUST_CHECK; /* with its log. -ENOMEM */
void dim_release(struct dim *d);

/* A new limit of the same name: the level is kept, cut to the new capacity, never scaled up;
 * it starts again at 0 when period or tick differ, since it has another unit then. A window keeps
 * its log. What a bucket lacks when it becomes a window is charged now. -ENOMEM: nothing changed.
 */
int dim_relimit(struct dim *d, const struct dim_limit *limit, int64_t now_ms) MUST_CHECK;

/* Time that goes backwards earns nothing. */
void dim_refill(struct dim *d, int64_t now_ms);
int64_t dim_level_at(const struct dim *d, int64_t now_ms); /* as if refilled */

/* Units the level must have before a cost of so many tokens (0 .. capacity) is taken. */
int64_t dim_need(const struct dim *d, int64_t cost);

/* The next three take a dim that was refilled to now_ms. Ms until the level reaches units: 0
 * it has, DIM_NEVER when that is above the capacity. */
int64_t dim_reach_ms(const struct dim *d, int64_t units, int64_t now_ms);
/* Of a window: ms until so many tokens (> 0) have left it; DIM_NEVER: it holds less. */
int64_t dim_leave_ms(const struct dim *d, int64_t tokens, int64_t now_ms);
/* Ms until cost fits, pause included: 0 now. */
int64_t dim_wait_ms(const struct dim *d, int64_t cost, int64_t now_ms);

/* Takes a cost that fits. */
void dim_take(struct dim *d, int64_t cost, int64_t now_ms);

struct dim_charge {
    int64_t cost;
    int64_t at_ms;   /* when it was taken */
    int64_t accrued; /* beyond the cost, by dim_accrue() since */
};
/* Once per taken cost, when the actual one (>= 0) is known; d was refilled. A surplus comes
 * back when the rule gives it back or always says so; a shortfall is taken whatever the rule,
 * but no level goes below -DIM_MAX_UNITS. */
void dim_settle(struct dim *d, const struct dim_charge *charge, int64_t actual, bool always,
                int64_t now_ms);

/* More than the cost turned out to be used, and it is not over: debt when the level does not hold
 * it. d was refilled. */
void dim_accrue(struct dim *d, int64_t tokens, int64_t now_ms);

/* NULL, or what does not hold. */
const char *dim_check(const struct dim *d);

#endif
