/*
 * answer: the answers that Sluice itself gives, in the dialect of the route.
 */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "api/server.h"
#include "scheduler/call.h"

#include <jansson.h>

/* An error as wire_error() writes it, with retry-after, retry-after-ms and x-should-retry. */
void answer_failure(struct exchange *x, enum wire_format format, const struct call_failure *f);
/* The same with a status and a message only. */
void answer_error(struct exchange *x, enum wire_format format, int status, const char *code,
                  const char *message);
void answer_json(struct exchange *x, int status, json_t *body); /* given; NULL: out of memory */
/* The format that a path speaks: Anthropic for /v1/messages…, else OpenAI. */
enum wire_format answer_format(const char *path);
/* For struct server_options. */
void answer_write_error(const char *path, int status, const char *message, struct evbuffer *out);
/* Go's duration, as OpenAI's x-ratelimit-reset-* headers have it: "6m0s", "1.5s", "20ms". */
#define ANSWER_DURATION_BYTES 40
const char *answer_duration(int64_t ms, char *out);

#endif
