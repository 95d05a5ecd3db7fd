#include "common/limits.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A folder of its own with the files of a test; `sh` runs in it, with $SLUICE the program. */
struct fixture {
    char folder[64];
    char output[4096]; /* of the last command, errors included */
};

static int set_up(void **state)
{
    if (!getenv("SLUICE_BINARY"))
        return -1;
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f)
        return -1;
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/sluice-cmd-tokens-XXXXXX");
    *state = f;
    return mkdtemp(f->folder) ? 0 : -1;
}

static int run(struct fixture *f, const char *command)
{
    char line[1024];
    (void)snprintf(line, sizeof(line), "cd %s && { %s; } 2>&1", f->folder, command);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    size_t n = fread(f->output, 1, sizeof(f->output) - 1, p);
    f->output[n] = '\0';
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    int failed = run(f, "rm -f -- ./* && rmdir -- \"$PWD\"");
    free(f);
    return failed;
}

static void one_input_gives_one_number(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "printf 'hello world' | $SLUICE_BINARY tokens"), 0);
    assert_string_equal(f->output, "2\n");
    assert_int_equal(run(f, "printf 'hello world' >a; $SLUICE_BINARY tokens a"), 0);
    assert_string_equal(f->output, "2\n");
    assert_int_equal(run(f, "$SLUICE_BINARY tokens </dev/null"), 0);
    assert_string_equal(f->output, "0\n");
}

static void many_files_give_a_line_each_and_a_total(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        run(f, "printf 'hello world' >a; printf '!' >b; $SLUICE_BINARY tokens a b - </dev/null"),
        0);
    assert_string_equal(f->output, "       2 a\n       1 b\n       0 -\n       3 total\n");
}

static void json_names_the_encoding_of_a_model(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "printf 'hello world' >'a\"'; "
                            "$SLUICE_BINARY tokens --json --model gpt-4 'a\"'"),
                     0);
    assert_string_equal(f->output, "{\"encoding\":\"cl100k_base\",\"tokens\":2,\"files\":["
                                   "{\"file\":\"a\\\"\",\"bytes\":11,\"tokens\":2}]}\n");
}

static void the_first_tokens_are_written_as_text(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "printf 'one two three' | $SLUICE_BINARY tokens --first 2"), 0);
    assert_string_equal(f->output, "one two");
}

static void an_unknown_model_is_counted_with_a_warning(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "printf 'hi' | $SLUICE_BINARY tokens -m claude-x"), 0);
    assert_non_null(strstr(f->output, "\"claude-x\" is not known"));
    assert_non_null(strstr(f->output, "\n1\n"));
}

static void a_file_that_is_missing_fails_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "printf 'hi' >a; $SLUICE_BINARY tokens nowhere a"), 1);
    assert_non_null(strstr(f->output, "nowhere: No such file"));
    assert_non_null(strstr(f->output, " 1 a\n"));
}

static void wrong_usage_ends_with_code_2(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "$SLUICE_BINARY tokens --nonsense </dev/null"), 2);
    assert_int_equal(run(f, "$SLUICE_BINARY tokens --first x </dev/null"), 2);
    assert_int_equal(run(f, "$SLUICE_BINARY tokens --first 1 --json </dev/null"), 2);
    assert_int_equal(run(f, "$SLUICE_BINARY tokens --encoding o300k </dev/null"), 2);
    assert_non_null(strstr(f->output, "o200k_base"));
    assert_int_equal(run(f, "$SLUICE_BINARY tokens --help"), 0);
    assert_non_null(strstr(f->output, "sluice tokens --model gpt-4o"));
}

static void a_file_of_the_largest_size_is_counted_and_one_past_it_is_not(void **state)
{
    struct fixture *f = *state;
    char command[160];
    (void)snprintf(command, sizeof(command), "truncate -s %ld a && $SLUICE_BINARY tokens a",
                   TOKENS_MAX_FILE_BYTES);
    assert_int_equal(run(f, command), 0);
    (void)snprintf(command, sizeof(command), "truncate -s %ld a && $SLUICE_BINARY tokens a",
                   TOKENS_MAX_FILE_BYTES + 1);
    assert_int_equal(run(f, command), 1);
    assert_non_null(strstr(f->output, "a: File too large"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_input_gives_one_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_files_give_a_line_each_and_a_total, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_names_the_encoding_of_a_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_tokens_are_written_as_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_model_is_counted_with_a_warning, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_missing_fails_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_usage_ends_with_code_2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_file_of_the_largest_size_is_counted_and_one_past_it_is_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
