#include "api/client/cmd_costs.h"
#include "api/client/cmd_drain.h"
#include "api/client/cmd_jobs.h"
#include "api/client/cmd_keys.h"
#include "api/client/cmd_limits.h"
#include "api/client/cmd_settings.h"
#include "api/client/cmd_stats.h"
#include "api/client/cmd_submit.h"
#include "api/client/cmd_top.h"
#include "api/cmd_check.h"
#include "api/cmd_serve.h"
#include "api/cmd_tokens.h"
#include "api/cmd_trim.h"
#include "api/cmd_version.h"
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
    {"jobs", cmd_jobs, "list, show, wait for or cancel jobs"},
    {"stats", cmd_stats, "show what waits, why and for how long"},
    {"top", cmd_top, "the same, live, as a screen of bars"},
    {"costs", cmd_costs, "show what was spent, saved and is left of budgets"},
    {"settings", cmd_settings, "show and change what holds for a model"},
    {"limits", cmd_limits, "show and change the limits of pools"},
    {"drain", cmd_drain, "take an instance out of service"},
    {"keys", cmd_keys, "list, make, rotate and remove access keys"},
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
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].about);
    (void)fprintf(out, "\nexample:\n  sluice check sluice.yaml\n\n"
                       "Each command has --help with an example.\n");
}

static int unknown_command(const char *name)
{
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        nearest_offer(&nearest, commands[i].name);
    (void)fprintf(stderr, "sluice: unknown command \"%s\"", name);
    if (nearest.best)
        (void)fprintf(stderr, "; did you mean \"%s\"?", nearest.best);
    (void)fprintf(stderr, "\nTry: sluice --help\n");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!*name) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown_command(name);
}
