/* Sums over all instances: nothing is counted twice or left out while it is on its way. */
#include "scheduler/tally_shared.h"

#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct tally_store *store;
    struct tally tally;
    int readings, ended;
    int64_t stored, own; /* requests of "a" in the last reading */
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    if (!r || redis_fixture_start(&r->redis, NULL) || !redis_probe_open(&r->probe, r->redis.url) ||
        !redis_probe_wait_up(&r->probe))
        return -1;
    tally_init(&r->tally, 1);
    r->store = tally_store_new(r->probe.link, 5000);
    return r->store ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    tally_store_free(r->store);
    redis_probe_close(&r->probe);
    tally_release(&r->tally);
    redis_fixture_stop(&r->redis);
    free(r);
    return 0;
}

static void on_number(void *arg, const char *name, size_t number, int64_t stored, int64_t own)
{
    struct rig *r = arg;
    if (!name) {
        r->ended++;
    } else if (strcmp(name, "a") == 0 && number == TALLY_requests) {
        r->stored += stored;
        r->own += own;
    }
}

static void begin_read(struct rig *r)
{
    r->stored = r->own = 0;
    r->readings++;
    tally_shared_read(&r->tally, r->store, TALLY_TENANT, on_number, r);
}

static bool has_ended(void *arg)
{
    const struct rig *r = arg;
    return r->ended == r->readings;
}

static bool is_told(void *arg)
{
    struct rig *r = arg;
    const struct tally_row *row = tally_of(&r->tally, TALLY_TENANT, "a");
    return row->sending[TALLY_requests] == 0;
}

static void count(struct rig *r, int64_t requests)
{
    tally_add(tally_of(&r->tally, TALLY_TENANT, "a"), TALLY_requests, requests);
}

static int64_t sum(struct rig *r)
{
    begin_read(r);
    assert_true(wait_loop(r->probe.base, has_ended, r));
    return r->stored + r->own;
}

/* The server does not hold the script: it runs behind the reading. */
static void an_addition_that_is_delayed_by_its_script_is_counted(void **state)
{
    struct rig *r = *state;
    count(r, 3);
    tally_shared_send(&r->tally, r->store);
    assert_int_equal(sum(r), 3);
    assert_int_equal(r->own, 3);
    assert_true(wait_loop(r->probe.base, is_told, r));
    assert_int_equal(sum(r), 3);
    assert_int_equal(r->stored, 3);
}

static void an_addition_is_not_counted_twice_whenever_it_is_sent(void **state)
{
    struct rig *r = *state;
    count(r, 1);
    tally_shared_send(&r->tally, r->store);
    assert_true(wait_loop(r->probe.base, is_told, r)); /* the script is there */
    count(r, 2);
    tally_shared_send(&r->tally, r->store);
    begin_read(r);
    count(r, 4);
    tally_shared_send(&r->tally, r->store); /* behind the reading */
    count(r, 8);
    assert_true(wait_loop(r->probe.base, has_ended, r));
    assert_int_equal(r->stored, 3);
    assert_int_equal(r->own, 12);
    assert_true(wait_loop(r->probe.base, is_told, r));
    assert_int_equal(sum(r), 15);
    assert_int_equal(r->stored, 7);
}

static bool is_back(void *arg)
{
    struct rig *r = arg;
    return tally_of(&r->tally, TALLY_TENANT, "a")->unsent[TALLY_requests] == 5;
}

static bool is_up(void *arg)
{
    struct rig *r = arg;
    return redis_link_is_up(r->probe.link);
}

static bool is_down(void *arg)
{
    return !is_up(arg);
}

static void what_could_not_be_sent_is_sent_later(void **state)
{
    struct rig *r = *state;
    redis_fixture_kill(&r->redis);
    assert_true(wait_loop(r->probe.base, is_down, r));
    count(r, 5);
    tally_shared_send(&r->tally, r->store);
    assert_true(wait_loop(r->probe.base, is_back, r));
    assert_int_equal(sum(r), 5);
    assert_int_equal(redis_fixture_restart(&r->redis), 0);
    assert_true(wait_loop(r->probe.base, is_up, r));
    tally_shared_send(&r->tally, r->store);
    assert_true(wait_loop(r->probe.base, is_told, r));
    assert_int_equal(sum(r), 5);
    assert_int_equal(r->stored, 5);
}

static void what_is_on_its_way_at_the_end_does_no_harm(void **state)
{
    struct rig *r = *state;
    count(r, 1);
    tally_shared_send(&r->tally, r->store);
    begin_read(r);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(an_addition_that_is_delayed_by_its_script_is_counted),
        WITH_RIG(an_addition_is_not_counted_twice_whenever_it_is_sent),
        WITH_RIG(what_could_not_be_sent_is_sent_later),
        WITH_RIG(what_is_on_its_way_at_the_end_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
