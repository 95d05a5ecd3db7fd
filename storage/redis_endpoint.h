/*
 * redis_endpoint: the socket addresses behind a redis_address, and connecting to them.
 *
 * A name is resolved once, by redis_endpoint_init(), which blocks and therefore belongs
 * before the loop; redis_endpoint_move() takes addresses only, and so does not block. Each
 * redis_endpoint_open() tries the next of the addresses, so that a name with an IPv6 and an
 * IPv4 address works with either, and so does a cluster of which one node is dead.
 *
 *   ownership  the caller owns the struct; an opened descriptor is given.
 *   threads    none.
 */
#ifndef STORAGE_REDIS_ENDPOINT_H
#define STORAGE_REDIS_ENDPOINT_H

#include "storage/redis_address.h"

#include <sys/socket.h>

struct evbuffer;

#define ENDPOINT_MAX_SOCKETS (2 * REDIS_MAX_SEEDS)

struct redis_endpoint {
    char path[REDIS_PATH_BYTES]; /* "": TCP */
    struct sockaddr_storage all[ENDPOINT_MAX_SOCKETS];
    socklen_t lens[ENDPOINT_MAX_SOCKETS];
    size_t count, next; /* 0 without a path: nowhere yet */
};

/* 0, or a negative errno with the reason. */
int redis_endpoint_init(struct redis_endpoint *p, const struct redis_address *address,
                        struct error *e) MUST_CHECK;
/* To another server: an IP address, not a name. 0, or -EINVAL and the old one stays. */
int redis_endpoint_move(struct redis_endpoint *p, const struct redis_place *place) MUST_CHECK;
bool redis_endpoint_is_set(const struct redis_endpoint *p);

/* A non-blocking descriptor that is connected or connecting (writable when that ended,
 * see SO_ERROR); or a negative errno. */
int redis_endpoint_open(struct redis_endpoint *p) MUST_CHECK;

/* Sends and drains what the socket takes at once. 0 or a negative errno; a closed peer raises
 * no SIGPIPE. */
int redis_endpoint_send(int fd, struct evbuffer *out) MUST_CHECK;
bool redis_endpoint_has_input(int fd);

#endif
