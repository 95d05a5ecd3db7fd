/*
 * cmd_batch: `sluice batch`: a file of requests through a running service, in OpenAI's batch
 * format.
 */
#ifndef API_CLIENT_CMD_BATCH_H
#define API_CLIENT_CMD_BATCH_H

#include "common/args.h"

int cmd_batch(int argc, char **argv);
extern const struct args_command cmd_batch_usage; /* for help elsewhere */

#endif
