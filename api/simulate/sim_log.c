#include "api/simulate/sim_log.h"

#include "common/limits.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64

void sim_log_init(struct sim_log *log, int64_t window_us)
{
    *log = (struct sim_log){.window_us = window_us};
}

void sim_log_release(struct sim_log *log)
{
    free(log->ring);
    *log = (struct sim_log){.window_us = log->window_us};
}

static struct sim_log_entry *at(struct sim_log *log, size_t i)
{
    return &log->ring[(log->head + i) & (log->room - 1)];
}

static void expire(struct sim_log *log, int64_t now_us)
{
    while (log->count > 0 && now_us - at(log, 0)->time_us >= log->window_us) {
        log->sum -= at(log, 0)->amount;
        log->head = (log->head + 1) & (log->room - 1);
        log->count--;
    }
}

/* The room stays a power of two, so that a position is a mask away. */
static int grow(struct sim_log *log)
{
    size_t room = log->room ? log->room * 2 : FIRST_ROOM;
    if (room > SIM_MAX_LOG_ENTRIES)
        return -1;
    struct sim_log_entry *ring = calloc(room, sizeof(*ring));
    if (!ring)
        return -1;
    for (size_t i = 0; i < log->count; i++)
        ring[i] = *at(log, i);
    free(log->ring);
    log->ring = ring;
    log->room = room;
    log->head = 0;
    return 0;
}

int64_t sim_log_sum(struct sim_log *log, int64_t now_us)
{
    expire(log, now_us);
    return log->sum;
}

static void append(struct sim_log *log, int64_t amount, int64_t now_us)
{
    struct sim_log_entry *last = log->count ? at(log, log->count - 1) : NULL;
    if (last && now_us <= last->time_us) {
        last->amount += amount;
        return;
    }
    if (log->count == log->room && grow(log) < 0) {
        if (last) {
            last->amount += amount;
            last->time_us = now_us;
        }
        return;
    }
    log->count++;
    *at(log, log->count - 1) = (struct sim_log_entry){now_us, amount};
}

void sim_log_add(struct sim_log *log, int64_t amount, int64_t now_us)
{
    if (amount == 0)
        return;
    expire(log, now_us);
    append(log, amount, now_us);
    if (log->count == 0)
        return;
    log->sum += amount;
    if (log->sum > log->peak)
        log->peak = log->sum;
}

void sim_log_correct(struct sim_log *log, int64_t delta, int64_t time_us, int64_t now_us)
{
    expire(log, now_us);
    size_t low = 0, high = log->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at(log, middle)->time_us < time_us)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == log->count || now_us - time_us >= log->window_us)
        return;
    at(log, low)->amount += delta;
    log->sum += delta;
    if (log->sum > log->peak)
        log->peak = log->sum;
}

int64_t sim_log_wait_us(struct sim_log *log, int64_t amount, int64_t limit, int64_t now_us)
{
    if (amount > limit)
        return SIM_LOG_NEVER;
    expire(log, now_us);
    int64_t left = log->sum;
    int64_t wait_us = 0;
    for (size_t i = 0; i < log->count && left + amount > limit; i++) {
        left -= at(log, i)->amount;
        wait_us = at(log, i)->time_us + log->window_us - now_us;
    }
    return wait_us;
}

int64_t sim_log_empty_us(struct sim_log *log, int64_t now_us)
{
    expire(log, now_us);
    if (log->count == 0)
        return 0;
    return at(log, log->count - 1)->time_us + log->window_us - now_us;
}
