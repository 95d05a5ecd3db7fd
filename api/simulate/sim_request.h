/*
 * sim_request: a provider request as the simulator understands it.
 *
 * Counting rule, on purpose simple enough to be done by hand in a test: the bytes of
 * every string value in messages, system, instructions, prompt, input, tools and
 * functions, but those under "role", "type", "id", "tool_call_id", "tool_use_id",
 * "call_id", "url" and "data", divided by bytes_per_token and rounded up, plus 4 for
 * every message. An embedding input counts by itself, rounded up; a token id counts 1.
 *
 *   ownership  sim_request_release() frees what sim_request_read() made.
 */
#ifndef API_SIMULATE_SIM_REQUEST_H
#define API_SIMULATE_SIM_REQUEST_H

#include "api/simulate/sim_limit.h"
#include "api/simulate/sim_options.h"
#include "api/simulate/sim_steer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define SIM_TOKENS_PER_MESSAGE 4
#define SIM_REFUSAL_BYTES      512

enum sim_endpoint {
    SIM_CHAT,
    SIM_COMPLETIONS,
    SIM_RESPONSES,
    SIM_EMBEDDINGS,
    SIM_MESSAGES,
    SIM_COUNT_TOKENS,
    SIM_ENDPOINTS,
};

/* -1 when the path is none of ours. */
int sim_endpoint_find(const char *path);
const char *sim_endpoint_path(enum sim_endpoint endpoint);
bool sim_endpoint_is_anthropic(enum sim_endpoint endpoint);

/* A refusal in the provider's words, not yet in its JSON. */
struct sim_refusal {
    int status;
    const char *type; /* "invalid_request_error" */
    const char *code; /* OpenAI only; NULL is null */
    char param[64];   /* OpenAI only; "" is null */
    char message[SIM_REFUSAL_BYTES];
};

struct sim_request {
    enum sim_endpoint endpoint;
    json_t *body;
    const char *model; /* inside body */
    bool stream, include_usage;
    int64_t max_tokens; /* -1 when absent */
    int64_t choices;    /* n */
    int64_t input_tokens;
    uint64_t body_hash; /* FNV-1a 64 of the bytes */
    uint64_t user_hash; /* FNV-1a 64 of the last user text */
    char id[SIM_ID_BYTES];
    struct sim_steer steer;
};

/* FNV-1a 64: offset 14695981039346656037, prime 1099511628211. */
uint64_t sim_hash(const void *bytes, size_t len);

/* False: refused, in r. x_sim is the header's value or NULL. */
bool sim_request_read(struct sim_request *q, const struct sim_options *o, const char *bytes,
                      size_t len, const char *x_sim, struct sim_refusal *r);
void sim_request_release(struct sim_request *q);

/* Writes a refusal with status 400 and type invalid_request_error; returns false. */
bool sim_refuse(struct sim_refusal *r, const char *code, const char *param, const char *format, ...)
    PRINTF_AT(4, 5);

/* What the provider charges for q: at admission, and what must be left. Counting tokens
 * costs nothing: at Anthropic it has limits of its own. */
struct sim_cost sim_request_cost(const struct sim_request *q, const struct sim_options *o);

/* Tokens of a text by the rule above. */
int64_t sim_tokens(size_t bytes, int64_t bytes_per_token);
/* Inputs of an embeddings request: their number, and the hash and tokens of one. */
size_t sim_embedding_count(const json_t *body);
uint64_t sim_embedding_hash(const json_t *body, size_t i);
/* A unit vector that depends on the hash alone: xorshift64* from it (1 for 0), each
 * value (next >> 40) / 2^23 - 1, then divided by the length. */
void sim_embedding(uint64_t hash, float *vector, size_t dims);

#endif
