/*
 * sim_child: `sluice simulate` as a process of its own, and blocking calls to it.
 *
 *   struct sim_child sim;
 *   sim_child_start(&sim, "--rpm 5 --latency-ms 10");
 *   struct http_answer a = http_ask("POST", sim.url, "/v1/messages", body, NULL);
 *   ... a.status, a.headers, a.body ...
 *   http_answer_release(&a);
 *   sim_child_stop(&sim);
 *
 *   ownership  an answer is released; the child dies with the test program.
 *   errors     what cannot be started or read fails the test that runs.
 */
#ifndef TESTS_SUPPORT_SIM_CHILD_H
#define TESTS_SUPPORT_SIM_CHILD_H

#include "common/buf.h"

#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

struct sim_child {
    pid_t pid;    /* 0: not running */
    char url[64]; /* http://127.0.0.1:PORT */
};

/* Options are parted by single blanks; --listen 127.0.0.1:0 is added. */
void sim_child_start(struct sim_child *sim, const char *options);
void sim_child_stop(struct sim_child *sim); /* SIGTERM, waited for; idempotent */

struct http_answer {
    int status;         /* 0: no answer at all */
    int curl_error;     /* CURLcode: 0, 18 (cut), 52 (nothing), 28 (timeout) */
    struct buf headers; /* "name: value\r\n", as they came */
    struct buf body;
};

#define HTTP_ASK_TIMEOUT_MS 20000

/* header: more lines, parted by "\n", or NULL. body NULL: none. */
struct http_answer http_ask(const char *method, const char *url, const char *path, const char *body,
                            const char *header);
/* Gives up after timeout_ms, as a client does that leaves. */
struct http_answer http_ask_for(const char *url, const char *path, const char *body,
                                int timeout_ms);
void http_answer_release(struct http_answer *a);
/* The value of a header in out ("" when absent). */
const char *http_answer_header(const struct http_answer *a, const char *name, char *out,
                               size_t size);

/* GET /sim/ledger; given. */
json_t *sim_child_ledger(const struct sim_child *sim);
/* The number at a path such as "models/gpt-4o/calls"; fails the test when absent. */
int64_t json_at(const json_t *value, const char *path);

#endif
