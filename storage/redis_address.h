/*
 * redis_address: where Redis is, read from one URL.
 *
 *   redis://[[user]:password@]host[:port][/db]     TCP; an IPv6 address stands in [ ]
 *   unix://[[user]:password@]path[?db=n]           a socket; a path after '@' starts with '/'
 *   redis+sentinel://[[user]:password@]host[:port],host[:port],.../master-name[/db]
 *   redis+cluster://[[user]:password@]host[:port],host[:port],...
 *
 * The hosts of the last two are where to ask: sentinels (port 26379 when none is given), which
 * know the address of the master, or any nodes of a cluster, which know all the others. User and
 * password are those of the servers that hold the data; sentinels are asked without.
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
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>

#define REDIS_PATH_BYTES   108 /* sun_path of sockaddr_un, NUL included */
#define REDIS_LABEL_BYTES  384
#define REDIS_MASTER_BYTES 64 /* name of a master among sentinels, NUL included */

enum redis_kind { REDIS_PLAIN, REDIS_SENTINEL, REDIS_CLUSTER };

/* An address or a name. */
struct redis_place {
    char host[256];
    int port;
};

struct redis_address {
    enum redis_kind kind;
    char path[REDIS_PATH_BYTES]; /* wins over places */
    struct redis_place places[REDIS_MAX_SEEDS];
    size_t place_count; /* 1 of a plain TCP server, 0 of one that is not known yet */
    char master[REDIS_MASTER_BYTES];
    bool must_be_master; /* a server that is a replica is not taken, nor kept */
    int db;
    char user[64];
    char password[256]; /* secret: no serializer, no log line knows it */
};

int redis_address_parse(const char *url, struct redis_address *ret, struct error *e) MUST_CHECK;

/* One server of them, with the same user, password and database; NULL: not known yet. */
void redis_address_at(const struct redis_address *a, const struct redis_place *place,
                      struct redis_address *ret);
bool redis_place_equal(const struct redis_place *a, const struct redis_place *b);

/* "host:port/db" or "path/db" for people, without user and password. Returns buffer, which
 * has REDIS_LABEL_BYTES. */
const char *redis_address_label(const struct redis_address *a, char *buffer);

#endif
