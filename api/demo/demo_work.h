/*
 * demo_work: how much the agents of a demo do, so that it takes the time that was asked for.
 *
 * A turn asks with the whole conversation so far, so it costs more than the one before it.
 * The work of all agents is what the provider offers in the time: a minute's worth at once
 * (the full bucket), and DEMO_LOAD_PERCENT of its rate from then on.
 *
 *   units  tokens by the simulator's rule: bytes / 4 and 4 for each message.
 */
#ifndef API_DEMO_DEMO_WORK_H
#define API_DEMO_DEMO_WORK_H

#include "common/error.h"

#include <stdint.h>

#define DEMO_LOAD_PERCENT   95
#define DEMO_MAX_TURNS      8
#define DEMO_OUTPUT_TOKENS  40 /* of an answer, which is also its max_tokens */
#define DEMO_LATENCY_MS     150
#define DEMO_MS_PER_TOKEN   5
#define DEMO_MIN_TEXT       8 /* tokens that a turn adds at least */
#define DEMO_MESSAGE_TOKENS 4

struct demo_work {
    int64_t agents, seconds, rpm, tpm;
    int64_t turns;       /* of each agent */
    int64_t text_tokens; /* of each user message */
};

/* Fills turns and text_tokens; -EINVAL when the limits leave no room for the agents. */
int demo_work_plan(struct demo_work *w, struct error *e) MUST_CHECK;
/* What the provider charges for turn number (from 1). */
int64_t demo_work_cost(const struct demo_work *w, int64_t turn);

#endif
