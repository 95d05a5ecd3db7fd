/* `sluice submit`, `jobs` and `stats` against a running service. */
#include "common/limits.h"
#include "tests/support/api_kit.h"
#include "tests/support/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <cmocka.h>

#define KEY "keyed-0123456789abcdef"

static struct api_kit kit;
static struct command c;

static int start(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5", NULL);
    (void)setenv("SLUICE_URL", kit.serve.url, 1);
    (void)setenv("TERM", "xterm", 1);
    (void)unsetenv("SLUICE_KEY");
    (void)unsetenv("NO_COLOR");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

/* The first line of out, as a text that stays. */
static const char *first_line(char room[128])
{
    (void)snprintf(room, 128, "%.*s", (int)strcspn(c.out, "\n"), c.out);
    return room;
}

/* ---- submit */

static void a_job_from_standard_input_is_told_by_its_id_alone(void **state)
{
    char id[128];
    (void)state;
    COMMAND(&c, KIT_JOB("gpt-4o"), "submit");
    assert_int_equal(c.code, 0);
    assert_string_equal(c.err, "");
    assert_int_equal(command_lines(c.out), 1);
    assert_int_equal(strncmp(first_line(id), "job_", 4), 0);
    assert_int_equal(strlen(id), 36);
    COMMAND(&c, NULL, "jobs", "wait", id);
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, id) && command_wrote(&c, "\tsucceeded\n"));
}

static void waiting_prints_the_answer_and_json_the_job(void **state)
{
    (void)state;
    COMMAND(&c, KIT_JOB("gpt-4o"), "submit", "--wait", "-");
    assert_int_equal(c.code, 0);
    json_t *answer = json_loads(c.out, 0, NULL);
    assert_string_equal(json_text_at(answer, "object"), "chat.completion");
    json_decref(answer);
    COMMAND(&c, KIT_JOB("gpt-4o"), "submit", "--wait", "--json");
    assert_int_equal(c.code, 0);
    assert_int_equal(command_lines(c.out), 1);
    answer = json_loads(c.out, 0, NULL);
    assert_string_equal(json_text_at(answer, "status"), "succeeded");
    assert_int_equal(json_at(answer, "response/status_code"), 200);
    json_decref(answer);
}

static void many_jobs_are_answered_in_their_order(void **state)
{
    static const char line[] = "{\"endpoint\":\"/v1/embeddings\",\"body\":{\"model\":\"gpt-4o\","
                               "\"input\":\"n\"},\"metadata\":{\"n\":%d}}\n";
    enum { LINES = CLIENT_BATCH_LINES + 2 }; /* more than one call */
    char *text = malloc(LINES * sizeof(line) + LINES * 8), *at = text;
    (void)state;
    assert_non_null(text);
    for (int i = 0; i < LINES; i++)
        at += sprintf(at, line, i);
    COMMAND(&c, text, "submit", "--json");
    if (strlen(c.err))
        fail_msg("%s", c.err);
    assert_int_equal(c.code, 0);
    at = c.out;
    for (int i = 0; i < LINES; i++) {
        json_t *job = json_loadb(at, strcspn(at, "\n"), 0, NULL);
        assert_int_equal(json_at(job, "metadata/n"), i);
        json_decref(job);
        at = strchr(at, '\n') + 1;
    }
    assert_int_equal(*at, '\0');
    free(text);
}

static void a_bad_line_is_told_by_its_number_and_fails_the_whole(void **state)
{
    (void)state;
    COMMAND(&c, KIT_JOB("gpt-4o") "\n\n{\"x\"\n" KIT_JOB("none") "\n" KIT_JOB("gpt-4o") "\n",
            "submit");
    assert_int_equal(c.code, 1);
    assert_int_equal(command_lines(c.out), 2);
    assert_true(command_told(&c, "sluice submit: line 3: "));
    assert_true(command_told(&c, "sluice submit: line 4: No provider"));
    assert_int_equal(command_lines(c.err), 2);
    COMMAND(&c, KIT_JOB("gpt-4o") "\n{\"x\"\n", "submit", "--wait");
    assert_int_equal(c.code, 1);
    assert_int_equal(command_lines(c.out), 2);
    assert_true(command_wrote(&c, "}\nnull\n"));
}

static void one_job_with_a_mistake_is_one_line_of_error(void **state)
{
    (void)state;
    COMMAND(&c, "{\n  \"endpoint\": \"/v1/chat/completions\",\n  \"body\": {,}\n}\n", "submit");
    assert_int_equal(c.code, 1);
    assert_int_equal(command_lines(c.err), 1);
    assert_true(command_told(&c, "standard input: it is not valid JSON"));
    COMMAND(&c, "\n \n", "submit");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "there is no job in it"));
    COMMAND(&c, NULL, "submit", "/nowhere/jobs.ndjson");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "/nowhere/jobs.ndjson: No such file"));
    COMMAND(&c, "{\"endpoint\":\"/v1/models\",\"body\":{}}", "submit");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "sluice submit: endpoint must be one of"));
    assert_true(command_told(&c, "(HTTP 400)\n"));
}

static void priority_is_for_jobs_that_name_none(void **state)
{
    static const char *const wanted[] = {"batch", "interactive", "batch"};
    (void)state;
    COMMAND(&c,
            KIT_JOB("gpt-4o") "\n{\"priority\":\"interactive\",\"endpoint\":\"" KIT_CHAT_PATH
                              "\",\"body\":" KIT_CHAT(
                                  "gpt-4o") "}\n{\"priority\":null,\"endpoint\":\"" KIT_CHAT_PATH
                                            "\",\"body\":" KIT_CHAT("gpt-4o") "}\n",
            "submit", "--json", "--priority", "batch");
    assert_int_equal(c.code, 0);
    const char *at = c.out;
    for (size_t i = 0; i < 3; i++) {
        json_t *job = json_loadb(at, strcspn(at, "\n"), 0, NULL);
        assert_string_equal(json_text_at(job, "priority"), wanted[i]);
        json_decref(job);
        at = strchr(at, '\n') + 1;
    }
    COMMAND(&c, KIT_JOB("gpt-4o"), "submit", "--json", "--priority", "batch");
    assert_true(command_wrote(&c, "\"priority\":\"batch\""));
}

static void a_job_that_fails_is_told_and_fails_the_command(void **state)
{
    static const char job[] =
        "{\"endpoint\":\"" KIT_CHAT_PATH "\",\"body\":{\"model\":\"gpt-4o\",\"messages\":[{"
        "\"role\":\"user\",\"content\":\"[[sim status=400]]\"}]}}";
    (void)state;
    COMMAND(&c, job, "submit", "--wait");
    assert_int_equal(c.code, 1);
    assert_string_equal(c.out, "");
    assert_true(command_told(&c, "sluice submit: job_"));
    assert_true(command_told(&c, " failed"));
}

static void a_wait_may_have_an_end(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        COMMAND(&c, KIT_JOB("slow"), "submit");
    COMMAND(&c, KIT_JOB("slow"), "submit", "--wait", "--timeout", "1");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "have not ended in that time"));
}

/* ---- jobs */

static void a_list_is_parted_by_tabs_where_no_terminal_is(void **state)
{
    char id[128], again[128];
    (void)state;
    COMMAND(&c, KIT_JOB("gpt-4o"), "submit");
    (void)first_line(id);
    COMMAND(&c, NULL, "jobs", "ls", "--limit", "1");
    assert_int_equal(c.code, 0);
    assert_string_equal(c.err, "");
    (void)snprintf(again, sizeof(again), "%.*s", (int)strcspn(c.out, "\t"), c.out);
    assert_string_equal(again, id);
    assert_int_equal(command_lines(c.out), 1);
    assert_true(command_wrote(&c, "\tnormal\tgpt-4o\t"));
    COMMAND(&c, NULL, "jobs", "ls", "--json", "--limit", "2");
    json_t *list = json_loads(c.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 2);
    json_decref(list);
}

static void a_list_on_a_terminal_has_titles_and_colours(void **state)
{
    (void)state;
    COMMAND_ON_TERMINAL(&c, "jobs", "ls", "--limit", "1");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "STATUS"));
    assert_true(command_wrote(&c, "\033["));
    assert_true(command_wrote(&c, "There are more: sluice jobs ls --after job_"));
    (void)setenv("NO_COLOR", "1", 1);
    COMMAND_ON_TERMINAL(&c, "jobs", "ls", "--limit", "1");
    assert_true(command_wrote(&c, "STATUS"));
    assert_false(command_wrote(&c, "\033["));
    (void)unsetenv("NO_COLOR");
    (void)setenv("TERM", "dumb", 1);
    COMMAND_ON_TERMINAL(&c, "jobs", "ls", "--limit", "1");
    assert_false(command_wrote(&c, "\033["));
    (void)setenv("TERM", "xterm", 1);
}

static void a_job_is_shown_with_its_answer(void **state)
{
    char id[128];
    (void)state;
    COMMAND(&c, KIT_JOB("gpt-4o"), "submit");
    (void)first_line(id);
    COMMAND(&c, NULL, "jobs", "wait", id, "--timeout", "20", "--json");
    assert_int_equal(c.code, 0);
    COMMAND(&c, NULL, "jobs", "get", id);
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "status\tsucceeded\n"));
    assert_true(command_wrote(&c, "\"object\": \"chat.completion\""));
    COMMAND(&c, NULL, "jobs", "get", "--json", id);
    json_t *job = json_loads(c.out, 0, NULL);
    assert_string_equal(json_text_at(job, "id"), id);
    json_decref(job);
}

static void a_job_that_has_ended_is_submitted_again(void **state)
{
    char id[128], again[128];
    (void)state;
    COMMAND(&c, KIT_JOB("gpt-4o"), "submit");
    (void)first_line(id);
    COMMAND(&c, NULL, "jobs", "wait", id);
    COMMAND(&c, NULL, "jobs", "retry", id, "job_0");
    assert_int_equal(c.code, 1); /* one of them is none */
    assert_true(command_told(&c, "sluice jobs retry: There is no job 'job_0'"));
    assert_int_equal(command_lines(c.out), 1);
    (void)snprintf(again, sizeof(again), "%.*s", (int)strcspn(c.out, "\t"), c.out);
    assert_string_not_equal(again, id);
    COMMAND(&c, NULL, "jobs", "wait", again);
    assert_int_equal(c.code, 0);
    COMMAND(&c, NULL, "jobs", "get", "--json", again);
    json_t *job = json_loads(c.out, 0, NULL);
    assert_string_equal(json_text_at(job, "retry_of"), id);
    json_decref(job);
}

static void a_waiting_job_is_cancelled(void **state)
{
    char id[128];
    (void)state;
    for (int i = 0; i < 3; i++)
        COMMAND(&c, KIT_JOB("slow"), "submit");
    (void)first_line(id);
    COMMAND(&c, NULL, "jobs", "cancel", id, "job_0");
    assert_int_equal(c.code, 1); /* one of them is none */
    assert_true(command_wrote(&c, "\tcancelled\n"));
    assert_true(command_told(&c, "sluice jobs cancel: There is no job 'job_0'"));
    COMMAND(&c, NULL, "jobs", "wait", id);
    assert_int_equal(c.code, 1); /* it did not succeed */
    assert_true(command_wrote(&c, "\tcancelled\n"));
}

/* ---- stats */

static void stats_say_what_is_left_and_what_waits(void **state)
{
    static const char *const texts[] = {
        "sim:default:gpt-4o", "remaining", "rpm", "6,000",
        "interactive",        "in flight", "p95", "429s from the provider 0"};
    (void)state;
    COMMAND(&c, NULL, "stats");
    assert_int_equal(c.code, 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!command_wrote(&c, texts[i]))
            fail_msg("no \"%s\" in: %s", texts[i], c.out);
    assert_false(command_wrote(&c, "\033["));
    COMMAND(&c, NULL, "stats", "--json");
    json_t *stats = json_loads(c.out, 0, NULL);
    assert_string_equal(json_text_at(stats, "object"), "stats");
    json_decref(stats);
}

/* ---- how it is called */

static void every_command_has_help_with_an_example(void **state)
{
    static const char *const commands[][3] = {
        {"submit", "--help"},  {"jobs", "--help"},         {"jobs", "ls", "--help"},
        {"jobs", "get", "-h"}, {"jobs", "wait", "--help"}, {"jobs", "cancel", "--help"},
        {"stats", "--help"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        COMMAND(&c, NULL, commands[i][0], commands[i][1], commands[i][2]);
        assert_int_equal(c.code, 0);
        assert_true(command_wrote(&c, "usage: sluice "));
        assert_true(command_wrote(&c, "example:\n  sluice "));
        assert_string_equal(c.err, "");
    }
}

static void wrong_use_is_code_2(void **state)
{
    static const char *const commands[][5] = {
        {"submit", "--priority", "urgent"},
        {"submit", "--timeout", "5"},
        {"submit", "a", "b"},
        {"jobs"},
        {"jobs", "lst"},
        {"jobs", "get"},
        {"jobs", "get", "../stats"},
        {"jobs", "ls", "--limit", "101"},
        {"jobs", "ls", "--limit", "0"},
        {"jobs", "ls", "--after", "a b"},
        {"jobs", "wait", "job_1", "--timeout", "0"},
        {"stats", "--watch", "0"},
        {"stats", "--jsn"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        COMMAND(&c, "{}", commands[i][0], commands[i][1], commands[i][2], commands[i][3],
                commands[i][4]);
        if (c.code != 2)
            fail_msg("sluice %s %s: %d", commands[i][0], commands[i][1], c.code);
        assert_string_equal(c.out, "");
        assert_true(strlen(c.err) > 0);
    }
    COMMAND(&c, NULL, "jobs", "lst");
    assert_true(command_told(&c, "did you mean \"ls\"?"));
}

static void a_service_that_is_not_there_is_one_line(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "stats", "--url", "http://127.0.0.1:1");
    assert_int_equal(c.code, 1);
    assert_int_equal(command_lines(c.err), 1);
    assert_true(command_told(&c, "sluice stats: no answer from http://127.0.0.1:1: "));
    assert_true(command_told(&c, "is `sluice serve` running there?"));
    COMMAND(&c, NULL, "stats", "--url", "file:///etc/passwd");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "is no URL of a service"));
    COMMAND(&c, NULL, "jobs", "ls", "--url", kit.sim.url); /* another server */
    assert_int_equal(c.code, 1);
    assert_int_equal(command_lines(c.err), 1);
}

/* ---- keys */

static int start_keyed(void **state)
{
    (void)state;
    sim_child_start(&kit.sim, "--latency-ms 1");
    char *config = api_kit_config(&kit, "auth: {keys: [{key: " KEY "}]}\n");
    serve_child_start(&kit.serve, config, NULL);
    free(config);
    assert_true(serve_child_says(&kit.serve, "redis connected"));
    (void)setenv("SLUICE_URL", kit.serve.url, 1);
    return 0;
}

static void the_key_comes_from_a_file_or_the_environment(void **state)
{
    char path[128];
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/key", kit.serve.dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(KEY "\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    COMMAND(&c, NULL, "jobs", "ls");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "No API key was given"));
    assert_true(command_told(&c, "(HTTP 401)\n"));
    COMMAND(&c, NULL, "jobs", "ls", "--key-file", path);
    assert_int_equal(c.code, 0);
    (void)setenv("SLUICE_KEY", KEY, 1);
    COMMAND(&c, NULL, "jobs", "ls");
    assert_int_equal(c.code, 0);
    (void)setenv("SLUICE_KEY", "wrong\r\nx-injected: 1", 1);
    COMMAND(&c, NULL, "jobs", "ls");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "holds a blank or a control byte"));
    assert_false(command_told(&c, "wrong"));
    (void)unsetenv("SLUICE_KEY");
    COMMAND(&c, NULL, "jobs", "ls", "--key-file", "/nowhere");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "the key file /nowhere cannot be read"));
}

int main(void)
{
    const struct CMUnitTest open[] = {
        cmocka_unit_test(a_job_from_standard_input_is_told_by_its_id_alone),
        cmocka_unit_test(waiting_prints_the_answer_and_json_the_job),
        cmocka_unit_test(many_jobs_are_answered_in_their_order),
        cmocka_unit_test(a_bad_line_is_told_by_its_number_and_fails_the_whole),
        cmocka_unit_test(one_job_with_a_mistake_is_one_line_of_error),
        cmocka_unit_test(priority_is_for_jobs_that_name_none),
        cmocka_unit_test(a_job_that_fails_is_told_and_fails_the_command),
        cmocka_unit_test(a_wait_may_have_an_end),
        cmocka_unit_test(a_list_is_parted_by_tabs_where_no_terminal_is),
        cmocka_unit_test(a_list_on_a_terminal_has_titles_and_colours),
        cmocka_unit_test(a_job_is_shown_with_its_answer),
        cmocka_unit_test(a_job_that_has_ended_is_submitted_again),
        cmocka_unit_test(a_waiting_job_is_cancelled),
        cmocka_unit_test(stats_say_what_is_left_and_what_waits),
        cmocka_unit_test(every_command_has_help_with_an_example),
        cmocka_unit_test(wrong_use_is_code_2),
        cmocka_unit_test(a_service_that_is_not_there_is_one_line),
    };
    const struct CMUnitTest keyed[] = {
        cmocka_unit_test(the_key_comes_from_a_file_or_the_environment),
    };
    return cmocka_run_group_tests(open, start, stop) +
           cmocka_run_group_tests(keyed, start_keyed, stop);
}
