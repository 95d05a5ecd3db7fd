/*
 * listener: the socket that clients connect to.
 *
 * Opens and binds it, hands what it accepts to an evhttp, and does not spin when accept()
 * fails: with no file descriptor left, evhttp's own listener takes a whole core and writes
 * some 400,000 log lines a second. This one answers the first waiting client 503 by means
 * of a descriptor kept in reserve, and then rests for HTTP_ACCEPT_PAUSE_MS.
 *
 * Address: "127.0.0.1:8080", "[::1]:0" (port 0 picks one), "name:port" (looked up here,
 * which blocks, before the loop runs), "unix:PATH" (mode 0600; a socket there that nobody
 * serves is replaced, and the file goes away with the listener).
 *
 *   ownership  kept: base and http must outlive it.
 *   threads    one event loop.
 */
#ifndef API_LISTENER_H
#define API_LISTENER_H

#include "common/error.h"

#include <stdbool.h>

struct event_base;
struct evhttp;
struct listener;

struct listener *listener_new(struct event_base *base, struct evhttp *http, const char *address,
                              bool reuse_port, struct error *e);
const char *listener_address(const struct listener *l); /* as it was bound */
bool listener_is_unix(const struct listener *l);
void listener_stop(struct listener *l); /* closes the socket; the address stays readable */
void listener_free(struct listener *l);

#endif
