#include "common/clock.h"
#include "storage/pool_store.h"
#include "storage/redis_protocol.h"
#include "storage/redis_reply.h"
#include "storage/redis_script.h"
#include "storage/redis_slots.h"
#include "tests/support/redis_group.h"
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
#include <hiredis.h>

#define MASTERS 3
#define POOLS   6
#define JOBS    400
#define WAVE    8 /* jobs under way at once */

struct group {
    struct redis_node nodes[MASTERS + 1];
    size_t count;
    struct redis_probe probe;
    char url[128];
    struct pool_store *store;
    struct store_pool pools[POOLS];
    /* of a run */
    size_t begun, under_way, ended, refused, known;
    int deadline_ms;
};

static int set_up(void **state)
{
    struct group *g = calloc(1, sizeof(*g));
    *state = g;
    if (!g || redis_cluster_start(g->nodes, MASTERS, NULL))
        return -1;
    g->count = MASTERS;
    (void)snprintf(g->url, sizeof(g->url), "redis+cluster://127.0.0.1:1,127.0.0.1:%d",
                   g->nodes[1].port);
    return redis_probe_open(&g->probe, g->url) && redis_probe_wait_up(&g->probe) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct group *g = *state;
    g->begun = JOBS;
    if (g->probe.base)
        redis_probe_close(&g->probe);
    pool_store_free(g->store);
    for (size_t i = 0; i <= MASTERS; i++)
        redis_node_stop(&g->nodes[i]);
    free(g);
    return 0;
}

static enum redis_status ask(struct group *g, const struct redis_args *args)
{
    return redis_probe_call(&g->probe, args).status;
}

static void keys_are_spread_over_the_nodes_that_serve_them(void **state)
{
    struct group *g = *state;
    for (int i = 0; i < 60; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(ask(g, REDIS_ARGS("SET", key, "v")), REDIS_OK);
    }
    int64_t all = 0;
    for (size_t i = 0; i < g->count; i++) {
        int64_t here = redis_fixture_ask_int(&g->nodes[i].redis, REDIS_ARGS("DBSIZE"));
        assert_true(here > 5);
        all += here;
    }
    assert_int_equal(all, 60);
    assert_int_equal(ask(g, REDIS_ARGS("PING")), REDIS_OK);
}

static void a_moved_slot_is_followed_without_an_error(void **state)
{
    struct group *g = *state;
    int slot = redis_slot_of("k", 1);
    size_t from = redis_cluster_owner(g->nodes, g->count, slot), to = (from + 1) % g->count;
    assert_int_equal(ask(g, REDIS_ARGS("SET", "k", "v")), REDIS_OK);
    assert_int_equal(redis_cluster_begin_move(&g->nodes[from], &g->nodes[to], slot), 0);
    /* The key is still there; one that is not is asked for at the other node. */
    assert_string_equal(redis_probe_call(&g->probe, REDIS_ARGS("GET", "k")).text, "v");
    assert_int_equal(ask(g, REDIS_ARGS("SET", "{k}2", "w")), REDIS_OK);
    assert_int_equal(redis_cluster_move_keys(&g->nodes[from], &g->nodes[to], slot, 10), 0);
    assert_string_equal(redis_probe_call(&g->probe, REDIS_ARGS("GET", "k")).text, "v");
    assert_int_equal(redis_cluster_end_move(g->nodes, g->count, &g->nodes[to], slot), 0);
    assert_string_equal(redis_probe_call(&g->probe, REDIS_ARGS("GET", "k")).text, "v");
    assert_string_equal(redis_probe_call(&g->probe, REDIS_ARGS("GET", "{k}2")).text, "w");
    assert_int_equal(redis_cluster_owner(g->nodes, g->count, slot), to);
}

/* ---- pools */

static void open_store(struct group *g)
{
    struct error e = {.text = ""};
    struct pool_store_options o = {
        .link = g->probe.link, .instance = "i1", .timeout_ms = 5000, .alive_ms = 30000};
    g->store = pool_store_new(&o, &e);
    assert_non_null(g->store);
    for (size_t i = 0; i < POOLS; i++) {
        struct pool_limits l = {.dim_count = 1,
                                .max_parallel = 4,
                                .bypass_permille = 250,
                                .max_depth = 100000,
                                .lease_ms = 30000,
                                .max_losses = 2};
        char id[32];
        l.dims[0] = (struct dim_limit){.name = "rpm",
                                       .rate = 1000000,
                                       .period = 60000,
                                       .tick_ms = 1,
                                       .capacity = 1000000,
                                       .rule = DIM_REFUND};
        (void)snprintf(id, sizeof(id), "p:default:m%zu", i);
        store_pool_init(&g->pools[i], id, &l);
        g->pools[i].finished_ttl_ms = 600000;
    }
}

struct job {
    struct group *group;
    struct store_pool *pool;
    char id[TICKET_ID_BYTES];
};

static void begin_job(struct group *g);

static void on_settled(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct job *job = arg;
    struct group *g = job->group;
    (void)pool;
    g->refused += turn->status != REDIS_OK || strcmp(turn->result, "settled") != 0;
    g->ended++;
    g->under_way--;
    free(job);
    begin_job(g);
}

static void on_submitted(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct job *job = arg;
    struct group *g = job->group;
    struct store_outcome o = {.id = job->id, .state = TICKET_DONE, .fair_actual = 1};
    o.fence = turn->fence;
    o.actual[0] = 1;
    /* What was queued behind others is told by a grant, which nobody takes here: it stays. */
    if (turn->status == REDIS_OK && turn->submit == SUBMIT_GRANTED) {
        pool_store_settle(g->store, pool, &o, 0, on_settled, job);
        return;
    }
    g->known += turn->status == REDIS_OK && turn->submit == SUBMIT_KNOWN;
    g->refused++;
    g->ended++;
    g->under_way--;
    free(job);
    begin_job(g);
}

/* Two at a time in each pool at most, so that each is granted at once. */
static void begin_job(struct group *g)
{
    if (g->begun == JOBS)
        return;
    struct job *job = calloc(1, sizeof(*job));
    assert_non_null(job);
    *job = (struct job){.group = g, .pool = &g->pools[g->begun++ % 2]};
    key_new_id(job->pool->hash, job->id);
    struct store_ticket t = {.id = job->id,
                             .is_job = true,
                             .class = CLASS_NORMAL,
                             .tenant = "t",
                             .weight = 1,
                             .cost = {1},
                             .fair_cost = 1,
                             .aging_ms = 1000};
    g->under_way++;
    pool_store_submit(g->store, job->pool, &t, 4, on_submitted, job);
}

struct slot_move {
    struct group *group;
    int slot;
    size_t from, to, moves, want_ended;
    bool moving, failed;
};

/* One step each time the loop is looked at: keys go in fives, so that the slot is on two nodes for
 * some turns, and when they have gone they go on to the next node. */
static bool moved_and_ended(void *arg)
{
    struct slot_move *m = arg;
    struct group *g = m->group;
    if (g->ended == JOBS || m->failed)
        return true;
    struct redis_node *from = &g->nodes[m->from], *to = &g->nodes[m->to];
    if (!m->moving) {
        if (g->ended < m->want_ended)
            return false;
        m->failed = redis_cluster_begin_move(from, to, m->slot) != 0;
        m->moving = true;
        return false;
    }
    int64_t left = redis_cluster_move_keys(from, to, m->slot, 40);
    if (left > 0)
        return false;
    m->failed = left < 0 || redis_cluster_end_move(g->nodes, g->count, to, m->slot) != 0;
    m->moves++;
    m->moving = false;
    m->want_ended = g->ended + JOBS / 8;
    m->from = m->to;
    m->to = (m->to + 1) % g->count;
    return false;
}

static int64_t number_at(struct group *g, int slot, const struct redis_args *args)
{
    size_t owner = redis_cluster_owner(g->nodes, g->count, slot);
    assert_true(owner < g->count);
    return redis_fixture_ask_int(&g->nodes[owner].redis, args);
}

static void run_while_a_slot_moves(struct group *g)
{
    struct key bucket = key_pool(g->pools[0].id, "b");
    int slot = redis_slot_of(bucket.text, bucket.len);
    struct slot_move m = {.group = g, .slot = slot, .want_ended = JOBS / 16};
    m.from = redis_cluster_owner(g->nodes, g->count, slot);
    m.to = g->count - 1;
    if (m.to == m.from)
        m.to = 0;
    for (size_t i = 0; i < WAVE / 2; i++)
        begin_job(g);
    assert_true(wait_loop_for(g->probe.base, moved_and_ended, &m, 60000));
    assert_false(m.failed);
    if (m.moving) {
        while (redis_cluster_move_keys(&g->nodes[m.from], &g->nodes[m.to], slot, 60) > 0)
            ;
        assert_int_equal(redis_cluster_end_move(g->nodes, g->count, &g->nodes[m.to], slot), 0);
    }
    assert_true(m.moves >= 2);
    assert_int_equal(g->refused, 0);

    struct key slots = key_pool(g->pools[0].id, "inf");
    assert_int_equal(number_at(g, slot, REDIS_ARGS("ZCARD", slots.text)), 0);
    char count[16];
    (void)snprintf(count, sizeof(count), "%d", slot);
    /* b and m of the pool, and each of its jobs, once. */
    assert_in_range(number_at(g, slot, REDIS_ARGS("CLUSTER", "COUNTKEYSINSLOT", count)), JOBS / 2,
                    JOBS / 2 + 8);
}

static void a_slot_that_moves_under_load_loses_and_refuses_nothing(void **state)
{
    struct group *g = *state;
    open_store(g);
    run_while_a_slot_moves(g);
}

static void a_slot_may_move_to_a_node_that_has_just_joined(void **state)
{
    struct group *g = *state;
    open_store(g);
    assert_int_equal(redis_cluster_join(g->nodes, g->count, NULL), 0);
    g->count++;
    run_while_a_slot_moves(g);
}

struct told {
    int calls;
    enum redis_status status;
};

static void on_told(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct told *t = arg;
    (void)pool;
    t->calls++;
    t->status = turn->status;
}

static bool is_told(void *arg)
{
    return ((struct told *)arg)->calls > 0;
}

static enum redis_status dispatch(struct group *g, struct store_pool *pool)
{
    struct told t = {.calls = 0};
    pool_store_dispatch(g->store, pool, 1, on_told, &t);
    assert_true(wait_loop(g->probe.base, is_told, &t));
    return t.status;
}

/* Without the guard key the script would find the bucket at the new node, and none of the rest. */
static void no_script_runs_on_a_slot_that_is_on_two_nodes(void **state)
{
    struct group *g = *state;
    open_store(g);
    struct store_pool *pool = &g->pools[0];
    struct key bucket = key_pool(pool->id, "b");
    int slot = redis_slot_of(bucket.text, bucket.len);
    size_t from = redis_cluster_owner(g->nodes, g->count, slot), to = (from + 1) % g->count;
    assert_int_equal(dispatch(g, pool), REDIS_OK);
    assert_int_equal(ask(g, REDIS_ARGS("SET", "sluice:{p:default:m0}:x", "1")), REDIS_OK);
    assert_int_equal(redis_cluster_begin_move(&g->nodes[from], &g->nodes[to], slot), 0);

    struct told t = {.calls = 0};
    pool_store_dispatch(g->store, pool, 1, on_told, &t);
    wait_loop_turns(g->probe.base, 20);
    assert_int_equal(redis_cluster_move_keys(&g->nodes[from], &g->nodes[to], slot, 1), 2);
    wait_loop_turns(g->probe.base, 20);
    assert_int_equal(redis_cluster_move_keys(&g->nodes[from], &g->nodes[to], slot, 10), 0);
    wait_loop_turns(g->probe.base, 20);
    assert_int_equal(t.calls, 0);
    assert_int_equal(redis_cluster_end_move(g->nodes, g->count, &g->nodes[to], slot), 0);
    assert_true(wait_loop(g->probe.base, is_told, &t));
    assert_int_equal(t.status, REDIS_OK);
}

static void a_slot_that_stays_on_two_nodes_is_a_typed_error(void **state)
{
    struct group *g = *state;
    struct redis_answer a = {.calls = 0};
    int slot = redis_slot_of("k", 1);
    size_t from = redis_cluster_owner(g->nodes, g->count, slot), to = (from + 1) % g->count;
    assert_int_equal(ask(g, REDIS_ARGS("SET", "{k}1", "v")), REDIS_OK);
    assert_int_equal(redis_cluster_begin_move(&g->nodes[from], &g->nodes[to], slot), 0);
    redis_link_command(g->probe.link, REDIS_ARGS("MGET", "{k}1", "{k}2"), 100, redis_answer_take,
                       &a);
    assert_true(redis_probe_wait_answers(&g->probe, &a, 1));
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.status, REDIS_TRYAGAIN);
    assert_true(redis_link_is_up(g->probe.link));
}

static void a_slot_that_nobody_serves_is_a_typed_error(void **state)
{
    struct group *g = *state;
    struct redis_answer a = {.calls = 0};
    char slot[16];
    (void)snprintf(slot, sizeof(slot), "%d", redis_slot_of("k", 1));
    for (size_t i = 0; i < g->count; i++)
        assert_true(
            redis_fixture_says(&g->nodes[i].redis, "OK", REDIS_ARGS("CLUSTER", "DELSLOTS", slot)));
    redis_link_command(g->probe.link, REDIS_ARGS("GET", "k"), 200, redis_answer_take, &a);
    assert_true(redis_probe_wait_answers(&g->probe, &a, 1));
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.status, REDIS_SPLIT);
}

static void each_node_gets_the_scripts_that_it_lacks(void **state)
{
    struct group *g = *state;
    open_store(g);
    for (size_t i = 0; i < POOLS; i++)
        assert_int_equal(dispatch(g, &g->pools[i]), REDIS_OK);
    for (size_t i = 0; i < g->count; i++) {
        assert_true(redis_fixture_info(&g->nodes[i].redis, "number_of_cached_scripts") >= 2);
        assert_true(redis_fixture_says(&g->nodes[i].redis, "OK", REDIS_ARGS("SCRIPT", "FLUSH")));
    }
    for (size_t i = 0; i < POOLS; i++)
        assert_int_equal(dispatch(g, &g->pools[i]), REDIS_OK);
}

static void a_master_that_is_lost_is_told_and_taken_back(void **state)
{
    struct group *g = *state;
    int slot = redis_slot_of("k", 1);
    struct redis_node *n = &g->nodes[redis_cluster_owner(g->nodes, g->count, slot)];
    int ups = g->probe.ups;
    redis_fixture_kill(&n->redis);
    assert_true(redis_probe_wait_down(&g->probe));
    assert_int_equal(ask(g, REDIS_ARGS("SET", "k", "v")), REDIS_DOWN);
    assert_int_equal(redis_fixture_restart(&n->redis), 0);
    assert_true(redis_probe_wait_up(&g->probe));
    assert_int_equal(g->probe.ups, ups + 1);
    int64_t until_ms = clock_mono_ms() + 20000;
    enum redis_status status;
    do
        status = ask(g, REDIS_ARGS("SET", "k", "v"));
    while (status != REDIS_OK && clock_mono_ms() < until_ms);
    assert_int_equal(status, REDIS_OK);
}

static void commands_under_way_are_answered_when_the_link_is_freed(void **state)
{
    struct group *g = *state;
    struct redis_answer answers[20] = {{.calls = 0}};
    for (size_t i = 0; i < 20; i++)
        redis_link_command(g->probe.link, REDIS_ARGS("GET", "k"), 5000, redis_answer_take,
                           &answers[i]);
    assert_int_equal(redis_link_pending(g->probe.link), 20);
    redis_probe_close(&g->probe);
    g->probe.base = NULL;
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].status, REDIS_LOST);
    }
}

/* ---- channels */

struct listener {
    struct redis_link *link;
    bool up;
    int ups, messages;
};

static void on_listener(void *arg, bool up, const char *reason)
{
    struct listener *l = arg;
    (void)reason;
    l->up = up;
    l->ups += up;
}

static void on_message(void *arg, const char *channel, const char *payload, size_t len)
{
    struct listener *l = arg;
    (void)channel, (void)payload, (void)len;
    l->messages++;
}

static bool hears(void *arg)
{
    return ((struct listener *)arg)->messages > 0;
}

static bool listens_again(void *arg)
{
    struct listener *l = arg;
    return l->up && l->ups > 1;
}

static bool listens(void *arg)
{
    return ((struct listener *)arg)->up;
}

static void a_subscriber_hears_what_any_node_publishes_and_outlives_its_own(void **state)
{
    struct group *g = *state;
    struct listener l = {.ups = 0};
    struct redis_address address;
    struct error e = {.text = ""};
    char url[128];
    (void)snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%d,127.0.0.1:%d", g->nodes[0].port,
                   g->nodes[1].port);
    assert_int_equal(redis_address_parse(url, &address, &e), 0);
    l.link = redis_link_subscriber(g->probe.base, &address, on_listener, &l, &e);
    redis_link_on_message(l.link, on_message, &l);
    assert_int_equal(redis_link_subscribe(l.link, "c"), 0);
    assert_true(wait_loop(g->probe.base, listens, &l));
    /* From inside a script, as the grants are. */
    assert_int_equal(
        redis_fixture_ask_int(&g->nodes[2].redis,
                              REDIS_ARGS("EVAL", "return redis.call('PUBLISH', 'c', 'm')", "0")),
        0);
    assert_true(wait_loop(g->probe.base, hears, &l));

    redis_fixture_kill(&g->nodes[0].redis);
    assert_true(wait_loop(g->probe.base, listens_again, &l));
    l.messages = 0;
    assert_int_equal(redis_fixture_ask_int(&g->nodes[2].redis, REDIS_ARGS("PUBLISH", "c", "m")), 0);
    assert_true(wait_loop(g->probe.base, hears, &l));
    redis_link_free(l.link);
}

int main(void)
{
#define GROUP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        GROUP(keys_are_spread_over_the_nodes_that_serve_them),
        GROUP(a_moved_slot_is_followed_without_an_error),
        GROUP(a_slot_that_moves_under_load_loses_and_refuses_nothing),
        GROUP(a_slot_may_move_to_a_node_that_has_just_joined),
        GROUP(no_script_runs_on_a_slot_that_is_on_two_nodes),
        GROUP(a_slot_that_stays_on_two_nodes_is_a_typed_error),
        GROUP(a_slot_that_nobody_serves_is_a_typed_error),
        GROUP(each_node_gets_the_scripts_that_it_lacks),
        GROUP(a_master_that_is_lost_is_told_and_taken_back),
        GROUP(commands_under_way_are_answered_when_the_link_is_freed),
        GROUP(a_subscriber_hears_what_any_node_publishes_and_outlives_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
