/*
 * sim_log: what was charged in the last window, exactly, and the most it ever was.
 *
 * A log of (time, amount) in the order of time. An amount made at t counts while
 * now < t + window_us, so sum is the use of the half-open window (now - window, now],
 * and peak is the highest sum that any such window reached.
 *
 *   units      times in microseconds of one clock; a time before the newest entry
 *              is taken as the newest entry's.
 *   maximum    SIM_MAX_LOG_ENTRIES; past it (or without memory) an amount joins the
 *              newest entry, whose time moves to now: use is then told too high for
 *              a moment, never too low.
 *   ownership  the caller owns the struct.
 */
#ifndef API_SIMULATE_SIM_LOG_H
#define API_SIMULATE_SIM_LOG_H

#include <stddef.h>
#include <stdint.h>

#define SIM_LOG_NEVER INT64_MAX

struct sim_log_entry {
    int64_t time_us;
    int64_t amount;
};

struct sim_log {
    struct sim_log_entry *ring;
    size_t room, head, count;
    int64_t window_us;
    int64_t sum; /* of the entries held; current after sim_log_sum() */
    int64_t peak;
};

void sim_log_init(struct sim_log *log, int64_t window_us);
void sim_log_release(struct sim_log *log);

int64_t sim_log_sum(struct sim_log *log, int64_t now_us);
void sim_log_add(struct sim_log *log, int64_t amount, int64_t now_us);
/* Changes what was logged at time_us by delta; nothing when it has left the window. */
void sim_log_correct(struct sim_log *log, int64_t delta, int64_t time_us, int64_t now_us);
/* Microseconds until amount fits under limit: 0 now, SIM_LOG_NEVER when amount > limit. */
int64_t sim_log_wait_us(struct sim_log *log, int64_t amount, int64_t limit, int64_t now_us);
/* Microseconds until the window is empty. */
int64_t sim_log_empty_us(struct sim_log *log, int64_t now_us);

#endif
