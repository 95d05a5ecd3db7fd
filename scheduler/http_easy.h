/*
 * http_easy: one libcurl handle, set up for request after request.
 *
 * A new handle costs some 20 settings and a few allocations; what does not differ between
 * requests is set once, and the buffers of the last request serve the next one. Header
 * lines lie in one buffer that libcurl's list points into, instead of two allocations for
 * each line.
 *
 *   ownership  the caller owns the struct; libcurl borrows its buffers and the request's
 *              body until the transfer has ended.
 *   threads    none.
 */
#ifndef SCHEDULER_HTTP_EASY_H
#define SCHEDULER_HTTP_EASY_H

#include "common/buf.h"
#include "common/limits.h"
#include "scheduler/http_client.h"

#include <stdbool.h>

#include <curl/curl.h>

#define HTTP_EASY_OWN_LINES 3 /* headers of libcurl's that are switched off */

struct http_easy {
    CURL *curl;
    struct buf url; /* the one that libcurl has */
    struct buf lines;
    const char *body; /* what is still to be given to libcurl; unused for a short body */
    size_t body_len, body_at;
    bool stopped;
    http_address_fn is_allowed;
    void *allowed_arg;
    bool barred; /* an address of the request was not allowed */
    struct curl_slist nodes[UPSTREAM_MAX_REQUEST_HEADERS + HTTP_EASY_OWN_LINES];
};

/* ca_file NULL: the system's certificates. False without memory, or when libcurl lacks an
 * option; release it then, too. */
bool http_easy_init(struct http_easy *h, const char *ca_file) MUST_CHECK;
/* As http_client_guard(); fn NULL: every address. */
bool http_easy_guard(struct http_easy *h, http_address_fn fn, void *arg) MUST_CHECK;
void http_easy_release(struct http_easy *h);
void http_easy_shrink(struct http_easy *h); /* gives large buffers back */

/* The request's body is not read from now on, even while libcurl is on the stack and cannot
 * let go of the handle: it may come to it once more before it returns. */
void http_easy_stop(struct http_easy *h);

/* 0, or -EINVAL, -ENOSPC, -ENOMEM with e set. */
int http_easy_set(struct http_easy *h, const struct http_request *r, struct error *e) MUST_CHECK;

#endif
