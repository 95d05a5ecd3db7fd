/*
 * redis_conn: one asynchronous connection to Redis that always answers.
 *
 *            retry timer          connected           AUTH, SELECT, PING, SUBSCRIBE
 *     DOWN -------------> CONNECTING -------> HANDSHAKE -------> READY
 *       ^                     |                   |                |
 *       +---------------------+---- conn_lost() --+----------------+
 *
 * Commands are pipelined over one connection. Every command is answered exactly once: by
 * its reply, in the order of the commands, or by a reason. Whatever ends a connection
 * (error, deadline, close) passes through one function, which answers all that was pending
 * with REDIS_LOST: the command may or may not have run. While down, commands are answered
 * REDIS_DOWN: they did not run. Such a refusal is told at the next turn of the loop, ahead
 * of commands that still wait for Redis.
 *
 * No answer comes before redis_command() has returned, with one exception that keeps an
 * answer from being lost: when REDIS_MAX_PENDING refusals already wait for the next turn of
 * the loop, a further one is told at once.
 *
 * Reconnection is automatic: full jitter below 50 ms, doubling to 5 s. An idle connection
 * is asked PING every REDIS_PING_EVERY_MS, so that a peer that vanished is noticed.
 *
 *   units      milliseconds
 *   ownership  the connection is opaque; arguments are copied before return.
 *   threads    one event loop.
 *   limits     REDIS_MAX_PENDING commands and REDIS_MAX_QUEUED_BYTES of unsent commands;
 *              one more is answered REDIS_BUSY_LOCAL. A reply of more than
 *              REDIS_MAX_REPLY_BYTES ends the connection. REDIS_MAX_CHANNELS.
 *   traps      names are resolved once at start, before the loop, since that blocks.
 */
#ifndef STORAGE_REDIS_CONN_H
#define STORAGE_REDIS_CONN_H

#include "common/error.h"
#include "storage/redis_address.h"
#include "storage/redis_args.h"
#include "storage/redis_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIS_PING_EVERY_MS       5000
#define REDIS_INTERNAL_TIMEOUT_MS 2000 /* connecting, AUTH, SELECT, SUBSCRIBE, PING */

struct event_base;
struct redisReply;
struct redis_conn;

/* reply is NULL unless status is REDIS_OK or an error reply; borrowed. */
typedef void (*redis_reply_fn)(void *arg, enum redis_status status, const struct redisReply *reply);
/* Told each time the connection becomes ready (after AUTH and SELECT, and after all of a
 * subscriber's channels) or is lost; also when an attempt fails for another reason than the
 * last one told. reason is one sentence without secrets, "" when up. */
typedef void (*redis_state_fn)(void *arg, bool up, const char *reason);
/* A published message; all borrowed. */
typedef void (*redis_message_fn)(void *arg, const char *channel, const char *payload, size_t len);

/* Starts connecting, at the next turn of the loop; with an address of no place, when it is given
 * one. With several places (of a cluster) each attempt takes the next one. NULL with *e set on no
 * memory or an address that cannot be resolved. on_state may be NULL. */
struct redis_conn *redis_conn_new(struct event_base *base, const struct redis_address *address,
                                  redis_state_fn on_state, void *arg, struct error *e);
/* Answers what is pending with REDIS_LOST, then frees. Commands that these answers send are
 * answered REDIS_DOWN before the return. Not from inside a callback. Accepts NULL. */
void redis_conn_free(struct redis_conn *c);

/* Another server from now on: what is pending at the old one is answered REDIS_LOST. 0, also when
 * it is the one; -EINVAL when the host is no IP address, since names would block. */
int redis_conn_retarget(struct redis_conn *c, const struct redis_place *place) MUST_CHECK;

/* Grows with each connection that becomes ready; 0 while there is none: two answers with the same
 * number came over the same one. */
uint64_t redis_conn_generation(const struct redis_conn *c);
bool redis_conn_is_up(const struct redis_conn *c);
size_t redis_conn_pending(const struct redis_conn *c); /* commands not yet answered */

/* fn may be NULL when nobody waits for the answer. deadline_ms (at least 1) counts from now;
 * when it passes, the whole connection is dropped, as a reply that is late would be taken
 * for the next command's. */
void redis_command(struct redis_conn *c, const struct redis_args *args, int deadline_ms,
                   redis_reply_fn fn, void *arg);

/* Answers fn with status at the next turn, as a refused redis_command() is: for layers
 * above that refuse a call themselves and keep the promise of this one. */
void redis_refuse(struct redis_conn *c, enum redis_status status, redis_reply_fn fn, void *arg);

/* Turns this connection into a subscriber (it takes no commands then: REDIS_DOWN). Set once,
 * before the first redis_subscribe(). fn may subscribe and unsubscribe. */
void redis_conn_on_message(struct redis_conn *c, redis_message_fn fn, void *arg);
/* Kept over reconnects. 0, also when subscribed already; -ENOMEM; -ENOSPC past
 * REDIS_MAX_CHANNELS. A channel that Redis refuses ends the connection, with the reason told
 * to on_state. */
int redis_subscribe(struct redis_conn *c, const char *channel) MUST_CHECK;
void redis_unsubscribe(struct redis_conn *c, const char *channel);

#endif
