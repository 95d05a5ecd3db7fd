#include "scheduler/tally_shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(TALLY_NUMBERS <= TALLY_STORE_MAX_FIELDS, "one addition holds a whole row");

/* One addition on its way. */
struct sending {
    struct tally_row *row;
    int64_t amount[TALLY_NUMBERS];
};

static void on_sent(void *arg, enum redis_status status)
{
    struct sending *s = arg;
    bool may_stand = status == REDIS_OK || status == REDIS_LOST;
    for (size_t i = 0; i < TALLY_NUMBERS; i++) {
        s->row->sending[i] -= s->amount[i];
        s->row->unsent[i] += may_stand ? 0 : s->amount[i];
    }
    free(s);
}

static void send_row(struct tally_row *row, enum tally_kind kind, struct tally_store *store)
{
    struct tally_addition a = {
        .kind = tally_kind_name(kind), .name = row->name, .most = tally_most(kind)};
    for (size_t i = 0; i < TALLY_NUMBERS; i++) {
        char room[TALLY_FIELD_BYTES];
        if (row->unsent[i] == 0)
            continue;
        (void)snprintf(a.numbers[a.count].field, sizeof(a.numbers[0].field), "%s",
                       tally_field(i, room));
        a.numbers[a.count++].amount = row->unsent[i];
    }
    struct sending *s = a.count > 0 ? malloc(sizeof(*s)) : NULL;
    if (!s)
        return; /* nothing to tell, or it stays unsent */
    s->row = row;
    memcpy(s->amount, row->unsent, sizeof(s->amount));
    memset(row->unsent, 0, sizeof(row->unsent));
    for (size_t i = 0; i < TALLY_NUMBERS; i++)
        row->sending[i] += s->amount[i];
    tally_store_add(store, &a, on_sent, s);
}

void tally_shared_send(const struct tally *t, struct tally_store *store)
{
    for (int kind = 0; kind < TALLY_KINDS; kind++) {
        struct tally_row *row = NULL;
        size_t at = 0;
        while ((row = tally_next(t, (enum tally_kind)kind, &at)))
            send_row(row, (enum tally_kind)kind, store);
    }
}

struct reading {
    const struct tally *tally;
    enum tally_kind kind;
    tally_shared_fn fn;
    void *arg;
};

static void tell_own(const struct reading *r)
{
    const struct tally_row *row = NULL;
    size_t at = 0;
    while ((row = tally_next(r->tally, r->kind, &at))) {
        for (size_t i = 0; i < TALLY_NUMBERS; i++) {
            int64_t own = row->unsent[i] + row->sending[i];
            if (own != 0)
                r->fn(r->arg, row->name, i, 0, own);
        }
    }
}

static void on_read(void *arg, const char *name, const char *field, int64_t value)
{
    struct reading *r = arg;
    size_t number = name ? tally_number(field) : 0;
    if (name) {
        if (number < TALLY_NUMBERS)
            r->fn(r->arg, name, number, value, 0);
        return;
    }
    tell_own(r);
    r->fn(r->arg, NULL, 0, 0, 0);
    free(r);
}

void tally_shared_read(const struct tally *t, struct tally_store *store, enum tally_kind kind,
                       tally_shared_fn fn, void *arg)
{
    struct reading *r = malloc(sizeof(*r));
    if (!r) {
        fn(arg, NULL, 0, 0, 0);
        return;
    }
    *r = (struct reading){t, kind, fn, arg};
    tally_store_read(store, tally_kind_name(kind), on_read, r);
}
