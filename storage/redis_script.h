/*
 * redis_script: the embedded Lua scripts, called by name.
 *
 * A script's text is lua/{lib,queue,eta}.lua and its own lua/NAME.lua, joined by the build;
 * its SHA-1 is computed at start. A call is EVALSHA; on NOSCRIPT (restart, failover, SCRIPT
 * FLUSH) the script is loaded and the call repeated once, behind the load's answer and not
 * pipelined with it: EVALSHA after a LOAD that fails would only fail again. All calls of a
 * script that meet NOSCRIPT together share one load. A call whose load failed did not run,
 * so it is answered with the load's error, or with REDIS_DOWN when the load was lost.
 *
 * In a cluster the script is loaded into every master, and a call is repeated up to three times:
 * its slot may meanwhile be on a node that has just joined. Every call declares one more key
 * there, SCRIPT_GUARD behind the first; see redis_cluster.h for why.
 *
 *   ownership  struct redis_scripts is opaque; the link is kept: it must live as long
 *              as calls are made. Either may be freed first.
 *   threads    one event loop.
 *   limits     copies of arguments are kept until the answer (for the repetition), at most
 *              REDIS_MAX_QUEUED_BYTES; past it a call is answered REDIS_BUSY_LOCAL.
 */
#ifndef STORAGE_REDIS_SCRIPT_H
#define STORAGE_REDIS_SCRIPT_H

#include "storage/redis_latency.h"
#include "storage/redis_link.h"

enum script {
    SCRIPT_CONFIGURE,
    SCRIPT_SUBMIT,
    SCRIPT_DISPATCH,
    SCRIPT_SETTLE,
    SCRIPT_CANCEL,
    SCRIPT_REAP,
    SCRIPT_HEARTBEAT,
    SCRIPT_PEEK,
    SCRIPT_CHARGE,
    SCRIPT_ACCRUE,
    SCRIPT_SESSION_BEGIN,
    SCRIPT_SESSION_COMMIT,
    SCRIPT_SESSION_END,
    SCRIPT_SESSION_READ,
    SCRIPT_PERMIT,
    SCRIPT_PROBE,
    SCRIPT_GROUP,
    SCRIPT_RIDE,
    SCRIPT_WEBHOOK,
    SCRIPT_WEBHOOK_OWED,
    SCRIPT_HISTORY,
    SCRIPT_TALLY,
    SCRIPT_COST,
    SCRIPT_SETTINGS,
    SCRIPT_COUNT,
};

#define SCRIPT_GUARD "-" /* no key of ours ends so */

struct redis_scripts;

/* NULL on no memory. */
struct redis_scripts *redis_scripts_new(struct redis_link *link);
/* Calls without an answer are answered REDIS_LOST. Not from inside a callback. Accepts NULL. */
void redis_scripts_free(struct redis_scripts *s);

/* The whole text that is sent, for tests that substitute the clock. Static storage. */
const char *redis_script_text(enum script which);
const char *redis_script_name(enum script which);

/* Of calls that were answered by their reply, a load of the script included. */
const struct redis_latency *redis_scripts_latency(const struct redis_scripts *s);

struct script_call {
    enum script which;
    int nkeys;              /* how many of the arguments are keys; they come first */
    struct redis_args args; /* copied before return */
    int deadline_ms;        /* spans the load and the repetition too */
};

/* Answered as redis_command(). */
void redis_script_call(struct redis_scripts *s, const struct script_call *what, redis_reply_fn fn,
                       void *arg);

#endif
