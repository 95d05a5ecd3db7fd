/*
 * batch_journal: the output and error files of a batch, as they grow.
 *
 * A line is appended once its request is at its end, and never changed. What stands there after a
 * crash is what is done: a last line that is not whole is cut off. The files get their names at
 * once, and records (by which clients find them) only when the batch has ended.
 *
 * One process at a time writes a journal: it holds flock(2) on the output file, which a death gives
 * back at once. That bars a second one on the same machine even when a lease ran out too early.
 *
 *   ownership  the caller owns the struct.
 *   threads    none. Appends go to the page cache; only finish waits for the disk.
 */
#ifndef API_BATCH_BATCH_JOURNAL_H
#define API_BATCH_BATCH_JOURNAL_H

#include "api/batch/batch_input.h"

struct batch_journal {
    char *paths[2]; /* output, errors; they are the same file when there is one only */
    int fds[2];
    int64_t bytes[2];
};

/* fn is told of each line that stands there: which file, and its text. */
typedef void (*batch_done_fn)(void *arg, int which, struct json_span line);
/* error_path NULL: all goes into one file. -EWOULDBLOCK: another process has it; or the errno of
 * open(2), read(2) or ftruncate(2), negative. */
int batch_journal_open(struct batch_journal *j, const char *output_path, const char *error_path,
                       batch_done_fn fn, void *arg) MUST_CHECK;
void batch_journal_release(struct batch_journal *j);
/* A line with its line feed. After a failure nothing of it stands there. */
int batch_journal_add(struct batch_journal *j, int which, const char *text, size_t len) MUST_CHECK;
int batch_journal_finish(struct batch_journal *j) MUST_CHECK; /* it is on the disk now */

#endif
