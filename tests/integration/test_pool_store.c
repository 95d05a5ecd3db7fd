/* Every script through the C interface, on a real Redis. */
#include "storage/pool_store.h"

#include "limiter/profile.h"
#include "storage/redis_reply.h"
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

#define POOL   "p:default:m"
#define PREFIX "sluice:{" POOL "}:"

struct kit {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct pool_store *store, *other; /* two instances */
    struct store_pool pool;
};

/* A copy of what a pool_store_fn was told. */
struct turn {
    unsigned calls;
    struct store_turn t;
    char result[32], detail[32], binding[32];
    char items[8][48]; /* of the result, as text */
    size_t item_count;
};

static const struct profile_rates rates = {.rpm = 100, .tpm = 1000, .max_parallel = 2};

static struct pool_limits limits_of(const struct profile_rates *r)
{
    struct pool_limits l;
    const struct profile_queue queue = {
        .bypass_permille = 250, .max_depth = 2, .lease_ms = 15000, .max_losses = 2};
    profile_limits(profile_find("generic"), r, &queue, &l);
    return l;
}

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
    o.instance = "i2";
    k->other = pool_store_new(&o, &e);
    struct pool_limits limits = limits_of(&rates);
    store_pool_init(&k->pool, POOL, &limits);
    k->pool.finished_ttl_ms = 60000;
    return k->store && k->other ? 0 : -1;
}

static int tear_down(void **state)
{
    struct kit *k = *state;
    redis_probe_close(&k->probe);
    pool_store_free(k->store);
    pool_store_free(k->other);
    redis_fixture_stop(&k->redis);
    free(k);
    return 0;
}

static void on_turn(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct turn *t = arg;
    (void)pool;
    t->calls++;
    t->t = *turn;
    (void)snprintf(t->result, sizeof(t->result), "%s", turn->result);
    (void)snprintf(t->detail, sizeof(t->detail), "%s", turn->detail);
    (void)snprintf(t->binding, sizeof(t->binding), "%s", turn->binding);
    t->item_count = reply_count(turn->items);
    for (size_t i = 0; i < t->item_count && i < 8; i++) {
        const char *text = reply_text(reply_at(turn->items, i), NULL);
        if (text)
            (void)snprintf(t->items[i], sizeof(t->items[i]), "%s", text);
        else
            (void)snprintf(t->items[i], sizeof(t->items[i]), "%lld",
                           (long long)reply_int(reply_at(turn->items, i), -1));
    }
}

static bool is_told(void *arg)
{
    return ((struct turn *)arg)->calls > 0;
}

static void wait_for(struct kit *k, struct turn *t)
{
    assert_true(wait_loop(k->probe.base, is_told, t));
    assert_int_equal(t->calls, 1);
}

static struct turn submit_as(struct kit *k, struct pool_store *s, const char *id, bool is_job,
                             int64_t tokens)
{
    struct turn t = {.calls = 0};
    const struct store_field field = {"rq", "a\0b", 3};
    const struct store_ticket ticket = {.id = id,
                                        .is_job = is_job,
                                        .class = CLASS_NORMAL,
                                        .tenant = "team",
                                        .weight = 1,
                                        .cost = {1, tokens},
                                        .fair_cost = tokens,
                                        .aging_ms = 1000,
                                        .fields = &field,
                                        .field_count = 1};
    pool_store_submit(s, &k->pool, &ticket, 16, on_turn, &t);
    wait_for(k, &t);
    return t;
}

static struct turn submit(struct kit *k, const char *id, int64_t tokens)
{
    return submit_as(k, k->store, id, false, tokens);
}

static struct turn settle(struct kit *k, const struct store_outcome *o)
{
    struct turn t = {.calls = 0};
    pool_store_settle(k->store, &k->pool, o, 16, on_turn, &t);
    wait_for(k, &t);
    return t;
}

static struct store_outcome done(const char *id, int64_t fence, int64_t tokens)
{
    return (struct store_outcome){.id = id,
                                  .fence = fence,
                                  .state = TICKET_DONE,
                                  .actual = {1, tokens},
                                  .fair_actual = tokens};
}

static struct turn cancel(struct kit *k, const char *id)
{
    struct turn t = {.calls = 0};
    pool_store_cancel(k->store, &k->pool, id, 16, on_turn, &t);
    wait_for(k, &t);
    return t;
}

static struct turn dispatch(struct kit *k, int most)
{
    struct turn t = {.calls = 0};
    pool_store_dispatch(k->store, &k->pool, most, on_turn, &t);
    wait_for(k, &t);
    return t;
}

static struct turn reap(struct kit *k)
{
    struct turn t = {.calls = 0};
    pool_store_reap(k->store, &k->pool, 16, on_turn, &t);
    wait_for(k, &t);
    return t;
}

static bool is(struct kit *k, const char *id, const char *state)
{
    char key[96];
    (void)snprintf(key, sizeof(key), PREFIX "j:%s", id);
    return redis_fixture_says(&k->redis, state, REDIS_ARGS("HGET", key, "st"));
}

static int64_t ask(struct kit *k, const struct redis_args *args)
{
    return redis_fixture_ask_int(&k->redis, args);
}

static void submit_tells_what_became_of_the_ticket(void **state)
{
    struct kit *k = *state;
    struct turn t = submit(k, "a", 100);
    assert_int_equal(t.t.status, REDIS_OK);
    assert_int_equal(t.t.submit, SUBMIT_GRANTED);
    assert_int_equal(t.t.fence, 1);
    assert_int_equal(t.t.seq, 1);
    assert_int_equal(t.t.level_count, 2);
    assert_int_equal(t.t.levels[0].remaining, 99);
    assert_int_equal(t.t.levels[1].remaining, 900);
    assert_true(t.t.levels[1].full_in_ms > 0);
    assert_true(redis_fixture_says(&k->redis, "4:team", REDIS_ARGS("HGET", PREFIX "j:a", "tn")));
    assert_int_equal(ask(k, REDIS_ARGS("HSTRLEN", PREFIX "j:a", "rq")), 3);

    t = submit(k, "a", 100);
    assert_int_equal(t.t.submit, SUBMIT_KNOWN);
    assert_string_equal(t.detail, "running");
    assert_int_equal(t.t.fence, 1);
    assert_int_equal(t.t.seq, 1);

    t = submit(k, "b", 1001);
    assert_int_equal(t.t.submit, SUBMIT_TOO_LARGE);
    assert_string_equal(t.detail, "tpm");
    assert_int_equal(t.t.detail_number, 1000);
    assert_int_equal(ask(k, REDIS_ARGS("EXISTS", PREFIX "j:b")), 0);

    assert_int_equal(submit(k, "c", 100).t.submit, SUBMIT_GRANTED);
    t = submit(k, "d", 100);
    assert_int_equal(t.t.submit, SUBMIT_QUEUED);
    assert_int_equal(t.t.queued, 1);
    assert_int_equal(t.t.ahead, 0);
    assert_int_equal(t.t.wait_ms, -2); /* a slot must come free first */
    assert_string_equal(t.binding, "max_parallel_requests");
    t = submit(k, "d", 100);
    assert_int_equal(t.t.submit, SUBMIT_KNOWN);
    assert_string_equal(t.detail, "queued");
    (void)submit(k, "e", 100);
    t = submit(k, "f", 100);
    assert_int_equal(t.t.submit, SUBMIT_FULL);
    assert_int_equal(t.t.queued, 2);
}

static void a_settle_frees_the_slot_grants_the_next_and_is_taken_once(void **state)
{
    struct kit *k = *state;
    (void)submit(k, "a", 100);
    (void)submit(k, "b", 100);
    (void)submit(k, "c", 100);
    struct store_outcome o = done("a", 1, 40);
    struct turn t = settle(k, &o);
    assert_string_equal(t.result, "settled");
    assert_string_equal(t.items[1], "done");
    assert_int_equal(t.t.grant_count, 1);
    assert_string_equal(t.t.grants[0].id, "c");
    assert_int_equal(t.t.grants[0].fence, 1);
    assert_int_equal(t.t.grants[0].seq, 3);
    assert_false(t.t.grants[0].is_job);
    assert_in_range(t.t.levels[1].remaining, 1000 - 300 + 60, 1000 - 300 + 60 + 20);

    t = settle(k, &o); /* its answer was lost, and it comes again */
    assert_string_equal(t.result, "stale");
    assert_string_equal(t.items[1], "done");
    o = done("b", 2, 0);
    assert_string_equal(settle(k, &o).result, "stale"); /* another fence */
    o = done("nobody", 1, 0);
    t = settle(k, &o);
    assert_string_equal(t.result, "stale");
    assert_string_equal(t.items[1], "none");
    assert_int_equal(ask(k, REDIS_ARGS("ZCARD", PREFIX "inf")), 2);
}

static void what_was_never_sent_comes_back_and_what_was_overdrawn_is_owed(void **state)
{
    struct kit *k = *state;
    (void)submit(k, "a", 600);
    struct store_outcome o = done("a", 1, -1);
    o.unsent = true;
    struct turn t = settle(k, &o);
    assert_int_equal(t.t.levels[0].remaining, 100);
    assert_int_equal(t.t.levels[1].remaining, 1000);
    (void)submit(k, "b", 600);
    o = done("b", 1, 5000);
    t = settle(k, &o);
    assert_in_range(t.t.levels[1].remaining + 10000, 10000 - 4000, 10000 - 3900);
    t = submit(k, "c", 1);
    assert_int_equal(t.t.submit, SUBMIT_QUEUED);
    assert_string_equal(t.detail, "tpm");
    assert_true(t.t.wait_ms > 100000 && t.t.eta_ms > 100000); /* 4000 tokens at 1000 a minute */
}

static void a_pause_holds_one_dimension_or_all(void **state)
{
    struct kit *k = *state;
    (void)submit(k, "a", 1);
    struct store_outcome o = done("a", 1, 1);
    o.state = TICKET_QUEUED;
    o.pause_dim = "tpm";
    o.pause_ms = 50000;
    struct turn t = settle(k, &o);
    assert_string_equal(t.items[1], "queued");
    assert_int_equal(t.t.grant_count, 0);
    assert_string_equal(t.binding, "tpm");
    assert_in_range(t.t.wait_ms, 40000, 50000);
    assert_true(is(k, "a", "queued"));
    assert_int_equal(submit(k, "b", 0).t.submit, SUBMIT_QUEUED); /* needs rpm only, but in order */
}

static void a_ticket_that_is_delayed_is_in_no_queue_until_it_is_due(void **state)
{
    struct kit *k = *state;
    (void)submit_as(k, k->store, "a", true, 1);
    struct store_outcome o = done("a", 1, -1);
    o.state = TICKET_QUEUED;
    o.delay_ms = 60000;
    struct turn t = settle(k, &o);
    assert_string_equal(t.items[1], "queued");
    assert_true(is(k, "a", "delayed"));
    assert_int_equal(t.t.queued, 0);
    assert_in_range(t.t.wait_ms, 50000, 60000);
    assert_int_equal(ask(k, REDIS_ARGS("ZCARD", PREFIX "delay")), 1);
    assert_int_equal(ask(k, REDIS_ARGS("ZADD", PREFIX "delay", "1", "a")), 0); /* due now */
    t = dispatch(k, 16);
    assert_int_equal(t.t.grant_count, 1);
    assert_true(t.t.grants[0].is_job);
    assert_int_equal(t.t.grants[0].fence, 2);
    assert_int_equal(ask(k, REDIS_ARGS("ZCARD", PREFIX "delay")), 0);
}

static void cancel_tells_the_state_it_found(void **state)
{
    struct kit *k = *state;
    assert_string_equal(cancel(k, "nobody").result, "none");
    (void)submit(k, "a", 1);
    (void)submit(k, "b", 1);
    (void)submit(k, "c", 1);
    assert_string_equal(cancel(k, "c").result, "queued");
    assert_true(is(k, "c", "cancelled"));
    assert_string_equal(cancel(k, "c").result, "cancelled");
    assert_string_equal(cancel(k, "a").result, "running"); /* marked: it will not be repeated */
    assert_true(is(k, "a", "running"));
    struct store_outcome o = done("a", 1, -1);
    o.state = TICKET_QUEUED;
    assert_string_equal(settle(k, &o).items[1], "cancelled");
    o = done("b", 1, -1);
    o.state = TICKET_QUEUED;
    o.delay_ms = 60000;
    (void)settle(k, &o);
    assert_string_equal(cancel(k, "b").result, "delayed");
    assert_true(is(k, "b", "cancelled"));
    assert_int_equal(ask(k, REDIS_ARGS("ZCARD", PREFIX "inf")), 0);
    assert_int_equal(ask(k, REDIS_ARGS("ZCARD", PREFIX "delay")), 0);
    assert_int_equal(dispatch(k, 16).t.wait_ms, -1);
}

static void a_lease_that_ended_goes_back_and_then_is_dead(void **state)
{
    struct kit *k = *state;
    (void)submit_as(k, k->store, "a", true, 1);
    assert_string_equal(reap(k).items[1], "0");
    for (int64_t fence = 2; fence <= 3; fence++) {
        assert_int_equal(ask(k, REDIS_ARGS("ZADD", PREFIX "inf", "1", "a")), 0);
        struct turn t = reap(k);
        assert_string_equal(t.items[1], "1");
        assert_string_equal(t.items[2], "a");
        if (fence == 3)
            break;
        assert_int_equal(t.t.grant_count, 1); /* at once, to whoever reaped */
        assert_int_equal(t.t.grants[0].fence, fence);
    }
    assert_true(is(k, "a", "dead")); /* max_losses is 2 */
    assert_int_equal(ask(k, REDIS_ARGS("ZCARD", PREFIX "inf")), 0);
    assert_true(ask(k, REDIS_ARGS("PTTL", PREFIX "j:a")) > 0);
}

static void a_heartbeat_keeps_what_is_held_and_names_what_is_not(void **state)
{
    struct kit *k = *state;
    (void)submit(k, "a", 1);
    (void)submit(k, "b", 1);
    assert_int_equal(ask(k, REDIS_ARGS("ZADD", PREFIX "inf", "1", "a")), 0);
    const struct store_lease leases[] = {{"a", 1}, {"b", 7}, {"nobody", 1}};
    struct turn t = {.calls = 0};
    pool_store_heartbeat(k->store, &k->pool, leases, 3, on_turn, &t);
    wait_for(k, &t);
    assert_string_equal(t.items[0], "new"); /* its first heartbeat */
    assert_string_equal(t.items[1], "b");
    bool named = false;
    for (size_t i = 2; i < t.item_count; i++)
        named = named || strcmp(t.items[i], "nobody") == 0;
    assert_true(named);
    assert_string_equal(reap(k).items[1], "0"); /* the lease of a was renewed */
    assert_true(ask(k, REDIS_ARGS("PTTL", PREFIX "b")) > 0);
}

static void a_call_of_a_dead_instance_does_not_hold_the_queue(void **state)
{
    struct kit *k = *state;
    (void)submit(k, "a", 1);
    (void)submit(k, "b", 1);
    (void)submit_as(k, k->other, "theirs", false, 1);
    (void)submit(k, "mine", 1);
    assert_int_equal(ask(k, REDIS_ARGS("ZADD", PREFIX "own", "1", "i2")), 0); /* long silent */
    struct store_outcome o = done("a", 1, 1);
    struct turn t = settle(k, &o);
    assert_int_equal(t.t.grant_count, 1);
    assert_string_equal(t.t.grants[0].id, "mine");
    assert_true(is(k, "theirs", "cancelled"));
}

static void the_most_grants_that_were_asked_for_are_made(void **state)
{
    struct kit *k = *state;
    struct profile_rates one = rates;
    (void)submit(k, "a", 1);
    (void)submit(k, "b", 1);
    (void)submit(k, "c", 1);
    (void)submit(k, "d", 1);
    one.max_parallel = 0;
    k->pool.limits = limits_of(&one);
    struct turn t = {.calls = 0};
    pool_store_configure(k->store, &k->pool, on_turn, &t);
    wait_for(k, &t);
    t = dispatch(k, 0);
    assert_int_equal(t.t.grant_count, 0);
    assert_int_equal(t.t.wait_ms, 0); /* there is more to grant at once */
    t = dispatch(k, 1);
    assert_int_equal(t.t.grant_count, 1);
    assert_string_equal(t.t.grants[0].id, "c");
    t = dispatch(k, 16);
    assert_int_equal(t.t.grant_count, 1);
    assert_int_equal(t.t.wait_ms, -1);
}

static void peek_looks_and_changes_nothing(void **state)
{
    struct kit *k = *state;
    static const char *const fields[] = {"rq", "absent"};
    (void)submit(k, "a", 100);
    (void)submit(k, "b", 100);
    (void)submit(k, "c", 100);
    struct store_look look = {"a", fields, 2, NULL};
    struct turn t = {.calls = 0};
    pool_store_peek(k->store, &k->pool, &look, on_turn, &t);
    wait_for(k, &t);
    assert_string_equal(t.items[0], "running");
    assert_int_equal(t.item_count, 6);
    assert_string_equal(t.items[4], "a"); /* up to its NUL */
    assert_string_equal(t.items[5], "");
    look.id = "nobody";
    t.calls = 0;
    pool_store_peek(k->store, &k->pool, &look, on_turn, &t);
    wait_for(k, &t);
    assert_string_equal(t.items[0], "none");
    look = (struct store_look){.id = NULL};
    t.calls = 0;
    pool_store_peek(k->store, &k->pool, &look, on_turn, &t);
    wait_for(k, &t);
    assert_string_equal(t.items[0], "pool");
    assert_string_equal(t.items[1], "2"); /* running */
    assert_string_equal(t.items[6], "1"); /* of the class normal */
    assert_true(is(k, "c", "queued"));
}

static void a_pool_that_was_lost_begins_anew_and_empty(void **state)
{
    struct kit *k = *state;
    assert_int_equal(submit(k, "a", 100).t.submit, SUBMIT_GRANTED); /* never seen: full */
    assert_true(k->pool.configured);
    assert_true(redis_fixture_says(&k->redis, "OK", REDIS_ARGS("FLUSHALL")));
    struct turn t = submit(k, "b", 100);
    assert_int_equal(t.t.status, REDIS_OK);
    assert_int_equal(t.t.submit, SUBMIT_QUEUED); /* lost data must not double the burst */
    assert_true(t.t.levels[1].remaining < 100);
    struct store_outcome o = done("a", 1, 1);
    assert_string_equal(settle(k, &o).items[1], "none");
}

struct counted {
    unsigned ends;
    int64_t succeeded, sum;
};

static void on_count(void *arg, const char *name, int64_t value)
{
    struct counted *c = arg;
    if (!name)
        c->ends++;
    else if (strcmp(name, "succeeded") == 0)
        c->succeeded = value;
    else
        c->sum += value;
}

static bool has_counted(void *arg)
{
    return ((struct counted *)arg)->ends > 0;
}

static void counts_of_all_instances_add_up(void **state)
{
    struct kit *k = *state;
    const struct store_count counts[] = {{"succeeded", 3}, {"w:5", 1}};
    struct counted c = {.ends = 0};
    pool_store_count(k->store, &k->pool, counts, 2);
    pool_store_count(k->other, &k->pool, counts, 2);
    pool_store_counts(k->store, &k->pool, on_count, &c);
    assert_true(wait_loop(k->probe.base, has_counted, &c));
    assert_int_equal(c.succeeded, 6);
    assert_int_equal(c.sum, 2);
    assert_true(ask(k, REDIS_ARGS("PTTL", PREFIX "stats")) > 0);
}

static void every_key_of_a_pool_ends_or_is_owned(void **state)
{
    struct kit *k = *state;
    (void)submit(k, "a", 1);
    struct store_outcome o = done("a", 1, 1);
    (void)settle(k, &o);
    int64_t ttl_ms = ask(k, REDIS_ARGS("PTTL", PREFIX "j:a"));
    assert_in_range(ttl_ms, 1, 60000); /* finished_ttl_ms */
    (void)submit(k, "b", 1);
    assert_true(ask(k, REDIS_ARGS("PTTL", PREFIX "j:b")) > 0); /* a call's never outlives a day */
    o = done("b", 1, 1);
    (void)settle(k, &o);
    assert_true(ask(k, REDIS_ARGS("PTTL", PREFIX "b")) > 0);
    static const char *const empty[] = {"inf", "delay", "f", "q:0", "q:1", "q:2"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        struct key key = key_pool(POOL, empty[i]);
        assert_int_equal(ask(k, REDIS_ARGS("EXISTS", key.text)), 0);
    }
}

static void without_redis_every_call_is_answered(void **state)
{
    struct kit *k = *state;
    struct turn t = {.calls = 0}, lost = {.calls = 0};
    redis_fixture_kill(&k->redis);
    pool_store_dispatch(k->store, &k->pool, 1, on_turn, &lost);
    wait_for(k, &lost);
    assert_true(lost.t.status == REDIS_LOST || lost.t.status == REDIS_DOWN);
    pool_store_reap(k->store, &k->pool, 1, on_turn, &t);
    assert_int_equal(t.calls, 0); /* never before it has returned */
    wait_for(k, &t);
    assert_int_equal(t.t.status, REDIS_DOWN);
    assert_string_equal(t.result, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        STORE_TEST(submit_tells_what_became_of_the_ticket),
        STORE_TEST(a_settle_frees_the_slot_grants_the_next_and_is_taken_once),
        STORE_TEST(what_was_never_sent_comes_back_and_what_was_overdrawn_is_owed),
        STORE_TEST(a_pause_holds_one_dimension_or_all),
        STORE_TEST(a_ticket_that_is_delayed_is_in_no_queue_until_it_is_due),
        STORE_TEST(cancel_tells_the_state_it_found),
        STORE_TEST(a_lease_that_ended_goes_back_and_then_is_dead),
        STORE_TEST(a_heartbeat_keeps_what_is_held_and_names_what_is_not),
        STORE_TEST(a_call_of_a_dead_instance_does_not_hold_the_queue),
        STORE_TEST(the_most_grants_that_were_asked_for_are_made),
        STORE_TEST(peek_looks_and_changes_nothing),
        STORE_TEST(a_pool_that_was_lost_begins_anew_and_empty),
        STORE_TEST(counts_of_all_instances_add_up),
        STORE_TEST(every_key_of_a_pool_ends_or_is_owned),
        STORE_TEST(without_redis_every_call_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
