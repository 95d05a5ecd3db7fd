/*
 * commands: all that `sluice` can do, in the order of help.
 *
 * Help, completions and the manual page are made of this table and those it leads to, so that none
 * of them can lack a command or an option.
 */
#ifndef API_COMMANDS_H
#define API_COMMANDS_H

#include "common/args.h"

#include <stddef.h>

struct commands_row {
    const char *name;
    int (*run)(int argc, char **argv);            /* argv[0] is the name; returns the exit code */
    const char *about;                            /* a few words */
    const struct args_command *usage;             /* NULL: each of its verbs has its own */
    const struct args_command *(*verb)(size_t i); /* the i-th; NULL: none, or there are no more */
};

extern const struct commands_row commands[]; /* ended by a name of NULL */

/* Calls fn for each command that has a usage: once, or for each of its verbs. */
void commands_each(void (*fn)(void *arg, const struct args_command *usage), void *arg);

#endif
