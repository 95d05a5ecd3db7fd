/* Sliding windows and tenants' own limits through the C interface, on a real Redis. */
#include "storage/pool_store.h"

#include "storage/redis_reply.h"
#include "tests/support/pool_kit.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct kit {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct pool_store *store;
    struct store_pool pool;
    struct pool_tenant tenant;
    unsigned calls;
    struct store_turn turn; /* its texts are copied */
    char detail[32];
    char items[24][32];
    size_t item_count;
};

static int set_up(void **state)
{
    struct kit *k = calloc(1, sizeof(*k));
    struct error e = {.text = ""};
    *state = k;
    if (!k || redis_fixture_start(&k->redis, NULL) || !redis_probe_open(&k->probe, k->redis.url) ||
        !redis_probe_wait_up(&k->probe))
        return -1;
    struct pool_store_options o = {
        .link = k->probe.link, .instance = "i1", .timeout_ms = 2000, .alive_ms = 30000};
    k->store = pool_store_new(&o, &e);
    struct pool_limits limits = kit_one_a_second();
    store_pool_init(&k->pool, "p:default:m", &limits);
    k->pool.finished_ttl_ms = 60000;
    k->tenant = (struct pool_tenant){.name = "a", .rate = {30}, .capacity = {30}, .max_depth = 1};
    return k->store ? 0 : -1;
}

static int tear_down(void **state)
{
    struct kit *k = *state;
    redis_probe_close(&k->probe);
    pool_store_free(k->store);
    redis_fixture_stop(&k->redis);
    free(k);
    return 0;
}

static void on_turn(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct kit *k = arg;
    (void)pool;
    k->calls++;
    k->turn = *turn;
    (void)snprintf(k->detail, sizeof(k->detail), "%s", turn->detail);
    k->item_count = reply_count(turn->items);
    for (size_t i = 0; i < k->item_count && i < 24; i++) {
        const char *text = reply_text(reply_at(turn->items, i), NULL);
        (void)snprintf(k->items[i], sizeof(k->items[i]), "%s", text ? text : "?");
    }
}

static bool is_told(void *arg)
{
    return ((struct kit *)arg)->calls > 0;
}

static void wait_for(struct kit *k)
{
    assert_true(wait_loop(k->probe.base, is_told, k));
    assert_int_equal(k->calls, 1);
    assert_int_equal(k->turn.status, REDIS_OK);
    k->calls = 0;
}

static enum submit_result submit(struct kit *k, const char *id, const char *tenant, int64_t cost)
{
    struct store_ticket t = {.id = id,
                             .class = CLASS_NORMAL,
                             .tenant = tenant,
                             .weight = 1,
                             .cost = {cost},
                             .fair_cost = cost};
    pool_store_submit(k->store, &k->pool, &t, 16, on_turn, k);
    wait_for(k);
    return k->turn.submit;
}

static void configure(struct kit *k, size_t tenants)
{
    k->pool.limits.tenants = &k->tenant;
    k->pool.limits.tenant_count = tenants;
    pool_store_configure(k->store, &k->pool, on_turn, k);
    wait_for(k);
}

static void a_window_tells_what_is_left_and_when_all_has_left(void **state)
{
    struct kit *k = *state;
    k->pool.limits.dims[0].algorithm = DIM_WINDOW;
    assert_int_equal(submit(k, "a", "a", 40), SUBMIT_GRANTED);
    assert_int_equal(k->turn.levels[0].remaining, 20);
    assert_in_range(k->turn.levels[0].full_in_ms, 50000, 60000);
    assert_int_equal(submit(k, "b", "b", 30), SUBMIT_QUEUED);
    assert_in_range(k->turn.eta_ms, 50000, 60000); /* a bucket would say 10 s */
}

static void a_tenants_own_limit_is_told_as_its_own(void **state)
{
    struct kit *k = *state;
    bool own;
    configure(k, 1);
    assert_int_equal(submit(k, "a0", "a", 31), SUBMIT_TOO_LARGE);
    assert_string_equal(pool_store_limit_name(k->detail, &own), "tpm");
    assert_true(own);
    assert_int_equal(k->turn.detail_number, 30);
    assert_int_equal(submit(k, "b0", "b", 61), SUBMIT_TOO_LARGE);
    assert_string_equal(pool_store_limit_name(k->detail, &own), "tpm");
    assert_false(own);
    assert_int_equal(submit(k, "a1", "a", 30), SUBMIT_GRANTED);
    assert_int_equal(submit(k, "a2", "a", 10), SUBMIT_QUEUED);
    assert_string_equal(k->detail, "tenant:tpm");
    assert_in_range(k->turn.eta_ms, 15000, 20000);
    assert_int_equal(submit(k, "a3", "a", 1), SUBMIT_TENANT_FULL);
    assert_int_equal(k->turn.detail_number, 1);
    assert_int_equal(submit(k, "b1", "b", 20), SUBMIT_QUEUED); /* and runs at once */
    assert_int_equal(k->turn.grant_count, 1);
}

static void what_a_tenant_has_left_can_be_looked_at(void **state)
{
    struct kit *k = *state;
    configure(k, 1);
    assert_int_equal(submit(k, "a1", "a", 20), SUBMIT_GRANTED);
    struct store_look look = {.tenant = "a"};
    pool_store_peek(k->store, &k->pool, &look, on_turn, k);
    wait_for(k);
    const char *const left[] = {"1", "0", "0", "1", "tpm", "30", "10"};
    assert_int_equal(k->item_count, STORE_PEEK_TENANT + 8);
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        assert_string_equal(k->items[STORE_PEEK_TENANT + i], left[i]);
    look.tenant = "b";
    pool_store_peek(k->store, &k->pool, &look, on_turn, k);
    wait_for(k);
    assert_int_equal(k->item_count, STORE_PEEK_TENANT);
}

static void a_reload_changes_the_limits_of_what_waits(void **state)
{
    struct kit *k = *state;
    configure(k, 1);
    assert_int_equal(submit(k, "a1", "a", 30), SUBMIT_GRANTED);
    assert_int_equal(submit(k, "a2", "a", 20), SUBMIT_QUEUED);
    configure(k, 0);
    pool_store_dispatch(k->store, &k->pool, 16, on_turn, k);
    wait_for(k);
    assert_int_equal(k->turn.grant_count, 1);
    assert_string_equal(k->turn.grants[0].id, "a2");
}

#define LIMITS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITS_TEST(a_window_tells_what_is_left_and_when_all_has_left),
        LIMITS_TEST(a_tenants_own_limit_is_told_as_its_own),
        LIMITS_TEST(what_a_tenant_has_left_can_be_looked_at),
        LIMITS_TEST(a_reload_changes_the_limits_of_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
