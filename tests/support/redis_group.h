/*
 * redis_group: several redis-servers on loopback ports that work together: a master with replicas
 * and a sentinel, or a cluster.
 *
 *   ownership  the caller's structs; redis_node_stop() for each that was started.
 *   errors     0 or -1, with the reason on stderr. Every call waits until what it promises is so.
 */
#ifndef TESTS_SUPPORT_REDIS_GROUP_H
#define TESTS_SUPPORT_REDIS_GROUP_H

#include "tests/support/redis_fixture.h"

#include <stddef.h>

struct redis_node {
    struct redis_fixture redis; /* and on 127.0.0.1: */
    int port;
};

int redis_free_port(void); /* nobody listened there a moment ago */
int redis_node_start(struct redis_node *n, const char *config);
void redis_node_stop(struct redis_node *n); /* idempotent; of a zeroed struct nothing */

/* A replica whose link to the master is up. */
int redis_replica_start(struct redis_node *n, const struct redis_node *master, const char *config);
/* A sentinel with quorum 1 that knows the master "main" and its replicas (count of them). */
int redis_sentinel_start(struct redis_node *n, const struct redis_node *master, int replicas);

/* Slots in equal parts; each node knows all. */
int redis_cluster_start(struct redis_node *nodes, size_t count, const char *config);
/* nodes[count] becomes one more, without slots. */
int redis_cluster_join(struct redis_node *nodes, size_t count, const char *config);
/* The node that serves the slot, by its own word; count when none does. */
size_t redis_cluster_owner(struct redis_node *nodes, size_t count, int slot);
/* Makes the slot ready to move, moves at most `most` keys of it, and says how many were left
 * behind; with none left it gives the slot to its new node. */
int redis_cluster_begin_move(struct redis_node *from, struct redis_node *to, int slot);
int64_t redis_cluster_move_keys(struct redis_node *from, struct redis_node *to, int slot, int most);
int redis_cluster_end_move(struct redis_node *nodes, size_t count, struct redis_node *to, int slot);

#endif
