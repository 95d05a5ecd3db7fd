/*
 * cmd_version: `sluice version`: the version, and what it runs with.
 */
#ifndef API_CMD_VERSION_H
#define API_CMD_VERSION_H

/* argv[0] is "version". The exit code: 0, or 2 for usage. */
int cmd_version(int argc, char **argv);

#endif
