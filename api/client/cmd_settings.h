/*
 * cmd_settings: `sluice settings`, what is saved for the models of a running service.
 */
#ifndef API_CLIENT_CMD_SETTINGS_H
#define API_CLIENT_CMD_SETTINGS_H

#include "common/args.h"

int cmd_settings(int argc, char **argv);
extern const struct args_command cmd_settings_usage; /* for help elsewhere */

#endif
