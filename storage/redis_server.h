/*
 * redis_server: the embedded redis-server, started and supervised by us.
 *
 * Used when redis.url is empty. The server listens on DATA_DIR/redis.sock (mode 0700, no
 * TCP port), with appendonly yes, appendfsync everysec (or always) and maxmemory-policy
 * noeviction. Its configuration is passed on standard input, so that no file with a
 * predictable name is read; its files are readable by us only. When it dies it is started
 * again: at once, then after 100 ms doubling to 5 s while it keeps dying within 10 s.
 *
 * One living instance owns a data_dir: it holds a lock (flock) on DATA_DIR/sluice.lock,
 * which the kernel drops with it. When it is killed without a word, its server lives on
 * (PR_SET_PDEATHSIG is not used) and is adopted by the next instance, which finds it by the
 * socket: whoever listens there is the server, and the kernel knows its pid.
 *
 * Its end is noticed by a pidfd and not by SIGCHLD: an adopted server is no child of ours,
 * and other children of the process keep their own supervision. Linux 5.3.
 *
 *   ownership  opaque. Options are copied.
 *   threads    one event loop.
 *   blocking   redis_server_start() and redis_server_stop() wait, so they belong before
 *              and after the loop.
 */
#ifndef STORAGE_REDIS_SERVER_H
#define STORAGE_REDIS_SERVER_H

#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct event_base;
struct redis_server;

struct redis_server_options {
    const char *data_dir; /* created 0700 when missing; must be ours; short enough for a
                             socket path: at most 96 bytes when absolute */
    const char *binary;   /* NULL: redis-server from PATH */
    bool fsync_always;    /* appendfsync always instead of everysec */
};

/* Starts it (or adopts a living one of the same data_dir) and waits at most 10 s until it
 * answers PING; a server that still loads its files by then counts as started. NULL with
 * the reason in e: not installed, directory not writable, locked by another instance, its
 * last log lines. */
struct redis_server *redis_server_start(struct event_base *base,
                                        const struct redis_server_options *options,
                                        struct error *e);
/* unix://… for redis_address_parse(). Valid as long as the server is. */
const char *redis_server_url(const struct redis_server *s);
pid_t redis_server_pid(const struct redis_server *s); /* 0 between its death and its restart */
bool redis_server_adopted(const struct redis_server *s);
/* SIGTERM, wait up to 10 s (SIGKILL after), free. Accepts NULL. */
void redis_server_stop(struct redis_server *s);

#endif
