/*
 * http_call: a loop with an HTTP client and a fake provider, and calls that note all
 * that their handlers were told.
 *
 *   ownership  http_calls_setup/teardown for cmocka; a struct http_call is the test's and
 *              must live until its transfer has ended.
 */
#ifndef TESTS_SUPPORT_HTTP_CALL_H
#define TESTS_SUPPORT_HTTP_CALL_H

#include "common/clock.h"
#include "scheduler/http_client.h"
#include "tests/support/fake_provider.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_CALL_BODY_BYTES 4096
#define HTTP_CALL_WAIT_MS    20000

struct event;
struct event_base;

struct http_calls {
    struct event_base *base;
    struct event *tick; /* so that waiting for a condition looks at it now and then */
    struct fake_provider *provider;
    struct http_client *client;
};

enum http_call_moment { HTTP_CALL_NEVER, HTTP_CALL_HEADERS, HTTP_CALL_BODY, HTTP_CALL_DONE };

struct http_call {
    struct http_transfer *transfer; /* NULL once it has ended */
    /* what happened */
    unsigned headers, pieces, done; /* calls of each handler */
    int status, done_status;
    size_t bytes, filler;                /* of the body; those that are 'x' */
    char body[HTTP_CALL_BODY_BYTES + 1]; /* its start */
    enum http_result result;
    char detail[256];
    char location[256];
    bool sent;             /* http_transfer_sent() in on_done */
    unsigned after_cancel; /* handlers called after the cancel: must stay 0 */
    unsigned while_paused; /* pieces delivered while paused: must stay 0 */
    /* what to do */
    enum http_call_moment cancel_at;
    struct http_call *victim; /* cancelled at that moment; NULL: itself */
    bool pause_each;          /* at each piece */
    bool resume_each;         /* and at once again */
    void (*on_piece)(struct http_call *call);
    void (*on_done)(struct http_call *call);
    void *arg; /* for these two */
    struct http_calls *calls;
    /* how it stands */
    bool cancelled, paused;
};

int http_calls_setup(void **state);
int http_calls_teardown(void **state);

/* Starts request (url NULL: the provider's) and fails the test when it is refused. */
void http_call_start(struct http_calls *f, struct http_call *call,
                     const struct http_request *request);
void http_call_post(struct http_calls *f, struct http_call *call); /* a small POST */
void http_call_cancel(struct http_call *call);
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);

void http_calls_step(struct http_calls *f); /* runs the loop once */
/* Runs the loop until the provider has sent nothing new for many passes. */
void http_calls_settle(struct http_calls *f);

/* Runs the loop until the condition holds; the test fails after HTTP_CALL_WAIT_MS. */
#define RUN_UNTIL(f, condition)                                                                    \
    for (int64_t run_until_ms = clock_mono_ms() + HTTP_CALL_WAIT_MS; !(condition);)                \
    http_calls_wait((f), run_until_ms, #condition)
void http_calls_wait(struct http_calls *f, int64_t until_ms, const char *condition);

#endif
