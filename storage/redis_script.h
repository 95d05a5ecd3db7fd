/*
 * redis_script: the embedded Lua scripts, called by name.
 *
 * A script's text is lib.lua followed by its own file (lua/NAME.lua); its SHA-1 is
 * computed at start. A call is EVALSHA; on NOSCRIPT (restart, failover, SCRIPT FLUSH)
 * the script is loaded and the call repeated once, behind the load's answer and not
 * pipelined with it.
 *
 *   ownership  struct redis_scripts is opaque; the connection is kept.
 *   threads    one event loop.
 */
#ifndef STORAGE_REDIS_SCRIPT_H
#define STORAGE_REDIS_SCRIPT_H

#include "storage/redis_conn.h"

enum script {
    SCRIPT_CONFIGURE,
    SCRIPT_SUBMIT,
    SCRIPT_DISPATCH,
    SCRIPT_SETTLE,
    SCRIPT_CANCEL,
    SCRIPT_REAP,
    SCRIPT_HEARTBEAT,
    SCRIPT_PEEK,
    SCRIPT_COUNT,
};

struct redis_scripts;

struct redis_scripts *redis_scripts_new(struct redis_conn *c);
void redis_scripts_free(struct redis_scripts *s);

/* The whole text that is sent, for tests that substitute the clock. Static storage. */
const char *redis_script_text(enum script which);
const char *redis_script_name(enum script which);

/* keys first (nkeys of argc), as EVALSHA wants them. Answered as redis_command(). */
void redis_script_call(struct redis_scripts *s, enum script which, int nkeys, int argc,
                       const char *const *argv, const size_t *lens, int deadline_ms,
                       redis_reply_fn fn, void *arg);

#endif
