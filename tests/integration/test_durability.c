/* What an accepted job is worth: on disk, on a replica, after a failover. */
#include "common/clock.h"
#include "storage/redis_reply.h"
#include "tests/support/api_kit.h"
#include "tests/support/redis_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SAFE       "appendonly yes\n"
#define JOB        "{\"endpoint\":\"/v1/chat/completions\",\"body\":" API_KIT_CHAT "}"
#define ID_BYTES   64
#define FAILOVER_S 40
#define MOST_JOBS  200

#define API_KIT_CHAT                                                                               \
    "{\"model\":\"gpt-4o\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}" \
    "]}"

struct group {
    struct redis_node master, replica, sentinel;
    struct sim_child sim;
    struct serve_child serve;
};

static void serve(struct group *g, const char *url, const char *jobs, const char *options)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "redis: {url: '%s', on_outage: local}\njobs: {%s}\n"
                   "providers: [{name: openai, format: openai, base_url: '%s/v1', api_key: sk-x,\n"
                   "  models: [{name: gpt-4o, rpm: 60000, max_parallel_requests: 50}]}]\n",
                   url, jobs, g->sim.url);
    serve_child_start(&g->serve, text, options);
}

static int set_up(void **state)
{
    struct group *g = calloc(1, sizeof(*g));
    *state = g;
    if (!g || redis_node_start(&g->master, SAFE) ||
        redis_replica_start(&g->replica, &g->master, SAFE))
        return -1;
    sim_child_start(&g->sim, "--latency-ms 1");
    return 0;
}

static int tear_down(void **state)
{
    struct group *g = *state;
    if (g->replica.redis.pid)
        redis_fixture_resume(&g->replica.redis);
    serve_child_stop(&g->serve);
    sim_child_stop(&g->sim);
    redis_node_stop(&g->sentinel);
    redis_node_stop(&g->replica);
    redis_node_stop(&g->master);
    free(g);
    return 0;
}

static struct http_answer submit(struct group *g, const char *header)
{
    return http_ask("POST", g->serve.url, "/v1/jobs", JOB, header);
}

static int status_of(struct http_answer a)
{
    int status = a.status;
    http_answer_release(&a);
    return status;
}

static bool holds(const struct http_answer *a, const char *text)
{
    return memmem(a->body.data, a->body.len, text, strlen(text)) != NULL;
}

static void wait_ready(struct group *g)
{
    int64_t until_ms = clock_mono_ms() + 20000;
    bool ready = false;
    while (!ready) {
        struct http_answer a = http_ask("GET", g->serve.url, "/readyz", NULL, NULL);
        ready = a.status == 200 && !holds(&a, "not for jobs");
        http_answer_release(&a);
        assert_true(clock_mono_ms() < until_ms);
    }
}

static void a_replicated_job_says_so_and_one_that_is_not_is_refused(void **state)
{
    struct group *g = *state;
    serve(g, g->master.redis.url, "durability: replicated, replicate_ms: 200", NULL);
    wait_ready(g);
    struct http_answer a = submit(g, "idempotency-key: one");
    assert_int_equal(a.status, 202);
    assert_true(holds(&a, "\"durability\":\"replicated\""));
    assert_true(holds(&a, "\"replicas\":1"));
    http_answer_release(&a);

    redis_fixture_pause(&g->replica.redis);
    a = submit(g, "idempotency-key: two");
    assert_int_equal(a.status, 503);
    assert_true(holds(&a, "not_durable"));
    assert_true(holds(&a, "0 of 1 replicas"));
    char after[16];
    assert_string_equal(http_answer_header(&a, "retry-after", after, sizeof(after)), "1");
    http_answer_release(&a);
    /* One that was confirmed before is asked about anew, since it may have been lost meanwhile. */
    assert_int_equal(status_of(submit(g, "idempotency-key: one")), 503);
    /* Calls need no replica, and do not stand behind those who wait for one. */
    assert_int_equal(
        status_of(http_ask("POST", g->serve.url, "/v1/chat/completions", API_KIT_CHAT, NULL)), 200);

    redis_fixture_resume(&g->replica.redis);
    int64_t until_ms = clock_mono_ms() + 20000;
    do {
        http_answer_release(&a);
        a = submit(g, "idempotency-key: two");
        assert_true(clock_mono_ms() < until_ms);
    } while (a.status == 503);
    assert_int_equal(a.status, 202);
    char replayed[16];
    assert_string_equal(http_answer_header(&a, "idempotent-replayed", replayed, sizeof(replayed)),
                        "true");
    http_answer_release(&a);
    a = http_ask("GET", g->serve.url, "/v1/jobs", NULL, NULL);
    json_t *list = json_loadb(a.body.data, a.body.len, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 2);
    json_decref(list);
    http_answer_release(&a);
}

struct accepted {
    char ids[MOST_JOBS][ID_BYTES];
    size_t count;
};

static bool submit_one(struct group *g, struct accepted *all)
{
    struct http_answer a = submit(g, NULL);
    json_t *job = a.status == 202 ? json_loadb(a.body.data, a.body.len, 0, NULL) : NULL;
    bool good = job != NULL;
    if (job && all->count < MOST_JOBS)
        (void)snprintf(all->ids[all->count++], ID_BYTES, "%s",
                       json_string_value(json_object_get(job, "id")));
    json_decref(job);
    http_answer_release(&a);
    return good;
}

static bool is_there(struct group *g, const char *id)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/v1/jobs/%s", id);
    return status_of(http_ask("GET", g->serve.url, path, NULL, NULL)) == 200;
}

static void serve_by_sentinel(struct group *g)
{
    char url[128];
    assert_int_equal(redis_sentinel_start(&g->sentinel, &g->master, 1), 0);
    (void)snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%d/main", g->sentinel.port);
    serve(g, url, "durability: replicated, replicate_ms: 200", NULL);
    wait_ready(g);
}

/* A second replica, for otherwise nothing can be confirmed after the failover. */
static void nothing_that_was_accepted_is_lost_when_the_master_is_killed(void **state)
{
    struct group *g = *state;
    struct redis_node second = {.port = 0};
    struct accepted all = {.count = 0};
    assert_int_equal(redis_replica_start(&second, &g->master, SAFE), 0);
    serve_by_sentinel(g);
    for (int i = 0; i < 50; i++)
        assert_true(submit_one(g, &all));
    redis_fixture_kill(&g->master.redis);

    int64_t until_ms = clock_mono_ms() + FAILOVER_S * 1000;
    while (all.count < 60 && clock_mono_ms() < until_ms)
        (void)submit_one(g, &all);
    assert_int_equal(all.count, 60);
    for (size_t i = 0; i < all.count; i++)
        assert_true(is_there(g, all.ids[i]));
    redis_node_stop(&second);
}

static void nothing_that_was_accepted_is_lost_in_a_failover_on_demand(void **state)
{
    struct group *g = *state;
    struct accepted all = {.count = 0};
    serve_by_sentinel(g);
    for (int i = 0; i < 30; i++)
        assert_true(submit_one(g, &all));
    assert_true(
        redis_fixture_says(&g->sentinel.redis, "OK", REDIS_ARGS("SENTINEL", "FAILOVER", "main")));
    int64_t until_ms = clock_mono_ms() + FAILOVER_S * 1000;
    bool moved = false;
    while ((!moved || all.count < 60) && all.count < MOST_JOBS && clock_mono_ms() < until_ms) {
        (void)submit_one(g, &all);
        moved = redis_fixture_info(&g->replica.redis, "connected_slaves") == 1;
    }
    assert_true(moved);
    assert_true(all.count >= 60);
    for (size_t i = 0; i < all.count; i++)
        assert_true(is_there(g, all.ids[i]));
}

static void always_needs_a_redis_that_writes_before_it_answers(void **state)
{
    struct group *g = *state;
    serve(g, g->master.redis.url, "durability: always", NULL);
    assert_int_equal(serve_child_wait(&g->serve), 1);
    assert_true(serve_child_said(&g->serve, "set appendfsync always there"));
    serve_child_stop(&g->serve);

    assert_true(redis_fixture_says(&g->master.redis, "OK",
                                   REDIS_ARGS("CONFIG", "SET", "appendfsync", "always")));
    serve(g, g->master.redis.url, "durability: always", NULL);
    wait_ready(g);
    int64_t until_ms = clock_mono_ms() + 20000;
    struct http_answer a = submit(g, NULL);
    while (a.status == 503 && clock_mono_ms() < until_ms) {
        http_answer_release(&a); /* appendfsync was not told yet */
        a = submit(g, NULL);
    }
    assert_int_equal(a.status, 202);
    assert_true(holds(&a, "\"durability\":\"always\""));
    assert_false(holds(&a, "\"replicas\""));
    http_answer_release(&a);
}

static void always_is_refused_when_redis_does_not_tell(void **state)
{
    struct group *g = *state;
    assert_true(redis_fixture_says(&g->master.redis, "OK",
                                   REDIS_ARGS("ACL", "SETUSER", "default", "-config")));
    serve(g, g->master.redis.url, "durability: always", NULL);
    assert_int_equal(serve_child_wait(&g->serve), 1);
    assert_true(serve_child_said(&g->serve, "does not tell its appendfsync"));
    serve_child_stop(&g->serve);

    serve(g, g->master.redis.url, "durability: always", "--allow-volatile");
    wait_ready(g);
    assert_true(serve_child_says(&g->serve, "may lose accepted jobs"));
    assert_int_equal(status_of(submit(g, NULL)), 202);
}

static void an_accepted_job_says_everysec_when_nothing_is_asked(void **state)
{
    struct group *g = *state;
    serve(g, g->master.redis.url, "durability: everysec", NULL);
    wait_ready(g);
    struct http_answer a = submit(g, NULL);
    assert_int_equal(a.status, 202);
    assert_true(holds(&a, "\"durability\":\"everysec\""));
    http_answer_release(&a);
}

int main(void)
{
#define GROUP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        GROUP(a_replicated_job_says_so_and_one_that_is_not_is_refused),
        GROUP(nothing_that_was_accepted_is_lost_when_the_master_is_killed),
        GROUP(nothing_that_was_accepted_is_lost_in_a_failover_on_demand),
        GROUP(always_needs_a_redis_that_writes_before_it_answers),
        GROUP(always_is_refused_when_redis_does_not_tell),
        GROUP(an_accepted_job_says_everysec_when_nothing_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
