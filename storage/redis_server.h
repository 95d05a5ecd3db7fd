/*
 * redis_server: the embedded redis-server, started and supervised by us.
 *
 * Used when redis.url is empty. The server listens on DATA_DIR/redis.sock (mode 0700
 * directory, no TCP port), with appendonly yes, appendfsync everysec (or always) and
 * maxmemory-policy noeviction, and its configuration is passed on standard input, so
 * that no file with a predictable name is read. When it dies it is started again:
 * at once, then after 100 ms doubling to 5 s while it keeps dying within 10 s.
 * It is stopped last, by SIGTERM, and waited for. It also ends when we die without a
 * word (PR_SET_PDEATHSIG is NOT used: a killed service leaves Redis to its restart,
 * which finds the living server by its socket and pid file and adopts it).
 *
 *   threads    one event loop; SIGCHLD is taken through it.
 */
#ifndef STORAGE_REDIS_SERVER_H
#define STORAGE_REDIS_SERVER_H

#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct event_base;
struct redis_server;

struct redis_server_options {
    const char *data_dir; /* created 0700 when missing; must be ours */
    const char *binary;   /* NULL: redis-server from PATH */
    bool fsync_always;    /* appendfsync always instead of everysec */
};

/* Starts it (or adopts a living one of the same data_dir) and waits, before the loop
 * runs, at most 10 s until it answers PING. NULL with the reason in e: not installed,
 * directory not writable, locked by another instance, its last log lines. */
struct redis_server *redis_server_start(struct event_base *base,
                                        const struct redis_server_options *options,
                                        struct error *e);
/* unix://… for redis_address_parse(). Valid as long as the server is. */
const char *redis_server_url(const struct redis_server *s);
pid_t redis_server_pid(const struct redis_server *s);
/* SIGTERM, wait up to 10 s (SIGKILL after), free. Accepts NULL. */
void redis_server_stop(struct redis_server *s);

#endif
