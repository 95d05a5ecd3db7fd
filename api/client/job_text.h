/*
 * job_text: jobs as lines and tables for people.
 */
#ifndef API_CLIENT_JOB_TEXT_H
#define API_CLIENT_JOB_TEXT_H

#include "api/client/terminal.h"

#include <jansson.h>

extern const char *const job_titles[];
#define JOB_COLUMNS 7

/* One row of a table with job_titles. now_s: Unix time. */
void job_add_row(struct table *t, const json_t *job, int64_t now_s);
/* Everything of one job, its answer last. 0 or -ENOMEM. */
int job_print(const json_t *job, const struct terminal *term) MUST_CHECK;
/* error.message of a job, an answer or a refused line; "" none. */
const char *job_error_text(const json_t *holder);

#endif
