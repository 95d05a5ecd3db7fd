/*
 * loop: virtual time and everything that happens in it, in one order that a seed decides.
 *
 * One queue of happenings by (time, order of making). A happening belongs to a process (struct
 * event_base stands for one) or to the world. Of a paused process they are held back and come, in
 * their order, when it wakes; a killed process has none any more.
 *
 * loop.c defines what the code under test takes from libevent (event_new, _add, _del, _free,
 * _active) and from common/clock.h, and a replacement of rand_hex(), so that the scheduler runs
 * here unchanged. Those have no argument to find their world by, hence one static pointer to the
 * loop of now: a program runs one simulation at a time.
 *
 *   units      microseconds
 *   ownership  the caller's structs.
 */
#ifndef TESTS_SIMULATION_LOOP_H
#define TESTS_SIMULATION_LOOP_H

#include "common/list.h"
#include "common/rand.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct event_base {
    int number;
    bool paused, dead;
    int64_t wall_shift_ms; /* its own wall clock against the true time */
    struct list held;      /* happenings of the time it was paused */
};

typedef void (*happen_fn)(void *arg);

struct happening {
    int64_t at_us;
    uint64_t order;
    size_t place; /* in the queue, from 1; 0: it is not in it */
    struct event_base *process;
    struct list link; /* on process->held */
    happen_fn fn;
    void *arg;
    bool once; /* made by loop_later(): freed when it has happened */
};

struct loop {
    struct happening **queue;
    size_t count, room;
    int64_t now_us;
    uint64_t made, happened;
    struct rand rand; /* of the world: latencies, faults, clients */
    struct rand ids;
    uint64_t hash; /* of the trace so far */
    FILE *trace;   /* NULL: only hashed */
    uint64_t seed;
    const struct event_base *running; /* whose turn it is; NULL: the world's */
    char broken[512];                 /* the first thing that did not hold; "" none */
};

void loop_start(struct loop *l, uint64_t seed);
void loop_stop(struct loop *l);
bool loop_step(struct loop *l); /* false: nothing will ever happen again */

int64_t loop_now_us(void);
struct loop *loop_current(void);

void happening_init(struct happening *h, struct event_base *process, happen_fn fn, void *arg);
void happening_at(struct happening *h, int64_t at_us); /* moves it when it stands already */
void happening_drop(struct happening *h);              /* idempotent */
/* One that is made, happens and is gone. process NULL: the world's. */
void loop_later(struct event_base *process, int64_t in_us, happen_fn fn, void *arg);

void process_init(struct event_base *p, int number);
void process_pause(struct event_base *p);
void process_wake(struct event_base *p);

/* ---- chance, all from the seed */
int64_t chance_below(int64_t n);
int64_t chance_between(int64_t least, int64_t most);
bool chance_permille(int64_t permille);
/* Mostly short, sometimes up to most_us: what a network does. */
int64_t chance_latency_us(int64_t most_us);

/* ---- the trace: one JSON line each, and a hash over all of them */
void trace(const char *what, const char *id, int64_t a, int64_t b);
/* A broken invariant: the first one is kept, with its time. The run goes on to the next check. */
void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
