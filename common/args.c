#include "common/args.h"

#include "common/nearest.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 26
#define COMMON      2
#define VERBS_BYTES 128

const struct args_option args_common[COMMON + 1] = {
    {ARGS_NO_COLOR, "no-color", NULL, "no colours, as with the environment's NO_COLOR"},
    {'h', "help", NULL, "show this"},
    {0},
};

void args_init(struct args *a, const struct args_command *command, int argc, char **argv)
{
    *a = (struct args){.command = command, .argc = argc, .argv = argv, .exit_code = -1};
    optind = 0; /* glibc: forget an earlier command line */
    opterr = 0;
}

void args_error(struct args *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "sluice %s: ", a->command->name);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nTry: sluice %s --help\n", a->command->name);
    va_end(args);
    a->exit_code = EXIT_USAGE;
}

static void print_option(const struct args_option *o)
{
    char left[64];
    char letter[4] = "   ";
    if (o->id < ARGS_NO_CHAR)
        (void)snprintf(letter, sizeof(letter), "-%c,", (char)o->id);
    int n = snprintf(left, sizeof(left), "  %s --%s%s%s", letter, o->name, o->value ? " " : "",
                     o->value ? o->value : "");
    printf("%-*s%s%s\n", HELP_COLUMN, left, n < HELP_COLUMN ? "" : "  ", o->help);
}

static void print_help(const struct args_command *c)
{
    printf("%s\n\nusage: sluice %s [options]%s%s\n\noptions:\n", c->about, c->name,
           *c->operands ? " " : "", c->operands);
    for (const struct args_option *o = c->options; o->id; o++)
        print_option(o);
    for (const struct args_option *o = args_common; o->id; o++)
        print_option(o);
    printf("\nexample:\n%s\n", c->example);
}

/* The command's table in getopt's two forms. */
struct getopt_form {
    char letters[2 * ARGS_MAX + 4];
    struct option options[ARGS_MAX + COMMON + 1];
};

static void make_form(const struct args_command *c, struct getopt_form *f)
{
    size_t count = 0, len = 0;
    f->letters[len++] = ':'; /* tells a missing value from an unknown option */
    f->letters[len++] = 'h';
    for (const struct args_option *o = args_common; o->id; o++)
        f->options[count++] = (struct option){o->name, no_argument, NULL, o->id};
    for (const struct args_option *o = c->options; o->id && count < ARGS_MAX + COMMON; o++) {
        int needs = o->value ? required_argument : no_argument;
        f->options[count++] = (struct option){o->name, needs, NULL, o->id};
        if (o->id < ARGS_NO_CHAR) {
            f->letters[len++] = (char)o->id;
            if (o->value)
                f->letters[len++] = ':';
        }
    }
    f->letters[len] = '\0';
    f->options[count] = (struct option){0};
}

static void unknown_option(struct args *a)
{
    const char *given = a->argv[optind - 1];
    if (strncmp(given, "--", 2) != 0) {
        args_error(a, "unknown option -%c", optopt);
        return;
    }

    char name[NEAREST_MAX_BYTES];
    struct nearest nearest;
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(given + 2, "="), given + 2);
    nearest_init(&nearest, name);
    for (const struct args_option *o = args_common; o->id; o++)
        nearest_offer(&nearest, o->name);
    for (const struct args_option *o = a->command->options; o->id; o++)
        nearest_offer(&nearest, o->name);
    if (nearest.best)
        args_error(a, "unknown option --%s; did you mean --%s?", name, nearest.best);
    else
        args_error(a, "unknown option --%s", name);
}

/* Whether the first operand is among the verbs of the command. */
static void check_verb(struct args *a)
{
    char list[VERBS_BYTES], *rest = list;
    struct nearest nearest;
    (void)snprintf(list, sizeof(list), "%s", a->command->verbs);
    nearest_init(&nearest, a->operands[0]);
    for (char *verb; (verb = strsep(&rest, "|"));) {
        if (strcmp(verb, a->operands[0]) == 0)
            return;
        nearest_offer(&nearest, verb);
    }
    if (nearest.best)
        args_error(a, "unknown command \"%s\"; did you mean \"%s\"?", a->operands[0], nearest.best);
    else
        args_error(a, "\"%s\" is none of %s", a->operands[0], a->command->verbs);
}

static void take_operands(struct args *a)
{
    const struct args_command *c = a->command;
    a->operands = a->argv + optind;
    a->operand_count = a->argc - optind;
    if (a->operand_count < c->least)
        args_error(a, "%s is missing", c->operands);
    else if (a->operand_count > c->most)
        args_error(a, "unexpected \"%s\"", a->operands[c->most]);
    else if (c->verbs && a->operand_count > 0)
        check_verb(a);
}

int args_next(struct args *a)
{
    if (a->exit_code >= 0)
        return ARGS_END;

    struct getopt_form form;
    make_form(a->command, &form);
    int id;
    while ((id = getopt_long(a->argc, a->argv, form.letters, form.options, NULL)) == ARGS_NO_COLOR)
        (void)setenv("NO_COLOR", "1", 1);
    a->value = optarg;
    if (id == 'h') {
        print_help(a->command);
        a->exit_code = EXIT_SUCCESS;
        return ARGS_END;
    }
    if (id == '?')
        unknown_option(a);
    else if (id == ':')
        args_error(a, "%s needs a value", a->argv[optind - 1]);
    else if (id == ARGS_END)
        take_operands(a);
    return a->exit_code >= 0 ? ARGS_END : id;
}

bool args_number(struct args *a, int64_t least, int64_t most, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(a->value, &end, 10);
    if (errno || end == a->value || *end || value < least || value > most) {
        args_error(a, "\"%s\" must be a whole number of %" PRId64 " to %" PRId64, a->value, least,
                   most);
        return false;
    }
    *ret = value;
    return true;
}
