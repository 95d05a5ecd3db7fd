/*
 * tally_store: what was counted by name (of a tenant, of a model), over all instances.
 *
 * One hash for each kind, of which it is known how many names stand in it: past `most`, new names
 * are added to TALLY_STORE_OTHER, whichever instance brings them. An addition is sent once: one
 * whose answer is lost may be missing, but is never counted twice.
 *
 *   ownership  opaque; arguments are copied before return. The link must outlive all calls.
 *   threads    one event loop. A read is answered exactly once at its end.
 */
#ifndef STORAGE_TALLY_STORE_H
#define STORAGE_TALLY_STORE_H

#include "storage/redis_script.h"

#include <stddef.h>
#include <stdint.h>

#define TALLY_STORE_OTHER      "other"
#define TALLY_STORE_MAX_FIELDS 96           /* of one addition */
#define TALLY_STORE_TTL_MS     "2592000000" /* 30 days, as the counters of pools */

struct tally_store;

struct tally_store *tally_store_new(struct redis_link *link, int timeout_ms); /* NULL: no memory */
void tally_store_free(struct tally_store *s);                                 /* accepts NULL */

struct tally_addition {
    const char *kind, *name; /* kind: "tenant" or "model" */
    size_t most;             /* names that are told apart */
    size_t count;
    struct {
        char field[24];
        int64_t amount;
    } numbers[TALLY_STORE_MAX_FIELDS];
};
/* Called once. Of the statuses only REDIS_OK and REDIS_LOST leave it possible that it was added. */
typedef void (*tally_store_added_fn)(void *arg, enum redis_status status);
void tally_store_add(struct tally_store *s, const struct tally_addition *a, tally_store_added_fn fn,
                     void *arg);

/* Once for each number, in no order, and at the end with name NULL. field: behind the name. */
typedef void (*tally_store_fn)(void *arg, const char *name, const char *field, int64_t value);
void tally_store_read(struct tally_store *s, const char *kind, tally_store_fn fn, void *arg);

#endif
