/*
 * redis_status: what became of a command, as a type.
 *
 * Each value asks for another reaction, so callers switch on it and never compare the
 * texts of Redis. The first three are reasons of our own: there is no reply then.
 *
 *   threads  none; pure.
 */
#ifndef STORAGE_REDIS_STATUS_H
#define STORAGE_REDIS_STATUS_H

#include <stdbool.h>
#include <stddef.h>

enum redis_status {
    REDIS_OK,
    REDIS_DOWN,       /* not connected: the command did not run */
    REDIS_LOST,       /* connection or deadline lost: it may have run */
    REDIS_BUSY_LOCAL, /* a maximum of ours was reached: it did not run */
    REDIS_NOSCRIPT,   /* EVALSHA of a script that the server does not hold */
    REDIS_OOM,        /* maxmemory reached */
    REDIS_READONLY,   /* a replica, or too few replicas */
    REDIS_LOADING,    /* the server still reads its files */
    REDIS_BUSY,       /* a script blocks the server */
    REDIS_MISCONF,    /* cannot persist to disk */
    REDIS_DENIED,     /* NOAUTH, WRONGPASS, NOPERM */
    REDIS_MOVED,      /* cluster: MOVED or ASK, text in the reply */
    REDIS_TRYAGAIN,   /* cluster: the keys of the command are on two nodes at the moment */
    REDIS_SPLIT,      /* cluster: CLUSTERDOWN, nobody serves the slot */
    REDIS_ERROR,      /* any other error reply */
    REDIS_STATUS_COUNT,
};

/* Whether it passes by itself within moments, so that a submit of the same id is worth repeating.
 */
bool redis_status_passes(enum redis_status s);
/* Lower case with underscores, for logs and metrics; "?" for a value that is none. */
const char *redis_status_name(enum redis_status s);

/* The type of an error reply: by its first word, or, as Redis before 7.0 wraps the errors
 * of commands inside scripts, by the word behind the last ": -". */
enum redis_status redis_status_of_error(const char *text);

#endif
