/*
 * map: string keys to pointers, open addressing with linear probing.
 *
 * The hash is seeded per map (FNV-1a over a random start), so that keys chosen by a client cannot
 * be made to collide. Removal shifts back, so there are no tombstones and no slow decay.
 *
 *   ownership  keys are kept, not copied: they usually stand inside the value. Values are the
 *              caller's; map_release() frees only the table.
 *   errors     -ENOMEM: the map is unchanged. -EEXIST: the key stands already.
 *   threads    none.
 */
#ifndef COMMON_MAP_H
#define COMMON_MAP_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct map_slot {
    const char *key; /* NULL: free */
    void *value;
    uint64_t hash;
};

struct map {
    struct map_slot *slots;
    size_t room; /* 0 or a power of two */
    size_t count;
    uint64_t seed;
};

void map_init(struct map *m, uint64_t seed);
void map_release(struct map *m);
int map_put(struct map *m, const char *key, void *value) MUST_CHECK;
void *map_get(const struct map *m, const char *key); /* NULL: absent */
void *map_remove(struct map *m, const char *key);    /* the value, NULL: absent */
/* Walks all values in no order: start with *at = 0; NULL at the end. No change meanwhile. */
void *map_next(const struct map *m, size_t *at);

#endif
