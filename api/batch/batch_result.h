/*
 * batch_result: one line of a batch's output, in OpenAI's or Anthropic's shape.
 *
 * Pure. The text has no line feed but its last: an answer's own line feeds, which stand outside of
 * its strings, become spaces.
 */
#ifndef API_BATCH_BATCH_RESULT_H
#define API_BATCH_BATCH_RESULT_H

#include "common/buf.h"
#include "common/json_scan.h"

#include <stdbool.h>

enum batch_outcome { BATCH_OK, BATCH_FAILED, BATCH_CANCELLED, BATCH_EXPIRED, BATCH_OUTCOMES };

struct batch_result {
    enum batch_outcome outcome;
    struct json_span custom; /* between its quotes */
    const char *batch;       /* its id */
    uint32_t number;         /* of the line */
    int status;              /* of the provider's answer, or of Sluice's own; 0: there is none */
    const char *body;
    size_t body_len;
    const char *error; /* JSON {"status", "code", "message"}: why there is no answer; may be NULL */
};

int batch_result_write(const struct batch_result *r, bool anthropic, struct buf *out) MUST_CHECK;
/* What a line that stands in a file says. */
enum batch_outcome batch_result_outcome(struct json_span line, bool anthropic, int which);

#endif
