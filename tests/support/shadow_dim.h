/*
 * shadow_dim: the ledger of one dimension for pool_shadow, as plainly as possible: a level, or of a
 * sliding window every single charge in a list, added up anew at each look. Assertions are
 * cmocka's.
 */
#ifndef TESTS_SUPPORT_SHADOW_DIM_H
#define TESTS_SUPPORT_SHADOW_DIM_H

#include "limiter/pool.h"

#define SHADOW_MAX_RECORDS 16384

/* One charge of a window, whoever's. */
struct shadow_record {
    int64_t at_ms, tokens;
    size_t ticket; /* SIZE_MAX: of nobody */
};

struct shadow_dim {
    bool present;
    struct dim_limit limit;
    int64_t level, refilled_ms, paused_ms;
    /* I1: net charge so far less what was earned so far, and its least value before an event */
    int64_t charged, earned_ticks, least;
    /* of a window: every charge that has not left it; its level is what they leave */
    struct shadow_record *log;
    size_t count;
    int64_t since_ms;
    bool loose; /* merged, or the clock stepped back: the pool may hold more than the log says, also
                   as a bucket that was made of it */
};

__extension__ typedef __int128 shadow_wide; /* no product here overflows */

int64_t shadow_dim_least(shadow_wide a, shadow_wide b);
int64_t shadow_dim_full(const struct shadow_dim *d);
bool shadow_dim_is_window(const struct shadow_dim *d);
void shadow_dim_add(struct shadow_dim *d, int64_t at_ms, int64_t tokens, size_t ticket);
void shadow_dim_forget_left(struct shadow_dim *d, int64_t now_ms);
void shadow_dim_refill(struct shadow_dim *d, int64_t now_ms);
void shadow_dim_charge(struct shadow_dim *d, int64_t units, bool is_grant);
void shadow_dim_grant(struct shadow_dim *d, int64_t tokens, size_t ticket, int64_t now_ms);
void shadow_dim_set(struct shadow_dim *d, const struct shadow_dim *old, const struct dim_limit *l,
                    int64_t now_ms);
void shadow_dim_take_back(struct shadow_dim *d, size_t ticket, int64_t granted_ms, int64_t tokens);

#endif
