/*
 * cmd_costs: `sluice costs`: what was spent and saved, and what is left of budgets.
 */
#ifndef API_CLIENT_CMD_COSTS_H
#define API_CLIENT_CMD_COSTS_H

#include "common/args.h"

/* argv[0] is "costs". The exit code: 0, 1 failed, 2 usage. */
int cmd_costs(int argc, char **argv);
extern const struct args_command cmd_costs_usage; /* for help elsewhere */

#endif
