/*
 * cmd_completion: `sluice completion bash|zsh|fish`, made of the tables of commands.
 */
#ifndef API_CMD_COMPLETION_H
#define API_CMD_COMPLETION_H

#include "common/args.h"

int cmd_completion(int argc, char **argv);
extern const struct args_command cmd_completion_usage; /* for help elsewhere */

#endif
