#include "scheduler/call_state.h"

#include <stdint.h>

#define TO(name) (UINT32_C(1) << CALL_##name)
#define STOP     (TO(FAILED) | TO(CANCELLED))

_Static_assert(CALL_STATE_COUNT <= 32, "one bit for each state");

/* Row: where we are. Bits: where we may go. A final state has no bits. */
static const uint32_t edges[CALL_STATE_COUNT] = {
    [CALL_PREPARING] = TO(JOINED) | TO(SUBMITTING) | TO(SENDING) | STOP,
    [CALL_JOINED] = TO(SUBMITTING) | TO(STREAMING) | STOP,
    [CALL_SUBMITTING] = TO(QUEUED) | TO(SENDING) | STOP,
    [CALL_QUEUED] = TO(SENDING) | STOP,
    [CALL_SENDING] = TO(STREAMING) | TO(QUEUED) | TO(DONE) | STOP,
    [CALL_STREAMING] = TO(DONE) | STOP,
};

static const char *const names[CALL_STATE_COUNT] = {
#define X(name) [CALL_##name] = #name,
    CALL_STATES(X)
#undef X
};

static bool is_state(enum call_state s)
{
    return (unsigned)s < CALL_STATE_COUNT;
}

const char *call_state_name(enum call_state s)
{
    return is_state(s) ? names[s] : "?";
}

bool call_state_is_final(enum call_state s)
{
    return is_state(s) && edges[s] == 0;
}

bool call_state_may_follow(enum call_state from, enum call_state to)
{
    return is_state(from) && is_state(to) && (edges[from] & (UINT32_C(1) << to)) != 0;
}
