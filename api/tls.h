/*
 * tls: the certificate that the listener shows, and connections under it.
 *
 * TLS 1.2 and 1.3 by OpenSSL, through libevent's bufferevents, so that all that reads and writes
 * connections sees plain bytes. Files are PEM: the chain with the server's own certificate first,
 * and its key, without a passphrase, since nobody is there to type it.
 *
 *   reload     new files hold for connections from then on; the ones that are open keep theirs.
 *   ownership  opaque; the paths are borrowed for the call.
 *   threads    one event loop.
 *   errors     -EINVAL a file cannot be read or used (e names it and says why), -ENOMEM; after a
 *              failed reload the old files hold.
 *   source     RFC 8446, RFC 9325 (no renegotiation, no compression, nothing below 1.2).
 */
#ifndef API_TLS_H
#define API_TLS_H

#include "common/error.h"

struct bufferevent;
struct event_base;
struct tls;

struct tls *tls_new(const char *certificate, const char *key, struct error *e);
void tls_free(struct tls *t); /* accepts NULL; connections keep what they need */
int tls_reload(struct tls *t, const char *certificate, const char *key, struct error *e) MUST_CHECK;

/* For a socket that is accepted; NULL without memory. */
struct bufferevent *tls_accept(struct tls *t, struct event_base *base);
/* Tells the client that nothing more comes; before its socket is shut. */
void tls_say_end(struct bufferevent *bev);

#endif
