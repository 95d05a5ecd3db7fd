/*
 * command: runs the program under test once, and keeps what it wrote.
 *
 *   struct command c;
 *   COMMAND(&c, NULL, "jobs", "ls", "--json");
 *   assert_int_equal(c.code, 0);
 *
 *   errors  what cannot be started or read, or writes more than fits, fails the test that runs.
 */
#ifndef TESTS_SUPPORT_COMMAND_H
#define TESTS_SUPPORT_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#define COMMAND_BYTES (512 * 1024)

struct command {
    int code; /* -signal when one ended it */
    char out[COMMAND_BYTES], err[COMMAND_BYTES];
};

/* words: after the program's name, ended by NULL. input: its standard input; NULL: none. */
void command_run(struct command *c, const char *input, const char *const *words);
#define COMMAND(c, input, ...) command_run((c), (input), (const char *const[]){__VA_ARGS__, NULL})
/* The same with a terminal as its standard output and error: both in c->out, CR LF as LF. */
void command_run_on_terminal(struct command *c, const char *const *words);
#define COMMAND_ON_TERMINAL(c, ...)                                                                \
    command_run_on_terminal((c), (const char *const[]){__VA_ARGS__, NULL})

bool command_wrote(const struct command *c, const char *text); /* to out */
bool command_told(const struct command *c, const char *text);  /* to err */
size_t command_lines(const char *text);

#endif
