/*
 * cmd_check: `sluice check`: says whether a configuration is right, and what it comes to.
 */
#ifndef API_CMD_CHECK_H
#define API_CMD_CHECK_H

#include "common/args.h"

/* argv[0] is "check". The exit code: 0 right, 1 wrong, 2 usage. */
int cmd_check(int argc, char **argv);
extern const struct args_command cmd_check_usage; /* for help elsewhere */

#endif
