/* Saved settings in Redis, one server and a cluster: versions, bounds, and what is told. */
#include "storage/settings_store.h"

#include "storage/key.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_group.h"
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

#define MASTERS 3

struct rig {
    struct redis_fixture redis;
    struct redis_node nodes[MASTERS];
    bool cluster;
    struct redis_probe probe;
    struct settings_store *store;
    bool answered;
    enum redis_status status;
    enum settings_change change;
    int64_t version, changes;
    size_t rows, unreadable;
    char record[64]; /* of the row that was told last */
};

static int open_rig(struct rig *r, const char *url)
{
    if (!redis_probe_open(&r->probe, url) || !redis_probe_wait_up(&r->probe))
        return -1;
    r->store = settings_store_new(r->probe.link, 5000);
    return r->store ? 0 : -1;
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    return !r || redis_fixture_start(&r->redis, NULL) ? -1 : open_rig(r, r->redis.url);
}

static int set_up_cluster(void **state)
{
    char url[128];
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    if (!r || redis_cluster_start(r->nodes, MASTERS, NULL))
        return -1;
    r->cluster = true;
    (void)snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%d", r->nodes[0].port);
    return open_rig(r, url);
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    settings_store_free(r->store);
    redis_probe_close(&r->probe);
    for (size_t i = 0; r->cluster && i < MASTERS; i++)
        redis_node_stop(&r->nodes[i]);
    redis_fixture_stop(&r->redis);
    free(r);
    return 0;
}

static bool has_answer(void *arg)
{
    const struct rig *r = arg;
    return r->answered;
}

static void on_written(void *arg, enum redis_status status, enum settings_change change,
                       int64_t version)
{
    struct rig *r = arg;
    assert_false(r->answered);
    r->answered = true;
    r->status = status;
    r->change = change;
    r->version = version;
}

static enum settings_change put(struct rig *r, const char *name, const char *record,
                                int64_t expected)
{
    struct settings_write what = {.name = name, .record = record, .expected = expected};
    r->answered = false;
    assert_int_equal(settings_store_write(r->store, &what, on_written, r), 0);
    assert_false(r->answered);
    assert_true(wait_loop(r->probe.base, has_answer, r));
    assert_int_equal(r->status, REDIS_OK);
    return r->change;
}

static void on_row(void *arg, enum redis_status status, const char *name, int64_t version,
                   const char *record)
{
    struct rig *r = arg;
    if (name) {
        r->rows++;
        r->unreadable += !record;
        r->version = version;
        (void)snprintf(r->record, sizeof(r->record), "%.60s", record ? record : "");
        return;
    }
    r->answered = true;
    r->status = status;
    r->changes = version;
}

static void load(struct rig *r)
{
    r->answered = false;
    r->rows = r->unreadable = 0;
    assert_int_equal(settings_store_load(r->store, on_row, r), 0);
    assert_true(wait_loop(r->probe.base, has_answer, r));
    assert_int_equal(r->status, REDIS_OK);
}

static void nothing_is_saved_at_first(void **state)
{
    struct rig *r = *state;
    load(r);
    assert_int_equal(r->rows, 0);
    assert_int_equal(r->changes, 0);
}

static void a_change_is_made_on_the_version_that_was_seen_only(void **state)
{
    struct rig *r = *state;
    assert_int_equal(put(r, "a/m", "one two", 0), SETTINGS_DONE);
    assert_int_equal(r->version, 1);
    assert_int_equal(put(r, "a/m", "late", 0), SETTINGS_STALE);
    assert_int_equal(r->version, 1);
    assert_int_equal(put(r, "a/m", "late", 2), SETTINGS_STALE);
    assert_int_equal(put(r, "a/m", NULL, 7), SETTINGS_STALE);
    assert_int_equal(put(r, "a/n", "other", 0), SETTINGS_DONE);
    assert_int_equal(put(r, "a/m", "next", 1), SETTINGS_DONE);
    assert_int_equal(r->version, 3);
    assert_int_equal(put(r, "a/m", "anyhow", SETTINGS_ANY_VERSION), SETTINGS_DONE);
    assert_int_equal(r->version, 4);
    assert_int_equal(put(r, "a/n", NULL, 2), SETTINGS_DONE);
    load(r);
    assert_int_equal(r->rows, 1);
    assert_int_equal(r->version, 4);
    assert_string_equal(r->record, "anyhow");
    assert_int_equal(r->changes, 5);
}

static void a_version_never_comes_again(void **state)
{
    struct rig *r = *state;
    assert_int_equal(put(r, "a/m", "x", 0), SETTINGS_DONE);
    assert_int_equal(put(r, "a/m", NULL, 1), SETTINGS_DONE);
    assert_int_equal(r->version, 0);
    assert_int_equal(put(r, "a/m", NULL, 0), SETTINGS_DONE); /* again: nothing to do */
    assert_int_equal(put(r, "a/m", "y", 1), SETTINGS_STALE);
    assert_int_equal(r->version, 0);
    assert_int_equal(put(r, "a/m", "y", 0), SETTINGS_DONE);
    assert_int_equal(r->version, 3);
}

static void there_are_so_many_at_most(void **state)
{
    struct rig *r = *state;
    char name[32];
    for (int i = 0; i < SETTINGS_MAX_ENTRIES; i++) {
        (void)snprintf(name, sizeof(name), "a/m%d", i);
        assert_int_equal(put(r, name, "x", 0), SETTINGS_DONE);
    }
    assert_int_equal(put(r, "a/more", "x", 0), SETTINGS_FULL);
    assert_int_equal(put(r, "a/m7", "y", SETTINGS_ANY_VERSION), SETTINGS_DONE); /* no new one */
    assert_int_equal(put(r, "a/m8", NULL, SETTINGS_ANY_VERSION), SETTINGS_DONE);
    assert_int_equal(put(r, "a/more", "x", 0), SETTINGS_DONE);
    load(r);
    assert_int_equal(r->rows, SETTINGS_MAX_ENTRIES);
}

static void what_is_no_entry_is_told_as_such(void **state)
{
    struct rig *r = *state;
    (void)redis_probe_call(&r->probe, REDIS_ARGS("HSET", KEY_SETTINGS, "a/m", "nonsense"));
    load(r);
    assert_int_equal(r->rows, 1);
    assert_int_equal(r->unreadable, 1);
    assert_int_equal(put(r, "a/m", "x", 0), SETTINGS_DONE); /* and can be saved anew */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_saved_at_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_is_made_on_the_version_that_was_seen_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_change_is_made_on_the_version_that_was_seen_only,
                                        set_up_cluster, tear_down),
        cmocka_unit_test_setup_teardown(a_version_never_comes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_are_so_many_at_most, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_entry_is_told_as_such, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
