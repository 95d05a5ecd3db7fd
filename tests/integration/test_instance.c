/* Who lives, as instances tell each other. */
#include "storage/instance.h"

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
    int rows, ends;
    bool seen;
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    return r && redis_fixture_start(&r->redis, NULL) == 0 &&
                   redis_probe_open(&r->probe, r->redis.url) && redis_probe_wait_up(&r->probe)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    redis_probe_close(&r->probe);
    redis_fixture_stop(&r->redis);
    free(r);
    return 0;
}

static void on_instance(void *arg, const char *id, int64_t age_ms, const char *json)
{
    struct rig *r = arg;
    (void)age_ms;
    r->rows += id != NULL;
    r->ends += id == NULL;
    r->seen |= id && json && strcmp(id, "one") == 0;
}

static bool has_ended(void *arg)
{
    const struct rig *r = arg;
    return r->ends > 0;
}

static void one_that_lives_is_listed(void **state)
{
    struct rig *r = *state;
    struct instance *i = instance_new(r->probe.base, r->probe.link, "one");
    assert_non_null(i);
    instance_connected(i, true);
    instance_list(i, on_instance, r);
    assert_true(wait_loop(r->probe.base, has_ended, r));
    assert_int_equal(r->rows, 1);
    assert_true(r->seen);
    instance_free(i);
}

static void a_list_that_is_asked_for_is_answered_once_also_when_the_asker_ends(void **state)
{
    struct rig *r = *state;
    struct instance *i = instance_new(r->probe.base, r->probe.link, "one");
    struct instance *other = instance_new(r->probe.base, r->probe.link, "two");
    assert_non_null(i);
    assert_non_null(other);
    instance_connected(other, true);
    instance_connected(i, true);
    instance_list(i, on_instance, r);
    instance_free(i);
    assert_true(wait_loop(r->probe.base, has_ended, r));
    assert_int_equal(r->ends, 1);
    assert_true(r->rows >= 1);
    instance_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_lives_is_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_list_that_is_asked_for_is_answered_once_also_when_the_asker_ends, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
