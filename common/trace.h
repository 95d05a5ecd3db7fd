/*
 * trace: the W3C trace context of a request (https://www.w3.org/TR/trace-context/).
 *
 * Whoever passes a request on keeps the trace's id and names its own span as the parent of what
 * comes after. A traceparent that is not valid counts as none, and then tracestate is dropped, too
 * (section 3.3). A newer version is read as far as this one goes, and written as 00.
 *
 *   threads  none; pure but for trace_start() and the span, which are random.
 */
#ifndef COMMON_TRACE_H
#define COMMON_TRACE_H

#include "common/error.h"

#include <stdbool.h>

#define TRACE_ID_DIGITS    32
#define TRACE_SPAN_DIGITS  16
#define TRACE_PARENT_BYTES 56 /* "00-" id "-" span "-" flags, and a NUL */

struct trace {
    char id[TRACE_ID_DIGITS + 1];     /* "" none */
    char span[TRACE_SPAN_DIGITS + 1]; /* ours */
    unsigned flags;                   /* sampled and random, the two that are known */
};

/* given: a traceparent; NULL none. False: it is none that counts, and id is "". */
bool trace_read(const char *given, struct trace *ret);
void trace_start(struct trace *ret); /* one of our own, not sampled */
/* What is passed on; "" where there is no trace. */
const char *trace_parent(const struct trace *t, char out[TRACE_PARENT_BYTES]);

#endif
