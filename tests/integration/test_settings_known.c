/* What an instance knows of saved settings, and whom it tells, with another one that writes. */
#include "scheduler/settings.h"

#include "storage/key.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORD "{\"saved_ms\":1,\"values\":{\"temperature\":0.5}}"

struct rig {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct settings *settings;
    unsigned changes, saves;
    bool told_of_theirs; /* that theirs holds, when it was said that something changed */
};

static bool knows_theirs(void *arg)
{
    const struct rig *r = arg;
    return settings_exact(r->settings, "p", "theirs") != NULL;
}

static void on_changed(void *arg)
{
    struct rig *r = arg;
    r->changes++;
    r->told_of_theirs = knows_theirs(r);
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    if (!r || redis_fixture_start(&r->redis, NULL) || !redis_probe_open(&r->probe, r->redis.url) ||
        !redis_probe_wait_up(&r->probe))
        return -1;
    r->settings = settings_new(r->probe.base, r->probe.link, on_changed, r);
    return r->settings ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    settings_free(r->settings);
    redis_probe_close(&r->probe);
    redis_fixture_stop(&r->redis);
    free(r);
    return 0;
}

static void on_saved(void *arg, enum redis_status status, enum settings_change change,
                     int64_t version)
{
    struct rig *r = arg;
    (void)version;
    assert_int_equal(status, REDIS_OK);
    assert_int_equal(change, SETTINGS_DONE);
    r->saves++;
}

static bool has_first_load(void *arg)
{
    const struct rig *r = arg;
    return settings_is_known(r->settings) && r->changes == 1;
}

/* Limits are stated to pools when a change is told, so a change that is learned of and not told
 * would leave a pool with its old ones. */
static void a_change_that_is_learned_of_by_the_way_is_told_too(void **state)
{
    struct rig *r = *state;
    struct settings_values values;
    settings_connected(r->settings, true);
    assert_true(wait_loop(r->probe.base, has_first_load, r));
    /* Another instance saves; its message has not come when this one saves as well. */
    (void)redis_probe_call(&r->probe, REDIS_ARGS("HINCRBY", KEY_SETTINGS, "version", "1"));
    (void)redis_probe_call(&r->probe, REDIS_ARGS("HSET", KEY_SETTINGS, "p/theirs", "1 " RECORD));
    settings_values_init(&values);
    values.temperature_tenths = 7;
    struct settings_edit edit = {"p", "mine", &values, SETTINGS_ANY_VERSION};
    assert_int_equal(settings_save(r->settings, &edit, on_saved, r), 0);
    assert_true(wait_loop(r->probe.base, knows_theirs, r));
    assert_int_equal(r->saves, 1);
    assert_non_null(settings_exact(r->settings, "p", "mine"));
    assert_true(r->told_of_theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_that_is_learned_of_by_the_way_is_told_too, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
