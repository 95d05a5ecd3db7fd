/*
 * cmd_keys: `sluice keys`, the access keys of a running service.
 */
#ifndef API_CLIENT_CMD_KEYS_H
#define API_CLIENT_CMD_KEYS_H

#include "common/args.h"

int cmd_keys(int argc, char **argv);
extern const struct args_command cmd_keys_usage; /* for help elsewhere */

#endif
