/*
 * cmd_jobs: `sluice jobs ls|get|wait|cancel|retry`: jobs of a running service.
 */
#ifndef API_CLIENT_CMD_JOBS_H
#define API_CLIENT_CMD_JOBS_H

#include "common/args.h"

#include <stddef.h>

/* argv[0] is "jobs". The exit code: 0; 1 failed, or a job waited for did not succeed; 2 usage. */
int cmd_jobs(int argc, char **argv);
/* Of its i-th verb, for help elsewhere; NULL: there are no more. */
const struct args_command *cmd_jobs_usage(size_t i);

#endif
