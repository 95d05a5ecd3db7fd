/*
 * sim_reply: the simulator's answers in each format, whole and as streams.
 *
 * The text is "echo" and the 16 hex digits of the last user text's FNV-1a 64 hash, then
 * words, four bytes for each output token (and never less than those 20 bytes, unless
 * the output is 0 tokens): a caller can check that it got the answer to its own question.
 *
 * A stream is head, units 0..sim_reply_units()-1, tail. A unit is a token, or a whole
 * tool call of SIM_TOOL_CALL_TOKENS.
 *
 *   ownership  the struct borrows body and model.
 *   errors     those of the buffer (buf.failed).
 */
#ifndef API_SIMULATE_SIM_REPLY_H
#define API_SIMULATE_SIM_REPLY_H

#include "api/simulate/sim_request.h"
#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define SIM_TOOL_CALL_TOKENS 8
#define SIM_REPLY_ID_BYTES   64
#define SIM_TOKEN_BYTES      32 /* room for one token's text, the first ones together */

struct sim_reply {
    enum sim_endpoint endpoint;
    const char *model;
    const json_t *body; /* the request's */
    char id[SIM_REPLY_ID_BYTES];
    uint64_t number; /* of the call; makes tool call ids unique */
    int64_t created_s;
    int64_t input_tokens, cached_tokens, output_tokens; /* output: of each choice */
    int64_t choices, tool_calls;
    bool cut_by_max; /* the maximum ended it */
    bool include_usage;
    uint64_t user_hash;
    size_t embedding_dims;
    int64_t bytes_per_token;
    bool joint;                       /* of several items: sim_joint.h */
    int64_t joint_drop, joint_garble; /* of a million */
    uint64_t joint_seed;
};

int64_t sim_reply_units(const struct sim_reply *r);
int64_t sim_reply_unit_tokens(const struct sim_reply *r); /* of one unit, over all choices */
const char *sim_reply_id_prefix(enum sim_endpoint endpoint);

void sim_reply_whole(const struct sim_reply *r, struct buf *out);
void sim_reply_head(const struct sim_reply *r, struct buf *out);
void sim_reply_unit(const struct sim_reply *r, int64_t i, struct buf *out);
void sim_reply_tail(const struct sim_reply *r, struct buf *out);
/* An error in the stream. */
void sim_reply_error(const struct sim_reply *r, struct buf *out);

/* ---- for the formats */
/* Text of token i, NUL-terminated; returns its length. */
size_t sim_reply_token(const struct sim_reply *r, int64_t i, char out[SIM_TOKEN_BYTES]);
void sim_reply_text(const struct sim_reply *r, struct buf *out);
/* "key":"text" with escapes. */
void sim_reply_pair(struct buf *out, const char *key, const char *text);
/* Name of the i-th tool that the request offers (in turn), or "tool". */
const char *sim_reply_tool_name(const struct sim_reply *r, int64_t i);
int64_t sim_reply_output(const struct sim_reply *r); /* tokens over all choices */

#endif
