#include "api/client/cmd_batch.h"
#include "api/client/cmd_cache.h"
#include "api/client/cmd_costs.h"
#include "api/client/cmd_drain.h"
#include "api/client/cmd_jobs.h"
#include "api/client/cmd_keys.h"
#include "api/client/cmd_limits.h"
#include "api/client/cmd_settings.h"
#include "api/client/cmd_stats.h"
#include "api/client/cmd_submit.h"
#include "api/cmd_check.h"
#include "api/cmd_serve.h"
#include "api/cmd_tokens.h"
#include "api/cmd_trim.h"
#include "api/cmd_version.h"
#include "api/commands.h"
#include "api/demo/demo.h"
#include "api/simulate/simulate.h"
#include "common/args.h"

#include "common/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of help. */
static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} commands[] = {
    {"serve", cmd_serve, "run the service"},
    {"check", cmd_check, "say whether a configuration is right"},
    {"demo", cmd_demo, "agents without and with Sluice, side by side"},
    {"submit", cmd_submit, "give jobs to a running service"},
    {"batch", cmd_batch, "run a file of requests and fetch the answers"},
    {"jobs", cmd_jobs, "list, show, wait for or cancel jobs"},
    {"stats", cmd_stats, "show what waits, why and for how long"},
    {"costs", cmd_costs, "show what was spent, saved and is left of budgets"},
    {"settings", cmd_settings, "show and change what holds for a model"},
    {"limits", cmd_limits, "show and change the limits of pools"},
    {"drain", cmd_drain, "take an instance out of service"},
    {"keys", cmd_keys, "list, make, rotate and remove access keys"},
    {"cache", cmd_cache, "show or forget kept answers"},
    {"simulate", cmd_simulate, "run a metered stand-in for a provider"},
    {"tokens", cmd_tokens, "count the tokens of files"},
    {"trim", cmd_trim, "make a request smaller"},
    {"version", cmd_version, "print the version"},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

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
