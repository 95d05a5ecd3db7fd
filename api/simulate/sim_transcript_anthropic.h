/*
 * sim_transcript_anthropic: what the Messages API refuses; see sim_transcript.h.
 */
#ifndef API_SIMULATE_SIM_TRANSCRIPT_ANTHROPIC_H
#define API_SIMULATE_SIM_TRANSCRIPT_ANTHROPIC_H

#include "api/simulate/sim_request.h"

#include <stdbool.h>

#include <jansson.h>

bool sim_transcript_anthropic(const json_t *body, bool strict_roles, struct sim_refusal *r);

#endif
