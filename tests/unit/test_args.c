#include "common/args.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

enum { OPTION_RATE = ARGS_NO_CHAR };

static const struct args_option options[] = {
    {'j', "json", NULL, "print JSON"},
    {'n', "number", "N", "how many"},
    {OPTION_RATE, "rate", "N", "how fast"},
    {0},
};

static const struct args_command command = {
    .name = "test",
    .about = "Tests.",
    .operands = "FILE",
    .least = 1,
    .most = 2,
    .options = options,
    .example = "  sluice test x",
};

struct outcome {
    bool json;
    int64_t number, rate;
    int exit_code, operand_count;
    const char *operand;
    char said[2048]; /* on stdout and stderr */
};

static void take(struct args *a, struct outcome *o)
{
    for (int id; (id = args_next(a)) != ARGS_END;) {
        if (id == 'j')
            o->json = true;
        else if (id == 'n')
            (void)args_number(a, 1, 10, &o->number);
        else
            (void)args_number(a, 0, 99, &o->rate);
    }
    o->exit_code = a->exit_code;
    o->operand_count = a->operand_count;
    o->operand = a->operand_count ? a->operands[0] : NULL;
}

/* Runs a command line, parted at blanks, with both outputs caught in a file. */
static struct outcome run(const char *line)
{
    static char words[256]; /* outlives the call: the outcome's operand points into it */
    struct outcome o = {.number = -1, .rate = -1};
    struct args a;
    char *argv[16];
    int argc = 0;
    (void)snprintf(words, sizeof(words), "test %s", line);
    for (char *rest = NULL, *word = strtok_r(words, " ", &rest); word && argc < 15;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    argv[argc] = NULL;

    FILE *caught = tmpfile();
    assert_non_null(caught);
    (void)fflush(stdout);
    (void)fflush(stderr);
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    dup2(fileno(caught), STDOUT_FILENO);
    dup2(fileno(caught), STDERR_FILENO);
    args_init(&a, &command, argc, argv);
    take(&a, &o);
    (void)fflush(stdout);
    (void)fflush(stderr);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    (void)close(out);
    (void)close(err);

    ssize_t n = pread(fileno(caught), o.said, sizeof(o.said) - 1, 0);
    assert_true(n >= 0);
    (void)fclose(caught);
    return o;
}

static void options_and_operands_come_in_any_order(void **state)
{
    (void)state;
    struct outcome o = run("file -j --number 7 --rate=3");
    assert_int_equal(o.exit_code, -1);
    assert_true(o.json);
    assert_int_equal(o.number, 7);
    assert_int_equal(o.rate, 3);
    assert_int_equal(o.operand_count, 1);
    assert_string_equal(o.operand, "file");
    assert_string_equal(o.said, "");
}

static void behind_two_dashes_everything_is_an_operand(void **state)
{
    (void)state;
    struct outcome o = run("-- --json");
    assert_int_equal(o.exit_code, -1);
    assert_false(o.json);
    assert_string_equal(o.operand, "--json");
}

static void help_is_shown_with_an_example_and_ends_well(void **state)
{
    (void)state;
    struct outcome o = run("--help");
    assert_int_equal(o.exit_code, 0);
    assert_non_null(strstr(o.said, "usage: sluice test [options] FILE"));
    assert_non_null(strstr(o.said, "-n, --number N"));
    assert_non_null(strstr(o.said, "      --rate N"));
    assert_non_null(strstr(o.said, "sluice test x"));
    o = run("-h");
    assert_int_equal(o.exit_code, 0);
}

static void a_wrong_use_is_explained_and_exits_with_2(void **state)
{
    (void)state;
    struct outcome o = run("--nubmer=3 file");
    assert_int_equal(o.exit_code, 2);
    assert_non_null(strstr(o.said, "unknown option --nubmer; did you mean --number?"));
    assert_non_null(strstr(o.said, "sluice test --help"));

    o = run("-x file");
    assert_int_equal(o.exit_code, 2);
    assert_non_null(strstr(o.said, "unknown option -x"));
    o = run("file --number");
    assert_int_equal(o.exit_code, 2);
    assert_non_null(strstr(o.said, "--number needs a value"));
    o = run("-j");
    assert_int_equal(o.exit_code, 2);
    assert_non_null(strstr(o.said, "FILE is missing"));
    o = run("a b c");
    assert_int_equal(o.exit_code, 2);
    assert_non_null(strstr(o.said, "unexpected \"c\""));
}

static void numbers_are_whole_and_in_their_range(void **state)
{
    (void)state;
    static const char *const bad[] = {"--number=0",
                                      "--number=11",
                                      "--number=",
                                      "--number=x",
                                      "-n 3x",
                                      "-n 1.5",
                                      "-n 99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct outcome o = run(bad[i]);
        assert_int_equal(o.exit_code, 2);
        assert_int_equal(o.number, -1);
        assert_non_null(strstr(o.said, "must be a whole number of 1 to 10"));
    }
    assert_int_equal(run("-n 1 file").number, 1);
    assert_int_equal(run("-n 10 file").number, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_come_in_any_order),
        cmocka_unit_test(behind_two_dashes_everything_is_an_operand),
        cmocka_unit_test(help_is_shown_with_an_example_and_ends_well),
        cmocka_unit_test(a_wrong_use_is_explained_and_exits_with_2),
        cmocka_unit_test(numbers_are_whole_and_in_their_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
