/*
 * submission: a file of jobs on its way into a running service.
 *
 * The file is one JSON object, or NDJSON: then a bad line fails alone. Bodies keep their bytes.
 *
 *   ownership  the struct is the caller's, the text borrowed; submission_release() frees the rest.
 */
#ifndef API_CLIENT_SUBMISSION_H
#define API_CLIENT_SUBMISSION_H

#include "api/client/client.h"
#include "api/client/terminal.h"

#include "common/limits.h"

struct submission_line {
    const char *at; /* borrowed */
    size_t len, number;
    json_t *answer; /* a job, or {"object":"error"}; NULL: not sent, or nothing came back */
};

struct submission {
    struct submission_line *lines;
    size_t count;
    bool many;                  /* NDJSON */
    char group[GROUP_ID_BYTES]; /* of many, that all calls share; "": none was told yet */
};

/* -EINVAL for what is neither one JSON value nor lines of it; -ENOMEM. */
int submission_read(struct submission *s, const char *text, size_t len, struct error *e) MUST_CHECK;
/* Sends all, in calls of bounded size. priority: of jobs that name none; NULL: as the service
 * does. As client_call(); what was answered before a failure stands in the lines. */
int submission_send(struct submission *s, struct client *c, const char *priority,
                    struct progress *p, struct error *e) MUST_CHECK;
void submission_release(struct submission *s);

#endif
