/*
 * redis_conn: one asynchronous connection to Redis that always answers.
 *
 * Commands are pipelined over one connection. Every command is answered exactly
 * once, in order, by its reply or by a reason; never before redis_command() has
 * returned. Whatever ends a connection (error, deadline, close) passes through one
 * function, which answers all that was pending with REDIS_LOST: the command may or
 * may not have run. While down, commands are answered REDIS_DOWN: they did not run.
 * Reconnection is automatic: backoff 50 ms doubling to 5 s with full jitter.
 *
 *   units      milliseconds
 *   ownership  the connection is opaque; arguments are copied before return.
 *   threads    one event loop.
 *   limits     REDIS_MAX_PENDING commands; one more is answered REDIS_BUSY_LOCAL.
 *   traps      hiredis 0.14: no timeouts of its own, blocking DNS (so a host name
 *              is resolved once at start, before the loop), see its issues 371, 39.
 */
#ifndef STORAGE_REDIS_CONN_H
#define STORAGE_REDIS_CONN_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct redisReply;
struct redis_conn;

/* What became of a command. Typed, since each asks for another reaction. */
enum redis_status {
    REDIS_OK,
    REDIS_DOWN,       /* not connected: the command did not run */
    REDIS_LOST,       /* connection or deadline lost: it may have run */
    REDIS_BUSY_LOCAL, /* REDIS_MAX_PENDING reached here: it did not run */
    REDIS_NOSCRIPT,   /* EVALSHA of a script that the server does not hold */
    REDIS_OOM,        /* maxmemory reached */
    REDIS_READONLY,   /* a replica, or too few replicas */
    REDIS_LOADING,
    REDIS_BUSY,    /* a script blocks the server */
    REDIS_MISCONF, /* cannot persist to disk */
    REDIS_DENIED,  /* NOAUTH, WRONGPASS, NOPERM */
    REDIS_MOVED,   /* cluster: MOVED or ASK, text in the reply */
    REDIS_ERROR,   /* any other error reply */
};
const char *redis_status_name(enum redis_status s);

/* Where Redis is. host is an address or a name; a socket path wins over both. */
struct redis_address {
    char path[108];
    char host[256];
    int port;
    int db;
    char user[64];
    char password[256]; /* secret: no serializer, no log line knows it */
};

/* redis://[user:pass@]host:port/db or unix://path[?db=n]. -EINVAL with a message
 * that names the part which is wrong, never the password. */
int redis_address_parse(const char *url, struct redis_address *ret, struct error *e) MUST_CHECK;

/* reply is NULL unless status is REDIS_OK or an error reply; borrowed. */
typedef void (*redis_reply_fn)(void *arg, enum redis_status status, const struct redisReply *reply);
/* Told each time the connection becomes ready (after AUTH and SELECT) or is lost. */
typedef void (*redis_state_fn)(void *arg, bool up, const char *reason);
/* A published message; all borrowed. */
typedef void (*redis_message_fn)(void *arg, const char *channel, const char *payload, size_t len);

/* Starts connecting. NULL with *e set on no memory or an address that cannot be
 * resolved. on_state may be NULL. */
struct redis_conn *redis_conn_new(struct event_base *base, const struct redis_address *address,
                                  redis_state_fn on_state, void *arg, struct error *e);
/* Answers what is pending with REDIS_LOST, then frees. Not from inside a callback. */
void redis_conn_free(struct redis_conn *c);

bool redis_conn_is_up(const struct redis_conn *c);
size_t redis_conn_pending(const struct redis_conn *c);

/* argv[i] of lens[i] bytes. fn may be NULL when nobody waits for the answer.
 * deadline_ms counts from now; when it passes, the whole connection is dropped, as a
 * reply that is late would be taken for the next command's. */
void redis_command(struct redis_conn *c, int argc, const char *const *argv, const size_t *lens,
                   int deadline_ms, redis_reply_fn fn, void *arg);

/* Turns this connection into a subscriber (it takes no commands then). Subscriptions
 * are kept over reconnects. on_message is set once, before the first. */
void redis_conn_on_message(struct redis_conn *c, redis_message_fn fn, void *arg);
void redis_subscribe(struct redis_conn *c, const char *channel);
void redis_unsubscribe(struct redis_conn *c, const char *channel);

#endif
