/*
 * core_kit: the core of a service in the test's process: a real redis-server, a fake provider, and
 * between them store, scheduler, jobs and HTTP client on one loop.
 *
 *   ownership  core_kit_setup/teardown for cmocka; a struct core_call is the test's and must live
 *              until its call has ended.
 */
#ifndef TESTS_SUPPORT_CORE_KIT_H
#define TESTS_SUPPORT_CORE_KIT_H

#include "common/clock.h"
#include "scheduler/answers.h"
#include "scheduler/batch/embedder.h"
#include "scheduler/call.h"
#include "scheduler/job.h"
#include "scheduler/joint/joint_calls.h"
#include "storage/calibration_store.h"
#include "tests/support/fake_provider.h"
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CORE_WAIT_MS    20000
#define CORE_BODY_BYTES 4096
#define CORE_POOL       "p:default:m" /* the pool of core_kit_start()'s model */
#define CORE_PREFIX     "sluice:{" CORE_POOL "}:"

struct core_kit {
    struct redis_fixture redis;
    struct event_base *base;
    struct event *tick; /* so that a condition is looked at now and then */
    struct redis_link *link, *channel;
    struct pool_store *store;
    struct job_store *job_store;
    struct calibration_store *calibrations;
    struct answer_store *answer_store;
    struct answers *answers;
    struct http_client *http;
    struct embedder *embedder;
    struct joint_board *joint_board;
    struct joint_calls *joint_calls;
    struct scheduler *scheduler;
    struct jobs *jobs;
    struct fake_provider *provider;
    const char *url; /* of the provider, where it is not the fake one; set before the start */
    bool up, channel_up;
    char instance[32];
};

/* Redis, loop and provider only; the rest comes with core_kit_start(). */
int core_kit_setup(void **state);
int core_kit_teardown(void **state);
/* One provider "p" with one model "m": limits is YAML ("rpm: 10, tpm: 5000"), more are further
 * top-level lines. Waits until Redis is there and the pool is configured. */
void core_kit_start(struct core_kit *k, const char *limits, const char *more);
/* The configuration as core_kit_start() makes it; the caller's. */
struct config *core_kit_config(struct core_kit *k, const char *limits, const char *more);
void core_kit_step(struct core_kit *k); /* runs the loop once */

#define CORE_UNTIL(k, condition)                                                                   \
    do {                                                                                           \
        int64_t core_until_ms = clock_mono_ms() + CORE_WAIT_MS;                                    \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms() > core_until_ms)                                                   \
                fail_msg("waited in vain for %s", #condition);                                     \
            core_kit_step(k);                                                                      \
        }                                                                                          \
    } while (0)

/* ---- what Redis holds */
int64_t core_running(struct core_kit *k);                /* slots in use */
int64_t core_queued(struct core_kit *k);                 /* of the pool */
int64_t core_level(struct core_kit *k, const char *dim); /* whole tokens, of a minute's */
int64_t core_field(struct core_kit *k, const char *id, const char *field); /* of a ticket; -1 */
bool core_is(struct core_kit *k, const char *id, const char *state);       /* of a ticket */

/* ---- calls */
struct core_call {
    struct core_kit *kit;
    struct call *call; /* NULL once it has ended */
    char id[TICKET_ID_BYTES];
    unsigned queued, starts, ends, fails;
    struct call_failure failure;
    int status;
    int64_t attempts;
    char decision[16], cache[16]; /* when its answer began */
    size_t inputs, inputs_kept;   /* then as well */
    unsigned pieces;              /* of its answer */
    char body[CORE_BODY_BYTES];
    size_t len, bytes;
    /* what to do */
    bool cancel_at_start, cancel_at_data, pause_at_data;
};
void core_call_begin(struct core_kit *k, struct core_call *c, const char *body,
                     int64_t max_wait_ms);
void core_call_spec(struct core_kit *k, struct core_call *c, const struct call_spec *spec);
void core_call_cancel(struct core_call *c);
bool core_call_over(const struct core_call *c);

#define CORE_BODY                                                                                  \
    "{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define CORE_STREAM_BODY                                                                           \
    "{\"model\":\"m\",\"max_tokens\":10,\"stream\":true,"                                          \
    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

/* An answer of a whole body, by its text. */
#define CORE_REPLY(status_line, headers, body)                                                     \
    "HTTP/1.1 " status_line "\r\n" headers "Connection: close\r\n\r\n" body

#endif
