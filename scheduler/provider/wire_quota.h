/*
 * wire_quota: the limits that an error body names: google.rpc.QuotaFailure, as the Gemini API sends
 * it ("violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
 * "quotaValue": "15"}]). It has no rate limit headers, so this is all it tells of its limits.
 *
 *   threads  none; no allocation. The body is what json_scan_check() took.
 */
#ifndef SCHEDULER_PROVIDER_WIRE_QUOTA_H
#define SCHEDULER_PROVIDER_WIRE_QUOTA_H

#include "common/json_scan.h"
#include "limiter/hint.h"

/* The dimension of a quota by its id: "tpm" "rpd" ...; "" for one of another kind (images, or a
 * window that no dimension has). */
const char *wire_quota_dim(struct json_span id);

/* Adds the limits that the details of an error object tell. */
void wire_quota_read(struct json_span error, struct hints *ret);

#endif
