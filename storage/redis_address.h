/*
 * redis_address: where Redis is, read from one URL.
 *
 *   redis://[[user]:password@]host[:port][/db]     TCP; an IPv6 address stands in [ ]
 *   unix://[[user]:password@]path[?db=n]           a socket; a path after '@' starts with '/'
 *
 * Bytes of user, password and path may be percent-encoded; '/', '?', '#' and '@' inside a
 * password must be. TLS is not offered (hiredis 0.14 has none): stunnel in front does it.
 *
 *   ownership  the caller owns the struct; there is nothing to release.
 *   threads    none; pure.
 *   errors     -EINVAL with a message that names the wrong part. No message quotes the URL,
 *              since a part that is parsed wrongly may hold the password.
 */
#ifndef STORAGE_REDIS_ADDRESS_H
#define STORAGE_REDIS_ADDRESS_H

#include "common/error.h"

#include <stddef.h>

#define REDIS_PATH_BYTES  108 /* sun_path of sockaddr_un, NUL included */
#define REDIS_LABEL_BYTES 288

/* host is an address or a name; a socket path wins over both. */
struct redis_address {
    char path[REDIS_PATH_BYTES];
    char host[256];
    int port;
    int db;
    char user[64];
    char password[256]; /* secret: no serializer, no log line knows it */
};

int redis_address_parse(const char *url, struct redis_address *ret, struct error *e) MUST_CHECK;

/* "host:port/db" or "path/db" for people, without user and password. Returns buffer, which
 * has REDIS_LABEL_BYTES. */
const char *redis_address_label(const struct redis_address *a, char *buffer);

#endif
