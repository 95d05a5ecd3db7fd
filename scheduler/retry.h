/*
 * retry: what to do about an attempt that did not succeed. Pure.
 *
 *   rate, ramp        back to its old place; the limit that the provider named is paused for
 *                     everyone. Does not count as an attempt: it ends with the caller's own wait.
 *   overload, server, connection faults
 *                     again after a backoff with full jitter (500 ms doubling to 30 s), or after
 *                     retry-after when that is later; bounded attempts.
 *   everything else   told to the caller as it is.
 *
 * Never once output has reached the caller, and not when the wait would be longer than the caller's
 * own: what the provider said is worth more now than a timeout later. The pause holds all the same.
 */
#ifndef SCHEDULER_RETRY_H
#define SCHEDULER_RETRY_H

#include "common/rand.h"
#include "scheduler/http_client.h"
#include "scheduler/provider/wire.h"

struct retry_case {
    enum http_result result;
    struct wire_answer answer; /* when result is HTTP_DONE */
    int64_t attempts;          /* this one included, rate refusals left out */
    int64_t max_attempts;
    int64_t refusals;     /* rate refusals so far, this one included */
    int64_t wait_left_ms; /* that the caller may still spend in the queue */
    bool output_given;
};

struct retry_plan {
    bool again;
    bool counts; /* as an attempt */
    bool unsent; /* the provider never saw it */
    int64_t delay_ms;
    char pause_dim[8]; /* "" none, "*" all */
    int64_t pause_ms;
};

struct retry_plan retry_decide(const struct retry_case *c, struct rand *r);

#endif
