/*
 * sse_log: all that a reader of server-sent events handed out, as bytes to compare.
 *
 * Two readings of one stream are equal when their logs are: same events in the same
 * order, same names, data and raw bytes, same end.
 *
 *   ownership  sse_log_release() frees; running out of memory ends the test.
 */
#ifndef TESTS_SUPPORT_SSE_LOG_H
#define TESTS_SUPPORT_SSE_LOG_H

#include "common/buf.h"
#include "scheduler/provider/sse.h"

#include <stdbool.h>
#include <stddef.h>

struct sse_log {
    struct buf text; /* one record for each event, then one for the end */
    struct buf raw;  /* all raw bytes handed out */
    size_t events;
};

/* How many bytes the next slice has, at least 1. */
typedef size_t (*sse_slice_fn)(void *arg);

/* Reads the whole input with a new reader, in slices (slice NULL: in one), and ends the
 * stream. Returns the reader's last code. */
int sse_log_read(struct sse_log *log, const char *bytes, size_t len, sse_slice_fn slice, void *arg);
void sse_log_release(struct sse_log *log);
bool sse_log_equal(const struct sse_log *a, const struct sse_log *b);

#endif
