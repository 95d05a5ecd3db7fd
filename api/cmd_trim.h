/*
 * cmd_trim: `sluice trim`, what trimming makes of a request.
 */
#ifndef API_CMD_TRIM_H
#define API_CMD_TRIM_H

#include "common/args.h"

int cmd_trim(int argc, char **argv);
extern const struct args_command cmd_trim_usage; /* for help elsewhere */

#endif
