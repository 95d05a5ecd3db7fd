/*
 * cmd_submit: `sluice submit`: gives jobs to a running service, and waits for them if asked to.
 */
#ifndef API_CLIENT_CMD_SUBMIT_H
#define API_CLIENT_CMD_SUBMIT_H

/* argv[0] is "submit". The exit code: 0; 1 when anything failed; 2 usage. */
int cmd_submit(int argc, char **argv);

#endif
