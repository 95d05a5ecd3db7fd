/* `sluice settings`, `limits` and `drain` against a running service. */
#include "tests/support/api_kit.h"
#include "tests/support/command.h"
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#define POOL "sim:default:gpt-4o"

static struct redis_fixture redis;
static struct api_kit kit, other; /* two instances on one Redis */
static struct command c;

static void start_one(struct api_kit *k, const char *sim)
{
    char more[256];
    (void)snprintf(more, sizeof(more), "redis: {url: \"%s\"}\ndrain_timeout_ms: 30000\n",
                   redis.url);
    api_kit_start(k, sim, more);
}

static int start(void **state)
{
    (void)state;
    assert_int_equal(redis_fixture_start(&redis, "appendonly yes\n"), 0);
    start_one(&kit, "--latency-ms 1 --output-tokens 5");
    (void)setenv("SLUICE_URL", kit.serve.url, 1);
    (void)unsetenv("SLUICE_KEY");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    redis_fixture_stop(&redis);
    return 0;
}

/* ---- settings */

static void a_list_shows_what_is_applied_and_what_is_only_suggested(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "settings", "ls");
    assert_int_equal(c.code, 0);
    assert_string_equal(c.err, "");
    assert_true(command_wrote(&c, "sim/gpt-4o\t(16384)\t(0.7)\t(15)\t-\t0\n"));
    assert_true(command_wrote(&c, "claude/claude-*\t(8192)\t(0.7)\t(15)\t-\t0\n"));
    assert_true(command_wrote(&c, "sim/slow\t(4096)\t(0.7)\t(10)\t-\t0\n"));
    COMMAND_ON_TERMINAL(&c, "settings", "ls");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "MAX OUTPUT"));
}

static void what_is_set_is_merged_with_what_was_saved(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "settings", "set", "sim/gpt-4o", "--max-output-tokens", "8192");
    assert_int_equal(c.code, 0);
    assert_true(command_told(&c, "sim/gpt-4o saved, on all instances"));
    COMMAND(&c, NULL, "settings", "set", "sim/gpt-4o", "--temperature", "0.2", "--trim", "balanced",
            "--max-iterations", "25");
    assert_int_equal(c.code, 0);
    COMMAND(&c, NULL, "settings", "get", "sim/gpt-4o");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "max_output_tokens\t8192\tsaved"));
    assert_true(command_wrote(&c, "temperature\t0.2\tsaved"));
    assert_true(command_wrote(&c, "max_iterations\t25\tsaved"));
    assert_true(command_wrote(&c, "trim\tbalanced\tsaved"));
    COMMAND(&c, NULL, "settings", "set", "sim/gpt-4o", "--temperature", "default", "--trim",
            "default");
    COMMAND(&c, NULL, "settings", "get", "sim/gpt-4o", "--json");
    json_t *entry = json_loads(c.out, 0, NULL);
    assert_int_equal(json_at(entry, "saved/max_output_tokens"), 8192);
    assert_true(json_is_null(json_object_get(json_object_get(entry, "saved"), "temperature")));
    json_decref(entry);
    COMMAND(&c, NULL, "settings", "reset", "sim/gpt-4o");
    assert_int_equal(c.code, 0);
    assert_true(command_told(&c, "sim/gpt-4o reset"));
    COMMAND(&c, NULL, "settings", "get", "sim/gpt-4o");
    assert_true(command_wrote(&c, "max_output_tokens\t16384\tseed\tnot applied"));
}

static void the_last_one_taken_back_is_a_reset(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "settings", "set", "sim/gpt-4o", "--temperature", "1");
    assert_int_equal(c.code, 0);
    COMMAND(&c, NULL, "settings", "set", "sim/gpt-4o", "--temperature", "default", "--json");
    assert_int_equal(c.code, 0);
    json_t *entry = json_loads(c.out, 0, NULL);
    assert_true(json_is_null(json_object_get(entry, "saved")));
    json_decref(entry);
}

static void what_the_service_refuses_is_one_line_and_code_1(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "settings", "set", "sim/gpt-4o", "--temperature", "2.1");
    assert_int_equal(c.code, 1);
    assert_int_equal(command_lines(c.err), 1);
    assert_true(command_told(&c, "sluice settings set: temperature is 2.1"));
    COMMAND(&c, NULL, "settings", "get", "nobody/gpt-4o");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "No provider is called 'nobody'"));
    COMMAND(&c, NULL, "settings", "get", "gpt-4o");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "is not PROVIDER/MODEL"));
}

/* ---- limits */

static void limits_show_what_is_configured_saved_and_effective(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "limits", "show");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, POOL "\ttpm\t600,000\t-\t-\t600,000\tconfiguration\t"));
    COMMAND(&c, NULL, "limits", "set", POOL, "tpm=20000", "max_parallel_requests=3");
    assert_int_equal(c.code, 0);
    assert_true(command_told(&c, "saved for sim/gpt-4o, on all instances"));
    assert_true(command_wrote(&c, POOL "\ttpm\t600,000\t20,000\t-\t20,000\tsaved\t"));
    assert_true(command_wrote(&c, POOL "\tmax_parallel_requests\t64\t3\t-\t3\tsaved\t"));
    assert_true(command_wrote(&c, POOL "\trpm\t6,000\t-\t-\t6,000\tconfiguration\t"));
    assert_null(strstr(c.out, "sim:default:slow"));
    COMMAND(&c, NULL, "limits", "set", POOL, "tpm=default", "max_parallel_requests=default",
            "--json");
    assert_int_equal(c.code, 0);
    json_t *rows = json_loads(c.out, 0, NULL);
    size_t i;
    const json_t *row;
    assert_int_equal(json_array_size(rows), 3);
    json_array_foreach(rows, i, row)
    {
        assert_string_equal(json_text_at(row, "source"), "configuration");
    }
    json_decref(rows);
}

static void limits_of_an_unknown_pool_are_refused(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "limits", "show", "sim:default:gpt-9");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "there is no pool \"sim:default:gpt-9\""));
    COMMAND(&c, NULL, "limits", "set", "sim:default:gpt-9", "rpm=1");
    assert_int_equal(c.code, 1);
    COMMAND(&c, NULL, "limits", "set", POOL, "rpm=0");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "limits.rpm is 0"));
}

/* ---- drain */

static void instance_of(struct api_kit *k, char id[64])
{
    json_t *stats = api_kit_json(k, "GET", "/v1/stats", NULL, 200);
    size_t i;
    const json_t *one;
    *id = '\0';
    json_array_foreach(json_object_get(stats, "instances"), i, one)
    {
        if (json_is_true(json_object_get(one, "this")))
            (void)snprintf(id, 64, "%s", json_text_at(one, "id"));
    }
    json_decref(stats);
    assert_string_not_equal(id, "");
}

static void another_instance_drains_and_ends_as_on_a_signal(void **state)
{
    char id[64];
    (void)state;
    start_one(&other, "--latency-ms 1 --output-tokens 5");
    instance_of(&other, id);
    COMMAND(&c, NULL, "drain", "--instance", "0000000000000000");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "No instance '0000000000000000' lives"));
    COMMAND(&c, NULL, "drain", "--instance", id, "--wait", "--timeout", "60");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "drains"));
    assert_true(command_told(&c, "has ended"));
    assert_int_equal(serve_child_wait(&other.serve), 0);
    assert_true(serve_child_said(&other.serve, "drained"));
    api_kit_stop(&other);
    assert_int_equal(api_kit_status(&kit, "GET", "/readyz", NULL), 200);
}

static bool runs_one(const json_t *stats)
{
    size_t i;
    const json_t *pool;
    json_array_foreach(json_object_get(stats, "pools"), i, pool)
    {
        if (strcmp(json_text_at(pool, "pool"), POOL) == 0)
            return json_at(pool, "in_flight") > 0;
    }
    return false;
}

static void a_drain_tells_what_is_left_and_lets_it_finish(void **state)
{
    int status = 0;
    (void)state;
    start_one(&other, "--latency-ms 2000 --output-tokens 5");
    (void)setenv("SLUICE_URL", other.serve.url, 1);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(api_kit_status(&other, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")) == 200 ? 0 : 1);
    json_decref(api_kit_stats_until(&other, runs_one));
    COMMAND(&c, NULL, "drain", "--json");
    assert_int_equal(c.code, 0);
    json_t *left = json_loads(c.out, 0, NULL);
    assert_int_equal(json_at(left, "open_requests"), 1);
    assert_int_equal(json_at(left, "calls"), 1);
    assert_int_equal(json_at(left, "timeout_ms"), 30000);
    json_decref(left);
    api_kit_refused(&other, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o"), 503, "draining");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0); /* it was answered */
    assert_int_equal(serve_child_wait(&other.serve), 0);
    COMMAND(&c, NULL, "drain");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "is `sluice serve` running there?"));
    (void)setenv("SLUICE_URL", kit.serve.url, 1);
    api_kit_stop(&other);
}

/* ---- use */

static void every_command_has_help_with_an_example(void **state)
{
    static const char *const names[] = {"settings", "limits", "drain"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        COMMAND(&c, NULL, names[i], "--help");
        assert_int_equal(c.code, 0);
        assert_true(command_wrote(&c, "example:\n  sluice "));
    }
}

static void wrong_use_is_code_2(void **state)
{
    static const char *const wrong[][6] = {
        {"settings"},
        {"settings", "list"},
        {"settings", "get"},
        {"settings", "ls", "sim/gpt-4o"},
        {"settings", "set", "sim/gpt-4o"},
        {"settings", "get", "sim/gpt-4o", "--temperature", "1"},
        {"settings", "set", "sim/gpt-4o", "--temperature", "warm"},
        {"limits"},
        {"limits", "get"},
        {"limits", "set", POOL},
        {"limits", "set", POOL, "rpm"},
        {"limits", "set", POOL, "rpn=3"},
        {"limits", "set", POOL, "rpm=many"},
        {"limits", "show", POOL, "more"},
        {"drain", "now"},
        {"drain", "--timeout", "5"},
        {"drain", "--wait", "--timeout", "0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        command_run(&c, NULL, wrong[i]);
        if (c.code != 2 || *c.out)
            fail_msg("%s %s: %d", wrong[i][0], wrong[i][1] ? wrong[i][1] : "", c.code);
    }
    COMMAND(&c, NULL, "limits", "set", POOL, "rpn=3");
    assert_true(command_told(&c, "did you mean rpm?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_shows_what_is_applied_and_what_is_only_suggested),
        cmocka_unit_test(what_is_set_is_merged_with_what_was_saved),
        cmocka_unit_test(the_last_one_taken_back_is_a_reset),
        cmocka_unit_test(what_the_service_refuses_is_one_line_and_code_1),
        cmocka_unit_test(limits_show_what_is_configured_saved_and_effective),
        cmocka_unit_test(limits_of_an_unknown_pool_are_refused),
        cmocka_unit_test(another_instance_drains_and_ends_as_on_a_signal),
        cmocka_unit_test(a_drain_tells_what_is_left_and_lets_it_finish),
        cmocka_unit_test(every_command_has_help_with_an_example),
        cmocka_unit_test(wrong_use_is_code_2),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
