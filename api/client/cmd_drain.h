/*
 * cmd_drain: `sluice drain`, takes an instance out of service without losing a request.
 */
#ifndef API_CLIENT_CMD_DRAIN_H
#define API_CLIENT_CMD_DRAIN_H

int cmd_drain(int argc, char **argv);

#endif
