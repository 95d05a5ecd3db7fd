#include "tests/support/wait_loop.h"

#include "common/clock.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#define LOOK_EVERY_MS 5

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

bool wait_loop_for(struct event_base *base, wait_fn done, void *arg, int timeout_ms)
{
    struct timeval every = {.tv_usec = LOOK_EVERY_MS * 1000};
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    struct event tick;
    bool is_done;

    (void)event_assign(&tick, base, -1, EV_PERSIST, on_tick, NULL);
    (void)event_add(&tick, &every);
    while (!(is_done = done(arg)) && clock_mono_ms() < until_ms)
        (void)event_base_loop(base, EVLOOP_ONCE);
    (void)event_del(&tick);
    return is_done;
}

bool wait_loop(struct event_base *base, wait_fn done, void *arg)
{
    return wait_loop_for(base, done, arg, WAIT_LOOP_MS);
}

void wait_loop_turns(struct event_base *base, int turns)
{
    while (turns-- > 0)
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
}
