/*
 * http_watch: which sockets of the HTTP client are watched on the loop.
 *
 * libcurl asks for each request anew to watch its connection and to stop after the
 * reply. A socket made through http_watch_open() stays registered for reading between
 * two requests instead, which saves two system calls a request on a kept-alive
 * connection. If it becomes readable while nobody wants it (the provider closed it), it
 * is silently unregistered, and libcurl finds out when it looks at the connection.
 *
 * Sockets that were never opened here (those libcurl makes for its resolver) are
 * unregistered at once, since they may be closed without a word.
 *
 *   ownership  the descriptors are the caller's; http_watch_close() must come before
 *              close() for each that was opened here.
 *   threads    one event loop.
 *   invariant  one entry for a descriptor, found by its number in constant time.
 */
#ifndef SCHEDULER_HTTP_WATCH_H
#define SCHEDULER_HTTP_WATCH_H

#include "common/error.h"

#include <stdbool.h>

struct event_base;
struct http_watch;

typedef void (*http_watch_fn)(void *arg, int fd, bool readable, bool writable);

struct http_watch *http_watch_new(struct event_base *base, http_watch_fn fn, void *arg);
void http_watch_free(struct http_watch *w);

/* fd was just made: all room it will need is taken now. 0, -ENOMEM, or -EMFILE past
 * HTTP_WATCH_MAX_FD. */
#define HTTP_WATCH_MAX_FD (1 << 20)
int http_watch_open(struct http_watch *w, int fd) MUST_CHECK;
/* What to wait for from now on; nothing when both are false. 0 or -ENOMEM. */
int http_watch_want(struct http_watch *w, int fd, bool readable, bool writable) MUST_CHECK;
void http_watch_close(struct http_watch *w, int fd);

#endif
