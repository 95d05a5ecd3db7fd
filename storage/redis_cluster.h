/*
 * redis_cluster: commands to the nodes of a Redis Cluster, each to the one that serves its key.
 *
 * One connection to every master; the map of slots is asked of any of them (CLUSTER SLOTS) when
 * it may have changed and every CLUSTER_LOOK_MS. A command is copied, so that it can be sent on:
 *
 *   MOVED        the map is mended and the command repeated there
 *   ASK          repeated there behind ASKING, the map stays
 *   TRYAGAIN, CLUSTERDOWN, or a node whose first connection is under way
 *                held and repeated until its deadline; then it is answered REDIS_TRYAGAIN,
 *                REDIS_SPLIT or REDIS_DOWN
 *   anything else is the answer
 *
 * Held commands of a slot keep their order, and new ones of that slot are held behind them.
 *
 * A script reads keys that it does not declare, all under one hash tag. While their slot moves
 * from node to node they are on both, and Redis would run it on a part of them. Therefore a call
 * of a script on a cluster declares a second key of the tag that never exists (redis_script): with
 * that Redis answers TRYAGAIN for as long as the slot is on its way, and the script runs on the
 * whole or not at all.
 *
 * The cluster is up when its map is known and every master in it is connected, as with one
 * server, and down as soon as one of them is lost: a pool must not be taken for empty because its
 * node is away.
 *
 *   ownership  opaque.
 *   threads    one event loop.
 *   limits     REDIS_MAX_NODES; copies of commands of REDIS_MAX_QUEUED_BYTES.
 *   traps      nodes must announce IP addresses: names cannot be resolved on the loop.
 */
#ifndef STORAGE_REDIS_CLUSTER_H
#define STORAGE_REDIS_CLUSTER_H

#include "storage/redis_conn.h"

#define CLUSTER_LOOK_MS 10000

struct redis_cluster;

struct redis_cluster *redis_cluster_new(struct event_base *base,
                                        const struct redis_address *address,
                                        redis_state_fn on_state, void *arg, struct error *e);
void redis_cluster_free(struct redis_cluster *c); /* as redis_conn_free() */
bool redis_cluster_is_up(const struct redis_cluster *c);
size_t redis_cluster_pending(const struct redis_cluster *c);

/* As redis_command() and redis_refuse(). */
void redis_cluster_command(struct redis_cluster *c, const struct redis_args *args, int deadline_ms,
                           redis_reply_fn fn, void *arg);
void redis_cluster_refuse(struct redis_cluster *c, enum redis_status status, redis_reply_fn fn,
                          void *arg);

/* The masters, 0..masters-1; the numbering holds until the next turn of the loop. Valid until the
 * next turn. NULL past the end. */
struct redis_conn *redis_cluster_master(const struct redis_cluster *c, size_t at);

/* Inside of an answer: the connection it came over. */
struct redis_conn *redis_cluster_answering(const struct redis_cluster *c);
/* The connection with this number among all, also of nodes that are masters no more. */
struct redis_conn *redis_cluster_conn(const struct redis_cluster *c, size_t number);
size_t redis_cluster_number(const struct redis_cluster *c, const struct redis_conn *conn);

#endif
