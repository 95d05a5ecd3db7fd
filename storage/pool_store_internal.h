/*
 * pool_store_internal: what pool_store.c, pool_confirm.c, pool_counts.c and pool_joint.c share.
 */
#ifndef STORAGE_POOL_STORE_INTERNAL_H
#define STORAGE_POOL_STORE_INTERNAL_H

#include "storage/pool_store.h"
#include "storage/redis_script.h"

struct pool_store {
    struct redis_link *link;
    struct redis_scripts *scripts;
    struct redis_link *durable;
    struct redis_scripts *durable_scripts; /* NULL: jobs go the way of all */
    struct redis_confirm *confirm;
    int confirm_ms;
    bool trusts_disk;
    char instance[64];
    int timeout_ms;
    int64_t alive_ms;
};

#define STORE_MAX_WORDS (4 + 2 * JOINT_MAX_ITEMS)
struct store_words {
    const char *word[STORE_MAX_WORDS];
    size_t count;
};
/* A script whose own arguments are only texts, which are copied. */
void pool_store_words(struct pool_store *s, struct store_pool *pool, enum script script,
                      const struct store_words *words, pool_store_fn fn, void *arg);

#endif
