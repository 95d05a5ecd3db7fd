/*
 * cmd_submit: `sluice submit`: gives jobs to a running service, and waits for them if asked to.
 */
#ifndef API_CLIENT_CMD_SUBMIT_H
#define API_CLIENT_CMD_SUBMIT_H

#include "common/args.h"

/* argv[0] is "submit". The exit code: 0; 1 when anything failed; 2 usage. */
int cmd_submit(int argc, char **argv);
extern const struct args_command cmd_submit_usage; /* for help elsewhere */

#endif
