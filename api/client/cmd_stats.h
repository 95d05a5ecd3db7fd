/*
 * cmd_stats: `sluice stats`: what waits in a running service, why and for how long.
 */
#ifndef API_CLIENT_CMD_STATS_H
#define API_CLIENT_CMD_STATS_H

#include "common/args.h"

/* argv[0] is "stats". The exit code: 0, 1 failed, 2 usage. */
int cmd_stats(int argc, char **argv);
extern const struct args_command cmd_stats_usage; /* for help elsewhere */

#endif
