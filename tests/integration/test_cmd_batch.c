/* `sluice batch` against a running service and a simulated provider. */
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

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LINES 30

static struct api_kit kit;
static struct command c;
static char in[256], out[256], err[256], text[64 * 1024];

static int start(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5", "batches: {provider_poll_ms: 100}\n");
    (void)setenv("SLUICE_URL", kit.serve.url, 1);
    (void)setenv("TERM", "xterm", 1);
    (void)unsetenv("SLUICE_KEY");
    (void)snprintf(in, sizeof(in), "%s/in.jsonl", kit.serve.dir);
    (void)snprintf(out, sizeof(out), "%s/in.output.jsonl", kit.serve.dir);
    (void)snprintf(err, sizeof(err), "%s/in.errors.jsonl", kit.serve.dir);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

/* every: each so many line is answered with 400; 0: none. */
static void write_lines(int every)
{
    FILE *f = fopen(in, "w");
    assert_non_null(f);
    for (int i = 1; i <= LINES; i++)
        (void)fprintf(f,
                      "{\"custom_id\":\"line %d\",\"method\":\"POST\",\"url\":\"/v1/chat/"
                      "completions\",\"body\":{\"model\":\"gpt-4o\",\"messages\":[{\"role\":"
                      "\"user\",\"content\":\"Line %d%s\"}]}}\n",
                      i, i, every && i % every == 0 ? " [[sim status=400]]" : "");
    assert_int_equal(fclose(f), 0);
    (void)unlink(out);
    (void)unlink(err);
}

static const char *read_text(const char *path)
{
    FILE *f = fopen(path, "r");
    size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f)
        (void)fclose(f);
    text[len] = '\0';
    return text;
}

static void a_file_comes_back_as_answers(void **state)
{
    (void)state;
    write_lines(0);
    COMMAND(&c, NULL, "batch", in);
    assert_string_equal(strstr(c.err, "failed:") ? c.err : "", "");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "\tcompleted\t30 answered\t0 failed\t"));
    assert_true(command_wrote(&c, out));
    assert_int_equal(command_lines(read_text(out)), LINES);
    assert_non_null(strstr(text, "\"custom_id\":\"line 30\""));
    assert_int_equal(access(err, F_OK), -1);
}

static void lines_that_failed_fail_the_command(void **state)
{
    (void)state;
    write_lines(10);
    COMMAND(&c, NULL, "batch", "--json", in);
    assert_int_equal(c.code, 1);
    json_t *batch = json_loads(c.out, 0, NULL);
    assert_string_equal(json_text_at(batch, "status"), "completed");
    assert_int_equal(json_at(batch, "request_counts/failed"), 3);
    json_decref(batch);
    assert_int_equal(command_lines(read_text(out)), LINES - 3);
    assert_int_equal(command_lines(read_text(err)), 3);
}

static void the_providers_own_batch_gives_the_same(void **state)
{
    (void)state;
    write_lines(10);
    COMMAND(&c, NULL, "batch", "--provider-batch", "--output", "-", "--errors", err, in);
    assert_int_equal(c.code, 1);
    assert_int_equal(command_lines(c.out), LINES - 3);
    assert_true(command_told(&c, "\tcompleted\t27 answered\t3 failed\t-\t"));
    assert_int_equal(command_lines(read_text(err)), 3);
}

static void a_batch_that_was_left_is_fetched_later(void **state)
{
    char id[128];
    (void)state;
    write_lines(0);
    COMMAND(&c, NULL, "batch", "--detach", in);
    assert_int_equal(c.code, 0);
    assert_int_equal(strncmp(c.out, "batch_", 6), 0);
    (void)snprintf(id, sizeof(id), "%.*s", (int)strcspn(c.out, "\n"), c.out);
    COMMAND(&c, NULL, "batch", "--resume", id, "--output", out);
    assert_int_equal(c.code, 0);
    assert_int_equal(command_lines(read_text(out)), LINES);
}

/* The jobs of class batch of "slow" go two at once and then one in half a minute. */
static void an_interrupted_batch_says_how_to_go_on(void **state)
{
    char log[300], *at;
    int status = 0;
    (void)state;
    FILE *f = fopen(in, "w");
    assert_non_null(f);
    for (int i = 0; i < 5; i++)
        (void)fprintf(f,
                      "{\"custom_id\":\"%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
                      "\"body\":" KIT_CHAT("slow") "}\n",
                      i);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(log, sizeof(log), "%s/err.txt", kit.serve.dir);
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen(log, "w", stderr))
            _exit(127);
        (void)execl(getenv("SLUICE_BINARY"), "sluice", "batch", in, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    for (int i = 0; i < 1000 && !strstr(read_text(log), "sluice batch: "); i++)
        (void)usleep(10000); /* until it tells of its progress, and so waits */
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    at = strstr(read_text(log), "sluice batch --resume batch_");
    assert_non_null(at);
}

static void progress_is_a_bar_on_a_terminal(void **state)
{
    (void)state;
    write_lines(0);
    COMMAND_ON_TERMINAL(&c, "batch", in);
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "of 30"));
}

static void what_is_wrong_with_a_file_is_told_by_line(void **state)
{
    (void)state;
    FILE *f = fopen(in, "w");
    assert_non_null(f);
    assert_true(fputs("{\"url\":\"/v1/chat/completions\"}\n{\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    COMMAND(&c, NULL, "batch", in);
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "sluice batch: line 1: custom_id must be"));
    assert_true(command_told(&c, "sluice batch: line 2: This line is not a JSON object."));
    COMMAND(&c, NULL, "batch", "/nowhere.jsonl");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "/nowhere.jsonl: No such file"));
}

static void wrong_use_is_code_2(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "batch");
    assert_int_equal(c.code, 2);
    COMMAND(&c, NULL, "batch", "--resume", "../x");
    assert_int_equal(c.code, 2);
    COMMAND(&c, NULL, "batch", "--wait", "--detach", in);
    assert_int_equal(c.code, 2);
    COMMAND(&c, NULL, "batch", "--resume", "batch_none");
    assert_int_equal(c.code, 1);
    assert_true(command_told(&c, "(HTTP 404)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_back_as_answers),
        cmocka_unit_test(lines_that_failed_fail_the_command),
        cmocka_unit_test(the_providers_own_batch_gives_the_same),
        cmocka_unit_test(a_batch_that_was_left_is_fetched_later),
        cmocka_unit_test(an_interrupted_batch_says_how_to_go_on),
        cmocka_unit_test(progress_is_a_bar_on_a_terminal),
        cmocka_unit_test(what_is_wrong_with_a_file_is_told_by_line),
        cmocka_unit_test(wrong_use_is_code_2),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
