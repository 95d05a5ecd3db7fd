/*
 * settings_store: the settings that are saved in Redis, as records that nobody here reads.
 *
 *   sluice:{settings}        HASH "PROVIDER/MODEL" -> "VERSION RECORD"; "version" -> changes so far
 *   sluice:settings:changed  channel: an entry was saved or removed
 *
 * All entries fit into one answer (SETTINGS_MAX_ENTRIES), so an instance keeps a copy and asks
 * nobody per request; whoever hears of a change loads them again. A change names the version that
 * its author has seen, and is made only on that one: two authors never undo each other unseen.
 *
 *   ownership  opaque; arguments are copied before return.
 *   threads    one event loop. Each call is answered exactly once.
 */
#ifndef STORAGE_SETTINGS_STORE_H
#define STORAGE_SETTINGS_STORE_H

#include "common/limits.h"
#include "storage/redis_link.h"

#include <stdint.h>

#define SETTINGS_ANY_VERSION INT64_C(-1)

struct settings_store;

struct settings_store *settings_store_new(struct redis_link *link, int timeout_ms);
/* Calls without an answer are answered REDIS_LOST. Accepts NULL. */
void settings_store_free(struct settings_store *s);

/* fn for each, then once with name NULL and the status; then version is that of the last change.
 * What is no entry of this form is told with record NULL. */
typedef void (*settings_row_fn)(void *arg, enum redis_status status, const char *name,
                                int64_t version, const char *record);
/* -ENOMEM: nothing will be told. */
int settings_store_load(struct settings_store *s, settings_row_fn fn, void *arg) MUST_CHECK;

enum settings_change {
    SETTINGS_DONE,
    SETTINGS_STALE, /* somebody changed it meanwhile */
    SETTINGS_FULL,  /* SETTINGS_MAX_ENTRIES are saved */
};
struct settings_write {
    const char *name;
    const char *record; /* NULL: removed */
    int64_t expected;   /* the version that is there; 0: none is; SETTINGS_ANY_VERSION */
};
/* version: the new one (0: removed), or of what is there when it was stale. */
typedef void (*settings_done_fn)(void *arg, enum redis_status status, enum settings_change change,
                                 int64_t version);
/* Others are told of it. -ENOMEM: nothing will be told. */
int settings_store_write(struct settings_store *s, const struct settings_write *what,
                         settings_done_fn fn, void *arg) MUST_CHECK;

#endif
