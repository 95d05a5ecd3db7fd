/*
 * redis_process: one redis-server process: started, found, asked, ended.
 *
 * The mechanics below redis_server, which decides when. Everything here blocks shortly.
 *
 *   ownership  the caller owns the struct; redis_process_release() closes the pidfd and
 *              leaves the process alone.
 *   threads    none.
 */
#ifndef STORAGE_REDIS_PROCESS_H
#define STORAGE_REDIS_PROCESS_H

#include "common/error.h"
#include "storage/redis_address.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct redis_process_options {
    char dir[PATH_MAX]; /* absolute */
    char socket[REDIS_PATH_BYTES];
    char log[PATH_MAX];
    const char *binary;
    bool fsync_always;
};

struct redis_process {
    pid_t pid; /* 0: none */
    int pidfd; /* readable when the process has ended; -1: none */
    bool is_child;
};

/* 0, or a negative errno with the reason. The server may not listen yet. */
int redis_process_spawn(struct redis_process *p, const struct redis_process_options *o,
                        struct error *e) MUST_CHECK;
/* Takes over the process that listens on the socket: 1; 0 when nobody does; a negative errno
 * with the reason when somebody does who is not ours. */
int redis_process_adopt(struct redis_process *p, const struct redis_process_options *o,
                        struct error *e) MUST_CHECK;
/* Until it answers PING, or loads when the time is over. -ETIMEDOUT; -ECHILD when it ended,
 * with its last log lines. */
int redis_process_wait_ready(struct redis_process *p, const struct redis_process_options *o,
                             int timeout_ms, struct error *e) MUST_CHECK;
/* SIGTERM, SIGKILL after timeout_ms, collected. */
void redis_process_end(struct redis_process *p, int timeout_ms);
/* After pidfd became readable: collects a child and says how it ended ("signal 9"). */
void redis_process_collect(struct redis_process *p, char *ret_how, size_t room);
void redis_process_release(struct redis_process *p);

#endif
