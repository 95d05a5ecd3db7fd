/*
 * cmd_cache: `sluice cache`, the kept answers of a running service.
 */
#ifndef API_CLIENT_CMD_CACHE_H
#define API_CLIENT_CMD_CACHE_H

#include "common/args.h"

int cmd_cache(int argc, char **argv);
extern const struct args_command cmd_cache_usage; /* for help elsewhere */

#endif
