/*
 * http_client: requests to providers, on libcurl's multi interface and libevent.
 *
 * Connections are pooled and kept alive. Every transfer ends exactly once, in
 * on_done, which is never called before http_transfer_start() has returned; after it
 * the transfer is gone. http_transfer_cancel() ends it without a call.
 *
 * A transfer sends its request at most once. libcurl on its own would send it again when
 * a kept-alive connection dies without an answer; here that ends as HTTP_BROKEN, since
 * the provider may have done the work, and only the scheduler knows whether to pay twice.
 *
 * Safety (libcurl 7.88): only http and https (http for any host that a configuration
 * names); no redirects; no proxy and no .netrc from the environment; certificates
 * verified; header lines with CR or LF refused; the bytes of headers and body are
 * counted against maxima here, since MAXFILESIZE is not sufficient.
 *
 * HTTP/1.1 only. HTTP/2 was rejected: in libcurl 7.88 all streams of a connection share
 * a window of 32 MiB, so that paused replies are neither bounded by us nor independent
 * of each other, and cancelling one leaves its connection to all others.
 *
 *   units      milliseconds, bytes
 *   ownership  the request's strings are copied, its body is kept (see below).
 *   threads    one event loop; DNS by libcurl's threaded resolver.
 */
#ifndef SCHEDULER_HTTP_CLIENT_H
#define SCHEDULER_HTTP_CLIENT_H

#include "common/error.h"
#include "scheduler/http_header.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct http_client;
struct http_transfer;

enum http_result {
    HTTP_DONE,       /* a whole reply, of any status */
    HTTP_NOT_SENT,   /* no byte reached the provider: resolve, connect, TLS */
    HTTP_BROKEN,     /* sent, and the connection ended before the reply did */
    HTTP_FIRST_BYTE, /* sent, and no reply within first_byte_ms */
    HTTP_IDLE,       /* the reply stopped for idle_ms */
    HTTP_TOO_LARGE,  /* the reply passed a maximum */
    HTTP_NO_MEMORY,
};
const char *http_result_name(enum http_result r);

struct http_request {
    const char *method; /* "POST" */
    const char *url;
    const struct http_header *headers; /* copied; see http_header_is_ours() for those dropped */
    size_t header_count;
    const char *body; /* kept: must live until on_done or http_transfer_cancel() */
    size_t body_len;
    int connect_ms;        /* 0: 5000 */
    int first_byte_ms;     /* 0: 600000, from the request's end to the reply's first byte */
    int idle_ms;           /* 0: 300000, longest gap inside the reply */
    size_t max_body_bytes; /* 0: UPSTREAM_MAX_STREAM_BYTES */
};

/* Reply headers, for the length of on_headers and on_done. Lower-case names match in
 * any case; the last one wins. NULL when absent. */
const char *http_reply_header(const struct http_transfer *t, const char *name);
/* Calls fn for each header line of the reply, in order. */
void http_reply_headers(const struct http_transfer *t,
                        void (*fn)(void *arg, const char *name, const char *value), void *arg);

/* All three are called, none may be NULL. Any of them may start, pause, resume or cancel
 * any transfer, but not free the client. */
struct http_handlers {
    /* Once, before the first byte of the body (also for an empty one). */
    void (*on_headers)(void *arg, struct http_transfer *t, int status);
    /* Body bytes, borrowed. */
    void (*on_body)(void *arg, struct http_transfer *t, const char *bytes, size_t len);
    /* status is 0 when no reply line came; detail is a short constant or libcurl's text,
     * "" for HTTP_DONE. */
    void (*on_done)(void *arg, struct http_transfer *t, enum http_result result, int status,
                    const char *detail);
};

struct http_client *http_client_new(struct event_base *base);
/* Certificates of a PEM file are trusted instead of the system's, by connections made from
 * now on. To be called before the first transfer. 0 or -ENOMEM; a file that cannot be read
 * makes every TLS transfer end as HTTP_NOT_SENT. There is no switch to trust anything. */
int http_client_trust(struct http_client *c, const char *ca_file) MUST_CHECK;
/* Asked for each address that a connection is about to be made to, after its name was resolved:
 * one that is not allowed ends as HTTP_NOT_SENT, if no other address of the name is. To be called
 * before the first transfer. */
struct sockaddr;
typedef bool (*http_address_fn)(void *arg, const struct sockaddr *address);
void http_client_guard(struct http_client *c, http_address_fn is_allowed, void *arg);
/* Cancels what runs (without calls), closes the pool. Not inside a handler. */
void http_client_free(struct http_client *c);
size_t http_client_running(const struct http_client *c);

/* NULL with e set when the request itself is wrong (URL, header) or on no memory. */
struct http_transfer *http_transfer_start(struct http_client *c, const struct http_request *request,
                                          const struct http_handlers *handlers, void *arg,
                                          struct error *e);
/* Closes its connection; no handler is called and the request's body is not read any more.
 * Allowed inside a handler; t is gone, but stays readable until that handler returns.
 * Inside t's own on_done it does nothing. */
void http_transfer_cancel(struct http_transfer *t);
/* Back-pressure: no on_body while paused (what libcurl already holds, at most one read of
 * 16 KiB, is delivered after). on_done may still come when no byte is left to deliver.
 * Idempotent. The idle timer stands still; the first-byte timer does not. */
void http_transfer_pause(struct http_transfer *t);
/* Delivery goes on from the loop, never inside this call. Idempotent. */
void http_transfer_resume(struct http_transfer *t);
bool http_transfer_sent(const struct http_transfer *t); /* a byte of the request went out */

#endif
