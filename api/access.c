#include "api/access.h"

#include "api/access_record.h"

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/map.h"
#include "common/model_list.h"
#include "common/rand.h"
#include "storage/access_store.h"
#include "storage/key.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_DIGITS     16
#define SECRET_DIGITS 48 /* 192 bits */
#define HINT_DIGITS   4
#define SHA256_DIGITS 64

/* Asked with every request, and there may be thousands: found by id and by both digests, which
 * never look alike. */
struct keys {
    struct access_key *items;
    size_t count, room;
    struct map index;
    bool is_indexed; /* else memory was short: all are looked at */
};

struct access {
    struct redis_link *link;
    struct event *look;
    struct keys of_config, stored;
    struct keys fresh; /* a load that is under way */
    bool up, known, loading;
    bool hides, left_out; /* keys that could not be read or kept: of stored, of fresh */
    bool again;           /* what is being loaded is out of date already */
};

static struct access_key *add(struct keys *k)
{
    if (k->count == k->room) {
        size_t room = k->room ? k->room * 2 : 8;
        struct access_key *more = realloc(k->items, room * sizeof(*more));
        if (!more)
            return NULL;
        k->items = more;
        k->room = room;
    }
    struct access_key *key = &k->items[k->count++];
    *key = (struct access_key){.expires_ms = 0};
    return key;
}

static void release(struct keys *k)
{
    map_release(&k->index);
    free(k->items);
    *k = (struct keys){.items = NULL};
}

static bool put_index(struct keys *k, const char *text, struct access_key *key)
{
    int rc = *text ? map_put(&k->index, text, key) : 0;
    return rc == 0 || rc == -EEXIST;
}

/* After each change: the items have moved. */
static void reindex(struct keys *k)
{
    map_release(&k->index);
    map_init(&k->index, rand_system_seed());
    k->is_indexed = true;
    for (size_t i = 0; i < k->count && k->is_indexed; i++) {
        struct access_key *key = &k->items[i];
        k->is_indexed = put_index(k, key->id, key) && put_index(k, key->sha256, key) &&
                        put_index(k, key->before, key);
    }
}

static const struct access_key *find_in(const struct keys *k, const char *text)
{
    if (k->is_indexed)
        return map_get(&k->index, text);
    for (size_t i = 0; i < k->count; i++) {
        const struct access_key *key = &k->items[i];
        if (strcmp(key->id, text) == 0 || strcmp(key->sha256, text) == 0 ||
            strcmp(key->before, text) == 0)
            return key;
    }
    return NULL;
}

/* By its id or one of its digests; those of the configuration go first. */
static const struct access_key *find(const struct access *a, const char *text)
{
    const struct access_key *k = find_in(&a->of_config, text);
    return k ? k : find_in(&a->stored, text);
}

/* ---- loading */

static void load(struct access *a);

static void on_loaded(void *arg, enum redis_status status, const char *id, const char *record)
{
    struct access *a = arg;
    if (id) {
        struct access_key key, *place;
        if (a->fresh.count < ACCESS_MAX_KEYS && access_record_read(id, record, &key) &&
            (place = add(&a->fresh))) {
            *place = key;
        } else {
            a->left_out = true;
            log_write(LOG_WARN, "an access key was left out", "id", id, NULL);
        }
        return;
    }
    a->loading = false;
    if (status == REDIS_OK && !a->again) {
        release(&a->stored);
        a->stored = a->fresh;
        reindex(&a->stored);
        a->fresh = (struct keys){.items = NULL};
        a->hides = a->left_out;
        a->known = true;
    }
    release(&a->fresh);
    if (a->again)
        load(a);
}

/* One load at a time: a change that is told meanwhile asks for another one. */
static void load(struct access *a)
{
    a->again = a->loading;
    if (a->loading || !a->up)
        return;
    a->left_out = false;
    a->loading = access_store_load(a->link, on_loaded, a) == 0;
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    load(arg);
}

struct access *access_new(struct event_base *base, struct redis_link *link)
{
    struct timeval tv = {.tv_sec = ACCESS_LOOK_MS / 1000};
    struct access *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->link = link;
    a->look = event_new(base, -1, EV_PERSIST, on_look, a);
    if (!a->look || evtimer_add(a->look, &tv) < 0) {
        access_free(a);
        return NULL;
    }
    return a;
}

void access_free(struct access *a)
{
    if (!a)
        return;
    if (a->look)
        event_free(a->look);
    release(&a->of_config);
    release(&a->stored);
    release(&a->fresh);
    free(a);
}

int access_configure(struct access *a, const struct config *c)
{
    struct keys keys = {.items = NULL};
    for (size_t i = 0; i < c->auth.key_count; i++) {
        const struct config_key *row = &c->auth.keys[i];
        struct access_key *k = add(&keys);
        if (!k) {
            release(&keys);
            return -ENOMEM;
        }
        k->of_config = true;
        (void)snprintf(k->id, sizeof(k->id), "config_%zu", i);
        (void)snprintf(k->sha256, sizeof(k->sha256), "%s", row->sha256);
        (void)snprintf(k->tenant, sizeof(k->tenant), "%s", row->tenant);
        (void)snprintf(k->max_budget, sizeof(k->max_budget), "%s",
                       row->max_budget ? row->max_budget : "");
        (void)snprintf(k->budget_duration, sizeof(k->budget_duration), "%s",
                       row->budget_duration ? row->budget_duration : "");
        if (!row->scopes || access_scopes_read(row->scopes, &k->scopes) < 0)
            k->scopes = SCOPES_ALL;
    }
    release(&a->of_config);
    a->of_config = keys;
    reindex(&a->of_config);
    return 0;
}

void access_connected(struct access *a, bool up)
{
    a->up = up;
    load(a);
}

void access_changed(struct access *a)
{
    load(a);
}

/* ---- judging */

bool access_is_open(const struct access *a)
{
    return a->of_config.count + a->stored.count == 0 && !a->hides;
}

bool access_is_known(const struct access *a)
{
    return a->known || a->of_config.count > 0;
}

const struct access_key *access_next(const struct access *a, size_t *at)
{
    size_t i = (*at)++;
    if (i < a->of_config.count)
        return &a->of_config.items[i];
    i -= a->of_config.count;
    return i < a->stored.count ? &a->stored.items[i] : NULL;
}

static bool holds(const struct access_key *k, const char *sum, int64_t now_ms)
{
    return strcmp(k->sha256, sum) == 0 ||
           (strcmp(k->before, sum) == 0 && now_ms < k->before_until_ms);
}

const struct access_key *access_find(const struct access *a, const char *key, struct error *e)
{
    char sum[DIGEST_HEX_BYTES];
    int64_t now_ms = clock_wall_ms();
    digest_hex(key, strlen(key), sum, SHA256_DIGITS);
    const struct access_key *k = find(a, sum);
    if (k && !holds(k, sum, now_ms))
        k = NULL;
    if (k && (k->expires_ms == 0 || now_ms < k->expires_ms))
        return k;
    (void)error_set(e, -EACCES, "%s",
                    k ? "This API key has expired; ask for a new one (sluice keys rotate)."
                      : "The API key is not one of this service's keys (auth.keys).");
    return NULL;
}

bool access_may(const struct access_key *k, enum access_scope scope)
{
    return scope == SCOPE_OPEN || (k->scopes & (scope | SCOPE_ADMIN)) != 0;
}

bool access_allows_model(const struct access_key *k, const char *model)
{
    return model_list_allows(k ? k->models : NULL, model);
}

const struct access_key *access_by_id(const struct access *a, const char *id)
{
    const struct access_key *k = find(a, id);
    return k && strcmp(k->id, id) == 0 ? k : NULL;
}

/* ---- administration */

static bool another_admin(const struct access *a, const char *id)
{
    size_t at = 0;
    int64_t now_ms = clock_wall_ms();
    for (const struct access_key *k; (k = access_next(a, &at));) {
        if ((k->scopes & SCOPE_ADMIN) && strcmp(k->id, id) != 0 &&
            (k->expires_ms == 0 || now_ms < k->expires_ms))
            return true;
    }
    return false;
}

static void make_secret(struct access_made *m)
{
    struct access_key *k = &m->record;
    char digits[SECRET_DIGITS + 1];
    rand_hex(digits, SECRET_DIGITS);
    (void)snprintf(m->key, sizeof(m->key), ACCESS_KEY_PREFIX "%s", digits);
    explicit_bzero(digits, sizeof(digits));
    (void)snprintf(k->hint, sizeof(k->hint), "%.*s...",
                   (int)(sizeof(ACCESS_KEY_PREFIX) - 1 + HINT_DIGITS), m->key);
    digest_hex(m->key, strlen(m->key), k->sha256, SHA256_DIGITS);
}

/* A change on its way. It holds here before its author is told, so that he may use it at once. */
struct change {
    struct access *access;
    struct access_key key;
    bool removed;
    access_done_fn fn;
    void *arg;
};

static void apply(struct access *a, const struct change *c)
{
    struct keys *k = &a->stored;
    size_t i = 0;
    while (i < k->count && strcmp(k->items[i].id, c->key.id) != 0)
        i++;
    if (c->removed && i < k->count)
        k->items[i] = k->items[--k->count];
    else if (!c->removed && (i < k->count || add(k)))
        k->items[i] = c->key;
    reindex(k);
    load(a); /* sets aside what is being loaded, and finds what memory had no room for */
}

static void on_put(void *arg, enum redis_status status)
{
    struct change *c = arg;
    if (status == REDIS_OK)
        apply(c->access, c);
    c->fn(c->arg, status);
    explicit_bzero(c, sizeof(*c));
    free(c);
}

static int put(struct access *a, const struct change *change, struct error *e)
{
    struct change *c = malloc(sizeof(*c));
    char *record = change->removed ? NULL : access_record_write(&change->key);
    int rc = -ENOMEM;
    if (c && (record || change->removed)) {
        *c = *change;
        c->access = a;
        rc = access_store_put(a->link, c->key.id, record, on_put, c);
    }
    free(record);
    if (rc == 0)
        return 0;
    free(c);
    return error_set(e, rc, "Sluice is out of memory.");
}

int access_create(struct access *a, const json_t *wish, struct access_made *ret, access_done_fn fn,
                  void *arg, struct error *e)
{
    struct access_key *k = &ret->record;
    char digits[ID_DIGITS + 1];
    *ret = (struct access_made){
        .record = {.scopes = SCOPE_PROXY | SCOPE_JOBS, .created_ms = clock_wall_ms()}};
    (void)snprintf(k->tenant, sizeof(k->tenant), "default");
    int rc = access_record_choose(k, wish, e);
    if (rc < 0)
        return rc;
    if (a->stored.count >= ACCESS_MAX_KEYS)
        return error_set(e, -ENOSPC, "There are %d keys, which is the most; remove some first.",
                         ACCESS_MAX_KEYS);
    if (!(k->scopes & SCOPE_ADMIN) && !another_admin(a, ""))
        return error_set(
            e, -EPERM,
            "The first key closes the service to all others, so it must have the scope "
            "admin, or nobody could make another one.");
    rand_hex(digits, ID_DIGITS);
    (void)snprintf(k->id, sizeof(k->id), "key_%s", digits);
    make_secret(ret);
    return put(a, &(struct change){.key = *k, .fn = fn, .arg = arg}, e);
}

static const struct access_key *find_stored(const struct access *a, const char *id, int *rc,
                                            struct error *e)
{
    const struct access_key *k = access_by_id(a, id);
    if (!k)
        *rc = error_set(e, -ENOENT, "There is no key '%.40s'.", id);
    else if (k->of_config)
        *rc = error_set(e, -EPERM,
                        "The key '%.40s' stands in the configuration (auth.keys): change it there.",
                        id);
    else
        return k;
    return NULL;
}

int access_rotate(struct access *a, const char *id, struct access_made *ret, access_done_fn fn,
                  void *arg, struct error *e)
{
    int rc = 0;
    const struct access_key *k = find_stored(a, id, &rc, e);
    if (!k)
        return rc;
    int64_t grace_ms = ret->grace_ms;
    *ret = (struct access_made){.record = *k, .grace_ms = grace_ms};
    (void)snprintf(ret->record.before, sizeof(ret->record.before), "%s", k->sha256);
    ret->record.before_until_ms = clock_wall_ms() + grace_ms;
    make_secret(ret);
    return put(a, &(struct change){.key = ret->record, .fn = fn, .arg = arg}, e);
}

int access_remove(struct access *a, const char *id, access_done_fn fn, void *arg, struct error *e)
{
    int rc = 0;
    const struct access_key *k = find_stored(a, id, &rc, e);
    if (!k)
        return rc;
    bool last = a->stored.count + a->of_config.count == 1;
    if ((k->scopes & SCOPE_ADMIN) && !last && !another_admin(a, id))
        return error_set(
            e, -EPERM, "'%.40s' is the last key with the scope admin: make another one first.", id);
    return put(a, &(struct change){.key = *k, .removed = true, .fn = fn, .arg = arg}, e);
}
