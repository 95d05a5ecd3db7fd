/*
 * cmd_version: `sluice version`: the version, and what it runs with.
 */
#ifndef API_CMD_VERSION_H
#define API_CMD_VERSION_H

#include "common/args.h"

/* argv[0] is "version". The exit code: 0, or 2 for usage. */
int cmd_version(int argc, char **argv);
extern const struct args_command cmd_version_usage; /* for help elsewhere */

#endif
