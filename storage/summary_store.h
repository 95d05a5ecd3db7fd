/*
 * summary_store: summaries of conversations, by what they sum up, kept for all instances.
 *
 *   ownership  opaque; arguments are copied before return.
 *   threads    one event loop. Each get is answered exactly once.
 */
#ifndef STORAGE_SUMMARY_STORE_H
#define STORAGE_SUMMARY_STORE_H

#include "storage/key.h"
#include "storage/redis_link.h"

#include <stdint.h>

struct summary_store;

struct summary_store *summary_store_new(struct redis_link *link, int timeout_ms);
void summary_store_free(struct summary_store *s); /* accepts NULL */

/* text: borrowed; NULL when there is none, or Redis does not say. */
typedef void (*summary_store_fn)(void *arg, const char *text, size_t len);
/* digest: hex of what is summed up and by whom; summaries of tenants never meet. */
void summary_store_get(struct summary_store *s, const char *tenant, const char *digest,
                       summary_store_fn fn, void *arg);
/* Not answered: what is lost is made again. */
struct summary_record {
    const char *tenant, *digest;
    const char *text;
    size_t len;
    int64_t ttl_s;
};
void summary_store_put(struct summary_store *s, const struct summary_record *record);

#endif
