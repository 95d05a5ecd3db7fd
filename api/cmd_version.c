#include "api/cmd_version.h"

#include "common/args.h"

#include <stdio.h>
#include <stdlib.h>

static const struct args_option options[] = {
    {'j', "json", NULL, "print JSON"},
    {0},
};

const struct args_command cmd_version_usage = {
    .name = "version",
    .about = "Prints the version of sluice.",
    .operands = "",
    .options = options,
    .example = "  sluice version",
};

int cmd_version(int argc, char **argv)
{
    struct args a;
    bool json = false;
    args_init(&a, &cmd_version_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;)
        json = id == 'j';
    if (a.exit_code >= 0)
        return a.exit_code;

    printf(json ? "{\"name\":\"sluice\",\"version\":\"%s\"}\n" : "sluice %s\n", SLUICE_VERSION);
    return EXIT_SUCCESS;
}
