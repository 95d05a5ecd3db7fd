/*
 * cmd_limits: `sluice limits`, the limits of the pools of a running service.
 */
#ifndef API_CLIENT_CMD_LIMITS_H
#define API_CLIENT_CMD_LIMITS_H

#include "common/args.h"

int cmd_limits(int argc, char **argv);
extern const struct args_command cmd_limits_usage; /* for help elsewhere */

#endif
