/* What an instance does for one pool: leases, settles over outages, its own timers. */
#include "tests/support/core_kit.h"

#include "limiter/profile.h"
#include "storage/redis_reply.h"

#include <hiredis.h>

/* Hooks that write down what they are told. */
struct notes {
    struct core_kit *kit;
    struct pool_agent *agent;
    struct store_grant grants[8];
    unsigned grant_count, lost_count;
    int room;
};

static void on_grant(void *arg, struct pool_agent *agent, const struct store_grant *grant)
{
    struct notes *n = arg;
    assert_ptr_equal(agent, n->agent);
    assert_in_range(n->grant_count, 0, 7);
    n->grants[n->grant_count++] = *grant;
}

static void on_lost(void *arg, struct pool_agent *agent, const struct store_lease *lease)
{
    struct notes *n = arg;
    (void)agent, (void)lease;
    n->lost_count++;
}

static int on_room(void *arg)
{
    return ((struct notes *)arg)->room;
}

#define POOL   "q:default:n" /* not the one of the kit's scheduler */
#define PREFIX "sluice:{" POOL "}:"

static struct pool_limits limits_of(const struct profile_rates *rates, int64_t lease_ms)
{
    struct pool_limits l;
    const struct profile_queue queue = {
        .bypass_permille = 250, .max_depth = 100, .lease_ms = lease_ms, .max_losses = 3};
    profile_limits(profile_find("generic"), rates, &queue, &l);
    return l;
}

static struct pool_agent *begin(struct core_kit *k, struct notes *n,
                                const struct profile_rates *rates, int64_t lease_ms)
{
    const struct pool_agent_hooks hooks = {
        .on_grant = on_grant, .on_lost = on_lost, .room = on_room, .arg = n};
    struct pool_limits limits = limits_of(rates, lease_ms);
    struct store_pool pool;
    core_kit_start(k, "rpm: 10", NULL);
    store_pool_init(&pool, POOL, &limits);
    pool.finished_ttl_ms = 60000;
    *n = (struct notes){.kit = k, .room = 16};
    n->agent = pool_agent_new(k->base, k->store, &pool, &hooks);
    pool_agent_connected(n->agent, true);
    CORE_UNTIL(k, pool_agent_pool(n->agent)->configured);
    return n->agent;
}

struct answer {
    unsigned calls;
    enum redis_status status;
    enum submit_result submit;
    int64_t fence;
    char result[16];
};

static void on_answer(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct answer *a = arg;
    (void)pool;
    a->calls++;
    a->status = turn->status;
    a->submit = turn->submit;
    a->fence = turn->fence;
    (void)snprintf(a->result, sizeof(a->result), "%s", turn->result);
}

static void name(struct holding *h, unsigned n)
{
    char hash[POOL_HASH_BYTES];
    key_pool_hash(POOL, hash);
    *h = (struct holding){.fence = 0};
    list_init(&h->link);
    (void)snprintf(h->id, sizeof(h->id), "job_%s%024x", hash, n);
}

/* Submits a call of rpm 1 and tpm 10; granted ones are held. */
static struct answer submit(struct core_kit *k, struct notes *n, struct holding *h, bool is_job)
{
    struct answer a = {.calls = 0};
    struct store_ticket t = {.id = h->id,
                             .is_job = is_job,
                             .class = CLASS_NORMAL,
                             .tenant = "t",
                             .weight = 1,
                             .cost = {1, 10},
                             .fair_cost = 10};
    pool_agent_submit(n->agent, &t, on_answer, &a);
    assert_int_equal(a.calls, 0);
    CORE_UNTIL(k, a.calls == 1);
    if (a.status == REDIS_OK && a.submit == SUBMIT_GRANTED) {
        h->fence = a.fence;
        pool_agent_hold(n->agent, h);
    }
    return a;
}

static struct store_outcome outcome(const struct holding *h, enum ticket_state state)
{
    return (struct store_outcome){
        .id = h->id, .fence = h->fence, .state = state, .actual = {1, 4}, .fair_actual = 4};
}

static int64_t ask(struct core_kit *k, const char *command, const char *key, const char *field)
{
    struct redisReply *r = redis_fixture_ask(&k->redis, field ? REDIS_ARGS(command, key, field)
                                                              : REDIS_ARGS(command, key));
    int64_t number = reply_int(r, -1);
    freeReplyObject(r);
    return number;
}

static bool is(struct core_kit *k, const struct holding *h, const char *state)
{
    char key[128];
    (void)snprintf(key, sizeof(key), PREFIX "j:%s", h->id);
    return redis_fixture_says(&k->redis, state, REDIS_ARGS("HGET", key, "st"));
}

static const struct profile_rates two = {.rpm = 100, .tpm = 1000};
static const struct profile_rates slot = {.rpm = 100, .tpm = 1000, .max_parallel = 1};

static void a_settle_is_kept_over_an_outage_and_sent_after_it(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    struct holding h;
    struct answer a = {.calls = 0};
    begin(k, &n, &two, 15000);
    name(&h, 1);
    assert_int_equal(submit(k, &n, &h, false).submit, SUBMIT_GRANTED);
    assert_int_equal(pool_agent_held(n.agent), 1);

    pool_agent_connected(n.agent, false);
    struct store_outcome o = outcome(&h, TICKET_DONE);
    char value[] = "x";
    o.fields = &(struct store_field){"rs", value, 1};
    o.field_count = 1;
    pool_agent_release(n.agent, &h);
    pool_agent_settle(n.agent, &o, on_answer, &a);
    value[0] = '!'; /* it was copied */
    assert_int_equal(pool_agent_unsettled(n.agent), 1);
    pool_agent_wake(n.agent); /* nothing is sent meanwhile */
    for (int i = 0; i < 20; i++)
        core_kit_step(k);
    assert_true(is(k, &h, "running"));

    pool_agent_connected(n.agent, true);
    CORE_UNTIL(k, a.calls == 1);
    assert_string_equal(a.result, "settled");
    assert_true(is(k, &h, "done"));
    char key[128];
    (void)snprintf(key, sizeof(key), PREFIX "j:%s", h.id);
    assert_true(redis_fixture_says(&k->redis, "x", REDIS_ARGS("HGET", key, "rs")));
    assert_int_equal(pool_agent_unsettled(n.agent), 0);
    pool_agent_free(n.agent);
}

static void what_was_used_follows_its_dimension_through_a_change_of_limits(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    struct holding h;
    struct answer a = {.calls = 0};
    begin(k, &n, &two, 15000);
    name(&h, 1);
    (void)submit(k, &n, &h, false);
    pool_agent_connected(n.agent, false);
    struct store_outcome o = outcome(&h, TICKET_DONE);
    o.actual[1] = 400;
    pool_agent_release(n.agent, &h);
    pool_agent_settle(n.agent, &o, on_answer, &a);
    struct pool_limits fewer = limits_of(&(struct profile_rates){.tpm = 1000}, 15000);
    pool_agent_configure(n.agent, &fewer); /* tpm is the first now */
    pool_agent_connected(n.agent, true);
    CORE_UNTIL(k, a.calls == 1);
    int64_t level = ask(k, "HGET", PREFIX "b", "tpm:L");
    assert_in_range(level / 60000, 600, 610); /* and a little refill */
    pool_agent_free(n.agent);
}

static void leases_are_kept_while_held_and_reaped_when_not(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    struct holding kept, left;
    begin(k, &n, &two, 1000);
    name(&kept, 1);
    name(&left, 2);
    (void)submit(k, &n, &kept, false);
    (void)submit(k, &n, &left, false);
    pool_agent_release(n.agent, &left);
    /* Reaping rests for a while after a connect, so this is longer than that. */
    CORE_UNTIL(k, n.grant_count > 0);
    assert_string_equal(n.grants[0].id, left.id);
    assert_int_equal(n.grants[0].fence, 2);
    assert_true(is(k, &kept, "running"));
    assert_int_equal(n.lost_count, 0);
    pool_agent_release(n.agent, &kept);
    pool_agent_free(n.agent);
}

static void a_lease_that_was_lost_is_told(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    struct holding h;
    char key[128];
    begin(k, &n, &two, 1000);
    name(&h, 1);
    (void)submit(k, &n, &h, false);
    (void)snprintf(key, sizeof(key), PREFIX "j:%s", h.id);
    (void)ask(k, "DEL", key, NULL);
    CORE_UNTIL(k, n.lost_count > 0);
    pool_agent_release(n.agent, &h);
    pool_agent_free(n.agent);
}

static void an_instance_that_waits_tells_that_it_lives(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    begin(k, &n, &two, 1000);
    pool_agent_expect(n.agent); /* in its backoff: in no count of the queue */
    CORE_UNTIL(k, ask(k, "ZSCORE", PREFIX "own", k->instance) > 0);
    pool_agent_unexpect(n.agent);
    pool_agent_free(n.agent);
}

static void the_queue_is_looked_at_when_it_said_so(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    struct holding first, second;
    begin(k, &n, &(struct profile_rates){.rpm = 100, .tpm = 1000}, 15000);
    name(&first, 1);
    name(&second, 2);
    (void)submit(k, &n, &first, false);
    /* A pause of a moment, and nobody else who would look. */
    struct store_outcome o = outcome(&first, TICKET_DONE);
    o.pause_dim = "rpm";
    o.pause_ms = 1000;
    struct answer a = {.calls = 0};
    pool_agent_release(n.agent, &first);
    pool_agent_settle(n.agent, &o, on_answer, &a);
    CORE_UNTIL(k, a.calls == 1);
    assert_int_equal(submit(k, &n, &second, false).submit, SUBMIT_QUEUED);
    assert_int_equal(pool_agent_queued(n.agent), 1);
    CORE_UNTIL(k, n.grant_count == 1);
    assert_string_equal(n.grants[0].id, second.id);
    assert_int_equal(pool_agent_queued(n.agent), 0);
    pool_agent_free(n.agent);
}

static void without_room_nothing_is_asked_for_but_what_waits_here(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    struct holding first, second;
    begin(k, &n, &slot, 15000);
    name(&first, 1);
    name(&second, 2);
    (void)submit(k, &n, &first, true);
    assert_int_equal(submit(k, &n, &second, true).submit, SUBMIT_QUEUED);
    n.room = 0;
    struct store_outcome o = outcome(&first, TICKET_DONE);
    struct answer a = {.calls = 0};
    pool_agent_release(n.agent, &first);
    pool_agent_settle(n.agent, &o, on_answer, &a);
    CORE_UNTIL(k, a.calls == 1);
    pool_agent_wake(n.agent);
    for (int i = 0; i < 20; i++)
        core_kit_step(k);
    assert_int_equal(n.grant_count, 0);
    assert_true(is(k, &second, "queued"));
    pool_agent_expect(n.agent);
    pool_agent_wake(n.agent);
    CORE_UNTIL(k, n.grant_count == 1);
    pool_agent_unexpect(n.agent);
    pool_agent_free(n.agent);
}

static void counts_reach_redis(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    begin(k, &n, &two, 15000);
    pool_stats_add(pool_agent_stats(n.agent), COUNT_succeeded, 3);
    pool_stats_wait(pool_agent_stats(n.agent), 5);
    CORE_UNTIL(k, ask(k, "HGET", PREFIX "stats", "succeeded") == 3);
    assert_int_equal(ask(k, "HGET", PREFIX "stats", "w:5"), 1);
    CORE_UNTIL(k, ask(k, "PTTL", PREFIX "stats", NULL) > 0);
    pool_stats_add(pool_agent_stats(n.agent), COUNT_succeeded, 1);
    pool_agent_stop(n.agent); /* the rest with its end */
    CORE_UNTIL(k, ask(k, "HGET", PREFIX "stats", "succeeded") == 4);
    pool_agent_free(n.agent);
}

static void a_settle_that_redis_never_takes_is_given_up(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    struct holding h;
    struct answer a = {.calls = 0};
    begin(k, &n, &two, 15000);
    name(&h, 1);
    (void)submit(k, &n, &h, false);
    char key[128];
    (void)snprintf(key, sizeof(key), PREFIX "j:%s", h.id);
    (void)ask(k, "DEL", key, NULL);
    assert_true(redis_fixture_says(&k->redis, "OK", REDIS_ARGS("SET", key, "of another type")));
    struct store_outcome o = outcome(&h, TICKET_DONE);
    pool_agent_release(n.agent, &h);
    pool_agent_settle(n.agent, &o, on_answer, &a);
    CORE_UNTIL(k, a.calls == 1);
    assert_int_equal(a.status, REDIS_ERROR);
    assert_int_equal(pool_agent_unsettled(n.agent), 0);
    pool_agent_free(n.agent);
}

static void a_stopped_agent_answers_what_it_will_not_send(void **state)
{
    struct core_kit *k = *state;
    struct notes n;
    struct answer a = {.calls = 0}, late = {.calls = 0};
    begin(k, &n, &two, 15000);
    pool_agent_connected(n.agent, false);
    pool_agent_cancel(n.agent, "job_x", on_answer, &a);
    pool_agent_stop(n.agent);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.status, REDIS_DOWN);
    pool_agent_cancel(n.agent, "job_y", on_answer, &late);
    assert_int_equal(late.calls, 1);
    pool_agent_free(n.agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_kit_setup, core_kit_teardown)
        CORE_TEST(a_settle_is_kept_over_an_outage_and_sent_after_it),
        CORE_TEST(what_was_used_follows_its_dimension_through_a_change_of_limits),
        CORE_TEST(leases_are_kept_while_held_and_reaped_when_not),
        CORE_TEST(a_lease_that_was_lost_is_told),
        CORE_TEST(an_instance_that_waits_tells_that_it_lives),
        CORE_TEST(the_queue_is_looked_at_when_it_said_so),
        CORE_TEST(without_room_nothing_is_asked_for_but_what_waits_here),
        CORE_TEST(counts_reach_redis),
        CORE_TEST(a_settle_that_redis_never_takes_is_given_up),
        CORE_TEST(a_stopped_agent_answers_what_it_will_not_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
