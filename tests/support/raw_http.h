/*
 * raw_http: one kept connection, blocking, so that a test says when each request goes out.
 *
 *   errors  what cannot be sent or read fails the test that runs.
 */
#ifndef TESTS_SUPPORT_RAW_HTTP_H
#define TESTS_SUPPORT_RAW_HTTP_H

#include <stddef.h>

#define RAW_HTTP_BYTES 16384

struct raw_http {
    int fd; /* -1: closed */
    char reply[RAW_HTTP_BYTES];
};

void raw_http_open(struct raw_http *r, const char *url); /* http://127.0.0.1:PORT */
void raw_http_close(struct raw_http *r);                 /* idempotent */
void raw_http_send(struct raw_http *r, const char *method, const char *path, const char *body);
/* Reads head and body (by its Content-Length) into r->reply; the status, 0 when the server
 * closed instead. */
int raw_http_read(struct raw_http *r);

#endif
