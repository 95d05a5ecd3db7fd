#include "storage/session_store.h"

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

#define SETUP "{\"format\":\"openai\",\"setup\":{}}"

struct rig {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct session_store *store;
    bool answered, done;
    enum redis_status status;
    enum session_turn turn;
    struct session_facts facts;
    int64_t fence;
    size_t count;
    char first[200];
    char ids[8][32];
    int listed;
    int64_t now_us;
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    if (!r || redis_fixture_start(&r->redis, NULL) || !redis_probe_open(&r->probe, r->redis.url) ||
        !redis_probe_wait_up(&r->probe))
        return -1;
    r->store = session_store_new(r->probe.link, 5000);
    return r->store ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    session_store_free(r->store);
    redis_probe_close(&r->probe);
    redis_fixture_stop(&r->redis);
    free(r);
    return 0;
}

static bool has_answer(void *arg)
{
    const struct rig *r = arg;
    return r->answered;
}

static void await(struct rig *r)
{
    assert_true(wait_loop(r->probe.base, has_answer, r));
    r->answered = false;
}

static void on_done(void *arg, enum redis_status status, bool done)
{
    struct rig *r = arg;
    r->answered = true;
    r->status = status;
    r->done = done;
}

static void on_view(void *arg, enum session_turn turn, enum redis_status status,
                    const struct session_view *v)
{
    struct rig *r = arg;
    size_t len = 0;
    r->answered = true;
    r->status = status;
    r->turn = turn;
    if (turn != SESSION_GO)
        return;
    r->fence = v->fence;
    r->count = v->count;
    r->facts = v->facts;
    assert_string_equal(v->setup, SETUP);
    const char *first = session_view_message(v, 0, &len);
    (void)snprintf(r->first, sizeof(r->first), "%s", first ? first : "");
}

static void on_facts(void *arg, enum redis_status status, const struct session_facts *facts)
{
    struct rig *r = arg;
    r->answered = true;
    r->status = status;
    r->facts = *facts;
}

static void create(struct rig *r, const char *tenant, const char *id)
{
    struct session_setup setup = {.tenant = tenant,
                                  .id = id,
                                  .text = SETUP,
                                  .len = strlen(SETUP),
                                  .now_us = ++r->now_us,
                                  .ttl_s = 60};
    session_store_create(r->store, &setup, on_done, r);
    await(r);
    assert_true(r->done);
}

static enum session_turn begin(struct rig *r, const char *tenant, const char *id,
                               const char *waiter)
{
    session_store_begin(r->store, tenant, id, waiter, on_view, r);
    await(r);
    return r->turn;
}

static bool commit(struct rig *r, const char *tenant, const char *id, int64_t fence)
{
    static const char *const messages[] = {"{\"a\":1}", "{\"b\":2}"};
    static const size_t lens[] = {7, 7};
    struct session_delta delta = {
        .calls = 2, .dropped = 1, .input = 10, .output = 5, .trims = 1, .saved = 7};
    struct session_commit what = {.tenant = tenant,
                                  .id = id,
                                  .fence = fence,
                                  .delta = &delta,
                                  .now_us = ++r->now_us,
                                  .ttl_s = 60,
                                  .messages = messages,
                                  .lens = lens,
                                  .count = 2};
    session_store_commit(r->store, &what, on_done, r);
    await(r);
    return r->done;
}

static size_t count(struct rig *r, const char *tenant, const char *id)
{
    session_store_read(r->store, tenant, id, on_view, r);
    await(r);
    assert_int_equal(r->turn, SESSION_GO);
    return r->count;
}

static void what_is_added_is_found_again(void **state)
{
    struct rig *r = *state;
    struct session_delta d = {.calls = 3,
                              .dropped = 2,
                              .input = 100,
                              .output = 20,
                              .turn = UINT64_MAX,
                              .iterations = 4,
                              .anchor = {.tokens = 90,
                                         .messages = 7,
                                         .counted = 80,
                                         .high = UINT64_MAX,
                                         .low = 1,
                                         .model = "gpt 4"}};
    session_store_add(r->store, "t", "a b", &d, 60);
    d.anchor.messages = 0; /* the old one stays */
    d.iterations = 5;
    session_store_add(r->store, "t", "a b", &d, 60);
    session_store_facts(r->store, "t", "a b", on_facts, r);
    await(r);
    assert_int_equal(r->facts.requests, 2);
    assert_int_equal(r->facts.calls, 6);
    assert_int_equal(r->facts.dropped, 4);
    assert_int_equal(r->facts.input, 200);
    assert_int_equal(r->facts.output, 40);
    assert_true(r->facts.turn == UINT64_MAX);
    assert_int_equal(r->facts.iterations, 5);
    assert_int_equal(r->facts.anchor.tokens, 90);
    assert_int_equal(r->facts.anchor.messages, 7);
    assert_int_equal(r->facts.anchor.counted, 80);
    assert_true(r->facts.anchor.high == UINT64_MAX);
    assert_string_equal(r->facts.anchor.model, "gpt 4");
    session_store_facts(r->store, "other", "a b", on_facts, r);
    await(r);
    assert_int_equal(r->facts.requests, 0);
}

static void posts_take_turns_in_the_order_of_their_asking(void **state)
{
    struct rig *r = *state;
    create(r, "t", "s");
    assert_int_equal(begin(r, "t", "s", "w1"), SESSION_GO);
    int64_t first = r->fence;
    assert_int_equal(begin(r, "t", "s", "w2"), SESSION_WAIT);
    assert_int_equal(begin(r, "t", "s", "w3"), SESSION_WAIT);
    assert_true(commit(r, "t", "s", first));
    assert_int_equal(begin(r, "t", "s", "w3"), SESSION_WAIT);
    assert_int_equal(begin(r, "t", "s", "w4"), SESSION_WAIT);
    assert_int_equal(begin(r, "t", "s", "w2"), SESSION_GO);
    assert_true(r->fence > first);
    assert_int_equal(r->count, 2);
    assert_string_equal(r->first, "{\"a\":1}");
    assert_int_equal(r->facts.requests, 1);
    assert_int_equal(r->facts.saved, 7);
    session_store_release(r->store, "t", "s", r->fence, "w2");
    session_store_release(r->store, "t", "s", 0, "w3"); /* it left */
    /* Releases are not waited for, and their script may have to be loaded first. */
    for (int i = 0; i < 100 && begin(r, "t", "s", "w4") == SESSION_WAIT; i++)
        wait_loop_turns(r->probe.base, 1);
    assert_int_equal(r->turn, SESSION_GO);
    assert_int_equal(count(r, "t", "s"), 2);
}

static void a_commit_under_an_old_fence_changes_nothing(void **state)
{
    struct rig *r = *state;
    create(r, "t", "old");
    assert_int_equal(begin(r, "t", "old", "w1"), SESSION_GO);
    int64_t old = r->fence;
    session_store_clear(r->store, "t", "old", on_done, r);
    await(r);
    assert_true(r->done);
    assert_false(commit(r, "t", "old", old));
    assert_int_equal(begin(r, "t", "old", "w2"), SESSION_GO);
    assert_false(commit(r, "t", "old", old));
    session_store_renew(r->store, "t", "old", old, on_done, r);
    await(r);
    assert_false(r->done);
    session_store_renew(r->store, "t", "old", r->fence, on_done, r);
    await(r);
    assert_true(r->done);
    assert_int_equal(count(r, "t", "old"), 0);
}

static void as_many_wait_as_the_maximum_and_not_one_more(void **state)
{
    struct rig *r = *state;
    char waiter[16];
    create(r, "t", "full");
    assert_int_equal(begin(r, "t", "full", "first"), SESSION_GO);
    for (int i = 0; i < SESSION_MAX_WAITING; i++) {
        (void)snprintf(waiter, sizeof(waiter), "w%d", i);
        assert_int_equal(begin(r, "t", "full", waiter), SESSION_WAIT);
    }
    assert_int_equal(begin(r, "t", "full", "more"), SESSION_FULL);
    assert_int_equal(begin(r, "t", "full", "w0"), SESSION_WAIT);
}

static void another_tenants_conversation_is_not_there(void **state)
{
    struct rig *r = *state;
    create(r, "t", "mine");
    assert_int_equal(begin(r, "other", "mine", "w"), SESSION_NONE);
    session_store_read(r->store, "other", "mine", on_view, r);
    await(r);
    assert_int_equal(r->turn, SESSION_NONE);
    session_store_delete(r->store, "other", "mine", on_done, r);
    await(r);
    assert_false(r->done);
    session_store_delete(r->store, "t", "mine", on_done, r);
    await(r);
    assert_true(r->done);
    assert_int_equal(begin(r, "t", "mine", "w"), SESSION_NONE);
}

static void on_listed(void *arg, enum redis_status status, const char *id, int64_t used_us)
{
    struct rig *r = arg;
    (void)used_us;
    assert_int_equal(status, REDIS_OK);
    if (id && r->listed < 8)
        (void)snprintf(r->ids[r->listed++], sizeof(r->ids[0]), "%s", id);
    r->answered = !id;
}

static void the_last_used_is_listed_first(void **state)
{
    struct rig *r = *state;
    create(r, "lister", "one");
    create(r, "lister", "two");
    assert_int_equal(begin(r, "lister", "one", "w"), SESSION_GO);
    assert_true(commit(r, "lister", "one", r->fence));
    struct session_range range = {.tenant = "lister", .limit = 8};
    session_store_list(r->store, &range, on_listed, r);
    await(r);
    assert_int_equal(r->listed, 2);
    assert_string_equal(r->ids[0], "one");
}

static void a_page_may_end_between_conversations_of_the_same_moment(void **state)
{
    struct rig *r = *state;
    static const char *const order[] = {"e", "d", "c", "b", "a"};
    struct key key = key_sessions("equal");
    assert_int_equal(
        redis_fixture_ask_int(&r->redis, REDIS_ARGS("ZADD", key.text, "9", "e", "7", "a", "7", "b",
                                                    "7", "c", "7", "d")),
        5);
    for (int at = 0; at < 4; at++) {
        struct session_range range = {.tenant = "equal", .limit = 2, .before_id = order[at]};
        range.before_us = at == 0 ? 9 : 7;
        r->listed = 0;
        r->answered = false;
        session_store_list(r->store, &range, on_listed, r);
        await(r);
        int wanted = 4 - at < 2 ? 4 - at : 2;
        assert_int_equal(r->listed, wanted);
        for (int i = 0; i < wanted; i++)
            assert_string_equal(r->ids[i], order[at + 1 + i]);
    }
    assert_int_equal(redis_fixture_ask_int(&r->redis, REDIS_ARGS("DEL", key.text)), 1);
}

static void every_key_of_a_conversation_expires(void **state)
{
    struct rig *r = *state;
    struct session_delta d = {.calls = 1};
    session_store_add(r->store, "ttl", "named", &d, 60);
    create(r, "ttl", "kept");
    assert_int_equal(begin(r, "ttl", "kept", "w"), SESSION_GO);
    assert_true(commit(r, "ttl", "kept", r->fence));
    assert_int_equal(begin(r, "ttl", "kept", "w1"), SESSION_GO);
    assert_int_equal(begin(r, "ttl", "kept", "w2"), SESSION_WAIT);
    const char *lua = "local n = 0 for _, k in ipairs(redis.call('KEYS', 'sluice:*s*')) do "
                      "if redis.call('PTTL', k) < 0 then n = n + 1 end end return n";
    assert_int_equal(redis_fixture_ask_int(&r->redis, REDIS_ARGS("EVAL", lua, "0")), 0);
}

static void names_have_bounds(void **state)
{
    (void)state;
    char id[SESSION_ID_BYTES + 2];
    memset(id, 'x', sizeof(id));
    id[SESSION_ID_BYTES] = '\0';
    assert_true(session_id_is_good(id));
    id[SESSION_ID_BYTES] = 'x';
    id[SESSION_ID_BYTES + 1] = '\0';
    assert_false(session_id_is_good(id));
    assert_false(session_id_is_good(""));
    assert_false(session_id_is_good("a b"));
    assert_false(session_id_is_good("a\x80"));
    assert_true(session_id_is_good("{a}:~!"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_is_found_again),
        cmocka_unit_test(posts_take_turns_in_the_order_of_their_asking),
        cmocka_unit_test(a_commit_under_an_old_fence_changes_nothing),
        cmocka_unit_test(as_many_wait_as_the_maximum_and_not_one_more),
        cmocka_unit_test(another_tenants_conversation_is_not_there),
        cmocka_unit_test(the_last_used_is_listed_first),
        cmocka_unit_test(a_page_may_end_between_conversations_of_the_same_moment),
        cmocka_unit_test(every_key_of_a_conversation_expires),
        cmocka_unit_test(names_have_bounds),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
