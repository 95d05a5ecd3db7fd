#include "storage/redis_channels.h"

#include "common/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void redis_channels_release(struct redis_channels *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->names[i]);
    free(s->names);
    *s = (struct redis_channels){.names = NULL};
}

static size_t index_of(const struct redis_channels *s, const char *name)
{
    size_t i = 0;
    while (i < s->count && strcmp(s->names[i], name) != 0)
        i++;
    return i;
}

bool redis_channels_has(const struct redis_channels *s, const char *name)
{
    return index_of(s, name) < s->count;
}

int redis_channels_add(struct redis_channels *s, const char *name)
{
    if (redis_channels_has(s, name))
        return 0;
    if (s->count == REDIS_MAX_CHANNELS)
        return -ENOSPC;
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 4;
        char **names = reallocarray(s->names, room, sizeof(*names));
        if (!names)
            return -ENOMEM;
        s->names = names;
        s->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    s->names[s->count++] = copy;
    return 1;
}

int redis_channels_remove(struct redis_channels *s, const char *name)
{
    size_t i = index_of(s, name);
    if (i == s->count)
        return 0;
    free(s->names[i]);
    s->names[i] = s->names[--s->count];
    return 1;
}
