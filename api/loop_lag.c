#include "api/loop_lag.h"

#include "common/clock.h"

#include <event2/event.h>
#include <stdlib.h>

#define EVERY_US INT64_C(1000000)

const int64_t loop_lag_bounds_us[LOOP_LAG_BOUNDS] = {1000,  2500,   5000,   10000,
                                                     50000, 100000, 500000, 1000000};

struct loop_lag {
    struct event *tick;
    int64_t due_us;
    struct loop_lag_counts counts;
};

static void arm(struct loop_lag *l)
{
    struct timeval tv = {.tv_sec = EVERY_US / 1000000};
    l->due_us = clock_mono_us() + EVERY_US;
    evtimer_add(l->tick, &tv);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct loop_lag *l = arg;
    int64_t late_us = clock_mono_us() - l->due_us;
    int i = 0;
    (void)fd;
    (void)what;
    if (late_us < 0)
        late_us = 0; /* the loop's clock is cached, and coarser */
    while (i < LOOP_LAG_BOUNDS && late_us > loop_lag_bounds_us[i])
        i++;
    l->counts.counts[i]++;
    l->counts.sum_us += late_us;
    arm(l);
}

struct loop_lag *loop_lag_new(struct event_base *base)
{
    struct loop_lag *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->tick = evtimer_new(base, on_tick, l);
    if (!l->tick) {
        free(l);
        return NULL;
    }
    arm(l);
    return l;
}

void loop_lag_free(struct loop_lag *l)
{
    if (!l)
        return;
    event_free(l->tick);
    free(l);
}

const struct loop_lag_counts *loop_lag_counts(const struct loop_lag *l)
{
    return &l->counts;
}
