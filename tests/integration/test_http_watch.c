#include "scheduler/http_watch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

struct fixture {
    struct event_base *base;
    struct http_watch *watch;
    int ends[2]; /* ours is watched, theirs is the peer */
    unsigned readable, writable;
};

static void on_ready(void *arg, int fd, bool readable, bool writable)
{
    struct fixture *f = arg;
    assert_int_equal(fd, f->ends[0]);
    f->readable += readable;
    f->writable += writable;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->base = event_base_new();
    assert_non_null(f->base);
    f->watch = http_watch_new(f->base, on_ready, f);
    assert_non_null(f->watch);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, f->ends),
                     0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_watch_free(f->watch);
    (void)close(f->ends[0]);
    (void)close(f->ends[1]);
    event_base_free(f->base);
    free(f);
    return 0;
}

static int registered(const struct fixture *f)
{
    return event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED);
}

static void pass(struct fixture *f)
{
    assert_true(event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
}

static void write_byte(struct fixture *f)
{
    assert_int_equal(write(f->ends[1], "x", 1), 1);
}

static void read_byte(struct fixture *f)
{
    char byte;
    assert_int_equal(read(f->ends[0], &byte, 1), 1);
}

static void what_is_wanted_is_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(http_watch_open(f->watch, f->ends[0]), 0);
    pass(f);
    assert_int_equal(f->writable, 0);

    assert_int_equal(http_watch_want(f->watch, f->ends[0], false, true), 0);
    pass(f);
    assert_int_equal(f->writable, 1);
    assert_int_equal(http_watch_want(f->watch, f->ends[0], true, false), 0);
    write_byte(f);
    pass(f);
    assert_int_equal(f->writable, 1);
    assert_int_equal(f->readable, 1);
    assert_int_equal(http_watch_want(f->watch, f->ends[0], true, true), 0);
    pass(f);
    assert_int_equal(f->writable, 2);
    assert_int_equal(f->readable, 2);
    http_watch_close(f->watch, f->ends[0]);
    pass(f);
    assert_int_equal(f->readable, 2);
    assert_int_equal(registered(f), 0);
}

static void an_opened_socket_stays_registered_until_it_speaks_unasked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(http_watch_open(f->watch, f->ends[0]), 0);
    assert_int_equal(http_watch_want(f->watch, f->ends[0], true, false), 0);
    assert_int_equal(http_watch_want(f->watch, f->ends[0], false, false), 0);
    pass(f);
    assert_int_equal(registered(f), 1);

    write_byte(f);
    pass(f);
    assert_int_equal(f->readable, 0); /* nobody wanted it */
    assert_int_equal(registered(f), 0);

    assert_int_equal(http_watch_want(f->watch, f->ends[0], true, false), 0);
    pass(f);
    assert_int_equal(f->readable, 1);
    read_byte(f);
}

static void a_socket_that_was_never_opened_is_forgotten_at_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(http_watch_want(f->watch, f->ends[0], true, false), 0);
    write_byte(f);
    pass(f);
    assert_int_equal(f->readable, 1);
    assert_int_equal(http_watch_want(f->watch, f->ends[0], false, false), 0);
    assert_int_equal(registered(f), 0);
    assert_int_equal(http_watch_want(f->watch, f->ends[0], false, false), 0);
}

static void a_number_that_is_opened_again_starts_anew(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(http_watch_open(f->watch, f->ends[0]), 0);
    assert_int_equal(http_watch_want(f->watch, f->ends[0], true, true), 0);
    assert_int_equal(http_watch_open(f->watch, f->ends[0]), 0);
    assert_int_equal(registered(f), 0);
    pass(f);
    assert_int_equal(f->writable, 0);
}

static void numbers_past_the_maximum_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(http_watch_open(f->watch, HTTP_WATCH_MAX_FD), -EMFILE);
    assert_int_equal(http_watch_open(f->watch, HTTP_WATCH_MAX_FD - 1), 0);
    http_watch_close(f->watch, HTTP_WATCH_MAX_FD - 1);
    http_watch_close(f->watch, HTTP_WATCH_MAX_FD);
    http_watch_close(f->watch, -1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_is_wanted_is_told),
        CASE(an_opened_socket_stays_registered_until_it_speaks_unasked),
        CASE(a_socket_that_was_never_opened_is_forgotten_at_once),
        CASE(a_number_that_is_opened_again_starts_anew),
        CASE(numbers_past_the_maximum_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
