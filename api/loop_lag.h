/*
 * loop_lag: how late the event loop is, measured by a timer that should fire each second.
 *
 * What blocks the loop delays every request in the process, and nothing else shows it.
 *
 *   units      us
 *   ownership  opaque.
 *   threads    one event loop.
 */
#ifndef API_LOOP_LAG_H
#define API_LOOP_LAG_H

#include <stdint.h>

#define LOOP_LAG_BOUNDS 8

struct event_base;
struct loop_lag;

struct loop_lag_counts {
    int64_t counts[LOOP_LAG_BOUNDS + 1]; /* the last: past all bounds */
    int64_t sum_us;
};
extern const int64_t loop_lag_bounds_us[LOOP_LAG_BOUNDS];

struct loop_lag *loop_lag_new(struct event_base *base); /* NULL: no memory */
void loop_lag_free(struct loop_lag *l);                 /* accepts NULL */
const struct loop_lag_counts *loop_lag_counts(const struct loop_lag *l);

#endif
