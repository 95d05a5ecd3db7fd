#include "api/commands.h"

#include "common/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(FILE *out)
{
    (void)fprintf(out, "Sluice keeps LLM requests inside their providers' rate limits.\n\n"
                       "usage: sluice COMMAND [options]\n\ncommands:\n");
    for (const struct commands_row *c = commands; c->name; c++)
        (void)fprintf(out, "  %-11s %s\n", c->name, c->about);
    (void)fprintf(out, "\nexample:\n  sluice check sluice.yaml\n  sluice jobs ls --json\n\n"
                       "Each command has --help with an example.\n");
}

static int unknown_command(const char *name)
{
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (const struct commands_row *c = commands; c->name; c++)
        nearest_offer(&nearest, c->name);
    (void)fprintf(stderr, "sluice: unknown command \"%s\"", name);
    if (nearest.best)
        (void)fprintf(stderr, "; did you mean \"%s\"?", nearest.best);
    (void)fprintf(stderr, "\nTry: sluice --help\n");
    return EXIT_USAGE;
}

/* "help jobs ls" as "jobs ls --help". */
static void turn_help(int argc, char **argv)
{
    static char help[] = "--help";
    for (int i = 1; i + 1 < argc; i++)
        argv[i] = argv[i + 1];
    argv[argc - 1] = help;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--no-color") == 0) {
        (void)setenv("NO_COLOR", "1", 1);
        argv++;
        argc--;
    }
    if (argc > 2 && strcmp(argv[1], "help") == 0)
        turn_help(argc, argv);
    const char *name = argc > 1 ? argv[1] : "";
    if (!*name) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    for (const struct commands_row *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c->run(argc - 1, argv + 1);
    return unknown_command(name);
}
