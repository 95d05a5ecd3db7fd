/*
 * sim_joint: answers to a request that carries several, as the chat batcher makes them.
 *
 * Such a request asks for the schema or the tool "answers" and has items between <item-NAME> and
 * </item-NAME>. Each is answered by "echo" and the 16 hex digits of its text's FNV-1a 64 hash, as
 * the text would have been alone (sim_reply.h, of 5 tokens). So many of a million items, by chance
 * of the seed, are dropped: their member is missing; or garbled: they have the name of the one
 * before, which so stands there twice, or a cut one when that is not there (a name that is wrong
 * and stands there once would be a lie that nobody can find).
 */
#ifndef API_SIMULATE_SIM_JOINT_H
#define API_SIMULATE_SIM_JOINT_H

#include "api/simulate/sim_reply.h"

bool sim_joint_is(const json_t *body);
/* The object of answers, as JSON. */
void sim_joint_text(const struct sim_reply *r, struct buf *out);
/* Its tokens. */
int64_t sim_joint_tokens(const struct sim_reply *r);

#endif
