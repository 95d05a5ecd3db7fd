#include "storage/cost_store.h"

#include "common/clock.h"
#include "common/period.h"
#include "storage/key.h"
#include "storage/redis_reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 24
#define DAY_MS       INT64_C(86400000)
#define KEPT_MS      (COST_DAYS_KEPT * DAY_MS)
#define SCAN_COUNT   "500"
#define NO_KEY       "-"
#define BUDGET_ROW   "*"
#define HEAD_ARGS    5

struct cost_store {
    struct redis_link *link;
    struct redis_scripts *scripts;
    int timeout_ms;
};

static const char *const letters[] = {
#define X(name, letter) letter,
    COST_COUNTERS(X)
#undef X
};

struct cost_store *cost_store_new(struct redis_link *link, int timeout_ms)
{
    struct cost_store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct cost_store){link, redis_scripts_new(link), timeout_ms};
    if (s->scripts)
        return s;
    free(s);
    return NULL;
}

void cost_store_free(struct cost_store *s)
{
    if (s)
        redis_scripts_free(s->scripts);
    free(s);
}

bool cost_store_is_up(const struct cost_store *s)
{
    return redis_link_is_up(s->link);
}

/* ---- adding */

struct add {
    const char *argv[HEAD_ARGS + 2 * COST_COUNTER_COUNT];
    int argc;
    char until[NUMBER_BYTES], most[NUMBER_BYTES];
    char amounts[COST_COUNTER_COUNT][NUMBER_BYTES];
};

static void add_amount(struct add *a, enum cost_counter which, int64_t amount)
{
    (void)snprintf(a->amounts[which], NUMBER_BYTES, "%" PRId64, amount);
    a->argv[a->argc++] = letters[which];
    a->argv[a->argc++] = a->amounts[which];
}

static void send(struct cost_store *s, struct add *a, int64_t until_ms, redis_reply_fn fn,
                 void *arg)
{
    (void)snprintf(a->until, sizeof(a->until), "%" PRId64, until_ms);
    (void)snprintf(a->most, sizeof(a->most), "%d", COST_MAX_FIELDS);
    a->argv[1] = a->until;
    a->argv[2] = a->most;
    struct script_call call = {
        .which = SCRIPT_COST,
        .nkeys = 1,
        .args = {.argc = a->argc, .argv = a->argv},
        .deadline_ms = s->timeout_ms,
    };
    redis_script_call(s->scripts, &call, fn, arg);
}

struct told {
    cost_store_fn fn;
    cost_store_sum_fn sum;
    void *arg;
};

static void on_added(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct told *t = arg;
    if (t->fn)
        t->fn(t->arg, status);
    else
        t->sum(t->arg, status, reply_int(reply_at(reply, 0), 0));
    free(t);
}

static void row_text(const struct cost_row *row, const char *key, const char *model,
                     char out[COST_ROW_BYTES])
{
    (void)snprintf(out, COST_ROW_BYTES, "%.*s %.*s %.*s", TENANT_NAME_BYTES, row->tenant,
                   COST_KEY_BYTES, *key ? key : NO_KEY, MODEL_NAME_BYTES, model);
}

void cost_store_add(struct cost_store *s, const struct cost_row *row, cost_store_fn fn, void *arg)
{
    char date[PERIOD_DATE_BYTES], name[COST_ROW_BYTES], other[COST_ROW_BYTES];
    struct key key = key_cost_day(period_date_text(row->day, date));
    struct add a = {.argc = HEAD_ARGS};
    struct told *t = malloc(sizeof(*t));
    if (!t) {
        fn(arg, REDIS_BUSY_LOCAL);
        return;
    }
    *t = (struct told){.fn = fn, .arg = arg};
    row_text(row, row->key, row->model, name);
    row_text(row, "", COST_OTHER, other);
    a.argv[0] = key.text;
    a.argv[3] = name;
    a.argv[4] = other;
    for (int i = 0; i < COST_COUNTER_COUNT; i++) {
        if (row->count[i] != 0 || i == COST_requests)
            add_amount(&a, (enum cost_counter)i, row->count[i]);
    }
    send(s, &a, (row->day + 1) * DAY_MS + KEPT_MS, on_added, t);
}

void cost_store_spend(struct cost_store *s, const struct cost_period *period, int64_t amount,
                      cost_store_sum_fn fn, void *arg)
{
    struct key key = key_cost_budget(period->who, period->start_s);
    struct add a = {.argc = HEAD_ARGS};
    struct told *t = malloc(sizeof(*t));
    if (!t) {
        fn(arg, REDIS_BUSY_LOCAL, 0);
        return;
    }
    *t = (struct told){.sum = fn, .arg = arg};
    a.argv[0] = key.text;
    a.argv[3] = a.argv[4] = BUDGET_ROW;
    add_amount(&a, COST_cost, amount);
    /* A day behind the end, for what comes late. */
    int64_t until_ms =
        period->end_s == INT64_MAX ? clock_wall_ms() + KEPT_MS : period->end_s * 1000 + DAY_MS;
    send(s, &a, until_ms, on_added, t);
}

/* ---- reading */

static void on_spent(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct told *t = arg;
    t->sum(t->arg, status, reply_int(reply, 0));
    free(t);
}

void cost_store_spent(struct cost_store *s, const struct cost_period *period, cost_store_sum_fn fn,
                      void *arg)
{
    struct key key = key_cost_budget(period->who, period->start_s);
    char field[16];
    struct told *t = malloc(sizeof(*t));
    if (!t) {
        fn(arg, REDIS_BUSY_LOCAL, 0);
        return;
    }
    *t = (struct told){.sum = fn, .arg = arg};
    (void)snprintf(field, sizeof(field), "%s %s", letters[COST_cost], BUDGET_ROW);
    redis_link_command(s->link, REDIS_ARGS("HGET", key.text, field), s->timeout_ms, on_spent, t);
}

struct scan {
    struct cost_store *store;
    struct key key;
    int64_t day;
    char cursor[NUMBER_BYTES];
    cost_store_row_fn fn;
    void *arg;
};

/* Cuts the next word off; false when it does not fit, or nothing stands behind it. */
static bool take_word(const char **text, char *out, size_t size)
{
    size_t len = strcspn(*text, " ");
    if (len == 0 || len >= size || (*text)[len] != ' ')
        return false;
    (void)snprintf(out, size, "%.*s", (int)len, *text);
    *text += len + 1;
    return true;
}

/* False: a counter of a newer version, or none of ours. */
static bool read_counter(const char *field, int64_t value, struct cost_row *row,
                         enum cost_counter *ret)
{
    char letter[8];
    int which = 0;
    if (!take_word(&field, letter, sizeof(letter)))
        return false;
    while (which < COST_COUNTER_COUNT && strcmp(letters[which], letter) != 0)
        which++;
    if (which == COST_COUNTER_COUNT || !take_word(&field, row->tenant, sizeof(row->tenant)) ||
        !take_word(&field, row->key, sizeof(row->key)) || strlen(field) >= sizeof(row->model))
        return false;
    if (strcmp(row->key, NO_KEY) == 0)
        row->key[0] = '\0';
    (void)snprintf(row->model, sizeof(row->model), "%s", field);
    row->count[which] = value;
    *ret = (enum cost_counter)which;
    return true;
}

static void scan(struct scan *s);

static void on_page(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct scan *s = arg;
    const struct redisReply *list = reply_at(reply, 1);
    const char *cursor = reply_text(reply_at(reply, 0), NULL);
    for (size_t i = 0; status == REDIS_OK && i + 1 < reply_count(list); i += 2) {
        struct cost_row row = {.day = s->day};
        enum cost_counter which;
        const char *field = reply_text(reply_at(list, i), NULL);
        if (field && read_counter(field, reply_int(reply_at(list, i + 1), 0), &row, &which))
            s->fn(s->arg, REDIS_OK, &row, which);
    }
    if (status == REDIS_OK && cursor && strcmp(cursor, "0") != 0 &&
        strlen(cursor) < sizeof(s->cursor)) {
        (void)snprintf(s->cursor, sizeof(s->cursor), "%s", cursor);
        scan(s);
        return;
    }
    s->fn(s->arg, status, NULL, COST_requests);
    free(s);
}

/* In pages: an answer has a maximum, and Redis serves others in between. */
static void scan(struct scan *s)
{
    redis_link_command(s->store->link,
                       REDIS_ARGS("HSCAN", s->key.text, s->cursor, "COUNT", SCAN_COUNT),
                       s->store->timeout_ms, on_page, s);
}

int cost_store_day(struct cost_store *s, int64_t day, cost_store_row_fn fn, void *arg)
{
    char date[PERIOD_DATE_BYTES];
    struct scan *c = malloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    *c = (struct scan){.store = s, .day = day, .fn = fn, .arg = arg};
    c->key = key_cost_day(period_date_text(day, date));
    (void)snprintf(c->cursor, sizeof(c->cursor), "0");
    scan(c);
    return 0;
}
