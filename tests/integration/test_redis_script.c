#include "storage/redis_script.h"

#include "common/limits.h"
#include "storage/redis_protocol.h"
#include "storage/redis_reply.h"
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

/*
 * What the scripts compute is tested elsewhere. Called without sensible arguments they
 * answer with some reply or a script error; here it counts that they were reached.
 */
struct caller {
    struct redis_fixture redis;
    struct redis_probe probe;
    struct redis_scripts *scripts;
    struct redis_answer answers[100];
};

static int set_up(void **state)
{
    struct caller *c = calloc(1, sizeof(*c));
    *state = c;
    if (!c || redis_fixture_start(&c->redis, "slowlog-log-slower-than 0\n") ||
        !redis_probe_open(&c->probe, c->redis.url) || !redis_probe_wait_up(&c->probe))
        return -1;
    c->scripts = redis_scripts_new(c->probe.link);
    return c->scripts ? 0 : -1;
}

static int tear_down(void **state)
{
    struct caller *c = *state;
    redis_scripts_free(c->scripts);
    redis_probe_close(&c->probe);
    redis_fixture_stop(&c->redis);
    free(c);
    return 0;
}

static void call(struct caller *c, enum script which, struct redis_answer *answer)
{
    const struct script_call what = {.which = which, .deadline_ms = 5000};
    redis_script_call(c->scripts, &what, redis_answer_take, answer);
}

/* Whether the script itself answered, be it with an error of its own. */
static void assert_reached(const struct redis_answer *answer)
{
    assert_int_equal(answer->calls, 1);
    if (answer->status != REDIS_OK && answer->status != REDIS_ERROR)
        fail_msg("status %s: %s", redis_status_name(answer->status), answer->text);
}

static void every_script_is_loaded_when_it_is_first_called(void **state)
{
    struct caller *c = *state;
    for (int i = 0; i < SCRIPT_COUNT; i++)
        call(c, (enum script)i, &c->answers[i]);
    for (int i = 0; i < SCRIPT_COUNT; i++)
        assert_int_equal(c->answers[i].calls, 0);
    assert_true(redis_probe_wait_answers(&c->probe, c->answers, SCRIPT_COUNT));
    for (int i = 0; i < SCRIPT_COUNT; i++)
        assert_reached(&c->answers[i]);
    assert_int_equal(redis_fixture_info(&c->redis, "cmdstat_script|load"), SCRIPT_COUNT);
    assert_int_equal(redis_fixture_info(&c->redis, "cmdstat_evalsha"), 2 * SCRIPT_COUNT);
    assert_int_equal(redis_fixture_info(&c->redis, "number_of_cached_scripts"), SCRIPT_COUNT);
}

static void calls_that_meet_a_flushed_cache_together_share_one_load(void **state)
{
    struct caller *c = *state;
    call(c, SCRIPT_PEEK, &c->answers[0]);
    assert_true(redis_probe_wait_answers(&c->probe, c->answers, 1));
    assert_true(redis_fixture_says(&c->redis, "OK", REDIS_ARGS("SCRIPT", "FLUSH")));
    memset(c->answers, 0, sizeof(c->answers));

    for (size_t i = 0; i < 100; i++)
        call(c, SCRIPT_PEEK, &c->answers[i]);
    assert_true(redis_probe_wait_answers(&c->probe, c->answers, 100));
    for (size_t i = 0; i < 100; i++)
        assert_reached(&c->answers[i]);
    assert_int_equal(redis_fixture_info(&c->redis, "cmdstat_script|load"), 2);
    assert_int_equal(redis_fixture_info(&c->redis, "cmdstat_evalsha"), 2 + 200);
}

static void a_loaded_script_costs_one_command(void **state)
{
    struct caller *c = *state;
    for (size_t i = 0; i < 10; i++) {
        call(c, SCRIPT_PEEK, &c->answers[i]);
        assert_true(redis_probe_wait_answers(&c->probe, &c->answers[i], 1));
        assert_reached(&c->answers[i]);
    }
    assert_int_equal(redis_fixture_info(&c->redis, "cmdstat_evalsha"), 11);
}

/* The slow log shows the words of each command, newest first; what a script itself calls stands
 * there too and is passed over. */
static const struct redisReply *logged_words(const struct redisReply *log, size_t index)
{
    for (size_t i = 0; i < reply_count(log); i++) {
        const struct redisReply *words = reply_at(reply_at(log, i), 3);
        const char *first = reply_text(reply_at(words, 0), NULL);
        bool ours = first && (strcmp(first, "EVALSHA") == 0 || strcmp(first, "SCRIPT") == 0);
        if (ours && index-- == 0)
            return words;
    }
    return NULL;
}

static void the_repetition_has_the_same_arguments(void **state)
{
    struct caller *c = *state;
    char value[] = "v\0w";
    const char *const argv[] = {"key", value, ""};
    const size_t lens[] = {3, 3, 0};
    const struct script_call what = {
        .which = SCRIPT_PEEK, .nkeys = 1, .args = {3, argv, lens}, .deadline_ms = 5000};
    redis_script_call(c->scripts, &what, redis_answer_take, &c->answers[0]);
    memset(value, 'x', sizeof(value));
    assert_true(redis_probe_wait_answers(&c->probe, c->answers, 1));
    assert_reached(&c->answers[0]);

    struct redisReply *log = redis_fixture_ask(&c->redis, REDIS_ARGS("SLOWLOG", "GET", "32"));
    const struct redisReply *again = logged_words(log, 0), *first = logged_words(log, 2);
    assert_string_equal(reply_text(reply_at(logged_words(log, 1), 1), NULL), "LOAD");
    assert_int_equal(reply_count(again), 6);
    assert_int_equal(reply_count(first), 6);
    for (size_t i = 0; i < 6; i++) {
        size_t len_again = 0, len_first = 0;
        const char *a = reply_text(reply_at(again, i), &len_again);
        const char *b = reply_text(reply_at(first, i), &len_first);
        assert_int_equal(len_again, len_first);
        assert_memory_equal(a, b, len_first);
    }
    assert_string_equal(reply_text(reply_at(again, 0), NULL), "EVALSHA");
    assert_string_equal(reply_text(reply_at(again, 2), NULL), "1");
    assert_memory_equal(reply_text(reply_at(again, 4), NULL), "v\0w", 3);
    redis_reply_free(log);
}

static void a_load_that_is_denied_is_the_answer_of_every_call(void **state)
{
    struct caller *c = *state;
    assert_true(redis_fixture_says(&c->redis, "OK",
                                   REDIS_ARGS("ACL", "SETUSER", "default", "-script|load")));
    for (size_t i = 0; i < 10; i++)
        call(c, SCRIPT_PEEK, &c->answers[i]);
    assert_true(redis_probe_wait_answers(&c->probe, c->answers, 10));
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(c->answers[i].calls, 1);
        assert_int_equal(c->answers[i].status, REDIS_DENIED);
    }
    assert_true(redis_fixture_says(&c->redis, "OK",
                                   REDIS_ARGS("ACL", "SETUSER", "default", "+script|load")));
    call(c, SCRIPT_PEEK, &c->answers[10]);
    assert_true(redis_probe_wait_answers(&c->probe, &c->answers[10], 1));
    assert_reached(&c->answers[10]);
}

/* MSET stands in for SCRIPT, so that "SCRIPT LOAD text" says OK and loads nothing. */
static void a_call_is_repeated_only_once(void **state)
{
    struct caller *c = *state;
    struct redis_fixture forgetful;
    struct redis_probe p;
    assert_int_equal(redis_fixture_start(&forgetful, "rename-command SCRIPT \"\"\n"
                                                     "rename-command MSET SCRIPT\n"),
                     0);
    assert_true(redis_probe_open(&p, forgetful.url));
    assert_true(redis_probe_wait_up(&p));
    struct redis_scripts *scripts = redis_scripts_new(p.link);
    const struct script_call what = {.which = SCRIPT_PEEK, .deadline_ms = 5000};
    redis_script_call(scripts, &what, redis_answer_take, &c->answers[0]);
    assert_true(redis_probe_wait_answers(&p, c->answers, 1));
    assert_int_equal(c->answers[0].status, REDIS_NOSCRIPT);
    assert_int_equal(redis_fixture_info(&forgetful, "cmdstat_evalsha"), 2);
    redis_scripts_free(scripts);
    redis_probe_close(&p);
    redis_fixture_stop(&forgetful);
}

static void calls_are_lost_or_down_like_commands(void **state)
{
    struct caller *c = *state;
    redis_fixture_pause(&c->redis);
    call(c, SCRIPT_PEEK, &c->answers[0]);
    wait_loop_turns(c->probe.base, 2);
    redis_fixture_kill(&c->redis);
    assert_true(redis_probe_wait_answers(&c->probe, c->answers, 1));
    assert_int_equal(c->answers[0].status, REDIS_LOST);
    call(c, SCRIPT_PEEK, &c->answers[1]);
    assert_int_equal(c->answers[1].calls, 0);
    assert_true(redis_probe_wait_answers(&c->probe, &c->answers[1], 1));
    assert_int_equal(c->answers[1].status, REDIS_DOWN);

    assert_int_equal(redis_fixture_restart(&c->redis), 0);
    assert_true(redis_probe_wait_up(&c->probe));
    call(c, SCRIPT_PEEK, &c->answers[2]);
    assert_true(redis_probe_wait_answers(&c->probe, &c->answers[2], 1));
    assert_reached(&c->answers[2]);
}

static void freeing_the_scripts_first_answers_their_calls_once(void **state)
{
    struct caller *c = *state;
    for (size_t i = 0; i < 10; i++)
        call(c, SCRIPT_PEEK, &c->answers[i]);
    redis_scripts_free(c->scripts);
    c->scripts = NULL;
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(c->answers[i].status, REDIS_LOST);
    assert_int_equal(redis_probe_call(&c->probe, REDIS_ARGS("PING")).status, REDIS_OK);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(c->answers[i].calls, 1);
}

static bool is_loading(void *arg)
{
    struct caller *c = arg;
    return redis_fixture_info(&c->redis, "cmdstat_script|load") == 1;
}

static void freeing_between_load_and_repetition_answers_once(void **state)
{
    struct caller *c = *state;
    for (size_t i = 0; i < 10; i++)
        call(c, SCRIPT_PEEK, &c->answers[i]);
    assert_true(wait_loop(c->probe.base, is_loading, c)); /* its answer is not read yet, or is */
    redis_scripts_free(c->scripts);
    c->scripts = NULL;
    wait_loop_turns(c->probe.base, 5);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(c->answers[i].calls, 1);
}

static void freeing_the_connection_first_answers_the_calls_once(void **state)
{
    struct caller *c = *state;
    for (size_t i = 0; i < 10; i++)
        call(c, SCRIPT_PEEK, &c->answers[i]);
    redis_link_free(c->probe.link);
    c->probe.link = NULL;
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(c->answers[i].calls, 1);
        assert_int_equal(c->answers[i].status, REDIS_LOST);
    }
}

static void kept_arguments_have_a_maximum(void **state)
{
    struct caller *c = *state;
    char *bytes = calloc(1, REDIS_MAX_QUEUED_BYTES);
    const char *const argv[] = {bytes};
    size_t len = REDIS_MAX_QUEUED_BYTES;
    const struct script_call what = {
        .which = SCRIPT_PEEK, .args = {1, argv, &len}, .deadline_ms = 20000};
    redis_script_call(c->scripts, &what, redis_answer_take, &c->answers[0]);
    assert_int_equal(c->answers[0].calls, 0);

    len = REDIS_MAX_QUEUED_BYTES * 3 / 4;
    redis_script_call(c->scripts, &what, redis_answer_take, &c->answers[1]);
    redis_script_call(c->scripts, &what, redis_answer_take, &c->answers[2]);
    assert_true(redis_probe_wait_answers(&c->probe, c->answers, 3));
    assert_int_equal(c->answers[0].status, REDIS_BUSY_LOCAL);
    assert_reached(&c->answers[1]);
    assert_int_equal(c->answers[2].status, REDIS_BUSY_LOCAL);
    redis_script_call(c->scripts, &what, redis_answer_take, &c->answers[3]);
    assert_true(redis_probe_wait_answers(&c->probe, &c->answers[3], 1));
    assert_reached(&c->answers[3]);
    free(bytes);
}

static void a_text_is_the_library_and_then_the_script(void **state)
{
    (void)state;
    const char *source = getenv("SLUICE_SOURCE");
    if (!source)
        skip();
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        const char *names[] = {
            "dim", "adapt", "tenant", "lib", "queue", "eta", redis_script_name((enum script)i)};
        const char *text = redis_script_text((enum script)i);
        for (size_t part = 0; part < sizeof(names) / sizeof(names[0]); part++) {
            char path[512], chunk[4096];
            size_t n;
            (void)snprintf(path, sizeof(path), "%s/storage/lua/%s.lua", source, names[part]);
            FILE *file = fopen(path, "re");
            assert_non_null(file);
            while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0) {
                assert_int_equal(strncmp(text, chunk, n), 0);
                text += n;
            }
            (void)fclose(file);
        }
        assert_string_equal(text, "");
    }
}

#define CALLER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALLER(every_script_is_loaded_when_it_is_first_called),
        CALLER(calls_that_meet_a_flushed_cache_together_share_one_load),
        CALLER(a_loaded_script_costs_one_command),
        CALLER(the_repetition_has_the_same_arguments),
        CALLER(a_load_that_is_denied_is_the_answer_of_every_call),
        CALLER(a_call_is_repeated_only_once),
        CALLER(calls_are_lost_or_down_like_commands),
        CALLER(freeing_the_scripts_first_answers_their_calls_once),
        CALLER(freeing_between_load_and_repetition_answers_once),
        CALLER(freeing_the_connection_first_answers_the_calls_once),
        CALLER(kept_arguments_have_a_maximum),
        cmocka_unit_test(a_text_is_the_library_and_then_the_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
