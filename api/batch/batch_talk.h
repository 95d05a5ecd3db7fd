/*
 * batch_talk: one request at a time to a provider's batch endpoints.
 *
 *   ownership  the struct is the caller's; stop cancels what is on its way, without a call.
 *   threads    one event loop.
 */
#ifndef API_BATCH_BATCH_TALK_H
#define API_BATCH_BATCH_TALK_H

#include "api/batch/batch_plan.h"
#include "common/buf.h"
#include "scheduler/http_client.h"

#define BATCH_WHY_BYTES 200

struct batch_talk_ask {
    const char *method;
    const char *path; /* behind the API's version: "/files", "/messages/batches" */
    const char *type; /* of the body; NULL: application/json */
    const char *body; /* kept until the answer */
    size_t body_len;
    int fd; /* -1: the answer comes in memory; else a good one is written there */
};

struct batch_talk_answer {
    enum http_result result;
    int status;             /* 0: none came */
    bool unsent;            /* the provider has seen nothing of it */
    int64_t retry_after_ms; /* -1: not told */
    const char *body;       /* borrowed */
    size_t len;
    char why[BATCH_WHY_BYTES]; /* for people, when it is not good: what the provider said */
};

typedef void (*batch_talk_fn)(void *arg, const struct batch_talk_answer *answer);

struct batch_talk {
    struct http_client *http;
    struct http_transfer *transfer; /* NULL: idle */
    struct buf body;
    int fd, status, write_error;
    batch_talk_fn fn;
    void *arg;
};

void batch_talk_init(struct batch_talk *t, struct http_client *http, batch_talk_fn fn, void *arg);
/* 0: fn is called; else e says it. */
int batch_talk_start(struct batch_talk *t, const struct batch_way *way,
                     const struct batch_talk_ask *ask, struct error *e) MUST_CHECK;
void batch_talk_stop(struct batch_talk *t);

#endif
