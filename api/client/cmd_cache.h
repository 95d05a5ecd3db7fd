/*
 * cmd_cache: `sluice cache`, the kept answers of a running service.
 */
#ifndef API_CLIENT_CMD_CACHE_H
#define API_CLIENT_CMD_CACHE_H

int cmd_cache(int argc, char **argv);

#endif
