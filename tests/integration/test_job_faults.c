/* A Redis that answers with an error: a new job is refused with 503 and a time to wait, nothing of
 * it is kept, and as soon as Redis is well again jobs are taken, without a restart. */
#include "tests/support/core_kit.h"

#include "storage/redis_protocol.h"
#include "storage/redis_reply.h"

#include <hiredis.h>
#include <sys/stat.h>
#include <unistd.h>

#define OK_BODY "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", OK_BODY)},
    {.op = FAKE_CLOSE}};

struct told {
    unsigned calls;
    bool found;
    char id[TICKET_ID_BYTES];
    struct call_failure failure;
};

static void on_told(void *arg, const struct job_record *r, bool replayed,
                    const struct call_failure *failure)
{
    struct told *t = arg;
    (void)replayed;
    t->calls++;
    t->found = r != NULL;
    if (r)
        (void)snprintf(t->id, sizeof(t->id), "%s", r->id);
    else
        t->failure = *failure;
}

static void submit(struct core_kit *k, struct told *t)
{
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_NORMAL};
    *t = (struct told){.calls = 0};
    job_submit(k->jobs, &spec, on_told, t);
}

static void start(struct core_kit *k)
{
    core_kit_start(k, "rpm: 1000", NULL);
    FAKE_SCRIPT(k->provider, answers);
}

static void ok(struct core_kit *k, const struct redis_args *args)
{
    if (!redis_fixture_says(&k->redis, "OK", args))
        fail_msg("%s %s failed", args->argv[0], args->argv[1]);
}

static size_t records(struct core_kit *k)
{
    struct redisReply *r = redis_fixture_ask(&k->redis, REDIS_ARGS("KEYS", CORE_PREFIX "j:*"));
    size_t n = reply_count(r);
    redis_reply_free(r);
    return n;
}

static void is_refused(struct core_kit *k, const char *why)
{
    struct told t;
    submit(k, &t);
    CORE_UNTIL(k, t.calls > 0);
    assert_false(t.found);
    assert_int_equal(t.failure.status, 503);
    assert_string_equal(t.failure.code, "storage_unavailable");
    assert_true(t.failure.retry_after_ms > 0);
    if (!strstr(t.failure.message, why))
        fail_msg("'%s' does not name %s", t.failure.message, why);
}

static void is_taken_and_done(struct core_kit *k)
{
    struct told t;
    submit(k, &t);
    CORE_UNTIL(k, t.calls > 0);
    if (!t.found)
        fail_msg("%s", t.failure.message);
    CORE_UNTIL(k, core_is(k, t.id, "done"));
}

/* Whether a plain read is answered with this error. */
static bool says(struct core_kit *k, const char *error)
{
    struct redisReply *r = redis_fixture_ask(&k->redis, REDIS_ARGS("GET", "k"));
    bool same = reply_error(r) && strncmp(reply_error(r), error, strlen(error)) == 0;
    redis_reply_free(r);
    return same;
}

static void a_full_redis(void **state)
{
    struct core_kit *k = *state;
    start(k);
    ok(k, REDIS_ARGS("CONFIG", "SET", "maxmemory", "1"));
    is_refused(k, "oom");
    assert_int_equal(records(k), 0);
    ok(k, REDIS_ARGS("CONFIG", "SET", "maxmemory", "0"));
    is_taken_and_done(k);
}

static void a_redis_that_became_a_replica(void **state)
{
    struct core_kit *k = *state;
    start(k);
    ok(k, REDIS_ARGS("REPLICAOF", "127.0.0.1", "1"));
    is_refused(k, "readonly");
    ok(k, REDIS_ARGS("REPLICAOF", "NO", "ONE"));
    is_taken_and_done(k);
}

static void a_redis_that_lacks_replicas(void **state)
{
    struct core_kit *k = *state;
    start(k);
    ok(k, REDIS_ARGS("CONFIG", "SET", "min-replicas-to-write", "1"));
    is_refused(k, "readonly");
    ok(k, REDIS_ARGS("CONFIG", "SET", "min-replicas-to-write", "0"));
    is_taken_and_done(k);
}

static void a_redis_that_cannot_save(void **state)
{
    struct core_kit *k = *state;
    char path[128];
    start(k);
    (void)snprintf(path, sizeof(path), "%s/dump.rdb", k->redis.dir);
    assert_int_equal(mkdir(path, 0700), 0); /* where the file should go */
    ok(k, REDIS_ARGS("CONFIG", "SET", "save", "3600 1"));
    redis_reply_free(redis_fixture_ask(&k->redis, REDIS_ARGS("SAVE")));
    redis_reply_free(redis_fixture_ask(&k->redis, REDIS_ARGS("BGSAVE")));
    CORE_UNTIL(k, redis_fixture_info(&k->redis, "rdb_bgsave_in_progress") == 0);
    is_refused(k, "misconf");
    assert_int_equal(rmdir(path), 0);
    ok(k, REDIS_ARGS("SAVE"));
    is_taken_and_done(k);
}

static void a_redis_that_is_busy_with_a_script(void **state)
{
    struct core_kit *k = *state;
    start(k);
    ok(k, REDIS_ARGS("CONFIG", "SET", "busy-reply-threshold", "20"));
    int fd = redis_fixture_send(&k->redis, REDIS_ARGS("EVAL", "while true do end", "0"));
    assert_true(fd >= 0);
    CORE_UNTIL(k, says(k, "BUSY"));
    is_refused(k, "busy");
    ok(k, REDIS_ARGS("SCRIPT", "KILL"));
    (void)close(fd);
    CORE_UNTIL(k, !says(k, "BUSY"));
    is_taken_and_done(k);
}

/* The scripts come back with the first call, and nobody is told. */
static void a_redis_that_forgot_the_scripts(void **state)
{
    struct core_kit *k = *state;
    start(k);
    is_taken_and_done(k);
    ok(k, REDIS_ARGS("SCRIPT", "FLUSH"));
    is_taken_and_done(k);
}

/* 1,500 keys of which each takes a millisecond. A submit waits for some seconds, and longer where
 * the machine is slow: then it is refused as by the others. */
static void a_redis_that_still_loads(void **state)
{
    struct core_kit *k = *state;
    char path[128];
    struct told t;
    start(k);
    redis_reply_free(redis_fixture_ask(
        &k->redis,
        REDIS_ARGS("EVAL", "for i = 1, 1500 do redis.call('SET', 'filler' .. i, i) end", "0")));
    ok(k, REDIS_ARGS("SAVE"));
    (void)snprintf(path, sizeof(path), "%s/redis.conf", k->redis.dir);
    FILE *conf = fopen(path, "ae");
    assert_non_null(conf);
    (void)fprintf(conf, "key-load-delay 1000\nloading-process-events-interval-bytes 1024\n");
    assert_int_equal(fclose(conf), 0);
    assert_int_equal(redis_fixture_spawn(&k->redis), 0);
    CORE_UNTIL(k, says(k, "LOADING"));
    submit(k, &t);
    CORE_UNTIL(k, t.calls > 0);
    if (!t.found) {
        assert_int_equal(t.failure.status, 503);
        assert_true(t.failure.retry_after_ms > 0);
    }
    CORE_UNTIL(k, k->up);
    assert_false(says(k, "LOADING"));
    is_taken_and_done(k);
}

int main(void)
{
#define CORE_TEST(test) cmocka_unit_test_setup_teardown(test, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_full_redis),
        CORE_TEST(a_redis_that_became_a_replica),
        CORE_TEST(a_redis_that_lacks_replicas),
        CORE_TEST(a_redis_that_cannot_save),
        CORE_TEST(a_redis_that_is_busy_with_a_script),
        CORE_TEST(a_redis_that_forgot_the_scripts),
        CORE_TEST(a_redis_that_still_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
