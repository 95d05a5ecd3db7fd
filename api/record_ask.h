/*
 * record_ask: questions to the record store whose answer is an answer to a client.
 */
#ifndef API_RECORD_ASK_H
#define API_RECORD_ASK_H

#include "api/answer.h"
#include "api/batch/batch.h"
#include "api/route.h"

#define RECORD_PAGE_MAX 10000

struct batch_shape;
struct record_ask;
/* record: as it stands; borrowed. It answers the exchange. */
typedef void (*record_view_fn)(struct record_ask *a, json_t *record);

struct record_ask {
    struct service *service;
    struct exchange *exchange;
    bool gone;
    enum wire_format format;
    const char *set, *what; /* "file", for a message */
    char tenant[TENANT_NAME_BYTES + 1];
    char id[BATCH_ID_BYTES];
    record_view_fn view;
    json_t *record; /* while it is worked on */
    json_t *all;    /* of a list */
    size_t limit;
    char after[BATCH_ID_BYTES];
    const char *prefix; /* of ids in a list */
    json_t *(*item)(const struct record_ask *a, const json_t *record);
    const struct batch_shape *shape; /* of a batch: api/batch_ask.h */
};

/* NULL after it has answered that there is no memory. */
struct record_ask *record_ask_new(const struct route_request *r, const char *set, const char *what);
void record_ask_free(struct record_ask *a);
/* Reads the record of a->id for a->view; answers itself when there is none. */
void record_ask_get(struct record_ask *a);
/* Answers with a page: reads limit and after from the query. */
void record_ask_list(struct record_ask *a, const char *after_name, size_t limit, size_t most);
/* Answers (when the client is still there) and frees. */
void record_ask_answer(struct record_ask *a, int status, json_t *body);
void record_ask_refuse(struct record_ask *a, int status, const char *code, const char *message);
void record_ask_missing(struct record_ask *a);

#endif
