/*
 * webhook_json: webhooks as they stand in requests, events and answers.
 */
#ifndef API_WEBHOOK_JSON_H
#define API_WEBHOOK_JSON_H

#include "api/batch/batch.h"
#include "api/service.h"
#include "common/json_scan.h"
#include "scheduler/job.h"
#include "storage/webhook_store.h"

#include <jansson.h>

/* What a request says in `webhook`, as it is kept; malloc'd, NULL: nobody wants to hear. given may
 * be none. -EINVAL, -ENOMEM with f. */
int webhook_json_field(const struct service *s, const char *tenant, struct json_span given,
                       char **ret, struct call_failure *f) MUST_CHECK;

/* The data of a job's event: the job as GET answers it, without `explain`. An answer of more than
 * WEBHOOK_MAX_ANSWER_BYTES is left out, and so is what makes the event larger than
 * WEBHOOK_MAX_PAYLOAD_BYTES; "omitted" names it, and GET has it. For struct webhooks_options. */
char *webhook_json_job(const struct job_record *record);

/* Sends the event of a batch's end, for struct batches_options; as webhooks_send(). */
int webhook_json_batch(struct webhooks *w, const struct batch_end *end) MUST_CHECK;

/* A delivery; its URL without the query. The tenant stands in it for administrators. */
json_t *webhook_json_delivery(const struct webhook_record *r, bool with_tenant);

#endif
