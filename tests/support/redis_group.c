#include "tests/support/redis_group.h"

#include "common/clock.h"
#include "storage/redis_protocol.h"
#include "storage/redis_reply.h"
#include "storage/redis_slots.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS      20000
#define MOST_KEYS    64
#define CONFIG_BYTES 1024

int redis_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
        getsockname(fd, (struct sockaddr *)&at, &len) == 0)
        port = ntohs(at.sin_port);
    if (fd >= 0)
        (void)close(fd);
    return port;
}

static int complain(const char *what)
{
    (void)fprintf(stderr, "redis_group: %s\n", what);
    return -1;
}

int redis_node_start(struct redis_node *n, const char *config)
{
    char text[CONFIG_BYTES];
    n->port = redis_free_port();
    (void)snprintf(text, sizeof(text), "bind 127.0.0.1\nport %d\n%s\n", n->port,
                   config ? config : "");
    return n->port < 0 ? complain("no free port") : redis_fixture_start(&n->redis, text);
}

void redis_node_stop(struct redis_node *n)
{
    redis_fixture_stop(&n->redis);
}

/* Until ask() is true. */
static int wait_until(bool (*ask)(void *), void *arg, const char *what)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (!ask(arg)) {
        if (clock_mono_ms() > until_ms)
            return complain(what);
        (void)usleep(5000);
    }
    return 0;
}

static bool answers_with(struct redis_node *n, const char *text, const struct redis_args *args)
{
    struct redisReply *reply = redis_fixture_ask(&n->redis, args);
    const char *got = reply_text(reply, NULL);
    bool found = got && strstr(got, text);
    redis_reply_free(reply);
    return found;
}

static bool is_in_step(void *arg)
{
    return answers_with(arg, "master_link_status:up", REDIS_ARGS("INFO", "replication"));
}

int redis_replica_start(struct redis_node *n, const struct redis_node *master, const char *config)
{
    char text[CONFIG_BYTES];
    (void)snprintf(text, sizeof(text), "replicaof 127.0.0.1 %d\nrepl-diskless-sync-delay 0\n%s",
                   master->port, config ? config : "");
    return redis_node_start(n, text) ? -1 : wait_until(is_in_step, n, "the replica has no master");
}

struct sentinel_wait {
    struct redis_node *sentinel;
    size_t replicas;
};

/* It takes over from none that it has not asked itself. */
static bool knows_all(void *arg)
{
    struct sentinel_wait *w = arg;
    struct redisReply *reply =
        redis_fixture_ask(&w->sentinel->redis, REDIS_ARGS("SENTINEL", "REPLICAS", "main"));
    size_t good = 0;
    for (size_t i = 0; i < reply_count(reply); i++) {
        const struct redisReply *replica = reply_at(reply, i);
        const char *link = reply_text(reply_field(replica, "master-link-status"), NULL);
        const char *flags = reply_text(reply_field(replica, "flags"), NULL);
        good += link && flags && strcmp(link, "ok") == 0 && strcmp(flags, "slave") == 0;
    }
    redis_reply_free(reply);
    return good >= w->replicas;
}

int redis_sentinel_start(struct redis_node *n, const struct redis_node *master, int replicas)
{
    char text[CONFIG_BYTES];
    struct sentinel_wait w = {n, (size_t)replicas};
    (void)snprintf(text, sizeof(text),
                   "sentinel monitor main 127.0.0.1 %d 1\n"
                   "sentinel down-after-milliseconds main 500\n"
                   "sentinel failover-timeout main 3000\n",
                   master->port);
    return redis_node_start(n, text) ? -1 : wait_until(knows_all, &w, "the sentinel is alone");
}

static int ok(struct redis_node *n, const struct redis_args *args)
{
    struct redisReply *reply = redis_fixture_ask(&n->redis, args);
    const char *text = reply_text(reply, NULL), *why = reply_error(reply);
    bool good = text && strcmp(text, "OK") == 0;
    if (!good)
        (void)fprintf(stderr, "redis_group: %s %s: %s\n", args->argv[0], args->argv[1],
                      why ? why : "no answer");
    redis_reply_free(reply);
    return good ? 0 : -1;
}

struct cluster_wait {
    struct redis_node *nodes;
    size_t count;
};

static bool is_formed(void *arg)
{
    struct cluster_wait *w = arg;
    char known[32];
    (void)snprintf(known, sizeof(known), "cluster_known_nodes:%zu\r", w->count);
    for (size_t i = 0; i < w->count; i++) {
        if (!answers_with(&w->nodes[i], "cluster_state:ok", REDIS_ARGS("CLUSTER", "INFO")) ||
            !answers_with(&w->nodes[i], known, REDIS_ARGS("CLUSTER", "INFO")) ||
            answers_with(&w->nodes[i], "handshake", REDIS_ARGS("CLUSTER", "NODES")))
            return false;
    }
    return true;
}

/* The first one waits to be met. */
static int start_cluster_node(struct redis_node *nodes, size_t at, const char *config)
{
    struct redis_node *n = &nodes[at];
    char text[CONFIG_BYTES], epoch[16], port[16], bus[16];
    int bus_port = redis_free_port();
    (void)snprintf(text, sizeof(text),
                   "cluster-enabled yes\ncluster-port %d\ncluster-node-timeout 2000\n"
                   "cluster-allow-replica-migration no\n%s",
                   bus_port, config ? config : "");
    if (redis_node_start(n, text))
        return -1;
    (void)snprintf(epoch, sizeof(epoch), "%zu", at + 1);
    (void)snprintf(port, sizeof(port), "%d", n->port);
    (void)snprintf(bus, sizeof(bus), "%d", bus_port);
    if (ok(n, REDIS_ARGS("CLUSTER", "SET-CONFIG-EPOCH", epoch)))
        return -1;
    return at == 0 ? 0 : ok(nodes, REDIS_ARGS("CLUSTER", "MEET", "127.0.0.1", port, bus));
}

static int give_slots(struct redis_node *n, size_t at, size_t count)
{
    char first[16], last[16];
    (void)snprintf(first, sizeof(first), "%zu", at * REDIS_SLOTS / count);
    (void)snprintf(last, sizeof(last), "%zu", (at + 1) * REDIS_SLOTS / count - 1);
    return ok(n, REDIS_ARGS("CLUSTER", "ADDSLOTSRANGE", first, last));
}

int redis_cluster_start(struct redis_node *nodes, size_t count, const char *config)
{
    struct cluster_wait w = {nodes, count};
    for (size_t i = 0; i < count; i++)
        if (start_cluster_node(nodes, i, config) || give_slots(&nodes[i], i, count))
            return -1;
    return wait_until(is_formed, &w, "the cluster is not formed");
}

int redis_cluster_join(struct redis_node *nodes, size_t count, const char *config)
{
    struct cluster_wait w = {nodes, count + 1};
    return start_cluster_node(nodes, count, config)
               ? -1
               : wait_until(is_formed, &w, "the new node was not taken in");
}

static bool node_id(struct redis_node *n, char *ret, size_t room)
{
    struct redisReply *reply = redis_fixture_ask(&n->redis, REDIS_ARGS("CLUSTER", "MYID"));
    const char *id = reply_text(reply, NULL);
    (void)snprintf(ret, room, "%s", id ? id : "");
    redis_reply_free(reply);
    return *ret != '\0';
}

struct owned {
    const struct redis_node *node;
    int slot;
    bool found;
};

static void on_range(void *arg, int first, int last, const struct redis_place *master)
{
    struct owned *o = arg;
    o->found = o->found || (o->slot >= first && o->slot <= last && master->port == o->node->port);
}

size_t redis_cluster_owner(struct redis_node *nodes, size_t count, int slot)
{
    size_t i = 0;
    for (; i < count; i++) {
        struct owned o = {&nodes[i], slot, false};
        struct redisReply *reply =
            redis_fixture_ask(&nodes[i].redis, REDIS_ARGS("CLUSTER", "SLOTS"));
        redis_slots_read(reply, on_range, &o);
        redis_reply_free(reply);
        if (o.found)
            break;
    }
    return i;
}

int redis_cluster_begin_move(struct redis_node *from, struct redis_node *to, int slot)
{
    char from_id[64], to_id[64], number[16];
    (void)snprintf(number, sizeof(number), "%d", slot);
    if (!node_id(from, from_id, sizeof(from_id)) || !node_id(to, to_id, sizeof(to_id)))
        return complain("a node has no id");
    if (ok(to, REDIS_ARGS("CLUSTER", "SETSLOT", number, "IMPORTING", from_id)))
        return -1;
    return ok(from, REDIS_ARGS("CLUSTER", "SETSLOT", number, "MIGRATING", to_id));
}

int64_t redis_cluster_move_keys(struct redis_node *from, struct redis_node *to, int slot, int most)
{
    char number[16], port[16], count[16];
    const char *argv[7 + MOST_KEYS] = {"MIGRATE", "127.0.0.1", port, "", "0", "5000", "KEYS"};
    (void)snprintf(number, sizeof(number), "%d", slot);
    (void)snprintf(port, sizeof(port), "%d", to->port);
    (void)snprintf(count, sizeof(count), "%d", most < MOST_KEYS ? most : MOST_KEYS);
    struct redisReply *keys =
        redis_fixture_ask(&from->redis, REDIS_ARGS("CLUSTER", "GETKEYSINSLOT", number, count));
    int argc = 7;
    for (size_t i = 0; i < reply_count(keys); i++)
        argv[argc++] = reply_text(reply_at(keys, i), NULL);
    bool moved = argc == 7;
    if (!moved) {
        struct redisReply *reply =
            redis_fixture_ask(&from->redis, &(struct redis_args){.argc = argc, .argv = argv});
        const char *text = reply_text(reply, NULL);
        moved = text && (strcmp(text, "OK") == 0 || strcmp(text, "NOKEY") == 0);
        if (!moved)
            (void)fprintf(stderr, "redis_group: MIGRATE: %s\n", reply_error(reply));
        redis_reply_free(reply);
    }
    redis_reply_free(keys);
    return moved ? redis_fixture_ask_int(&from->redis,
                                         REDIS_ARGS("CLUSTER", "COUNTKEYSINSLOT", number))
                 : -1;
}

/* First the new node, then the others: in between the old one sends on what it has not. */
int redis_cluster_end_move(struct redis_node *nodes, size_t count, struct redis_node *to, int slot)
{
    char id[64], number[16];
    (void)snprintf(number, sizeof(number), "%d", slot);
    if (!node_id(to, id, sizeof(id)) ||
        ok(to, REDIS_ARGS("CLUSTER", "SETSLOT", number, "NODE", id)))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (&nodes[i] != to && ok(&nodes[i], REDIS_ARGS("CLUSTER", "SETSLOT", number, "NODE", id)))
            return -1;
    return 0;
}
