/*
 * batch_input: the lines of a batch's file, checked and found again by custom_id.
 *
 * The file is mapped, not read into memory; it is never changed in place. Checking goes in steps,
 * so that a large file does not hold up the loop.
 *
 *   ownership  the caller owns the struct; release unmaps.
 *   limits     BATCH_MAX_LINES lines, BATCH_MAX_ERRORS of what is wrong are kept.
 *   threads    none.
 */
#ifndef API_BATCH_BATCH_INPUT_H
#define API_BATCH_BATCH_INPUT_H

#include "common/json_scan.h"

#include <jansson.h>

struct batch_line {
    size_t at;
    uint32_t len;
    uint32_t number;         /* in the file, from 1; empty lines count */
    struct json_span custom; /* custom_id without its quotes, as it is escaped in the file */
};

struct batch_input {
    const char *text; /* mapped */
    size_t len, at;
    uint32_t number;
    struct batch_line *lines;
    size_t count, room;
    uint32_t *order; /* indexes of lines by custom_id */
    json_t *errors;  /* [{"code", "line", "message", "param"}] */
};

/* 0, or the negative errno of open(2), fstat(2) or mmap(2). */
int batch_input_open(struct batch_input *in, const char *path) MUST_CHECK;
void batch_input_release(struct batch_input *in);
/* Checks about budget bytes more, against the endpoint of the batch ("/v1/responses"). 1: there is
 * more; 0: all is checked; -ENOMEM. */
int batch_input_step(struct batch_input *in, const char *endpoint, size_t budget) MUST_CHECK;
/* The index of the line with this custom_id (as it stands between its quotes); -1 none. Once all
 * is checked. */
long batch_input_find(const struct batch_input *in, struct json_span custom);
/* The request inside the line; none when index is past the end. */
struct json_span batch_input_body(const struct batch_input *in, size_t index);

#endif
