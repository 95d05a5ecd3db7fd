/*
 * answer_cache: answers that were given once, in memory, the least used going first.
 *
 * An answer is immutable and counted: who replays it to a slow reader keeps it, whatever happens to
 * the cache meanwhile.
 *
 *   units      bytes count all that an answer takes; times are wall clock ms
 *   ownership  answer_cache_put() takes a reference of its own; answer_cache_get() lends one until
 *              the next change, answer_use() makes it the caller's.
 *   threads    none; pure but for memory.
 */
#ifndef SCHEDULER_ANSWER_CACHE_H
#define SCHEDULER_ANSWER_CACHE_H

#include "common/digest.h"
#include "common/limits.h"
#include "common/list.h"
#include "common/map.h"
#include "scheduler/provider/wire.h"

#include <stdbool.h>

#define ANSWER_TYPE_BYTES 128

struct answer_head {
    char key[DIGEST_HEX_BYTES];
    char tenant[TENANT_NAME_BYTES + 1];
    char model[MODEL_NAME_MAX_BYTES];
    char type[ANSWER_TYPE_BYTES]; /* its content type */
    int64_t stored_ms, until_ms;
    struct wire_usage usage;
};

struct answer {
    struct answer_head head;
    unsigned refs;
    struct list link; /* of the cache, the least used first; on no list: it has left */
    size_t len;
    char bytes[];
};

/* bytes are copied. NULL: no memory. The caller has the only reference. */
struct answer *answer_new(const struct answer_head *head, const char *bytes, size_t len);
struct answer *answer_use(struct answer *a);
void answer_drop(struct answer *a); /* accepts NULL */
size_t answer_size(const struct answer *a);
/* By its type: it came in pieces, and may be given in others. */
bool answer_is_stream(const struct answer_head *head);

struct answer_cache {
    struct map answers;
    struct list used;
    size_t bytes;
};

void answer_cache_init(struct answer_cache *c, uint64_t seed);
void answer_cache_release(struct answer_cache *c);
/* In place of one with the same key. Others go until all are at most max_bytes; one that is larger
 * than that alone is not kept. */
void answer_cache_put(struct answer_cache *c, struct answer *a, size_t max_bytes);
/* NULL: there is none, or its time is over. */
struct answer *answer_cache_get(struct answer_cache *c, const char *key, int64_t now_ms);
/* "" fits all. How many went. */
size_t answer_cache_purge(struct answer_cache *c, const char *tenant, const char *model);

#endif
