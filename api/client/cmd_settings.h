/*
 * cmd_settings: `sluice settings`, what is saved for the models of a running service.
 */
#ifndef API_CLIENT_CMD_SETTINGS_H
#define API_CLIENT_CMD_SETTINGS_H

int cmd_settings(int argc, char **argv);

#endif
