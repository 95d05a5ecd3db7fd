/* Tickets that belong together: groups, and jobs that are sent in one request. */
#include "storage/pool_store_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define NUMBER_BYTES 24

void pool_store_group(struct pool_store *s, struct store_pool *pool, const struct store_group *g,
                      pool_store_fn fn, void *arg)
{
    char ids[NUMBER_BYTES];
    (void)snprintf(ids, sizeof(ids), "%d", g->ids);
    struct store_words words = {.word = {g->key, ids}, .count = 2};
    pool_store_words(s, pool, SCRIPT_GROUP, &words, fn, arg);
}

void pool_store_ride(struct pool_store *s, struct store_pool *pool, const struct store_ride *r,
                     pool_store_fn fn, void *arg)
{
    char fence[NUMBER_BYTES], most[NUMBER_BYTES], fences[JOINT_MAX_ITEMS][NUMBER_BYTES];
    (void)snprintf(fence, sizeof(fence), "%" PRId64, r->lead.fence);
    (void)snprintf(most, sizeof(most), "%d", r->most);
    struct store_words words = {.word = {r->lead.id, fence, r->key, most}, .count = 4};
    for (size_t i = 0; i < r->with_count && i < JOINT_MAX_ITEMS; i++) {
        (void)snprintf(fences[i], sizeof(fences[i]), "%" PRId64, r->with[i].fence);
        words.word[words.count++] = r->with[i].id;
        words.word[words.count++] = fences[i];
    }
    pool_store_words(s, pool, SCRIPT_RIDE, &words, fn, arg);
}
