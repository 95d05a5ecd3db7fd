/*
 * access: the access keys of this service, and what each may do.
 *
 * Keys come from the configuration (auth.keys) and from Redis, where `sluice keys` and
 * /v1/admin/keys keep them. Of a key only the SHA-256 is kept, and a few letters to tell it by; the
 * key itself is shown once, when it is made. A request is judged from this process's copy, so no
 * request waits for Redis; a change elsewhere is here within milliseconds (a channel), and at most
 * ACCESS_LOOK_MS later when the channel was cut.
 *
 * Without any key everybody may do everything, and the service listens on loopback only (the
 * configuration sees to that). The first key closes it, so it must be an administrator's, as must
 * the last one be that stays. Until Redis has told its keys once, nobody knows whether there are
 * any: requests are then refused, unless the configuration has keys, which hold at once. A key in
 * Redis that this process cannot read (a newer version wrote it) admits nobody, but closes the
 * service like any other.
 *
 *   SCOPE_PROXY    model calls, counting and trimming
 *   SCOPE_JOBS     durable jobs
 *   SCOPE_PERMITS  permits and the admission check
 *   SCOPE_STATS    statistics, metrics, the dashboard's data; to look at settings
 *   SCOPE_ADMIN    keys, and changes of limits and settings; holds all others
 *
 *   units      wall clock ms since the epoch
 *   ownership  opaque; a struct access_key is borrowed until the next turn of the loop.
 *   threads    one event loop.
 */
#ifndef API_ACCESS_H
#define API_ACCESS_H

#include "common/config.h"
#include "common/limits.h"
#include "storage/redis_link.h"

#include <jansson.h>

enum access_scope {
    SCOPE_PROXY = 1 << 0,
    SCOPE_JOBS = 1 << 1,
    SCOPE_PERMITS = 1 << 2,
    SCOPE_STATS = 1 << 3,
    SCOPE_ADMIN = 1 << 4,
    SCOPE_OPEN = 1 << 8, /* of a route that needs no key */
};
#define SCOPES_ALL (SCOPE_PROXY | SCOPE_JOBS | SCOPE_PERMITS | SCOPE_STATS | SCOPE_ADMIN)

#define ACCESS_ID_BYTES       32
#define ACCESS_NAME_BYTES     64
#define ACCESS_HINT_BYTES     24
#define ACCESS_MODELS_BYTES   512
#define ACCESS_DURATION_BYTES 16
#define ACCESS_MONEY_BYTES    32
#define ACCESS_LOOK_MS        30000
#define ACCESS_KEY_PREFIX     "sk-sluice-"
#define ACCESS_KEY_BYTES      64 /* a key that was made here, with its NUL */

struct access_key {
    char id[ACCESS_ID_BYTES]; /* "key_…"; of the configuration: "config_N" */
    char name[ACCESS_NAME_BYTES];
    char hint[ACCESS_HINT_BYTES]; /* "sk-sluice-ab12…"; "" of the configuration */
    char tenant[TENANT_NAME_BYTES + 1];
    char sha256[65], before[65]; /* before: the one that a rotation replaced; "" none */
    unsigned scopes;
    char models[ACCESS_MODELS_BYTES]; /* common/model_list.h */
    /* US dollars as they were written, "" no budget; and common/period.h, "" for ever. */
    char max_budget[ACCESS_MONEY_BYTES], budget_duration[ACCESS_DURATION_BYTES];
    int64_t created_ms, expires_ms; /* 0: never */
    int64_t before_until_ms;
    bool of_config;
};

struct event_base;
struct access;

/* Kept: base and link. The configuration's keys are read by access_configure(). */
struct access *access_new(struct event_base *base, struct redis_link *link);
void access_free(struct access *a); /* accepts NULL */
/* Again after each reload. -ENOMEM: the old ones stay. */
int access_configure(struct access *a, const struct config *c) MUST_CHECK;
void access_connected(struct access *a, bool up);
void access_changed(struct access *a); /* a message on KEY_ACCESS_CHANGED */

bool access_is_open(const struct access *a);  /* there are no keys */
bool access_is_known(const struct access *a); /* whether there are any is known */
/* By the SHA-256 of what a caller sent. NULL with e saying why: unknown, or expired. */
const struct access_key *access_find(const struct access *a, const char *key, struct error *e);
/* Whether a scope is held; SCOPE_ADMIN holds all. */
bool access_may(const struct access_key *k, enum access_scope scope);
/* "proxy", …; NULL: there is no such scope. */
const char *access_scope_name(enum access_scope scope);
/* key NULL (an open service): all models. */
bool access_allows_model(const struct access_key *k, const char *model);

/* ---- administration. What is wrong with a request is told in e with the field's name. */

/* In the form of the API, without the key and its hash. */
json_t *access_json(const struct access_key *k);
const struct access_key *access_by_id(const struct access *a, const char *id);
const struct access_key *access_next(const struct access *a, size_t *at); /* start at 0 */

typedef void (*access_done_fn)(void *arg, enum redis_status status);

/* A new key from {"name","tenant","scopes","models","expires_at","max_budget","budget_duration"}.
 * 0, and fn will be told; the key's text and its record are the caller's to show once. -EINVAL bad
 * fields, -EPERM it would lock everybody out, -ENOSPC too many, -ENOMEM. */
struct access_made {
    char key[ACCESS_KEY_BYTES]; /* secret: to be wiped */
    struct access_key record;
    int64_t grace_ms; /* given to access_rotate(): the old key still holds so long */
};
int access_create(struct access *a, const json_t *wish, struct access_made *ret, access_done_fn fn,
                  void *arg, struct error *e) MUST_CHECK;
/* The same rights under a new key; the old one holds for ret->grace_ms more. -ENOENT; -EPERM: one
 * of the configuration. */
int access_rotate(struct access *a, const char *id, struct access_made *ret, access_done_fn fn,
                  void *arg, struct error *e) MUST_CHECK;
int access_remove(struct access *a, const char *id, access_done_fn fn, void *arg,
                  struct error *e) MUST_CHECK;

#endif
