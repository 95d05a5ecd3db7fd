/*
 * supervisor: `sluice serve --workers N`: N processes on one port, and what keeps them alive.
 *
 * Each worker is this program again, a whole service with a loop of its own; the kernel spreads
 * connections over them (SO_REUSEPORT), and they share nothing but Redis, as machines would. The
 * supervisor owns the embedded Redis, holds the port, starts a worker again when it dies (at once,
 * then after 100 ms doubling to 5 s while it keeps dying within 10 s), and passes signals on:
 * SIGTERM drains all, a second one stops them now, SIGHUP reloads all when the file is right.
 * When the supervisor dies without a word, its workers get SIGTERM from the kernel and drain.
 *
 *   threads  one event loop; workers are reaped by their pids only.
 */
#ifndef API_SUPERVISOR_H
#define API_SUPERVISOR_H

#include "api/service.h"

#define SUPERVISOR_MAX_WORKERS 64

/* Runs until every worker has ended; the exit code. config is given. */
int supervisor_run(const struct service_options *options, struct config *config, int workers);

#endif
