/*
 * redis_slots: which slot of a cluster a key is in, and which node serves it.
 *
 * The slot is the CRC16 (CCITT, XMODEM) of the hash tag, modulo 16384: of the bytes between the
 * first '{' and the next '}' when there are any, else of the whole key (Redis Cluster
 * specification, "Hash tags").
 *
 *   threads  none; pure.
 */
#ifndef STORAGE_REDIS_SLOTS_H
#define STORAGE_REDIS_SLOTS_H

#include "storage/redis_address.h"
#include "storage/redis_args.h"

#include <stdint.h>

#define REDIS_SLOTS 16384

struct redisReply;

int redis_slot_of(const char *key, size_t len);
/* Of a command: of its first key; -1 when it has none, so that any node may run it. */
int redis_slot_of_command(const struct redis_args *args);

/* "MOVED 3999 127.0.0.1:6381" or "ASK ...". An empty host stands for the node that said so. False
 * when it is neither. */
struct redis_redirect {
    bool ask;
    int slot;
    struct redis_place to;
};
bool redis_redirect_parse(const char *text, struct redis_redirect *ret);

/* CLUSTER SLOTS: fn for each range and its master; ranges that make no sense are left out. The
 * host is "" where it is the node's that answered. */
typedef void (*redis_range_fn)(void *arg, int first, int last, const struct redis_place *master);
void redis_slots_read(const struct redisReply *reply, redis_range_fn fn, void *arg);

#endif
