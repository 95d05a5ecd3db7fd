/*
 * message_batch_json: a batch in Anthropic's shape.
 */
#ifndef API_MESSAGE_BATCH_JSON_H
#define API_MESSAGE_BATCH_JSON_H

#include <jansson.h>

/* Of a batch's record. origin: of the service, as the client knows it; "" when nobody does, and its
 * results_url is then a path. NULL: out of memory. */
json_t *message_batch_json(const json_t *record, const char *origin);

#endif
