/*
 * redis_confirm: says of what was written over a connection that it is safe: on the disk of the
 * server (WAITAOF, Redis 7.2) or on so many replicas (WAIT).
 *
 * WAIT holds up every command behind it, so it has a connection that calls do not use. It promises
 * no more than what that connection wrote (7.0 counts what it read too, which nobody should build
 * on), and a submit that found its job there wrote nothing; so a small write goes ahead of it. All
 * who ask while one WAIT is under way share the next one. An answer holds only when the connection
 * that wrote is still the one that waits: after a failover the new master would confirm what it
 * never got. For that the asker gives the stamp of its write's answer.
 *
 *   units      milliseconds
 *   ownership  opaque; the link is kept. Either may be freed first: all who ask are told before it
 *              returns, and no answer of the link is lost on what is gone.
 *   threads    one event loop.
 */
#ifndef STORAGE_REDIS_CONFIRM_H
#define STORAGE_REDIS_CONFIRM_H

#include "common/list.h"
#include "storage/redis_link.h"

#define CONFIRM_KEY_BYTES 320

struct redis_confirm;

struct redis_confirm_options {
    struct redis_link *link;
    int replicas;   /* 0: the disk of the server itself */
    int timeout_ms; /* of WAIT */
    int command_ms; /* what a command may take beside that */
};

/* NULL on no memory. */
struct redis_confirm *redis_confirm_new(const struct redis_confirm_options *options);
/* Tells all who ask REDIS_LOST before it returns; they may not ask again. Not from inside of an
 * answer. Accepts NULL. */
void redis_confirm_free(struct redis_confirm *c);

/* copies: replicas, or 1 for the disk; fewer than wanted when the time was over. REDIS_LOST: not
 * known, the connection has ended since the write. */
typedef void (*redis_confirm_fn)(void *arg, enum redis_status status, int64_t copies);

/* Who asks has the memory for it, so that to ask never fails. It may be freed, or ask again, once
 * it was told, and not before. */
struct redis_asker {
    struct list link;
    uint64_t stamp;
    char key[CONFIRM_KEY_BYTES];
    redis_confirm_fn fn;
    void *arg;
};

/* key: one that nobody reads, in the slot of what was written. Told once, after the return (as any
 * command of redis_conn.h, which tells of one exception). */
void redis_confirm_ask(struct redis_confirm *c, struct redis_asker *a, uint64_t stamp,
                       const char *key, redis_confirm_fn fn, void *arg);

#endif
