/* Pools: one for each account, and room for new ones. */
#include "tests/support/core_kit.h"

#include "common/digest.h"
#include "scheduler/scheduler.h"

#define MOST_POOLS 4096
#define ACCOUNT    17

static struct pool_view *pool_of(struct core_kit *k, const char *account)
{
    const struct config *c = scheduler_plan(k->scheduler)->config;
    return scheduler_pool(k->scheduler, &c->providers[0], &c->providers[0].models[0], account);
}

static bool none_is_open(struct core_kit *k)
{
    size_t at = 0;
    for (struct pool_view *v = scheduler_next_pool(k->scheduler, &at); v;
         v = scheduler_next_pool(k->scheduler, &at)) {
        if (!pool_agent_is_idle(v->agent))
            return false;
    }
    return true;
}

static size_t pools(struct core_kit *k)
{
    size_t at = 0, n = 0;
    while (scheduler_next_pool(k->scheduler, &at))
        n++;
    return n;
}

static void idle_pools_of_callers_make_room_and_others_stay(void **state)
{
    struct core_kit *k = *state;
    char account[ACCOUNT];
    core_kit_start(k, "rpm: 10", NULL);
    struct pool_view *own = pool_of(k, "default"), *used = pool_of(k, "used");
    assert_false(own->transient);
    assert_true(used->transient);
    used->users++;
    for (int i = 0; i < MOST_POOLS - 2; i++) {
        (void)snprintf(account, sizeof(account), "%d", i);
        assert_non_null(pool_of(k, account));
        if (i % 256 == 0)
            CORE_UNTIL(k, none_is_open(k));
    }
    assert_int_equal(pools(k), MOST_POOLS);
    CORE_UNTIL(k, none_is_open(k));
    for (int i = 0; i < 300; i++) { /* more than there is room for */
        (void)snprintf(account, sizeof(account), "more%d", i);
        struct pool_view *v = pool_of(k, account);
        assert_non_null(v);
        assert_ptr_equal(pool_of(k, account), v);
        CORE_UNTIL(k, pool_agent_is_idle(v->agent));
    }
    assert_int_equal(pools(k), MOST_POOLS);
    assert_ptr_equal(pool_of(k, "default"), own);
    assert_ptr_equal(pool_of(k, "used"), used);
    used->users--;
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("HLEN", KEY_POOLS)), 1);
}

static void without_an_idle_pool_there_is_no_room(void **state)
{
    struct core_kit *k = *state;
    char account[ACCOUNT];
    core_kit_start(k, "rpm: 10", NULL);
    for (int i = 0; i < MOST_POOLS - 1; i++) {
        (void)snprintf(account, sizeof(account), "%d", i);
        pool_of(k, account)->users++;
    }
    assert_null(pool_of(k, "one more"));
    assert_non_null(pool_of(k, "0"));
    CORE_UNTIL(k, none_is_open(k));
    assert_null(pool_of(k, "one more"));
    pool_of(k, "0")->users--;
    assert_non_null(pool_of(k, "one more"));
}

struct named {
    char hash[POOL_HASH_BYTES];
    int number;
};

static int by_hash(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->hash, ((const struct named *)b)->hash);
}

/* The short hash has 32 bits, so two of some hundred thousand accounts are sure to share one. */
static void pools_of_one_hash_do_not_share_their_limits(void **state)
{
    enum { MANY = 400000 };
    struct core_kit *k = *state;
    struct named *all = calloc(MANY, sizeof(*all));
    char id[POOL_NAME_BYTES], account[ACCOUNT];
    assert_non_null(all);
    core_kit_start(k, "rpm: 10", NULL);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(id, sizeof(id), "p:%016x:m", (unsigned)i);
        key_pool_hash(id, all[i].hash);
        all[i].number = i;
    }
    qsort(all, MANY, sizeof(*all), by_hash);
    int twin = 1;
    while (twin < MANY && strcmp(all[twin - 1].hash, all[twin].hash) != 0)
        twin++;
    assert_in_range(twin, 1, MANY - 1);
    (void)snprintf(account, sizeof(account), "%016x", (unsigned)all[twin].number);
    assert_non_null(pool_of(k, account));
    (void)snprintf(account, sizeof(account), "%016x", (unsigned)all[twin - 1].number);
    assert_null(pool_of(k, account));
    free(all);
}

static void a_reload_changes_limits_and_keeps_what_runs(void **state)
{
    static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 10", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &c, CORE_BODY, 60000);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    scheduler_reload(k->scheduler,
                     core_kit_config(k, "rpm: 5, tpm: 9000", "jobs: {result_ttl_s: 7}\n"));
    struct store_pool *p = pool_agent_pool(pool_of(k, "default")->agent);
    assert_int_equal(p->limits.dim_count, 2);
    assert_int_equal(p->finished_ttl_ms, 7000);
    core_call_cancel(&c); /* with the old plan, whose provider it still names */
    CORE_UNTIL(k, core_is(k, c.id, "cancelled"));
    assert_int_equal(core_running(k), 0);
    assert_in_range(core_level(k, "rpm"), 4, 5);
}

static void messages_that_are_none_are_ignored(void **state)
{
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 10", NULL);
    const char *const bad[] = {"",
                               "grant",
                               "grant x",
                               "grant job_x 1",
                               "grant job_x 1 2 p",
                               "cancel job_0123456789abcdef0123456789abcdef 0 0 p",
                               "grant job_0123456789abcdef0123456789abcdef 1 1 p"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        scheduler_message(k->scheduler, bad[i]);
    assert_int_equal(scheduler_unsettled(k->scheduler), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_kit_setup, core_kit_teardown)
        CORE_TEST(idle_pools_of_callers_make_room_and_others_stay),
        CORE_TEST(without_an_idle_pool_there_is_no_room),
        CORE_TEST(pools_of_one_hash_do_not_share_their_limits),
        CORE_TEST(a_reload_changes_limits_and_keeps_what_runs),
        CORE_TEST(messages_that_are_none_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
