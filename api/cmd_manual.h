/*
 * cmd_manual: `sluice manual`, the page sluice(1) as troff, made of the tables of commands.
 */
#ifndef API_CMD_MANUAL_H
#define API_CMD_MANUAL_H

#include "common/args.h"

int cmd_manual(int argc, char **argv);
extern const struct args_command cmd_manual_usage; /* for help elsewhere */

#endif
