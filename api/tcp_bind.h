/*
 * tcp_bind: a TCP socket bound to an address as people write it, not yet listening.
 *
 * "127.0.0.1:8080", "[::1]:0" (port 0 picks one), "name:port" (looked up here, which blocks, so
 * before the loop runs).
 */
#ifndef API_TCP_BIND_H
#define API_TCP_BIND_H

#include "common/error.h"

#include <stdbool.h>

#define TCP_ADDRESS_BYTES 160

/* The descriptor (non-blocking, close-on-exec), or a negative errno with e. The address as it was
 * bound, in numbers, goes to ret_address. */
int tcp_bind(const char *address, bool reuse_port, char ret_address[TCP_ADDRESS_BYTES],
             struct error *e) MUST_CHECK;

#endif
