/*
 * webhook_field: who wants to hear of the end of a job or a batch, as the request says it.
 *
 *   "webhook": "https://…"                                      all its events
 *   "webhook": {"url": "https://…", "events": ["job.failed"]}   those only
 *   "webhook": {"events": ["job.failed"]}                       those, to the configured URL
 *   "webhook": false                                            nobody
 *   left out, or null                                           the configured URL, if any
 *
 * Kept with the job as an object of the second form, in compact JSON; without a url it goes to the
 * one that is configured when the event is made.
 *
 *   events   job.succeeded, job.failed, job.cancelled, job.expired, batch.completed, batch.failed,
 *            batch.cancelled, batch.expired; others may be sent to the configured URL
 *   threads  none; pure.
 */
#ifndef SCHEDULER_WEBHOOK_FIELD_H
#define SCHEDULER_WEBHOOK_FIELD_H

#include "common/config.h"
#include "common/json_scan.h"

/* A tenant's own part by part, else that of all. Borrowed. */
struct config_webhook webhook_settings(const struct config *c, const char *tenant);
/* Whether anybody's events can be signed. */
bool webhook_is_configured(const struct config *c);

/* Appends what is to be kept; nothing when there is nobody. given is a value of a checked text, or
 * none. -EINVAL with e, the rest of a sentence that begins with "webhook"; -ENOMEM. */
int webhook_field_read(struct json_span given, const struct config *c, const char *tenant,
                       struct buf *out, struct error *e) MUST_CHECK;

/* Of a kept text. */
bool webhook_field_wants(const char *field, const char *type);
int webhook_field_url(const char *field, struct buf *out) MUST_CHECK; /* nothing when it has none */

#endif
