/*
 * sim_transcript: refuses the conversations that the real APIs refuse, in their words.
 *
 * OpenAI chat: empty messages, unknown roles, missing content, a tool message without
 * its call, a call without its tool message. Responses: outputs and calls that do not
 * match (unless previous_response_id names where the other half is). Embeddings: empty
 * input, empty strings, more than 2,048 inputs. Anthropic: first turn not the user's,
 * role "system", empty content, tool_use and tool_result that do not face each other in
 * neighbouring turns. Two turns of one role in a row are merged by the real API, so they
 * are refused only when strict_roles is set.
 */
#ifndef API_SIMULATE_SIM_TRANSCRIPT_H
#define API_SIMULATE_SIM_TRANSCRIPT_H

#include "api/simulate/sim_request.h"

#include <stdbool.h>

#include <jansson.h>

bool sim_transcript_check(enum sim_endpoint endpoint, const json_t *body, bool strict_roles,
                          struct sim_refusal *r);

#endif
