#include "scheduler/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[TALLY_COUNT] = {
#define X(name) [TALLY_##name] = #name,
    TALLY_COUNTERS(X)
#undef X
};

static const size_t most[TALLY_KINDS] = {STATS_MAX_TENANTS, STATS_MAX_MODELS};

const char *tally_kind_name(enum tally_kind kind)
{
    return kind == TALLY_TENANT ? "tenant" : "model";
}

size_t tally_most(enum tally_kind kind)
{
    return most[kind];
}

const char *tally_field(size_t number, char room[TALLY_FIELD_BYTES])
{
    if (number < TALLY_COUNT)
        return names[number];
    bool waits = number < TALLY_UPSTREAM;
    (void)snprintf(room, TALLY_FIELD_BYTES, "%c:%zu", waits ? 'w' : 'u',
                   number - (size_t)(waits ? TALLY_WAITS : TALLY_UPSTREAM));
    return room;
}

size_t tally_number(const char *field)
{
    if (field[0] != '\0' && field[1] == ':') {
        size_t bucket = (size_t)strtoul(field + 2, NULL, 10);
        size_t first = field[0] == 'w' ? (size_t)TALLY_WAITS : (size_t)TALLY_UPSTREAM;
        return (field[0] == 'w' || field[0] == 'u') && bucket < STEP_BUCKETS ? first + bucket
                                                                             : TALLY_NUMBERS;
    }
    for (size_t i = 0; i < TALLY_COUNT; i++) {
        if (strcmp(names[i], field) == 0)
            return i;
    }
    return TALLY_NUMBERS;
}

void tally_init(struct tally *t, uint64_t seed)
{
    for (int k = 0; k < TALLY_KINDS; k++)
        map_init(&t->rows[k], seed);
}

void tally_release(struct tally *t)
{
    for (int k = 0; k < TALLY_KINDS; k++) {
        size_t at = 0;
        for (struct tally_row *r = map_next(&t->rows[k], &at); r; r = map_next(&t->rows[k], &at))
            free(r);
        map_release(&t->rows[k]);
    }
}

struct tally_row *tally_of(struct tally *t, enum tally_kind kind, const char *name)
{
    if (!t)
        return NULL;
    struct map *rows = &t->rows[kind];
    struct tally_row *row = map_get(rows, name);
    if (row)
        return row;
    if (rows->count >= most[kind] || strlen(name) >= sizeof(row->name)) {
        row = map_get(rows, TALLY_OTHER);
        name = TALLY_OTHER;
    }
    if (row)
        return row;
    row = calloc(1, sizeof(*row));
    if (!row)
        return NULL;
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    if (map_put(rows, row->name, row) < 0) {
        free(row);
        return NULL;
    }
    return row;
}

struct tally_row *tally_next(const struct tally *t, enum tally_kind kind, size_t *at)
{
    return map_next(&t->rows[kind], at);
}

static void add(struct tally_row *row, size_t number, int64_t amount)
{
    row->number[number] += amount;
    row->unsent[number] += amount;
}

void tally_add(struct tally_row *row, enum tally_counter c, int64_t amount)
{
    if (row)
        add(row, c, amount);
}

void tally_wait(struct tally_row *row, int64_t ms)
{
    if (!row)
        return;
    add(row, TALLY_waited_ms, ms);
    add(row, TALLY_WAITS + step_bucket(ms), 1);
}

void tally_upstream(struct tally_row *row, int64_t ms)
{
    if (!row)
        return;
    add(row, TALLY_answered, 1);
    add(row, TALLY_upstream_ms, ms);
    add(row, TALLY_UPSTREAM + step_bucket(ms), 1);
}
