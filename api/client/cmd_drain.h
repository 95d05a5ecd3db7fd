/*
 * cmd_drain: `sluice drain`, takes an instance out of service without losing a request.
 */
#ifndef API_CLIENT_CMD_DRAIN_H
#define API_CLIENT_CMD_DRAIN_H

#include "common/args.h"

int cmd_drain(int argc, char **argv);
extern const struct args_command cmd_drain_usage; /* for help elsewhere */

#endif
