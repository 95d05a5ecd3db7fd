/*
 * demo_agent: one simulated agent, a conversation that grows turn by turn.
 *
 * It retries as the official SDKs do: twice, on 408, 409, 429, 5xx and lost connections,
 * after retry-after-ms or retry-after when that is at most 60 s, else after 0.5 s x 2^n up
 * to 8 s, less up to a quarter of it by chance. After that the agent has died, as an agent
 * does whose exception nobody catches.
 *
 *   ownership  the phase owns its agents; the client and the base are borrowed.
 *   threads    one event loop.
 */
#ifndef API_DEMO_DEMO_AGENT_H
#define API_DEMO_DEMO_AGENT_H

#include "api/demo/demo_work.h"
#include "common/buf.h"
#include "common/rand.h"
#include "scheduler/http_client.h"

#include <stdint.h>

struct event;
struct event_base;

#define DEMO_RETRIES 2

enum demo_state { DEMO_RUNNING, DEMO_FINISHED, DEMO_DIED };

/* What all agents of a phase count together. */
struct demo_tally {
    int64_t finished, died;
    int64_t refusals;  /* 429 that an agent saw */
    int64_t turns;     /* answered */
    int64_t tokens;    /* input and output of those, as the provider tells */
    int64_t *waits_ms; /* of every answered turn, beyond the provider's own time */
};

struct demo_agent {
    struct event_base *base;
    struct http_client *client;
    const struct demo_work *work;
    struct demo_tally *tally;
    void (*on_end)(void *arg);
    void *arg;
    char url[160];
    struct rand rand;
    enum demo_state state;
    int64_t number, turn;
    int tries;           /* of this turn */
    int64_t started_ms;  /* of this turn */
    struct buf messages; /* JSON objects of the conversation, parted by commas */
    struct buf body, reply;
    struct http_transfer *transfer;
    struct event *timer;
};

/* url: up to and with /v1. on_end is called from the loop, once, unless it is released. */
int demo_agent_start(struct demo_agent *a, const char *url) MUST_CHECK;
void demo_agent_release(struct demo_agent *a);
/* Until the next try of a request that failed n times before (0, 1, ...). */
int64_t demo_retry_ms(struct rand *rand, int tries, const char *retry_after_ms,
                      const char *retry_after);

#endif
