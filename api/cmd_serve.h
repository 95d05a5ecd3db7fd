/*
 * cmd_serve: `sluice serve`, the service itself.
 */
#ifndef API_CMD_SERVE_H
#define API_CMD_SERVE_H

int cmd_serve(int argc, char **argv);

#endif
