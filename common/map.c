#include "common/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16

static uint64_t hash_of(const struct map *m, const char *key)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ m->seed;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    return h ^ (h >> 32);
}

void map_init(struct map *m, uint64_t seed)
{
    *m = (struct map){.seed = seed};
}

void map_release(struct map *m)
{
    free(m->slots);
    *m = (struct map){.seed = m->seed};
}

/* The slot of the key, or the free slot where it would stand. Needs a free slot. */
static size_t find(const struct map *m, const char *key, uint64_t hash)
{
    size_t i = hash & (m->room - 1);
    while (m->slots[i].key && (m->slots[i].hash != hash || strcmp(m->slots[i].key, key) != 0))
        i = (i + 1) & (m->room - 1);
    return i;
}

static int grow(struct map *m)
{
    struct map bigger = {.seed = m->seed, .count = m->count};
    bigger.room = m->room ? m->room * 2 : FIRST_ROOM;
    bigger.slots = calloc(bigger.room, sizeof(*bigger.slots));
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->room; i++) {
        if (m->slots[i].key)
            bigger.slots[find(&bigger, m->slots[i].key, m->slots[i].hash)] = m->slots[i];
    }
    free(m->slots);
    *m = bigger;
    return 0;
}

int map_put(struct map *m, const char *key, void *value)
{
    if (m->count * 4 >= m->room * 3) {
        int rc = grow(m);
        if (rc < 0)
            return rc;
    }
    uint64_t hash = hash_of(m, key);
    size_t i = find(m, key, hash);
    if (m->slots[i].key)
        return -EEXIST;
    m->slots[i] = (struct map_slot){key, value, hash};
    m->count++;
    return 0;
}

void *map_get(const struct map *m, const char *key)
{
    if (m->count == 0)
        return NULL;
    size_t i = find(m, key, hash_of(m, key));
    return m->slots[i].key ? m->slots[i].value : NULL;
}

void *map_remove(struct map *m, const char *key)
{
    if (m->count == 0)
        return NULL;
    size_t mask = m->room - 1, hole = find(m, key, hash_of(m, key));
    if (!m->slots[hole].key)
        return NULL;

    void *value = m->slots[hole].value;
    for (size_t i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
        /* An element may move back into the hole unless its home lies behind the hole. */
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){.key = NULL};
    m->count--;
    return value;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->room) {
        struct map_slot *slot = &m->slots[(*at)++];
        if (slot->key)
            return slot->value;
    }
    return NULL;
}
