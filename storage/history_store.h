/*
 * history_store: numbers of the past, added up over all instances.
 *
 * A subject (everything, a pool, a tenant) has points of a minute and of an hour. Points stand in
 * chunks: one hash for an hour of minutes, one for a day of hours, whose fields are SLOT:NAME. The
 * chunk ends by its TTL, so nobody has to trim, and a look at a day reads 25 keys.
 *
 * Every instance adds its own share. An addition is sent once and never again: when its answer is
 * lost it may be missing from its point, but nothing is ever in a point twice.
 *
 *   units      seconds of Unix time; amounts are whole numbers, 0 or more
 *   ownership  opaque; arguments are copied before return. The link must outlive all calls.
 *   threads    one event loop. Each read is answered exactly once at its end.
 *   limits     HISTORY_MAX_SAMPLES of one addition; HISTORY_MAX_POINTS of one read.
 */
#ifndef STORAGE_HISTORY_STORE_H
#define STORAGE_HISTORY_STORE_H

#include "storage/key.h"
#include "storage/redis_script.h"

#include <stdint.h>

enum history_kind { HISTORY_ALL, HISTORY_POOL, HISTORY_TENANT };

struct history_subject {
    enum history_kind kind;
    const char *name; /* the pool's id or the tenant's name; not looked at with HISTORY_ALL */
};

struct history_sample {
    char name[HISTORY_NAME_BYTES];
    int64_t amount;
    bool is_peak; /* the largest of all that are told stays; else they are added up */
};

#define HISTORY_MINUTE_S 60
#define HISTORY_HOUR_S   3600
/* Minutes are kept for 24 h and hours for 90 days, each till the end of their chunk. */
#define HISTORY_MINUTES_KEPT_S INT64_C(86400)
#define HISTORY_HOURS_KEPT_S   (INT64_C(90) * 86400)

struct history_store;

struct history_store *history_store_new(struct redis_link *link, int timeout_ms);
/* Reads without an answer are answered at their end. Before the link. Accepts NULL. */
void history_store_free(struct history_store *s);

/* To the minute and the hour of at_s. */
void history_store_add(struct history_store *s, const struct history_subject *subject, int64_t at_s,
                       const struct history_sample *samples, size_t n);

/* Once for each number, in no order, and at the end with name NULL; ok: all of it was read. */
struct history_value {
    int64_t at_s; /* the begin of its point */
    const char *name;
    int64_t amount;
    bool ok;
};
typedef void (*history_fn)(void *arg, const struct history_value *value);

struct history_range {
    int64_t step_s;       /* HISTORY_MINUTE_S or HISTORY_HOUR_S */
    int64_t from_s, to_s; /* to_s is not in it; multiples of the step */
};
void history_store_read(struct history_store *s, const struct history_subject *subject,
                        const struct history_range *range, history_fn fn, void *arg);

#endif
