/*
 * cmd_serve: `sluice serve`, the service itself.
 */
#ifndef API_CMD_SERVE_H
#define API_CMD_SERVE_H

#include "common/args.h"

int cmd_serve(int argc, char **argv);
extern const struct args_command cmd_serve_usage; /* for help elsewhere */

#endif
