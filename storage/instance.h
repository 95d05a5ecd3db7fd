/*
 * instance: tells the others that this instance lives, and who else does.
 *
 * Every INSTANCE_BEAT_MS it writes sluice:{insts}:ID (a small JSON object, TTL 15 s) and its place
 * in sluice:{insts}, from which ids that were silent for an hour are removed.
 *
 *   threads  one event loop.
 */
#ifndef STORAGE_INSTANCE_H
#define STORAGE_INSTANCE_H

#include "storage/redis_link.h"

#include <stdint.h>

#define INSTANCE_BEAT_MS 5000

struct event_base;
struct instance;

struct instance *instance_new(struct event_base *base, struct redis_link *link, const char *id);
void instance_free(struct instance *i); /* accepts NULL; tells Redis that it leaves */
void instance_connected(struct instance *i, bool up);

/* Each instance that told of itself in the last hour: its id, how long ago, and what it wrote
 * (NULL when that has expired); then once with id NULL. */
typedef void (*instance_fn)(void *arg, const char *id, int64_t age_ms, const char *json);
void instance_list(struct instance *i, instance_fn fn, void *arg);

#endif
