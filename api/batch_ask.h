/*
 * batch_ask: what clients of both shapes ask of a batch: open, look, list, cancel.
 *
 * Whoever runs a batch writes its record; the wish that it ends stands beside it ("cancels"), also
 * for one that nobody runs at the moment: its runner will find the wish.
 */
#ifndef API_BATCH_ASK_H
#define API_BATCH_ASK_H

#include "api/record_ask.h"

struct batch_shape {
    const char *prefix; /* of its ids; under any other there is nothing here */
    const char *after_name;
    size_t limit, most; /* of a page */
    /* The object that a client sees; the client is still there. */
    json_t *(*show)(const struct record_ask *a, const json_t *record);
    int ended_status; /* of a cancel that comes too late */
    const char *ended_code, *ended_message;
};

bool batch_ask_is_ended(const json_t *record);
/* Who hears of its end (webhook_json.h; given, may be NULL), into a->record. */
void batch_ask_wants(struct record_ask *a, char *webhook);
/* Notes in the record of a new batch that its provider is to run it, when provider_batch in the
 * body or x-sluice-provider-batch asks for it. NULL, or what is wrong with that. */
const char *batch_ask_provider(const struct route_request *r, enum wire_endpoint endpoint,
                               json_t *record) MUST_CHECK;
/* Keeps a new batch, a->record, under a->id and answers with it. */
void batch_ask_open(struct record_ask *a, const struct batch_shape *shape);
/* Reads the record of the request's id for view. */
void batch_ask(const struct route_request *r, const struct batch_shape *shape, record_view_fn view);
void batch_ask_list(const struct route_request *r, const struct batch_shape *shape);

/* Views: the object with the wish that it ends, and the making of that wish. */
void batch_ask_view(struct record_ask *a, json_t *record);
void batch_ask_cancel(struct record_ask *a, json_t *record);

#endif
