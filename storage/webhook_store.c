#include "storage/webhook_store.h"

#include "storage/key.h"
#include "storage/redis_reply.h"
#include "storage/redis_script.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS    16
#define NUMBER_BYTES 24
#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

struct webhook_store {
    struct redis_link *link;
    struct redis_scripts *scripts;
    int timeout_ms;
};

struct webhook_store *webhook_store_new(struct redis_link *link, int timeout_ms)
{
    struct webhook_store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct webhook_store){link, redis_scripts_new(link), timeout_ms};
    if (!s->scripts) {
        free(s);
        return NULL;
    }
    return s;
}

void webhook_store_free(struct webhook_store *s)
{
    if (s)
        redis_scripts_free(s->scripts);
    free(s);
}

const char *webhook_state_name(enum webhook_state state)
{
    static const char *const names[] = {[WEBHOOK_WAITING] = "waiting",
                                        [WEBHOOK_DELIVERED] = "delivered",
                                        [WEBHOOK_FAILED] = "failed"};
    return state < WEBHOOK_STATES ? names[state] : "all";
}

/* ---- words of a script call */

struct words {
    const char *argv[MAX_WORDS];
    char numbers[MAX_WORDS][NUMBER_BYTES];
    int argc;
};

static void add(struct words *w, const char *text)
{
    assert(w->argc < MAX_WORDS);
    w->argv[w->argc++] = text;
}

static void add_number(struct words *w, int64_t value)
{
    char *room = w->numbers[w->argc];
    (void)snprintf(room, NUMBER_BYTES, "%" PRId64, value);
    add(w, room);
}

static void call(struct webhook_store *s, struct words *w, enum script which, redis_reply_fn fn,
                 void *arg)
{
    struct script_call what = {.which = which,
                               .nkeys = 1,
                               .args = {.argc = w->argc, .argv = w->argv},
                               .deadline_ms = s->timeout_ms};
    redis_script_call(s->scripts, &what, fn, arg);
}

static void begin(struct words *w, const struct key *ends, const char *what,
                  const struct webhook_rules *rules)
{
    w->argc = 0;
    add(w, ends->text);
    add(w, what);
    add_number(w, rules->places);
}

/* ---- answers of one word */

struct word_call {
    webhook_word_fn fn;
    void *arg;
};

static void on_word(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct word_call *c = arg;
    const char *word = status == REDIS_OK ? reply_text(reply, NULL) : NULL;
    if (c->fn)
        c->fn(c->arg, status == REDIS_OK && !word ? REDIS_ERROR : status, word);
    free(c);
}

static void ask_word(struct webhook_store *s, struct words *w, webhook_word_fn fn, void *arg)
{
    struct word_call *c = malloc(sizeof(*c));
    if (!c) {
        if (fn)
            fn(arg, REDIS_BUSY_LOCAL, NULL);
        return;
    }
    *c = (struct word_call){fn, arg};
    call(s, w, SCRIPT_WEBHOOK, on_word, c);
}

void webhook_store_add(struct webhook_store *s, const struct webhook_rules *rules,
                       const struct webhook_entry *entry, webhook_word_fn fn, void *arg)
{
    struct words w;
    struct key ends = key_webhook("ends"), tenant = key_tenant(entry->tenant);
    begin(&w, &ends, "add", rules);
    add(&w, entry->id);
    add(&w, tenant.text);
    add(&w, entry->type);
    add(&w, entry->object);
    add(&w, entry->url);
    add(&w, entry->endpoint);
    add(&w, entry->payload);
    add_number(&w, entry->created_us);
    add_number(&w, WEBHOOK_MAX_WAITING);
    ask_word(s, &w, fn, arg);
}

void webhook_store_settle(struct webhook_store *s, const struct webhook_rules *rules,
                          const struct webhook_outcome *outcome, webhook_word_fn fn, void *arg)
{
    struct words w;
    struct key ends = key_webhook("ends");
    begin(&w, &ends, "settle", rules);
    add(&w, outcome->id);
    add_number(&w, outcome->number);
    add(&w, webhook_state_name(outcome->state));
    add_number(&w, outcome->delay_ms);
    add(&w, outcome->attempt);
    add_number(&w, rules->kept_ms);
    add_number(&w, WEBHOOK_MAX_ENDED);
    ask_word(s, &w, fn, arg);
}

void webhook_store_redeliver(struct webhook_store *s, const struct webhook_rules *rules,
                             const char *id, const char *tenant, webhook_word_fn fn, void *arg)
{
    struct words w;
    struct key ends = key_webhook("ends"), own = key_tenant(tenant ? tenant : "");
    begin(&w, &ends, "redeliver", rules);
    add(&w, id);
    add(&w, tenant ? own.text : "");
    ask_word(s, &w, fn, arg);
}

/* ---- take */

struct take_call {
    webhook_take_fn fn;
    void *arg;
};

static const char *text_of(const struct redisReply *item, size_t at)
{
    const char *text = reply_text(reply_at(item, at), NULL);
    return text ? text : "";
}

/* "LENGTH:NAME" */
static const char *bare_tenant(const char *text)
{
    const char *colon = strchr(text, ':');
    return colon ? colon + 1 : text;
}

static struct webhook_taken taken_of(const struct redisReply *item)
{
    struct webhook_taken t = {
        .entry = {.id = text_of(item, 0),
                  .tenant = bare_tenant(text_of(item, 3)),
                  .type = text_of(item, 4),
                  .object = text_of(item, 5),
                  .url = text_of(item, 6),
                  .endpoint = text_of(item, 7)},
        .number = reply_int(reply_at(item, 1), 0),
        .tries = reply_int(reply_at(item, 2), 1),
    };
    t.entry.payload = reply_text(reply_at(item, 8), &t.payload_len);
    return t;
}

static void on_taken(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct take_call *c = arg;
    struct webhook_taken items[WEBHOOK_MAX_TAKEN];
    struct webhook_take take = {.items = items, .next_ms = -1};
    if (status == REDIS_OK) {
        take.next_ms = reply_int(reply_at(reply, 0), -1);
        const struct redisReply *n = reply_at(reply, 1);
        take.totals = (struct webhook_totals){.waiting = reply_int(reply_at(n, 0), 0),
                                              .delivered = reply_int(reply_at(n, 1), 0),
                                              .failed = reply_int(reply_at(n, 2), 0),
                                              .attempts_failed = reply_int(reply_at(n, 3), 0),
                                              .dropped = reply_int(reply_at(n, 4), 0)};
        for (size_t i = 2; i < reply_count(reply) && take.count < WEBHOOK_MAX_TAKEN; i++) {
            struct webhook_taken one = taken_of(reply_at(reply, i));
            if (one.entry.payload)
                items[take.count++] = one;
        }
    }
    c->fn(c->arg, status, status == REDIS_OK ? &take : NULL);
    free(c);
}

void webhook_store_take(struct webhook_store *s, const struct webhook_rules *rules, int room,
                        webhook_take_fn fn, void *arg)
{
    struct words w;
    struct key ends = key_webhook("ends");
    struct take_call *c = malloc(sizeof(*c));
    if (!c) {
        fn(arg, REDIS_BUSY_LOCAL, NULL);
        return;
    }
    *c = (struct take_call){fn, arg};
    begin(&w, &ends, "take", rules);
    add_number(&w, room);
    add_number(&w, rules->lease_ms);
    add_number(&w, rules->tries);
    add_number(&w, rules->kept_ms);
    add_number(&w, WEBHOOK_MAX_ENDED);
    call(s, &w, SCRIPT_WEBHOOK, on_taken, c);
}

/* ---- looking */

struct get_call {
    webhook_record_fn fn;
    void *arg;
    char id[WEBHOOK_ID_BYTES];
};

static void on_record(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct get_call *c = arg;
    struct webhook_record r = {.id = c->id};
    bool known = status == REDIS_OK && reply_text(reply_at(reply, 0), NULL);
    if (known) {
        r.tenant = bare_tenant(text_of(reply, 0));
        r.type = text_of(reply, 1);
        r.object = text_of(reply, 2);
        r.url = text_of(reply, 3);
        r.status = text_of(reply, 4);
        r.created_us = reply_int(reply_at(reply, 5), 0);
        r.number = reply_int(reply_at(reply, 6), 0);
        r.next_ms = reply_int(reply_at(reply, 7), 0);
        r.ended_ms = reply_int(reply_at(reply, 8), 0);
        r.attempts = text_of(reply, 9);
    }
    c->fn(c->arg, status, known ? &r : NULL);
    free(c);
}

void webhook_store_get(struct webhook_store *s, const char *id, webhook_record_fn fn, void *arg)
{
    char part[WEBHOOK_ID_BYTES + 2];
    struct get_call *c = malloc(sizeof(*c));
    if (!c) {
        fn(arg, REDIS_BUSY_LOCAL, NULL);
        return;
    }
    *c = (struct get_call){.fn = fn, .arg = arg};
    (void)snprintf(c->id, sizeof(c->id), "%s", id);
    (void)snprintf(part, sizeof(part), "d:%s", c->id);
    struct key key = key_webhook(part);
    redis_link_command(
        s->link,
        REDIS_ARGS("HMGET", key.text, "tn", "ty", "ob", "ur", "st", "cr", "n", "nx", "en", "lg"),
        s->timeout_ms, on_record, c);
}

void webhook_store_list(struct webhook_store *s, const struct webhook_range *range,
                        time_index_fn fn, void *arg)
{
    struct key key = key_webhook_list(range->tenant, webhook_state_name(range->state));
    struct time_page page = {.key = key.text,
                             .before_us = range->before_us,
                             .before_id = range->before_id,
                             .limit = range->limit};
    time_index_page(s->link, s->timeout_ms, &page, fn, arg);
}

void webhook_store_unlist(struct webhook_store *s, const struct webhook_range *range,
                          const char *id)
{
    struct key key = key_webhook_list(range->tenant, webhook_state_name(range->state));
    redis_link_command(s->link, REDIS_ARGS("ZREM", key.text, id), s->timeout_ms, NULL, NULL);
}

/* ---- jobs that have ended */

struct owed_call {
    webhook_owed_fn fn;
    void *arg;
};

static void on_owed(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct owed_call *c = arg;
    size_t n = status == REDIS_OK ? reply_count(reply) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = reply_text(reply_at(reply, i), NULL);
        if (id)
            c->fn(c->arg, REDIS_OK, id);
    }
    c->fn(c->arg, status, NULL);
    free(c);
}

void webhook_store_owed(struct webhook_store *s, const char *pool, int64_t lease_ms,
                        webhook_owed_fn fn, void *arg)
{
    struct words w = {.argc = 0};
    struct key key = key_pool(pool, "wh");
    struct owed_call *c = malloc(sizeof(*c));
    if (!c) {
        fn(arg, REDIS_BUSY_LOCAL, NULL);
        return;
    }
    *c = (struct owed_call){fn, arg};
    add(&w, key.text);
    add_number(&w, lease_ms);
    add(&w, STRING(WEBHOOK_MAX_OWED));
    call(s, &w, SCRIPT_WEBHOOK_OWED, on_owed, c);
}

void webhook_store_paid(struct webhook_store *s, const char *pool, const char *id, int64_t until_ms)
{
    char part[TICKET_ID_BYTES + 2], until[NUMBER_BYTES];
    struct key owed = key_pool(pool, "wh");
    redis_link_command(s->link, REDIS_ARGS("ZREM", owed.text, id), s->timeout_ms, NULL, NULL);
    if (until_ms <= 0)
        return;
    (void)snprintf(part, sizeof(part), "j:%.*s", TICKET_ID_BYTES - 1, id);
    (void)snprintf(until, sizeof(until), "%" PRId64, until_ms);
    struct key record = key_pool(pool, part);
    redis_link_command(s->link, REDIS_ARGS("PEXPIREAT", record.text, until, "LT"), s->timeout_ms,
                       NULL, NULL);
}
