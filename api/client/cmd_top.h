/*
 * cmd_top: `sluice top`, a live view of queue and buckets.
 */
#ifndef API_CLIENT_CMD_TOP_H
#define API_CLIENT_CMD_TOP_H

#include "common/args.h"

/* argv[0] is "top". The exit code: 0, 1 failed, 2 usage. */
int cmd_top(int argc, char **argv);
extern const struct args_command cmd_top_usage; /* for help elsewhere */

#endif
