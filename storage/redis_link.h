/*
 * redis_link: Redis as the rest of Sluice knows it, whatever stands behind the URL.
 *
 *   redis://, unix://    one connection; a command costs one comparison more than without
 *   redis+sentinel://    one connection, to the server that the sentinels call the master; it is
 *                        made anew when they call another one, or when it says that it is none
 *   redis+cluster://     redis_cluster: a connection to each master
 *
 * Everything said of redis_conn holds: every command is answered exactly once, REDIS_DOWN when it
 * did not run, REDIS_LOST when it may have.
 *
 *   ownership  opaque; the address is copied.
 *   threads    one event loop.
 */
#ifndef STORAGE_REDIS_LINK_H
#define STORAGE_REDIS_LINK_H

#include "storage/redis_conn.h"

struct redis_link;

struct redis_link *redis_link_new(struct event_base *base, const struct redis_address *address,
                                  redis_state_fn on_state, void *arg, struct error *e);
/* One that listens to channels and takes no commands. In a cluster it is connected to any node, as
 * each gets what is published on any other, and to another one when that is lost. */
struct redis_link *redis_link_subscriber(struct event_base *base,
                                         const struct redis_address *address,
                                         redis_state_fn on_state, void *arg, struct error *e);
void redis_link_free(struct redis_link *l); /* as redis_conn_free() */

bool redis_link_is_up(const struct redis_link *l);
size_t redis_link_pending(const struct redis_link *l);
bool redis_link_is_cluster(const struct redis_link *l);

/* In a cluster it goes to the node of its first key; all its keys must be of one slot. */
void redis_link_command(struct redis_link *l, const struct redis_args *args, int deadline_ms,
                        redis_reply_fn fn, void *arg);
void redis_link_refuse(struct redis_link *l, enum redis_status status, redis_reply_fn fn,
                       void *arg);

/* Every master that is connected, for what each must be told: at = 0, 1, ... until NULL. Of a link
 * that is down it gives one, which refuses. Valid until the next turn of the loop. */
struct redis_conn *redis_link_master(const struct redis_link *l, size_t at);

/* Inside of an answer: stands for the connection it came over, until that ends. 0: none. */
uint64_t redis_link_stamp(const struct redis_link *l);
/* Over that connection and no other: REDIS_LOST when it has ended. */
void redis_link_command_at(struct redis_link *l, uint64_t stamp, const struct redis_args *args,
                           int deadline_ms, redis_reply_fn fn, void *arg);

/* Of a subscriber; see redis_conn.h. */
void redis_link_on_message(struct redis_link *l, redis_message_fn fn, void *arg);
int redis_link_subscribe(struct redis_link *l, const char *channel) MUST_CHECK;
void redis_link_unsubscribe(struct redis_link *l, const char *channel);

/* The one connection of a link that is no cluster's. */
struct redis_conn *redis_link_conn(const struct redis_link *l);

#endif
