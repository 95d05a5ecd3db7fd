/*
 * cmd_keys: `sluice keys`, the access keys of a running service.
 */
#ifndef API_CLIENT_CMD_KEYS_H
#define API_CLIENT_CMD_KEYS_H

int cmd_keys(int argc, char **argv);

#endif
