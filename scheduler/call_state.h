/*
 * call_state: the life of one request inside an instance, as a table.
 *
 *   PREPARING -----> JOINED ----> STREAMING (given by another one)
 *       |              |
 *       | <------------+  it goes its own way after all
 *       |
 *   SUBMITTING --> QUEUED --> SENDING --> STREAMING --> DONE
 *       |            ^  |        |  |                    ^
 *       |            |  |        |  +---- whole reply ---+
 *       +------------|--|---> SENDING (granted at once; a granted job comes from PREPARING)
 *                    +-----------+  refused or failed, to be repeated: back in the queue
 *
 * FAILED and CANCELLED can be reached from any state that is not final.
 *
 *   PREPARING   it is read, and made smaller; for a summary it may have to wait
 *   JOINED      another one answers it: the cache, an equal request, a batch (call_given.h)
 *   SUBMITTING  its ticket is on the way to Redis
 *   QUEUED      its ticket waits there (or its backoff does); it holds no tokens, no slot
 *   SENDING     granted: a transfer owns it, nothing of the reply is out yet
 *   STREAMING   part of the reply reached the caller, so it is never tried again
 *
 * call_enter() in call.c is the only writer of call->state.
 */
#ifndef SCHEDULER_CALL_STATE_H
#define SCHEDULER_CALL_STATE_H

#include <stdbool.h>

/* clang-format off */
#define CALL_STATES(X) \
    X(PREPARING)       \
    X(JOINED)          \
    X(SUBMITTING)      \
    X(QUEUED)          \
    X(SENDING)         \
    X(STREAMING)       \
    X(DONE)            \
    X(FAILED)          \
    X(CANCELLED)

enum call_state {
#define X(name) CALL_##name,
    CALL_STATES(X)
#undef X
    CALL_STATE_COUNT,
};
/* clang-format on */

const char *call_state_name(enum call_state s); /* static storage; "?" for no state */
bool call_state_is_final(enum call_state s);
/* Whether the table has the edge. Asking for a missing one is a bug in ours. */
bool call_state_may_follow(enum call_state from, enum call_state to);

#endif
