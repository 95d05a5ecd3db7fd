/*
 * body_spool: the body of an upload, from the connection to the disk, past evhttp.
 *
 * evhttp gathers a body in memory before it tells of the request. For the one route whose bodies
 * are large (the guard knows it by its target) the connection is read here instead: the end of the
 * head is set aside, the body goes to a file that has no name, and then evhttp is given the head
 * and as many zeros by reference, which take no memory, and sees an ordinary request.
 *
 * Only bodies with a Content-Length come this way; chunked ones keep to max_body_bytes.
 *
 *   limits   UPLOAD_MAX_OPEN at once; FILE_MAX_UPLOAD_BYTES each (the guard sees to that).
 *   threads  one event loop. Writes go to the page cache.
 */
#ifndef API_BODY_SPOOL_H
#define API_BODY_SPOOL_H

#include "common/error.h"

#include <event2/buffer.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct body_spool {
    struct evbuffer *head; /* what evhttp has not read of it */
    int fd;                /* -1: none */
    uint64_t left;         /* of the body */
    uint64_t length;
    bool open;
};

void body_spool_init(struct body_spool *s);
void body_spool_release(struct body_spool *s);
/* input holds the last head_bytes of the head, and behind them what is there of the body.
 * 0 or a negative errno. */
int body_spool_start(struct body_spool *s, const char *folder, struct evbuffer *input,
                     size_t head_bytes, uint64_t length) MUST_CHECK;
/* Takes what is there of the body. 1: it is whole; 0: more is to come; or a negative errno. */
int body_spool_take(struct body_spool *s, struct evbuffer *input) MUST_CHECK;
/* Puts the head and zeros for the body before what is in input. */
int body_spool_replay(struct body_spool *s, struct evbuffer *input) MUST_CHECK;
int body_spool_give(struct body_spool *s); /* the file; -1 none */

#endif
