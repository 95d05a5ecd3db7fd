#include "storage/redis_link.h"

#include "storage/redis_cluster.h"
#include "storage/redis_sentinel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE_SHIFT 48 /* of a stamp: the node above, its generation below */
#define GENERATION ((UINT64_C(1) << NODE_SHIFT) - 1)

struct redis_link {
    struct redis_cluster *cluster; /* NULL: conn */
    struct redis_conn *conn;
    struct redis_sentinel *sentinel; /* NULL unless it says where conn goes */
    redis_state_fn on_state;
    void *arg;
    char told[256]; /* the last reason of no master */
};

static void on_state(void *arg, bool up, const char *reason)
{
    struct redis_link *l = arg;
    if (!up && l->sentinel)
        redis_sentinel_ask(l->sentinel);
    l->told[0] = '\0';
    if (l->on_state)
        l->on_state(l->arg, up, reason);
}

static void on_master(void *arg, const struct redis_place *place, const char *reason)
{
    struct redis_link *l = arg;
    if (place && redis_conn_retarget(l->conn, place) == 0)
        return;
    /* What is connected stays: that the sentinels are away says nothing of the master. */
    if (place)
        reason = "the sentinels tell a name instead of an IP address for the master";
    if (redis_conn_is_up(l->conn) || strcmp(l->told, reason) == 0)
        return;
    (void)snprintf(l->told, sizeof(l->told), "%s", reason);
    if (l->on_state)
        l->on_state(l->arg, false, l->told);
}

static struct redis_link *make(struct event_base *base, const struct redis_address *address,
                               bool subscriber, struct redis_link *l, struct error *e)
{
    struct redis_address nowhere;
    if (address->kind == REDIS_CLUSTER && !subscriber) {
        l->cluster = redis_cluster_new(base, address, on_state, l, e);
        return l->cluster ? l : NULL;
    }
    if (address->kind != REDIS_SENTINEL) {
        l->conn = redis_conn_new(base, address, on_state, l, e);
        return l->conn ? l : NULL;
    }
    redis_address_at(address, NULL, &nowhere);
    l->conn = redis_conn_new(base, &nowhere, on_state, l, e);
    explicit_bzero(&nowhere, sizeof(nowhere));
    if (l->conn)
        l->sentinel = redis_sentinel_new(base, address, on_master, l, e);
    return l->sentinel ? l : NULL;
}

static struct redis_link *link_new(struct event_base *base, const struct redis_address *address,
                                   bool subscriber, struct redis_link link, struct error *e)
{
    struct redis_link *l = malloc(sizeof(*l));
    if (!l) {
        (void)error_set(e, -ENOMEM, "out of memory for a connection to redis");
        return NULL;
    }
    *l = link;
    if (make(base, address, subscriber, l, e))
        return l;
    redis_link_free(l);
    return NULL;
}

struct redis_link *redis_link_new(struct event_base *base, const struct redis_address *address,
                                  redis_state_fn on_state_fn, void *arg, struct error *e)
{
    struct redis_link link = {.on_state = on_state_fn, .arg = arg};
    return link_new(base, address, false, link, e);
}

struct redis_link *redis_link_subscriber(struct event_base *base,
                                         const struct redis_address *address,
                                         redis_state_fn on_state_fn, void *arg, struct error *e)
{
    struct redis_link link = {.on_state = on_state_fn, .arg = arg};
    return link_new(base, address, true, link, e);
}

void redis_link_free(struct redis_link *l)
{
    if (!l)
        return;
    redis_sentinel_free(l->sentinel);
    l->sentinel = NULL;
    redis_conn_free(l->conn);
    redis_cluster_free(l->cluster);
    free(l);
}

bool redis_link_is_up(const struct redis_link *l)
{
    return l->cluster ? redis_cluster_is_up(l->cluster) : redis_conn_is_up(l->conn);
}

size_t redis_link_pending(const struct redis_link *l)
{
    return l->cluster ? redis_cluster_pending(l->cluster) : redis_conn_pending(l->conn);
}

bool redis_link_is_cluster(const struct redis_link *l)
{
    return l->cluster != NULL;
}

void redis_link_command(struct redis_link *l, const struct redis_args *args, int deadline_ms,
                        redis_reply_fn fn, void *arg)
{
    if (l->cluster)
        redis_cluster_command(l->cluster, args, deadline_ms, fn, arg);
    else
        redis_command(l->conn, args, deadline_ms, fn, arg);
}

void redis_link_refuse(struct redis_link *l, enum redis_status status, redis_reply_fn fn, void *arg)
{
    if (l->cluster)
        redis_cluster_refuse(l->cluster, status, fn, arg);
    else
        redis_refuse(l->conn, status, fn, arg);
}

struct redis_conn *redis_link_master(const struct redis_link *l, size_t at)
{
    if (!l->cluster)
        return at == 0 ? l->conn : NULL;
    struct redis_conn *conn = redis_cluster_master(l->cluster, at);
    return conn || at > 0 ? conn : redis_cluster_conn(l->cluster, 0);
}

uint64_t redis_link_stamp(const struct redis_link *l)
{
    if (!l->cluster)
        return redis_conn_generation(l->conn);
    const struct redis_conn *conn = redis_cluster_answering(l->cluster);
    uint64_t generation = conn ? redis_conn_generation(conn) : 0;
    return generation ? (uint64_t)redis_cluster_number(l->cluster, conn) << NODE_SHIFT | generation
                      : 0;
}

void redis_link_command_at(struct redis_link *l, uint64_t stamp, const struct redis_args *args,
                           int deadline_ms, redis_reply_fn fn, void *arg)
{
    struct redis_conn *conn = l->conn;
    if (l->cluster)
        conn = redis_cluster_conn(l->cluster, (size_t)(stamp >> NODE_SHIFT));
    if (stamp == 0 || !conn || redis_conn_generation(conn) != (stamp & GENERATION))
        redis_link_refuse(l, REDIS_LOST, fn, arg);
    else
        redis_command(conn, args, deadline_ms, fn, arg);
}

void redis_link_on_message(struct redis_link *l, redis_message_fn fn, void *arg)
{
    redis_conn_on_message(l->conn, fn, arg);
}

int redis_link_subscribe(struct redis_link *l, const char *channel)
{
    return redis_subscribe(l->conn, channel);
}

void redis_link_unsubscribe(struct redis_link *l, const char *channel)
{
    redis_unsubscribe(l->conn, channel);
}

struct redis_conn *redis_link_conn(const struct redis_link *l)
{
    return l->conn;
}
