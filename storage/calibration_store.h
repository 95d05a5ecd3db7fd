/*
 * calibration_store: what was learned of a model's token counts, kept for all instances.
 *
 * One line of text for each model of a provider; what it says is its user's matter. Two instances
 * that write at once lose the samples of one of them, which is no harm: they learn on.
 *
 *   ownership  opaque; arguments are copied before return.
 *   threads    one event loop. Each get is answered exactly once, never before return.
 */
#ifndef STORAGE_CALIBRATION_STORE_H
#define STORAGE_CALIBRATION_STORE_H

#include "storage/key.h"
#include "storage/redis_link.h"

#define CALIBRATION_TTL_S 2592000 /* 30 days from the last change */

struct calibration_store;

struct calibration_store *calibration_store_new(struct redis_link *link, int timeout_ms);
void calibration_store_free(struct calibration_store *s);

/* text: borrowed; NULL when nothing is known, or the status is not REDIS_OK. */
typedef void (*calibration_store_fn)(void *arg, enum redis_status status, const char *text);
void calibration_store_get(struct calibration_store *s, const char *provider, const char *model,
                           calibration_store_fn fn, void *arg);
/* Not answered: what is lost is told again with the next change. */
void calibration_store_put(struct calibration_store *s, const char *provider, const char *model,
                           const char *text);

#endif
