/*
 * job_json: jobs as they stand in requests and answers.
 */
#ifndef API_JOB_JSON_H
#define API_JOB_JSON_H

#include "api/auth.h"
#include "common/json_scan.h"
#include "common/limits.h"
#include "scheduler/job.h"

#include <jansson.h>

/* A job object; the caller owns it. NULL: out of memory. */
json_t *job_json(const struct job_record *r);

struct job_input {
    struct job_spec spec; /* body is malloc'd and to be given on */
    char *metadata;
    struct json_span webhook; /* as it stands in the text (webhook_json.h); none: left out */
    char batch[BATCH_GROUP_BYTES + 1]; /* spec.batch points here, or is NULL */
};

/* {"endpoint", "body", "priority", "deadline_ms", "metadata", "webhook", "batchable"}. The body
 * keeps its own
 * bytes. -EINVAL with the field, what was found and what is wanted; -ENOMEM. */
int job_input_read(const char *text, size_t len, const struct caller *caller, struct job_input *ret,
                   struct call_failure *f) MUST_CHECK;
void job_input_release(struct job_input *in); /* leaves the body alone */

#endif
