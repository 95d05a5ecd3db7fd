/*
 * cmd_trim: `sluice trim`, what trimming makes of a request.
 */
#ifndef API_CMD_TRIM_H
#define API_CMD_TRIM_H

int cmd_trim(int argc, char **argv);

#endif
