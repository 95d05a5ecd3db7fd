/*
 * file_send: a file of the folder as the answer to an exchange, piece by piece.
 */
#ifndef API_FILE_SEND_H
#define API_FILE_SEND_H

#include "api/server.h"

/* Answers and returns 0, or leaves the exchange alone: the negative errno of open(2), -ENOMEM. */
int file_send(struct event_base *base, struct exchange *x, const char *path,
              const char *content_type) MUST_CHECK;

#endif
