/* What is made of the tables of commands: completions and the manual page. */
#include "api/commands.h"
#include "tests/support/command.h"

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

#define LINE_BYTES 512

static struct command c;
static char dir[] = "/tmp/sluice-words-XXXXXX";

static int start(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int stop(void **state)
{
    char line[LINE_BYTES];
    (void)state;
    (void)snprintf(line, sizeof(line), "rm -r '%s'", dir);
    return system(line);
}

/* Runs a command line in dir; its exit code, and both its outputs in c.out. */
static int shell(const char *line)
{
    char whole[4 * LINE_BYTES];
    (void)snprintf(whole, sizeof(whole), "cd '%s' && { %s\n} 2>&1", dir, line);
    FILE *f = popen(whole, "r");
    assert_non_null(f);
    size_t n = fread(c.out, 1, sizeof(c.out) - 1, f);
    c.out[n] = '\0';
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The program's output in a file of dir. */
static void keep(const char *name, const char *word, const char *more)
{
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof(line), "\"$SLUICE_BINARY\" %s %s > %s", word, more, name);
    if (shell(line) != 0)
        fail_msg("%s %s: %s", word, more, c.out);
}

/* Exactly these words, parted by blanks, or at least them when the list ends with "...". */
static void bash_offers(const char *typed, const char *wanted)
{
    char line[LINE_BYTES], list[LINE_BYTES], *rest = list;
    size_t count = 0;
    bool at_least = strstr(wanted, "...") != NULL;
    (void)snprintf(line, sizeof(line),
                   "bash --norc -c 'source ./bash.sh; COMP_WORDS=(\"$@\"); "
                   "COMP_CWORD=$(($# - 1)); _sluice; printf \"%%s\\n\" \"${COMPREPLY[@]}\"' "
                   "bash sluice %s",
                   typed);
    assert_int_equal(shell(line), 0);
    memmove(c.out + 1, c.out, strlen(c.out) + 1);
    c.out[0] = '\n';
    (void)snprintf(list, sizeof(list), "%s", wanted);
    for (char *word; (word = strsep(&rest, " "));) {
        char whole[LINE_BYTES];
        (void)snprintf(whole, sizeof(whole), "\n%s\n", word);
        if (strcmp(word, "...") == 0)
            continue;
        if (!strstr(c.out, whole))
            fail_msg("%s: %s is not among%s", typed, word, c.out);
        count++;
    }
    if (!at_least && command_lines(c.out) - 1 != count)
        fail_msg("%s: more than %s:%s", typed, wanted, c.out);
}

static void bash_completes_commands_verbs_options_and_files(void **state)
{
    (void)state;
    keep("bash.sh", "completion", "bash");
    keep("some.yaml", "completion", "bash");
    bash_offers("''", "serve check submit jobs top completion --help ...");
    bash_offers("se", "serve settings");
    bash_offers("jobs ''", "ls get wait cancel retry");
    bash_offers("jobs --json ca", "cancel");
    bash_offers("jobs wait --t", "--timeout");
    bash_offers("jobs ls --t", "");
    bash_offers("keys ''", "ls create rotate rm");
    bash_offers("keys create --max", "--max-budget");
    bash_offers("serve --config so", "some.yaml");
    bash_offers("serve -c so", "some.yaml");
    bash_offers("serve --config = so", "some.yaml");
    bash_offers("serve --workers s", "");
    bash_offers("check so", "some.yaml");
    bash_offers("drain so", "");
    bash_offers("top --n", "--no-color");
    bash_offers("completion ''", "bash zsh fish");
    bash_offers("nonsense --h", "--help");
}

static void look_at_option(const char *text, const char *name, const struct args_option *o)
{
    char option[128];
    (void)snprintf(option, sizeof(option), "--%s", o->name);
    if (!strstr(text, option))
        fail_msg("%s of %s is missing", option, name);
}

static void look_in_bash(void *arg, const struct args_command *u)
{
    char begin[64];
    (void)snprintf(begin, sizeof(begin), "    '%s')\n", u->name);
    char *at = strstr(arg, begin), *end = at ? strstr(at, ";;") : NULL;
    if (!end)
        fail_msg("%s is missing", u->name);
    char kept = *end;
    *end = '\0';
    for (const struct args_option *o = u->options; o->id; o++)
        look_at_option(at, u->name, o);
    for (const struct args_option *o = args_common; o->id; o++)
        look_at_option(at, u->name, o);
    *end = kept;
}

static void every_option_of_every_command_is_completed(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "completion", "bash");
    assert_int_equal(c.code, 0);
    commands_each(look_in_bash, c.out);
}

/* Needs the shell itself; where it is missing, the text is at least there. */
static void zsh_and_fish_read_their_files(void **state)
{
    (void)state;
    keep("_sluice", "completion", "zsh");
    keep("sluice.fish", "completion", "fish");
    if (shell("command -v zsh >/dev/null || exit 0; zsh -f -n ./_sluice") != 0)
        fail_msg("%s", c.out);
    assert_string_equal(c.out, "");
    if (shell("command -v fish >/dev/null || exit 0; fish --no-config -n sluice.fish") != 0)
        fail_msg("%s", c.out);
    assert_string_equal(c.out, "");
    assert_int_equal(shell("cat _sluice"), 0);
    assert_int_equal(strncmp(c.out, "#compdef sluice\n", 16), 0);
    assert_true(command_wrote(&c, "'(-c --config)'{-c,--config}'["));
    assert_int_equal(shell("cat sluice.fish"), 0);
    assert_true(command_wrote(&c, "__fish_seen_subcommand_from serve' -l config -s c -r -F"));
}

static void a_shell_that_is_not_known_is_a_usage_error(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "completion", "bsh");
    assert_int_equal(c.code, 2);
    assert_true(command_told(&c, "did you mean \"bash\"?"));
    COMMAND(&c, NULL, "completion");
    assert_int_equal(c.code, 2);
    assert_string_equal(c.out, "");
}

/* ---- the manual */

static void look_in_manual(void *arg, const struct args_command *u)
{
    char begin[64];
    (void)snprintf(begin, sizeof(begin), "   sluice %s\n", u->name);
    char *at = strstr(arg, begin), *end = at ? strstr(at + 1, "\n   sluice ") : NULL;
    if (!at)
        fail_msg("%s is missing", u->name);
    if (end)
        *end = '\0';
    for (const struct args_option *o = u->options; o->id; o++)
        look_at_option(at, u->name, o);
    if (end)
        *end = '\n';
}

static void the_manual_has_every_command_and_every_option(void **state)
{
    static const char *const parts[] = {"NAME",        "SYNOPSIS", "DESCRIPTION", "COMMANDS",
                                        "ENVIRONMENT", "FILES",    "EXIT STATUS", "EXAMPLES"};
    (void)state;
    keep("sluice.1", "manual", "");
    if (shell("command -v groff >/dev/null") != 0)
        skip();
    assert_int_equal(shell("groff -man -Tascii -P-cbou -rLL=100n sluice.1"), 0);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "\n%s\n", parts[i]);
        if (!command_wrote(&c, line))
            fail_msg("no part %s", parts[i]);
    }
    for (const struct commands_row *one = commands; one->name; one++)
        assert_true(command_wrote(&c, one->about));
    commands_each(look_in_manual, c.out);
}

static void the_manual_is_read_without_a_warning(void **state)
{
    (void)state;
    keep("sluice.1", "manual", "");
    if (shell("command -v groff >/dev/null") != 0)
        skip();
    assert_int_equal(shell("groff -man -Tutf8 -ww -z sluice.1"), 0);
    assert_string_equal(c.out, "");
    assert_int_equal(shell("command -v mandoc >/dev/null || exit 0; "
                           "mandoc -Tlint -W warning sluice.1 | grep -v 'missing date' || true"),
                     0);
    assert_string_equal(c.out, "");
}

/* ---- help */

static void look_at_help(void *arg, const struct args_command *u)
{
    char name[64], *verb;
    (void)arg;
    (void)snprintf(name, sizeof(name), "%s", u->name);
    verb = strchr(name, ' ');
    if (verb)
        *verb++ = '\0';
    for (int i = 0; i < 2; i++) {
        const char *option = i == 0 ? "--help" : "-h";
        if (verb)
            COMMAND(&c, NULL, name, verb, option);
        else
            COMMAND(&c, NULL, name, option);
        if (c.code != 0 || *c.err || !command_wrote(&c, "\nexample:\n  "))
            fail_msg("%s %s: %d %s%s", u->name, option, c.code, c.out, c.err);
        for (const struct args_option *o = u->options; o->id; o++)
            look_at_option(c.out, u->name, o);
        assert_true(command_wrote(&c, "usage: sluice "));
        assert_true(command_wrote(&c, "--no-color"));
    }
    if (verb)
        COMMAND(&c, NULL, name, verb, "--hepl");
    else
        COMMAND(&c, NULL, name, "--hepl");
    assert_int_equal(c.code, 2);
    assert_string_equal(c.out, "");
    assert_true(command_told(&c, "did you mean --help?"));
}

static void every_command_has_help_with_an_example(void **state)
{
    (void)state;
    commands_each(look_at_help, NULL);
    COMMAND(&c, NULL, "--help");
    assert_int_equal(c.code, 0);
    for (const struct commands_row *one = commands; one->name; one++)
        assert_true(command_wrote(&c, one->about));
    COMMAND(&c, NULL, "help", "jobs", "ls");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "usage: sluice jobs ls [options]"));
    COMMAND(&c, NULL, "help", "sevre");
    assert_int_equal(c.code, 2);
    COMMAND(&c, NULL, "--no-color", "-V");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "sluice "));
    COMMAND(&c, NULL, "jobs", "--help");
    assert_int_equal(c.code, 0);
    COMMAND(&c, NULL, "jobs"); /* needs a verb: what is wrong is told on standard error */
    assert_int_equal(c.code, 2);
    assert_string_equal(c.out, "");
}

static void look_at_names(void *arg, const struct args_command *u)
{
    size_t count = 0;
    (void)arg;
    for (const struct args_option *o = u->options; o->id; o++)
        count++;
    assert_in_range(count, 0, ARGS_MAX); /* what is behind them would not be read */
    for (const struct args_option *o = u->options; o->id; o++) {
        for (const struct args_option *p = o + 1; p->id; p++) {
            if (p->id == o->id || strcmp(p->name, o->name) == 0)
                fail_msg("%s: --%s and --%s are the same", u->name, o->name, p->name);
        }
        for (const struct args_option *p = args_common; p->id; p++)
            assert_true(p->id != o->id && strcmp(p->name, o->name) != 0);
    }
}

static void no_option_has_two_meanings(void **state)
{
    (void)state;
    commands_each(look_at_names, NULL);
}

static void a_mistyped_word_is_suggested(void **state)
{
    static const struct {
        const char *words[3], *said;
    } cases[] = {
        {{"sevre"}, "unknown command \"sevre\"; did you mean \"serve\"?"},
        {{"jobs", "cancle"}, "did you mean \"cancel\"?"},
        {{"keys", "crate"}, "did you mean \"create\"?"},
        {{"settings", "rest"}, "did you mean \"reset\"?"},
        {{"limits", "sohw"}, "did you mean \"show\"?"},
        {{"costs", "budgtes"}, "did you mean \"budgets\"?"},
        {{"keys", "everything"}, "\"everything\" is none of ls|create|rotate|rm"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        COMMAND(&c, NULL, cases[i].words[0], cases[i].words[1]);
        assert_int_equal(c.code, 2);
        assert_string_equal(c.out, "");
        if (!command_told(&c, cases[i].said))
            fail_msg("%s: %s", cases[i].said, c.err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bash_completes_commands_verbs_options_and_files),
        cmocka_unit_test(every_option_of_every_command_is_completed),
        cmocka_unit_test(zsh_and_fish_read_their_files),
        cmocka_unit_test(a_shell_that_is_not_known_is_a_usage_error),
        cmocka_unit_test(the_manual_has_every_command_and_every_option),
        cmocka_unit_test(the_manual_is_read_without_a_warning),
        cmocka_unit_test(every_command_has_help_with_an_example),
        cmocka_unit_test(no_option_has_two_meanings),
        cmocka_unit_test(a_mistyped_word_is_suggested),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
