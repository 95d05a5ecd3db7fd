/*
 * window: the log of a sliding window: what was charged, and when.
 *
 * An entry is the sum of what was charged at one ms. The log is exact until it holds more than
 * WINDOW_MAX_ENTRIES; then the entries of each quantum (length / WINDOW_QUANTA, rounded up) become
 * one at the quantum's end. An entry is only ever moved to a LATER time, so a merged log lets go
 * of nothing too early; it lets go of it one quantum too late at most.
 *
 *   units      tokens; ms
 *   ownership  the caller's struct; window_init() allocates, window_release() frees. A struct copy
 *              shares the entries: window_drop() on it leaves the original as it was, and is the
 *              only change that a copy may see.
 *   threads    none.
 *   invariant  times do not fall; amounts >= 0 (an entry whose charge came back stands at 0 until
 *              it leaves or is merged).
 */
#ifndef LIMITER_WINDOW_H
#define LIMITER_WINDOW_H

#include "common/error.h"
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_NEVER INT64_MAX

struct window_entry {
    int64_t at_ms, tokens;
};

struct window {
    struct window_entry *entries; /* a ring of WINDOW_MAX_ENTRIES + 1 */
    size_t first, count;
    int64_t gone_ms; /* what was charged then or before is not in it: it left, or came before */
};

int window_init(struct window *w) MUST_CHECK; /* -ENOMEM */
void window_release(struct window *w);
int window_copy(struct window *ret, const struct window *from) MUST_CHECK; /* -ENOMEM */
void window_restart(struct window *w, int64_t now_ms);                     /* empty */

/* Forgets entries at or before a time. The tokens that left with them. */
int64_t window_drop(struct window *w, int64_t until_ms);
/* Books a charge (>= 0) at a time; at the last entry's when the clock has stepped back. */
void window_add(struct window *w, int64_t at_ms, int64_t tokens, int64_t length_ms);
/* Takes back what was charged at a time, from the first entry that is not before it on: the
 * charge stands there or later, and what is taken from an earlier entry than its own is only
 * gone later. How much of it was there: nothing, once it has left. */
int64_t window_take_back(struct window *w, int64_t charged_ms, int64_t tokens);

/* The time of the entry with which so many tokens (> 0) are reached; WINDOW_NEVER: all are less. */
int64_t window_reach(const struct window *w, int64_t tokens);
int64_t window_sum(const struct window *w);
const struct window_entry *window_at(const struct window *w,
                                     size_t i); /* i < count, oldest first */

/* NULL, or what does not hold. */
const char *window_check(const struct window *w);

#endif
