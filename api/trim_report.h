/*
 * trim_report: the outcome of trimming as JSON, for the route and the command.
 *
 *   {"body": {…}, "before": {"messages", "tokens"}, "after": {…}, "fits": true,
 *    "actions": [{"stage", "message", "saved_tokens", "why"}]}
 *
 * and "refused" with the reason when the request was given back though something was to be cut.
 */
#ifndef API_TRIM_REPORT_H
#define API_TRIM_REPORT_H

#include "common/json_scan.h"
#include "scheduler/prompt/trim.h"

/* original is what the trimming was given. 0 or as buf_add(). */
int trim_report(const struct trim_result *r, struct json_span original, struct buf *out) MUST_CHECK;

#endif
