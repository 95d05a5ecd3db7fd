/*
 * redis_channels: the set of channel names a subscriber wants.
 *
 *   limits     REDIS_MAX_CHANNELS names.
 *   ownership  the caller owns the struct; names are copied.
 *   threads    none.
 */
#ifndef STORAGE_REDIS_CHANNELS_H
#define STORAGE_REDIS_CHANNELS_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct redis_channels {
    char **names;
    size_t count, room;
};

void redis_channels_release(struct redis_channels *s);
bool redis_channels_has(const struct redis_channels *s, const char *name);
/* 1 when added, 0 when it was there, -ENOMEM, -ENOSPC. */
int redis_channels_add(struct redis_channels *s, const char *name) MUST_CHECK;
/* 1 when removed, 0 when it was not there. */
int redis_channels_remove(struct redis_channels *s, const char *name);

#endif
