/*
 * demo: `sluice demo`, agents against a simulated provider, without and with Sluice.
 *
 * The same agents do the same work twice. First they call the provider themselves, with
 * the retries of the official SDKs (two, then the agent dies). Then they call a `sluice
 * serve` of their own, with a configuration and an embedded Redis in a temporary folder.
 * The simulated provider runs in this process, fresh for each of the two.
 */
#ifndef API_DEMO_DEMO_H
#define API_DEMO_DEMO_H

#include "common/args.h"

/* Returns the exit code. argv[0] is the command's name. */
int cmd_demo(int argc, char **argv);
extern const struct args_command cmd_demo_usage; /* for help elsewhere */

#endif
