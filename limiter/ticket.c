#include "limiter/ticket.h"

#define TO(name) (UINT32_C(1) << TICKET_##name)

/* Row: where a ticket is. Bits: where it may go. A final state has no bits. */
static const uint32_t edges[TICKET_STATE_COUNT] = {
    [TICKET_NONE] = TO(QUEUED) | TO(RUNNING),
    [TICKET_QUEUED] = TO(RUNNING) | TO(CANCELLED) | TO(EXPIRED),
    [TICKET_DELAYED] = TO(QUEUED) | TO(CANCELLED),
    [TICKET_RUNNING] =
        TO(QUEUED) | TO(DELAYED) | TO(DONE) | TO(FAILED) | TO(CANCELLED) | TO(DEAD) | TO(EXPIRED),
};

static const char *const names[TICKET_STATE_COUNT] = {
    [TICKET_NONE] = "none",           [TICKET_QUEUED] = "queued",   [TICKET_DELAYED] = "delayed",
    [TICKET_RUNNING] = "running",     [TICKET_DONE] = "done",       [TICKET_FAILED] = "failed",
    [TICKET_CANCELLED] = "cancelled", [TICKET_EXPIRED] = "expired", [TICKET_DEAD] = "dead",
};

static bool is_state(enum ticket_state s)
{
    return (unsigned)s < TICKET_STATE_COUNT;
}

const char *ticket_state_name(enum ticket_state s)
{
    return is_state(s) ? names[s] : "?";
}

bool ticket_state_may_follow(enum ticket_state from, enum ticket_state to)
{
    return is_state(from) && is_state(to) && (edges[from] & (UINT32_C(1) << to)) != 0;
}

bool ticket_state_is_final(enum ticket_state s)
{
    return is_state(s) && edges[s] == 0;
}
