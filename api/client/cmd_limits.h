/*
 * cmd_limits: `sluice limits`, the limits of the pools of a running service.
 */
#ifndef API_CLIENT_CMD_LIMITS_H
#define API_CLIENT_CMD_LIMITS_H

int cmd_limits(int argc, char **argv);

#endif
