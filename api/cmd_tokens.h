/*
 * cmd_tokens: `sluice tokens`, exact token counts of files.
 *
 * Exit codes: 0, 1 when a file could not be counted (the others still are), 2 usage.
 */
#ifndef API_CMD_TOKENS_H
#define API_CMD_TOKENS_H

#include "common/args.h"

int cmd_tokens(int argc, char **argv);             /* argv[0] is "tokens" */
extern const struct args_command cmd_tokens_usage; /* for help elsewhere */

#endif
