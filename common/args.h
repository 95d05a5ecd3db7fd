/*
 * args: the options of one command, on getopt_long.
 *
 * A command describes itself in a table; from it come --help, "did you mean", and usage
 * errors with exit code 2, alike in all commands:
 *
 *   struct args a;
 *   args_init(&a, &command, argc, argv);
 *   for (int id; (id = args_next(&a)) != ARGS_END;)
 *       switch (id) { case 'j': json = true; break; case 'n': n_text = a.value; break; }
 *   if (a.exit_code >= 0)
 *       return a.exit_code;
 *   use(a.operands[0]);
 *
 *   ownership  argv and the table are borrowed; argv is reordered by getopt.
 *   threads    none: getopt keeps its state in globals, so one command line at a time.
 */
#ifndef COMMON_ARGS_H
#define COMMON_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#define ARGS_END     (-1)
#define ARGS_MAX     48  /* options of one command */
#define ARGS_NO_CHAR 256 /* ids from here on have no one-letter form */

#define EXIT_USAGE 2

struct args_option {
    int id;            /* a letter ('j' for -j), or ARGS_NO_CHAR and up; 0 ends the table */
    const char *name;  /* "json" for --json */
    const char *value; /* what follows, as in help ("FILE"); NULL: nothing */
    const char *help;
};

/* What every command takes, as in its table. */
extern const struct args_option args_common[];
#define ARGS_NO_COLOR (ARGS_NO_CHAR + 99) /* sets NO_COLOR: who writes asks that alone */

struct args_command {
    const char *name;                  /* "check" */
    const char *about;                 /* one line */
    const char *operands;              /* "FILE", "[FILE]", ""; as in help */
    int least, most;                   /* number of operands */
    const char *verbs;                 /* "ls|set": what the first operand may be; NULL: any */
    const struct args_option *options; /* ended by id 0; --help, -h and --no-color are added */
    const char *example;               /* whole lines, indented by two spaces */
};

struct args {
    const struct args_command *command;
    int argc;
    char **argv;
    int exit_code;     /* -1: go on; else --help was shown (0) or the usage was wrong (2) */
    const char *value; /* of the option that args_next() returned */
    char **operands;   /* after ARGS_END */
    int operand_count;
};

/* argv[0] is the command's own name. */
void args_init(struct args *a, const struct args_command *command, int argc, char **argv);
/* The id of the next option, or ARGS_END: at the end, after --help, or after an error. */
int args_next(struct args *a);
/* a->value as a whole number; false after a usage error was reported. */
bool args_number(struct args *a, int64_t least, int64_t most, int64_t *ret);
/* Reports a usage error on stderr and ends the loop over args_next(). */
void args_error(struct args *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
