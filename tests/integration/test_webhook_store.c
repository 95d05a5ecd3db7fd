/* The outbox against a real Redis: leases, places, repetitions, and what is kept. */
#include "common/clock.h"
#include "common/limits.h"
#include "storage/webhook_store.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY(part) "sluice:{wh}:" part

struct one {
    char id[WEBHOOK_ID_BYTES], tenant[32], url[64], payload[64];
    int64_t number, tries;
};

struct rig {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct webhook_store *store;
    struct webhook_rules rules;
    bool answered;
    char word[32];
    struct one taken[WEBHOOK_MAX_TAKEN];
    size_t count;
    int64_t next_ms;
    struct webhook_totals totals;
    char listed[8][WEBHOOK_ID_BYTES];
    char status[16], attempts[1024]; /* of the record that was looked at; "" there was none */
    int64_t created_us;
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    if (!r || redis_fixture_start(&r->redis, NULL) || !redis_probe_open(&r->probe, r->redis.url) ||
        !redis_probe_wait_up(&r->probe))
        return -1;
    r->rules =
        (struct webhook_rules){.places = 4, .lease_ms = 60000, .tries = 10, .kept_ms = 60000};
    r->created_us = clock_wall_ms() * 1000;
    r->store = webhook_store_new(r->probe.link, 5000);
    return r->store ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    redis_probe_close(&r->probe);
    webhook_store_free(r->store);
    redis_fixture_stop(&r->redis);
    free(r);
    return 0;
}

static bool has_answer(void *arg)
{
    const struct rig *r = arg;
    return r->answered;
}

static void wait_answer(struct rig *r)
{
    assert_true(wait_loop(r->probe.base, has_answer, r));
    r->answered = false;
}

static void on_word(void *arg, enum redis_status status, const char *word)
{
    struct rig *r = arg;
    assert_int_equal(status, REDIS_OK);
    (void)snprintf(r->word, sizeof(r->word), "%s", word);
    r->answered = true;
}

static const char *add_to(struct rig *r, const char *id, const char *tenant, const char *endpoint)
{
    struct webhook_entry entry = {.id = id,
                                  .tenant = tenant,
                                  .type = "job.succeeded",
                                  .object = "job_1",
                                  .url = "http://receiver/",
                                  .endpoint = endpoint,
                                  .payload = "{\"a\":1}",
                                  .created_us = ++r->created_us};
    webhook_store_add(r->store, &r->rules, &entry, on_word, r);
    wait_answer(r);
    return r->word;
}

static const char *add(struct rig *r, const char *id)
{
    return add_to(r, id, "t", "e");
}

static void on_take(void *arg, enum redis_status status, const struct webhook_take *take)
{
    struct rig *r = arg;
    assert_int_equal(status, REDIS_OK);
    r->count = take->count;
    r->next_ms = take->next_ms;
    r->totals = take->totals;
    for (size_t i = 0; i < take->count; i++) {
        const struct webhook_taken *t = &take->items[i];
        struct one *o = &r->taken[i];
        *o = (struct one){.number = t->number, .tries = t->tries};
        (void)snprintf(o->id, sizeof(o->id), "%s", t->entry.id);
        (void)snprintf(o->tenant, sizeof(o->tenant), "%s", t->entry.tenant);
        (void)snprintf(o->url, sizeof(o->url), "%s", t->entry.url);
        (void)snprintf(o->payload, sizeof(o->payload), "%.*s", (int)t->payload_len,
                       t->entry.payload);
    }
    r->answered = true;
}

static size_t take(struct rig *r, int room)
{
    webhook_store_take(r->store, &r->rules, room, on_take, r);
    wait_answer(r);
    return r->count;
}

static bool takes_one(void *arg)
{
    return take(arg, 1) == 1;
}

static const char *settle(struct rig *r, const struct one *o, enum webhook_state state,
                          int64_t delay_ms)
{
    struct webhook_outcome outcome = {.id = o->id,
                                      .number = o->number,
                                      .state = state,
                                      .delay_ms = delay_ms,
                                      .attempt = "{\"status\":500}"};
    webhook_store_settle(r->store, &r->rules, &outcome, on_word, r);
    wait_answer(r);
    return r->word;
}

static void on_record(void *arg, enum redis_status status, const struct webhook_record *record)
{
    struct rig *r = arg;
    assert_int_equal(status, REDIS_OK);
    (void)snprintf(r->status, sizeof(r->status), "%s", record ? record->status : "");
    (void)snprintf(r->attempts, sizeof(r->attempts), "%s", record ? record->attempts : "");
    r->answered = true;
}

static const char *status(struct rig *r, const char *id)
{
    webhook_store_get(r->store, id, on_record, r);
    wait_answer(r);
    return r->status;
}

static void on_listed(void *arg, enum redis_status status, const char *id, int64_t time_us)
{
    struct rig *r = arg;
    (void)time_us;
    assert_int_equal(status, REDIS_OK);
    if (!id)
        r->answered = true;
    else if (r->count < 8)
        (void)snprintf(r->listed[r->count++], WEBHOOK_ID_BYTES, "%s", id);
}

static size_t list(struct rig *r, const char *tenant, enum webhook_state state)
{
    struct webhook_range range = {.tenant = tenant, .state = state, .limit = 8};
    r->count = 0;
    webhook_store_list(r->store, &range, on_listed, r);
    wait_answer(r);
    return r->count;
}

static int64_t ask(struct rig *r, const char *what, const char *key)
{
    return redis_fixture_ask_int(&r->redis, REDIS_ARGS(what, key));
}

/* ---- tests */

static void what_is_added_is_taken_once_with_all_it_needs(void **state)
{
    struct rig *r = *state;
    assert_string_equal(add(r, "msg_1"), "added");
    assert_string_equal(add(r, "msg_1"), "known");
    assert_int_equal(take(r, 8), 1);
    assert_string_equal(r->taken[0].id, "msg_1");
    assert_string_equal(r->taken[0].tenant, "t");
    assert_string_equal(r->taken[0].url, "http://receiver/");
    assert_string_equal(r->taken[0].payload, "{\"a\":1}");
    assert_int_equal(r->taken[0].number, 1);
    assert_int_equal(r->totals.waiting, 1);
    assert_int_equal(take(r, 8), 0);
    assert_string_equal(settle(r, &r->taken[0], WEBHOOK_DELIVERED, 0), "settled");
    assert_string_equal(status(r, "msg_1"), "delivered");
    assert_string_equal(r->attempts, "{\"status\":500}");
    assert_int_equal(take(r, 8), 0);
    assert_int_equal(r->next_ms, -1);
    assert_int_equal(r->totals.waiting, 0);
    assert_int_equal(r->totals.delivered, 1);
    assert_string_equal(add(r, "msg_1"), "known");
    assert_int_equal(ask(r, "EXISTS", KEY("q:e")) + ask(r, "EXISTS", KEY("r:e")), 0);
}

static void one_whose_instance_died_is_due_when_its_lease_ends(void **state)
{
    struct rig *r = *state;
    (void)add(r, "msg_1");
    r->rules.lease_ms = 1;
    assert_int_equal(take(r, 1), 1);
    struct one lost = r->taken[0];
    assert_true(wait_loop(r->probe.base, takes_one, r));
    assert_string_equal(r->taken[0].id, "msg_1");
    assert_true(r->taken[0].number > lost.number);
    assert_string_equal(settle(r, &lost, WEBHOOK_DELIVERED, 0), "stale");
    assert_string_equal(status(r, "msg_1"), "waiting");
    assert_string_equal(settle(r, &r->taken[0], WEBHOOK_DELIVERED, 0), "settled");
    assert_string_equal(settle(r, &r->taken[0], WEBHOOK_DELIVERED, 0), "stale");
}

static void instances_that_die_over_one_do_not_take_it_for_ever(void **state)
{
    struct rig *r = *state;
    (void)add(r, "msg_1");
    r->rules.lease_ms = 1;
    r->rules.tries = 3;
    for (int i = 0; i < 3; i++)
        assert_true(wait_loop(r->probe.base, takes_one, r));
    assert_int_equal(r->taken[0].tries, 3);
    while (strcmp(status(r, "msg_1"), "failed") != 0)
        assert_int_equal(take(r, 1), 0);
    assert_int_equal(ask(r, "ZCARD", KEY("ends")), 0);
}

static void a_delay_is_waited_out(void **state)
{
    struct rig *r = *state;
    (void)add(r, "msg_1");
    assert_int_equal(take(r, 1), 1);
    assert_string_equal(settle(r, &r->taken[0], WEBHOOK_WAITING, 30000), "settled");
    assert_int_equal(take(r, 1), 0);
    assert_in_range(r->next_ms, 1, 30000);
    assert_int_equal(r->totals.attempts_failed, 1);
    assert_string_equal(status(r, "msg_1"), "waiting");
}

static void an_endpoint_takes_its_places_and_no_more(void **state)
{
    struct rig *r = *state;
    char id[32];
    r->rules.places = 2;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(id, sizeof(id), "msg_%02d", i);
        (void)add_to(r, id, "t", "dead");
    }
    (void)add_to(r, "msg_other", "t", "alive");
    assert_int_equal(take(r, WEBHOOK_MAX_TAKEN), 3);
    assert_string_equal(r->taken[2].id, "msg_other");
    assert_int_equal(take(r, WEBHOOK_MAX_TAKEN), 0);
    assert_true(r->next_ms > 50000); /* not before a lease ends */
    (void)add_to(r, "msg_another", "t", "alive");
    assert_int_equal(take(r, 1), 1);
    assert_string_equal(r->taken[0].id, "msg_another");

    struct one first = {.id = "msg_00", .number = 1};
    assert_string_equal(settle(r, &first, WEBHOOK_WAITING, 60000), "settled");
    assert_int_equal(take(r, WEBHOOK_MAX_TAKEN), 1);
    assert_string_equal(r->taken[0].id, "msg_02");
}

static void room_bounds_what_is_taken(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 3; i++) {
        char id[32], endpoint[32];
        (void)snprintf(id, sizeof(id), "msg_%d", i);
        (void)snprintf(endpoint, sizeof(endpoint), "e%d", i);
        (void)add_to(r, id, "t", endpoint);
    }
    assert_int_equal(take(r, 2), 2);
    assert_int_equal(r->next_ms, 0);
    assert_int_equal(take(r, 2), 1);
}

static void one_that_ended_can_be_sent_again(void **state)
{
    struct rig *r = *state;
    (void)add(r, "msg_1");
    assert_int_equal(take(r, 1), 1);
    (void)settle(r, &r->taken[0], WEBHOOK_FAILED, 0);
    assert_true(ask(r, "PTTL", KEY("d:msg_1")) > 0);
    assert_int_equal(list(r, "t", WEBHOOK_FAILED), 1);
    webhook_store_redeliver(r->store, &r->rules, "msg_1", "other", on_word, r);
    wait_answer(r);
    assert_string_equal(r->word, "none");
    webhook_store_redeliver(r->store, &r->rules, "msg_1", "t", on_word, r);
    wait_answer(r);
    assert_string_equal(r->word, "queued");
    assert_int_equal(ask(r, "PTTL", KEY("d:msg_1")), -1);
    assert_int_equal(list(r, "t", WEBHOOK_FAILED), 0);
    assert_int_equal(list(r, "t", WEBHOOK_WAITING), 1);
    assert_int_equal(take(r, 1), 1);
    assert_int_equal(r->taken[0].tries, 1);
    assert_int_equal(r->taken[0].number, 2);
    webhook_store_redeliver(r->store, &r->rules, "msg_2", NULL, on_word, r);
    wait_answer(r);
    assert_string_equal(r->word, "none");
}

static void one_on_its_way_is_not_sent_a_second_time_beside_it(void **state)
{
    struct rig *r = *state;
    (void)add(r, "msg_1");
    assert_int_equal(take(r, 1), 1);
    struct one o = r->taken[0];
    webhook_store_redeliver(r->store, &r->rules, "msg_1", NULL, on_word, r);
    wait_answer(r);
    assert_int_equal(take(r, 1), 0);
    assert_string_equal(settle(r, &o, WEBHOOK_DELIVERED, 0), "settled");
}

static void lists_are_a_tenants_own_and_the_newest_first(void **state)
{
    struct rig *r = *state;
    (void)add_to(r, "msg_1", "a", "e");
    (void)add_to(r, "msg_2", "b", "e");
    (void)add_to(r, "msg_3", "a", "e");
    assert_int_equal(list(r, "a", WEBHOOK_STATES), 2);
    assert_string_equal(r->listed[0], "msg_3");
    assert_string_equal(r->listed[1], "msg_1");
    assert_int_equal(list(r, "b", WEBHOOK_WAITING), 1);
    assert_int_equal(list(r, NULL, WEBHOOK_STATES), 3);
    assert_int_equal(list(r, "c", WEBHOOK_STATES), 0);
}

static void only_the_last_attempts_are_remembered(void **state)
{
    struct rig *r = *state;
    (void)add(r, "msg_1");
    r->rules.tries = 100;
    for (int i = 0; i < 25; i++) {
        assert_true(wait_loop(r->probe.base, takes_one, r));
        assert_string_equal(settle(r, &r->taken[0], WEBHOOK_WAITING, 0), "settled");
    }
    (void)status(r, "msg_1");
    size_t lines = 1;
    for (const char *at = r->attempts; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 20);
}

static void a_tenant_keeps_so_many_that_ended(void **state)
{
    struct rig *r = *state;
    char id[32];
    for (int i = 0; i <= WEBHOOK_MAX_ENDED; i++) {
        (void)snprintf(id, sizeof(id), "msg_%04d", i);
        (void)add(r, id);
        assert_int_equal(take(r, 1), 1);
        (void)settle(r, &r->taken[0], WEBHOOK_DELIVERED, 0);
        if (i == WEBHOOK_MAX_ENDED - 1)
            assert_string_equal(status(r, "msg_0000"), "delivered");
    }
    assert_string_equal(status(r, "msg_0000"), "");
    assert_string_equal(status(r, "msg_0001"), "delivered");
    assert_int_equal(ask(r, "ZCARD", KEY("i:1:t:all")), WEBHOOK_MAX_ENDED);
    assert_int_equal(ask(r, "ZCARD", KEY("i:*:delivered")), WEBHOOK_MAX_ENDED);
}

static void of_all_tenants_so_many_are_listed(void **state)
{
    static const char fill[] =
        "for i = 1, ARGV[1] do redis.call('ZADD', KEYS[1], ARGV[2], i) end return 1";
    struct rig *r = *state;
    char now[24];
    (void)snprintf(now, sizeof(now), "%" PRId64, r->created_us);
    (void)redis_fixture_ask_int(&r->redis,
                                REDIS_ARGS("EVAL", fill, "1", KEY("i:*:all"), "100000", now));
    (void)add(r, "msg_1");
    assert_int_equal(take(r, 1), 1);
    (void)settle(r, &r->taken[0], WEBHOOK_DELIVERED, 0);
    assert_int_equal(ask(r, "ZCARD", KEY("i:*:all")), 100000);
    assert_true(redis_fixture_ask_int(&r->redis, REDIS_ARGS("ZRANK", KEY("i:*:all"), "msg_1")) > 0);
}

static void a_tenant_has_so_many_that_wait(void **state)
{
    struct rig *r = *state;
    char most[16];
    (void)snprintf(most, sizeof(most), "%d", WEBHOOK_MAX_WAITING - 1);
    (void)redis_fixture_ask_int(
        &r->redis,
        REDIS_ARGS("EVAL", "for i = 1, ARGV[1] do redis.call('ZADD', KEYS[1], i, i) end return 1",
                   "1", KEY("i:1:t:waiting"), most));
    assert_string_equal(add(r, "msg_last"), "added");
    assert_string_equal(add(r, "msg_over"), "full");
    assert_string_equal(add_to(r, "msg_other", "u", "e"), "added");
    (void)take(r, 1);
    assert_int_equal(r->totals.dropped, 1);
}

struct owed {
    bool over;
    size_t count;
    char first[TICKET_ID_BYTES];
};

static void on_owed(void *arg, enum redis_status status, const char *id)
{
    struct owed *o = arg;
    assert_int_equal(status, REDIS_OK);
    if (id && o->count++ == 0)
        (void)snprintf(o->first, sizeof(o->first), "%s", id);
    o->over |= id == NULL;
}

static bool owed_over(void *arg)
{
    const struct owed *o = arg;
    return o->over;
}

static size_t owed(struct rig *r, int64_t lease_ms)
{
    struct owed o = {.over = false};
    webhook_store_owed(r->store, "p", lease_ms, on_owed, &o);
    assert_true(wait_loop(r->probe.base, owed_over, &o));
    return o.count;
}

static bool owed_again(void *arg)
{
    return owed(arg, 60000) == 1;
}

static void an_ended_job_is_one_instances_until_it_is_paid_or_the_lease_ends(void **state)
{
    struct rig *r = *state;
    (void)redis_fixture_ask_int(&r->redis,
                                REDIS_ARGS("ZADD", "sluice:{p}:wh", "1", "job_a", "2", "job_b"));
    (void)redis_fixture_ask_int(&r->redis, REDIS_ARGS("HSET", "sluice:{p}:j:job_a", "x", "1"));
    assert_int_equal(owed(r, 1), 2);
    webhook_store_paid(r->store, "p", "job_a", 1);
    assert_true(wait_loop(r->probe.base, owed_again, r));
    assert_int_equal(owed(r, 60000), 0);
    assert_int_equal(ask(r, "EXISTS", "sluice:{p}:j:job_a"), 0);
    webhook_store_paid(r->store, "p", "job_b", 0);
    assert_int_equal(owed(r, 60000), 0);
    assert_int_equal(ask(r, "EXISTS", "sluice:{p}:wh"), 0);
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_is_added_is_taken_once_with_all_it_needs),
        STORE_TEST(one_whose_instance_died_is_due_when_its_lease_ends),
        STORE_TEST(instances_that_die_over_one_do_not_take_it_for_ever),
        STORE_TEST(a_delay_is_waited_out),
        STORE_TEST(an_endpoint_takes_its_places_and_no_more),
        STORE_TEST(room_bounds_what_is_taken),
        STORE_TEST(one_that_ended_can_be_sent_again),
        STORE_TEST(one_on_its_way_is_not_sent_a_second_time_beside_it),
        STORE_TEST(lists_are_a_tenants_own_and_the_newest_first),
        STORE_TEST(only_the_last_attempts_are_remembered),
        STORE_TEST(a_tenant_keeps_so_many_that_ended),
        STORE_TEST(of_all_tenants_so_many_are_listed),
        STORE_TEST(a_tenant_has_so_many_that_wait),
        STORE_TEST(an_ended_job_is_one_instances_until_it_is_paid_or_the_lease_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
