/*
 * http_loop: libcurl's multi handle on a libevent loop.
 *
 * libcurl says which sockets and which time to wait for; this waits, calls it, and calls
 * fn each time it is off the stack again. libcurl must not be called from inside its own
 * callbacks: http_loop_inside() tells, and what has to be done then is done in fn.
 *
 *   ownership  easy handles are the caller's, removed before http_loop_free().
 *   threads    one event loop.
 */
#ifndef SCHEDULER_HTTP_LOOP_H
#define SCHEDULER_HTTP_LOOP_H

#include "common/error.h"

#include <stdbool.h>

#include <curl/curl.h>

struct event_base;
struct http_loop;

struct http_loop *http_loop_new(struct event_base *base, void (*fn)(void *arg), void *arg);
void http_loop_free(struct http_loop *l); /* closes all connections */

/* Makes easy a handle of this loop: its sockets and TLS sessions. Once for each handle. */
bool http_loop_adopt(struct http_loop *l, CURL *easy) MUST_CHECK;

bool http_loop_inside(const struct http_loop *l);
/* These three: not while inside. Nothing happens before the loop runs on, but for
 * http_loop_unpause(), which delivers what libcurl holds and does not call fn. */
bool http_loop_add(struct http_loop *l, CURL *easy) MUST_CHECK;
void http_loop_remove(struct http_loop *l, CURL *easy);
CURLcode http_loop_unpause(struct http_loop *l, CURL *easy) MUST_CHECK;

/* The next handle whose transfer has ended, with its CURLOPT_PRIVATE; false when there is
 * none. It must be removed before the next call. */
bool http_loop_ended(struct http_loop *l, void **ret_private, CURLcode *ret_code) MUST_CHECK;

#endif
