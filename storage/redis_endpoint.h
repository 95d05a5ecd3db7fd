/*
 * redis_endpoint: the socket addresses behind a redis_address, and connecting to them.
 *
 * A name is resolved once, by redis_endpoint_init(), which blocks and therefore belongs
 * before the loop. Each redis_endpoint_open() tries the next of the addresses, so that a
 * name with an IPv6 and an IPv4 address works with either.
 *
 *   ownership  the caller owns the struct; an opened descriptor is given.
 *   threads    none.
 */
#ifndef STORAGE_REDIS_ENDPOINT_H
#define STORAGE_REDIS_ENDPOINT_H

#include "storage/redis_address.h"

struct addrinfo;

struct redis_endpoint {
    char path[REDIS_PATH_BYTES]; /* "": TCP */
    struct addrinfo *all;
    const struct addrinfo *next;
};

/* 0, or a negative errno with the reason. */
int redis_endpoint_init(struct redis_endpoint *p, const struct redis_address *address,
                        struct error *e) MUST_CHECK;
void redis_endpoint_release(struct redis_endpoint *p);

/* A non-blocking descriptor that is connected or connecting (writable when that ended,
 * see SO_ERROR); or a negative errno. */
int redis_endpoint_open(struct redis_endpoint *p) MUST_CHECK;

#endif
