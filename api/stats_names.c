/* Tenants and models of a view. */
#include "api/stats.h"

#include "storage/redis_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 8

static struct stats_name *find(const struct stats_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->rows[i].name, name) == 0)
            return &names->rows[i];
    }
    return NULL;
}

struct stats_name *stats_names_of(struct stats_names *names, enum tally_kind kind, const char *name)
{
    struct stats_name *row = find(names, name);
    size_t apart = names->count - (find(names, TALLY_OTHER) != NULL);
    if (!row && (apart >= tally_most(kind) || strlen(name) >= sizeof(row->name))) {
        name = TALLY_OTHER;
        row = find(names, name);
    }
    if (row)
        return row;
    if (names->count == names->room) {
        size_t room = names->room > 0 ? 2 * names->room : FIRST_ROOM;
        struct stats_name *more = realloc(names->rows, room * sizeof(*more));
        if (!more)
            return NULL;
        names->rows = more;
        names->room = room;
    }
    row = &names->rows[names->count++];
    *row = (struct stats_name){.queued = 0};
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    return row;
}

void stats_names_add_queue(struct stats_names *names, const struct redisReply *tenants)
{
    for (size_t i = 0; i + 2 < reply_count(tenants); i += 3) {
        const char *text = reply_text(reply_at(tenants, i), NULL);
        const char *name = text ? strchr(text, ':') : NULL; /* LENGTH:NAME */
        struct stats_name *row = name ? stats_names_of(names, TALLY_TENANT, name + 1) : NULL;
        if (!row)
            continue;
        row->queued += reply_int(reply_at(tenants, i + 1), 0);
        row->running += reply_int(reply_at(tenants, i + 2), 0);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct stats_name *)a)->name, ((const struct stats_name *)b)->name);
}

void stats_names_sort(struct stats_names *names)
{
    if (names->count > 0)
        qsort(names->rows, names->count, sizeof(*names->rows), by_name);
}
